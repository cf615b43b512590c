package live

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
)

// Alone and Full are the loads that the others are compared with: provisioned
// traffic alone, and a backlog alone that keeps the engines busy.
const (
	Alone = "alone"
	Full  = "saturated"
)

// Runs are the runs of one cell, with a backlog of tier flex in place of the
// batch of the loads, in the order that Summarize wants: alone,
// saturated, and each load under each policy.
func Runs(base isolation.Setup, segment time.Duration, loads []isolation.Case, policies []Policy) []Run {
	fifo, ours := policies[0], policies[len(policies)-1]
	full := base
	full.Provisioned, full.Batch = 0, true
	runs := []Run{
		{Load: Alone, Policy: ours, Setup: base},
		{Load: Full, Policy: fifo, Setup: full},
	}
	for _, load := range loads {
		for _, policy := range policies {
			s := base
			load.Apply(&s)
			runs = append(runs, Run{Load: load.Name, Policy: policy, Setup: s})
		}
	}
	for i := range runs {
		runs[i].Rows, runs[i].Segment = rows(runs[i]), segment
	}
	return runs
}

// rows is how large the backlog is: as many as the policies of virtual time
// keep at hand, so that the scheduler has some to choose from.
func rows(r Run) int {
	switch s := r.Setup; {
	case !s.Batch:
		return 0
	case r.Policy.policy == "fair":
		return s.Engines * (s.Constants.MaxSeqs + 64)
	default:
		return s.Engines * s.NaiveRows
	}
}

// MeasureAll measures all runs, in their order, as many at a time as have
// together no more than so many engines, but at least one. Done is told of
// each when it has ended; it is called by one goroutine at a time. The first
// error ends everything.
func MeasureAll(ctx context.Context, o Options, runs []Run, engines int, done func(int, *Report)) ([]*Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reports := make([]*Report, len(runs))
	free := make(chan struct{}, engines)
	var running sync.WaitGroup
	var mu sync.Mutex
	for i, r := range runs {
		places := min(r.Setup.Engines, engines)
		for range places {
			free <- struct{}{}
		}
		running.Go(func() {
			report, err := Measure(ctx, o, r)
			for range places {
				<-free
			}
			if err != nil {
				cancel(fmt.Errorf("%s, %s, %d engines: %w", r.Load, r.Policy.Name, r.Setup.Engines, err))
				return
			}
			mu.Lock()
			defer mu.Unlock()
			reports[i] = report
			done(i, report)
		})
		if ctx.Err() != nil {
			break
		}
	}
	running.Wait()
	return reports, context.Cause(ctx)
}
