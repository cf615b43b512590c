package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/outcrop/outcrop/bench/child"
	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/bench/isolation/live"
	"github.com/outcrop/outcrop/fair"
)

// A document is all that was measured.
type document struct {
	Simulated string       `json:"simulated"`
	Live      []*realTime  `json:"real_time,omitempty"`
	Virtual   *virtualTime `json:"virtual_time,omitempty"`
}

const simulated = "All figures come from simulated engines."

// realTime is what one run measured in real time.
type realTime struct {
	When     string        `json:"when"`
	Machine  child.Machine `json:"machine"`
	Speed    float64       `json:"speed"`
	AtOnce   int           `json:"engines_at_once"`
	Lengths  string        `json:"lengths"`
	Took     time.Duration `json:"took_ns"`
	Patience time.Duration `json:"patience_ns"`
	Cells    []*live.Cell  `json:"cells"`
}

// virtualTime is what was measured in virtual time.
type virtualTime struct {
	When       string               `json:"when"`
	Lengths    string               `json:"lengths"`
	Cells      []*isolation.Figures `json:"cells"`
	Neighbours []neighbour          `json:"light_tenant"`
	Long       *long                `json:"long_run,omitempty"`
}

// A neighbour is a light tenant beside a heavy one.
type neighbour struct {
	Seed  uint64           `json:"seed"`
	CV    float64          `json:"cv"`
	Light isolation.Figure `json:"p99_s"`
	Alone isolation.Figure `json:"alone_p99_s"`
	Ratio isolation.Figure `json:"ratio"`
}

func neighbours(seed uint64, cv float64) neighbour {
	n := isolation.LightTenant(seed, cv, 2, fair.Default())
	return neighbour{seed, cv, isolation.Figure(n.Light), isolation.Figure(n.Alone), isolation.Figure(n.Ratio())}
}

// long is a long run under overload and batch on four engines.
type long struct {
	Requests int              `json:"provisioned_requests"`
	Refused  int              `json:"refused"`
	Waiting  int              `json:"without_first_token"`
	P99      isolation.Figure `json:"p99_s"`
}

// longRun counts refusals of provisioned requests.
func longRun(lengths isolation.Lengths, requests int) *long {
	s := isolation.Base(4)
	s.Lengths = lengths
	s.Duration = s.Warmup + time.Duration(float64(requests)*1.003/(s.Provisioned*4)*float64(time.Second))
	isolation.Loads()[2].Apply(&s)
	r := isolation.Run(s)
	l := &long{Requests: r.Sent[isolation.Provisioned], Refused: r.Refused[isolation.Provisioned],
		P99: isolation.Figure(r.Percentile(99, isolation.Provisioned))}
	for _, first := range r.First[isolation.Provisioned] {
		if first > 1e6 {
			l.Waiting++
		}
	}
	return l
}

// replace puts what a run measured in place of what earlier ones did of the same
// numbers of engines and arrivals.
func (d *document) replace(r *realTime) {
	var left []*realTime
	for _, e := range d.Live {
		e.Cells = slices.DeleteFunc(e.Cells, func(c *live.Cell) bool { return r.has(c) })
		if len(e.Cells) > 0 {
			left = append(left, e)
		}
	}
	d.Live = append(left, r)
}

// has reports whether r measured what c did.
func (r *realTime) has(c *live.Cell) bool {
	return slices.ContainsFunc(r.Cells, func(o *live.Cell) bool { return o.Engines == c.Engines && o.CV == c.CV })
}

// The simulated times of a real-time run.
const (
	warmup   = 15 * time.Second
	tail     = 5 * time.Second
	patience = 30 * time.Second
)

// inRealTime measures all cells.
func inRealTime(ctx context.Context, s *settings, lengths isolation.Lengths) (*realTime, error) {
	scratch, err := os.MkdirTemp("", "outcrop-isolation-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	o, err := s.options(ctx, scratch)
	if err != nil {
		return nil, err
	}
	raw, err := openRaw(s.raw)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	runs, sizes := s.runs(lengths)
	reports, err := live.MeasureAll(ctx, o, runs, s.atOnce, func(i int, r *live.Report) {
		log.Printf("real time: run %d of %d, %d engines, %s: %s, %s: %d requests; busy cores: gateway %.2f, engines %.2f, generator %.2f, machine %.2f",
			i+1, len(runs), r.Run.Setup.Engines, arrivals(r.Run.Setup.CV), r.Run.Load, r.Run.Policy.Name,
			len(r.Records), r.Shares.Gateway, r.Shares.Engines, r.Shares.Generator, r.Shares.Machine)
		raw.add(r)
	})
	if err != nil {
		return nil, err
	}
	d := &realTime{When: today(), Machine: child.Describe(), Speed: s.speed, AtOnce: s.atOnce, Lengths: s.lengthsName(),
		Patience: patience, Took: time.Since(begin).Round(time.Second)}
	for _, n := range sizes {
		d.Cells = append(d.Cells, live.Summarize(reports[:n]))
		reports = reports[n:]
	}
	return d, raw.close()
}

// runs are the runs of all cells, and how many each cell has.
func (s *settings) runs(lengths isolation.Lengths) (runs []live.Run, sizes []int) {
	for _, cv := range s.scatter {
		policies := s.policies
		if cv > 1 {
			policies = policies[len(policies)-1:]
		}
		for _, engines := range s.engines {
			base := isolation.Base(engines)
			base.CV, base.Lengths, base.Warmup = cv, lengths, warmup
			segment := time.Duration(float64(s.samples) / (base.Provisioned * float64(engines)) * float64(time.Second))
			of := live.Runs(base, segment, isolation.Loads()[:3], policies)
			runs, sizes = append(runs, of...), append(sizes, len(of))
		}
	}
	return runs, sizes
}

// options are what the runs have in common.
func (s *settings) options(ctx context.Context, scratch string) (o live.Options, err error) {
	o = live.Options{Scratch: scratch, Speed: s.speed, Seeds: s.list(), Tail: tail, Patience: patience, Data: filepath.Join(scratch, "keys")}
	if o.Outcrop, err = filepath.Abs(s.outcrop); err != nil {
		return o, err
	}
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	o.Generator = []string{self, traffic}
	if s.trace != "" {
		if o.Trace, err = filepath.Abs(s.trace); err != nil {
			return o, err
		}
	}
	o.Keys, err = live.Keys(ctx, o.Outcrop, o.Data, isolation.Base(1))
	return o, err
}

// A rawFile takes every request; a nil one takes none.
type rawFile struct {
	file *os.File
	csv  *csv.Writer
}

func openRaw(name string) (*rawFile, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	r := &rawFile{f, csv.NewWriter(f)}
	return r, r.csv.Write(append([]string{"engines", "cv", "load", "policy"}, live.Columns...))
}

func (f *rawFile) add(r *live.Report) {
	if f == nil {
		return
	}
	for i := range r.Records {
		// The writer keeps its first error until close.
		_ = r.Records[i].WriteCSV(f.csv, strconv.Itoa(r.Run.Setup.Engines), fmt.Sprint(r.Run.Setup.CV), r.Run.Load, r.Run.Policy.Name)
	}
}

func (f *rawFile) close() error {
	if f == nil {
		return nil
	}
	f.csv.Flush()
	return errors.Join(f.csv.Error(), f.file.Close())
}

// earlier reads what an earlier run left in the folder.
func earlier(folder string) (*document, error) {
	d := &document{Simulated: simulated}
	b, err := os.ReadFile(filepath.Join(folder, "isolation.json"))
	if errors.Is(err, fs.ErrNotExist) || folder == "" {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	return d, json.Unmarshal(b, d)
}

// write writes all files into the folder.
func (d *document) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	files := map[string][]byte{"isolation.json": append(data, '\n'), "isolation.md": []byte(d.page()), "isolation.svg": d.picture().SVG()}
	if len(d.Live) > 0 {
		files["isolation.csv"] = d.seeds()
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
