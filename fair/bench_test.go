package fair_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// BenchmarkDecision is the life of a request beside 100,000 that wait: Submit,
// Dispatch, FirstToken, two of Progress, Finished.
func BenchmarkDecision(b *testing.B) {
	c := fair.Default()
	c.Bound = [outcrop.NumClasses]time.Duration{}
	c.Queue = [outcrop.NumClasses]int{}
	p := fair.New(c)
	for i := range 4 {
		p.Up(0, fair.EngineID(i), fair.Capacity{
			KVTokens: 460_000, MaxSeqs: 256, StepBudget: 2048, PrefillRate: 28_571, DecodeRate: 147, Lane: i == 3,
		}, nil)
	}
	var tenants [1000]string
	for i := range tenants {
		tenants[i] = fmt.Sprint("tenant-", i)
	}
	var running, fresh []fair.ID
	next, now := fair.ID(0), time.Duration(0)
	var out []fair.Action
	take := func() {
		for _, a := range out {
			if a.Kind == fair.Dispatch {
				fresh = append(fresh, a.ID)
			}
		}
		out = out[:0]
	}
	submit := func() {
		next++
		out, _ = p.Submit(now, fair.Request{
			ID: next, Tenant: tenants[next%1000], Class: outcrop.Class(next % 3),
			Prompt: 100 + int(next*7919%2000), Output: 200, Prefix: uint64(next % 5000),
			Deadline: now + time.Hour + time.Duration(next*7919%1000)*time.Second,
		}, out)
		take()
	}
	for range 100_000 {
		submit()
	}
	dispatched := 0
	b.ResetTimer()
	b.ReportAllocs()
	for b.Loop() {
		now += time.Millisecond
		submit()
		for _, id := range fresh {
			out = p.FirstToken(now, id, out)
			out = p.Progress(now, id, 100, out)
			out = p.Progress(now, id, 200, out)
			running = append(running, id)
		}
		dispatched += len(fresh)
		fresh = fresh[:0]
		if len(running) > 0 {
			out = p.Finished(now, running[0], outcrop.Usage{Input: 100, Output: 200}, out)
			running = running[1:]
		}
		take()
	}
	b.ReportMetric(float64(dispatched)/b.Elapsed().Seconds(), "dispatches/s")
}
