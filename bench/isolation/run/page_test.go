package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/bench/isolation/live"
)

// measured is a document as a run leaves it, from records that are made up.
func measured() *document {
	policies := live.Policies()
	base := isolation.Base(1)
	base.Warmup = 10 * time.Second
	var reports []*live.Report
	for _, r := range live.Runs(base, 10*time.Second, isolation.Loads()[:1], policies) {
		p := &live.Plan{Setup: r.Setup, Seeds: []uint64{1}, Segment: 10 * time.Second, Tail: time.Second, Speed: 1}
		of := func(k isolation.Kind, first time.Duration) live.Record {
			return live.Record{Seed: 1, Kind: k, At: 11 * time.Second, First: 11*time.Second + first, End: 13 * time.Second, Prompt: 100, Tokens: 10, Outcome: live.Whole}
		}
		records := []live.Record{of(isolation.Provisioned, 100*time.Millisecond), of(isolation.Batch, time.Second)}
		if r.Load == "overload" {
			records[0] = of(isolation.Provisioned, 150*time.Millisecond)
		}
		if r.Load == "overload" && r.Policy.Name == "fifo" {
			records[0] = live.Record{Seed: 1, At: 11 * time.Second, Outcome: live.Late}
		}
		reports = append(reports, &live.Report{Run: r, Plan: p, Records: records})
	}
	short := isolation.Base(1)
	short.Duration = short.Warmup + 20*time.Second
	return &document{Simulated: simulated,
		Live: []*realTime{{Speed: 1, Cells: []*live.Cell{live.Summarize(reports)}}},
		Virtual: &virtualTime{Long: &long{Requests: 100_332},
			Cells: []*isolation.Figures{isolation.Measure(short, []uint64{1}, isolation.Loads()[:1], isolation.Policies()[:1])}},
	}
}

func TestThePageHasTheFigures(t *testing.T) {
	page := measured().page()
	for _, want := range []string{
		"**All figures are simulated**", "service tier flex", "](isolation.svg)",
		"Alone: p50 100 ms, p99 100 ms (1 provisioned requests of 1 seeds)",
		"| overload | fifo | never | never | never | never | never |",
		"| overload | outcrop | x1.50 | x1.50 | 50 ms | 50 ms | - |",
		"100,332 provisioned requests under overload and batch on four engines: **0 refused**",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, bad := range []string{"Inf", "NaN", "%!"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page says %s", bad)
		}
	}
}

func TestWhatIsNotMeasuredAgainStays(t *testing.T) {
	folder := t.TempDir()
	d := measured()
	if err := d.write(folder); err != nil {
		t.Fatal(err)
	}
	again, err := earlier(folder)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.page(), d.page(); got != want {
		t.Errorf("the page differs after reading it again:\n%s", got)
	}
	l := again.Live[0].Cells[0].Lines[0]
	if !math.IsInf(float64(l.P99), 1) || l.Policy != "fifo" {
		t.Errorf("%+v", l)
	}
	none, err := earlier(filepath.Join(folder, "elsewhere"))
	if err != nil || none.Live != nil || none.Simulated == "" {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestWhatIsMeasuredAgainTakesTheOldPlace(t *testing.T) {
	cell := func(engines int, cv float64) *live.Cell {
		return &live.Cell{Figures: isolation.Figures{Engines: engines, CV: cv}}
	}
	old := &realTime{When: "old", Cells: []*live.Cell{cell(1, 1), cell(4, 1), cell(1, 3)}}
	d := &document{Live: []*realTime{old, {When: "older", Cells: []*live.Cell{cell(4, 3)}}}}
	d.replace(&realTime{When: "new", Cells: []*live.Cell{cell(4, 1), cell(4, 3)}})
	var got []string
	for _, r := range d.Live {
		for _, c := range r.Cells {
			got = append(got, fmt.Sprintf("%s %d %g", r.When, c.Engines, c.CV))
		}
	}
	if want := []string{"old 1 1", "old 1 3", "new 4 1", "new 4 3"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if all := d.cells(); len(all) != 4 || all[1].Engines != 4 || all[1].CV != 1 {
		t.Error("the cells are not in order")
	}
}

func TestAllFilesAreWhatTheySay(t *testing.T) {
	folder := t.TempDir()
	if err := measured().write(folder); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if !json.Valid([]byte(read("isolation.json"))) {
		t.Error("isolation.json is none")
	}
	lines := strings.Split(strings.TrimSpace(read("isolation.csv")), "\n")
	if len(lines) != 1+2+3 || !strings.HasPrefix(lines[1], "1,1,alone,outcrop,1,0.1000,0.1000,1,") {
		t.Errorf("isolation.csv is\n%s", strings.Join(lines, "\n"))
	}
	for d := xml.NewDecoder(strings.NewReader(read("isolation.svg"))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNumbersAreReadable(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 100_332: "100,332", 1_234_567.8: "1,234,568"} {
		if got := number(f); got != want {
			t.Errorf("%v is %s", f, got)
		}
	}
}

// Figures of processes that lacked a processor are marked, and are not in the
// picture if there are others.
func TestADisturbedMeasurementSaysSo(t *testing.T) {
	d := measured()
	if strings.Contains(d.page(), "Disturbed") || !strings.Contains(d.picture().Subtitle, "over HTTP") {
		t.Error("a quiet measurement is called disturbed")
	}
	d.Live[0].Cells[0].Runs[1].Late99 = .5
	if !strings.Contains(d.page(), "**Disturbed.**") || !strings.Contains(d.page(), "sent up to 500 ms late") {
		t.Error("a disturbed measurement is not called so")
	}
	if !strings.Contains(d.picture().Subtitle, "virtual time") {
		t.Error("the picture shows the disturbed measurement")
	}
	d.Virtual = nil
	if !strings.Contains(d.picture().Subtitle, "over HTTP") {
		t.Error("the picture shows nothing")
	}
	d.Live[0].Cells[0].Runs[1].Late99, d.Live[0].Machine.Cores = 0, 2
	d.Live[0].Cells[0].Runs[1].Shares.Machine = 1.9
	if !strings.Contains(d.page(), "Up to 1.9 of 2 cores were busy") {
		t.Error("a busy machine is not told of")
	}
}
