// Command run measures how well provisioned requests are kept apart from the
// others, on simulated engines: in real time over HTTP, with the gateway, the
// engines and the traffic each in processes of their own, and in virtual time
// with the scheduler alone. It writes isolation.md, isolation.json,
// isolation.csv and isolation.svg.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/bench/isolation/live"
)

// traffic is the argument with which the command calls itself as the generator.
const traffic = "traffic"

// settings are the command line.
type settings struct {
	outcrop, out, trace, raw string
	live, virtual, quick     bool
	engines                  []int
	policies                 []live.Policy
	scatter                  []float64 // of the times between requests
	seeds                    int
	samples                  int
	speed                    float64
	atOnce                   int
	seconds, long            int
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := error(nil)
	if len(os.Args) == 2 && os.Args[1] == traffic {
		err = generate(ctx)
	} else {
		err = run(ctx, parse())
	}
	if err != nil {
		stop()
		log.Fatal("isolation: ", err)
	}
}

func parse() *settings {
	s := &settings{}
	flag.StringVar(&s.outcrop, "outcrop", filepath.Join("bin", "outcrop"), "the outcrop command to measure")
	flag.StringVar(&s.out, "out", "", "folder for the results (default docs/bench, and none with -quick)")
	flag.StringVar(&s.trace, "trace", "", "a trace in the format of the public Azure ones, for the lengths of requests; default is a table of quantiles")
	flag.StringVar(&s.raw, "raw", "", "also write every request of the real-time runs to this CSV file")
	flag.BoolVar(&s.live, "live", true, "measure in real time; what is not measured again stays as an earlier run left it")
	flag.BoolVar(&s.virtual, "virtual", true, "measure in virtual time; likewise")
	flag.BoolVar(&s.quick, "quick", false, "a minute or so to see that all works: one engine, one seed, few requests; the figures are worth nothing")
	engines := flag.String("n", "1,4", "real time: numbers of engines")
	policies := flag.String("policies", "fifo,static cap,outcrop", "real time: the policies to compare, in this order")
	arrivals := flag.String("arrivals", "poisson,bursty", "real time: how requests arrive; bursty ones are measured without the baselines")
	flag.IntVar(&s.seeds, "seeds", 5, "how many seeds")
	flag.IntVar(&s.samples, "samples", 200, "real time: provisioned requests of each seed; sets how long it takes, 200 about 40 minutes")
	flag.Float64Var(&s.speed, "speed", .5, "real time: simulated seconds in a second, so slow that no process lacks a processor")
	flag.IntVar(&s.atOnce, "at-once", 8, "real time: engines that run at a time; raise it on more than two cores")
	flag.IntVar(&s.seconds, "seconds", 600, "virtual time: measured seconds times engines, for each run")
	flag.IntVar(&s.long, "long", 100_000, "virtual time: provisioned requests of the long run under overload and batch, 0 for none")
	flag.Parse()
	for part := range strings.SplitSeq(*engines, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > 64 {
			log.Fatalf("-n: %q is no number of engines", part)
		}
		s.engines = append(s.engines, n)
	}
	s.policies = choose(live.Policies(), *policies)
	for part := range strings.SplitSeq(*arrivals, ",") {
		cv, ok := map[string]float64{"poisson": 1, "bursty": 3}[part]
		if !ok {
			log.Fatalf("-arrivals: %q is neither poisson nor bursty", part)
		}
		s.scatter = append(s.scatter, cv)
	}
	if s.quick {
		s.engines, s.scatter, s.seeds, s.samples, s.seconds, s.long = s.engines[:1], s.scatter[:1], 1, 20, 20, 1000
		s.speed, s.atOnce = 1, 6
	}
	if s.out == "" && !s.quick {
		s.out = filepath.Join("docs", "bench")
	}
	return s
}

// choose returns the policies with the names.
func choose(all []live.Policy, names string) (chosen []live.Policy) {
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(p live.Policy) bool { return p.Name == strings.TrimSpace(name) })
		if i < 0 {
			log.Fatalf("-policies: there is no %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen
}

func run(ctx context.Context, s *settings) error {
	lengths, err := live.LengthsOf(s.trace)
	if err != nil {
		return err
	}
	d, err := earlier(s.out)
	if err != nil {
		return err
	}
	if s.virtual {
		if d.Virtual, err = inVirtualTime(ctx, s, lengths); err != nil {
			return err
		}
	}
	if s.live {
		r, err := inRealTime(ctx, s, lengths)
		if err != nil {
			return err
		}
		d.replace(r)
	}
	if s.out == "" {
		fmt.Print(d.page())
		return nil
	}
	return d.write(s.out)
}

// generate is the generator: a plan comes in, and records go out.
func generate(ctx context.Context) error {
	var p live.Plan
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		return err
	}
	records, err := live.Generate(ctx, &p)
	if err != nil {
		return err
	}
	return live.WriteRecords(os.Stdout, records)
}

func (s *settings) list() (seeds []uint64) {
	for i := range max(1, s.seeds) {
		seeds = append(seeds, uint64(i+1))
	}
	return seeds
}

// lengthsName says where lengths come from.
func (s *settings) lengthsName() string {
	if s.trace == "" {
		return "the quantiles of the public Azure conversation trace of 2023"
	}
	return "the trace " + filepath.Base(s.trace)
}

func today() string { return time.Now().UTC().Format(time.DateOnly) }

// inVirtualTime runs all policies under all loads, with Poisson and with
// bursty arrivals, on one engine and on four.
func inVirtualTime(ctx context.Context, s *settings, lengths isolation.Lengths) (*virtualTime, error) {
	v := &virtualTime{When: today(), Lengths: s.lengthsName()}
	for _, cv := range []float64{1, 3} {
		for _, engines := range []int{1, 4} {
			base := isolation.Base(engines)
			base.CV, base.Lengths = cv, lengths
			base.Duration = base.Warmup + time.Duration(s.seconds)*time.Second/time.Duration(engines)
			log.Printf("virtual time: %d engines, %s", engines, arrivals(cv))
			v.Cells = append(v.Cells, isolation.Measure(base, s.list(), isolation.Loads(), isolation.Policies()))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		for _, seed := range s.list() {
			v.Neighbours = append(v.Neighbours, neighbours(seed, cv))
		}
	}
	if s.long > 0 {
		log.Printf("virtual time: %d provisioned requests", s.long)
		v.Long = longRun(lengths, s.long)
	}
	return v, nil
}
