// Command run prints how well provisioned requests are kept apart from the
// others on simulated engines in virtual time: Markdown tables for one and for
// four engines, with Poisson and with bursty arrivals.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/fair"
)

func main() {
	trace := flag.String("trace", "", "a trace in the format of the public Azure ones, for the lengths of requests; default is a table of quantiles")
	seeds := flag.Int("seeds", 5, "how many seeds")
	seconds := flag.Int("seconds", 600, "measured seconds times engines, for each run")
	long := flag.Int("long", 0, "provisioned requests of one long run under overload and batch; 0 leaves it out")
	flag.Parse()
	if err := run(os.Stdout, *trace, *seeds, *seconds, *long); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(w io.Writer, trace string, seeds, seconds, long int) error {
	lengths, err := lengthsOf(trace)
	if err != nil {
		return err
	}
	var list []uint64
	for i := range max(1, seeds) {
		list = append(list, uint64(i+1))
	}
	for _, cv := range []float64{1, 3} {
		for _, engines := range []int{1, 4} {
			s := isolation.Base(engines)
			s.CV, s.Lengths = cv, lengths
			s.Duration = s.Warmup + time.Duration(seconds)*time.Second/time.Duration(engines)
			if err := isolation.Report(w, s, list); err != nil {
				return err
			}
		}
		for _, seed := range list {
			n := isolation.LightTenant(seed, cv, 2, fair.Default())
			if _, err := fmt.Fprintf(w, "light tenant, CV %g, seed %d: p99 %.0f ms beside a heavy one, %.0f ms on its half, x%.2f\n",
				cv, seed, n.Light*1e3, n.Alone*1e3, n.Ratio()); err != nil {
				return err
			}
		}
	}
	if long > 0 {
		return longRun(w, lengths, long)
	}
	return nil
}

func lengthsOf(trace string) (isolation.Lengths, error) {
	if trace == "" {
		return isolation.Conversation, nil
	}
	f, err := os.Open(trace)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return isolation.ReadTrace(f)
}

// longRun counts refusals of provisioned requests within their units.
func longRun(w io.Writer, lengths isolation.Lengths, requests int) error {
	s := isolation.Base(4)
	s.Lengths = lengths
	s.Duration = s.Warmup + time.Duration(float64(requests)/(s.Provisioned*4)*float64(time.Second))
	isolation.Loads()[2].Apply(&s)
	r := isolation.Run(s)
	_, err := fmt.Fprintf(w, "\nlong run: %d provisioned requests, %d refused; p99 %.0f ms\n",
		r.Sent[isolation.Provisioned], r.Refused[isolation.Provisioned], r.Percentile(99, isolation.Provisioned)*1e3)
	return err
}
