// Command overhead measures what the gateway costs on this machine.
//
// It builds and starts a mock engine, the standard library's reverse proxy
// and outcrop with a key, metering, metrics and the log on, and sends each of
// them the same load in interleaved rounds. CPU time per request of the
// gateway's process, compared within one run, is the figure to trust on a
// shared machine; outcrop translates, signs off and keeps books where the
// reverse proxy only copies. The results go to a Markdown table and to JSON.
//
// A missed target is printed and is no failure: the exit status tells only
// whether the measuring worked.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/outcrop/outcrop/bench/child"
	"github.com/outcrop/outcrop/bench/load"
)

// settings are the command line.
type settings struct {
	outcrop  string
	out      string
	only     string
	rounds   int
	duration time.Duration
	warm     time.Duration
	growth   time.Duration
	profile  bool
}

func main() {
	log.SetFlags(0)
	s := parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		stop()
		log.Fatal("overhead: ", err)
	}
}

func parse() (s settings) {
	flag.StringVar(&s.outcrop, "outcrop", "", "the outcrop command to measure; built from this module without it")
	flag.StringVar(&s.out, "out", filepath.Join("docs", "bench"), "folder for overhead.md and overhead.json")
	flag.StringVar(&s.only, "only", "", "only the scenarios whose name begins with this; several by commas")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds over all scenarios")
	flag.DurationVar(&s.duration, "d", 3*time.Second, "measured time of each run")
	flag.DurationVar(&s.warm, "warm", time.Second, "time before measuring")
	flag.DurationVar(&s.growth, "growth", 0, "also load for this long and watch the memory")
	flag.BoolVar(&s.profile, "profile", true, "also take CPU profiles of the gateway")
	flag.Parse()
	return s
}

func run(ctx context.Context, s settings) error {
	scratch, err := os.MkdirTemp("", "outcrop-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	p, err := startAll(ctx, s.outcrop, scratch)
	if err != nil {
		return err
	}
	defer p.stop()

	r := report{Machine: child.Describe(), When: time.Now().UTC().Format(time.DateOnly), Rounds: s.rounds}
	if r.Scenarios, err = measureAll(ctx, s, p); err != nil {
		return err
	}
	if s.profile {
		if r.Profiles, err = profileAll(ctx, s, p, scratch); err != nil {
			return err
		}
	}
	if s.growth > 0 {
		if r.Growth, err = watchGrowth(ctx, s.growth, p); err != nil {
			return err
		}
	}
	fmt.Print(r.table())
	return r.write(s.out)
}

// measureAll runs all rounds. The order of the subjects turns from round to
// round, so that none always runs on a warmer machine.
func measureAll(ctx context.Context, s settings, p *processes) ([]*scenario, error) {
	chosen := choose(scenarios(p), s.only)
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no scenario begins with %q", s.only)
	}
	for round := range s.rounds {
		for _, c := range chosen {
			for i := range c.Subjects {
				subject := c.Subjects[(i+round)%len(c.Subjects)]
				if err := measureOne(ctx, s, p, c, subject); err != nil {
					return nil, err
				}
			}
			log.Printf("round %d of %d: %s", round+1, s.rounds, c.progress())
		}
	}
	return chosen, nil
}

func measureOne(ctx context.Context, s settings, p *processes, c *scenario, subject *subject) error {
	r, err := load.Run(ctx, subject.options(s, p, c))
	if err != nil {
		return err
	}
	if r.Requests == 0 {
		return fmt.Errorf("%s: %s answered nothing right: %v", c.Name, subject.Name, r.Errors)
	}
	subject.Runs = append(subject.Runs, r)
	return nil
}

func choose(all []*scenario, only string) (chosen []*scenario) {
	for _, c := range all {
		for prefix := range strings.SplitSeq(only, ",") {
			if strings.HasPrefix(c.Name, prefix) {
				chosen = append(chosen, c)
				break
			}
		}
	}
	return chosen
}
