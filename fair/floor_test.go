package fair_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
	"pgregory.net/rapid"
)

// A stretch is what started so far: predicted cost, without what was taken back.
type stretch struct {
	all, own float64 // of all classes, and of the one with a floor
	rate     float64 // at which all queues drain now, R
}

// flow is a rig whose classes are flooded, with what started.
type flow struct {
	*rig
	class   outcrop.Class // that has a floor
	floor   float64
	weight  float64
	memory  int // of an engine
	sent    map[fair.ID]fair.Request
	seen    int // of the rig's log
	sum     stretch
	history []stretch
}

// ample is memory that places on an engine run out before.
const ample = 50_000

// newFlow has engines that read 5,000 tokens of prompt a second and make 20
// steps at most, and one class with a floor, which always waits.
func newFlow(t *testing.T, rt *rapid.T) *flow {
	c := unbounded()
	if rapid.Bool().Draw(rt, "harvest") {
		c.LowCap, c.Clear, c.Long = 0, 0, .75
	}
	c.MaxAborts = rapid.SampledFrom([]int{0, 3}).Draw(rt, "aborts")
	f := &flow{
		class:  outcrop.Class(rapid.IntRange(0, int(outcrop.ClassPriority)-1).Draw(rt, "class")),
		floor:  rapid.SampledFrom([]float64{.05, .1, .3}).Draw(rt, "floor"),
		memory: rapid.SampledFrom([]int{2000, ample}).Draw(rt, "memory"),
		weight: c.OutputWeight, sent: map[fair.ID]fair.Request{},
	}
	c.Floor = [outcrop.NumClasses]float64{}
	c.Floor[f.class] = f.floor
	f.rig = newRig(t, 0, c)
	f.trusts, f.done = true, func(e *flight) { f.send(e.Request) }
	k := step.Constants{
		Entry: time.Millisecond, Overhead: 50 * time.Millisecond, Token: 200 * time.Millisecond,
		Budget: 1024, MaxSeqs: 6, KVTokens: f.memory,
	}
	for range rapid.SampledFrom([]int{1, 2, 4}).Draw(rt, "engines") {
		f.add(k, 5000, 20)
	}
	return f
}

// flood keeps n requests of the class waiting or running, of sizes that differ.
func (f *flow) flood(rt *rapid.T, class outcrop.Class, n int) {
	prompt := rapid.IntRange(1, 1500).Draw(rt, fmt.Sprint(class, " prompt"))
	output := rapid.IntRange(1, 80).Draw(rt, fmt.Sprint(class, " output"))
	for i := range n {
		f.send(fair.Request{
			Tenant: fmt.Sprint(class, i%3), Class: class,
			Prompt: 1 + prompt*(1+i%4)/4, Output: 1 + output*(1+i%3)/3,
		})
	}
}

func (f *flow) send(q fair.Request) {
	f.sent[f.nextID+1] = q
	f.submit(q, 0)
}

// count adds what started since it was called last.
func (f *flow) count(rt *rapid.T) {
	for _, a := range f.log[f.seen:] {
		q := f.sent[a.ID]
		cost := float64(q.Prompt) + f.weight*float64(q.Output)
		switch a.Kind {
		case fair.Dispatch:
		case fair.AbortAndResume:
			cost = -cost
		default:
			continue
		}
		f.sum.all += cost
		if q.Class == f.class {
			f.sum.own += cost
		}
	}
	f.seen = len(f.log)
	s := f.pool.State()
	if s.Classes[f.class].Queued == 0 {
		rt.Fatalf("class %v does not wait", f.class)
	}
	f.sum.rate = s.Rate
	f.history = append(f.history, f.sum)
}

// Whatever the classes above want: over any time in which a class waits, what
// starts of it costs at least
//
//	floor x (10/11 x what starts of all - 30 s x R)
//
// where R is the highest rate in that time. The meter of R adds a second, which
// is the 10/11; what it has not counted yet, what the class had of it before
// and what it has saved and not spent are ten seconds' worth each at most.
func TestAClassThatWaitsGetsItsFloor(t *testing.T) {
	by := 0 // runs in which the class had nothing but its floor
	rapid.Check(t, func(rt *rapid.T) {
		f := newFlow(t, rt)
		f.flood(rt, f.class, 40)
		for class := f.class + 1; class < outcrop.NumClasses; class++ {
			if class == outcrop.ClassProvisioned && f.memory < ample {
				break // it may start in the room that a due request waits for
			}
			f.flood(rt, class, rapid.SampledFrom([]int{0, 1, 5, 40}).Draw(rt, class.String()))
		}
		for range 110 {
			f.run(time.Second)
			f.count(rt)
		}
		f.checkFloor(rt)
		if last := f.history[len(f.history)-1]; last.own < 2*f.floor*last.all {
			by++
		}
	})
	if by == 0 {
		t.Error("no run had a class that lived by its floor")
	}
}

// checkFloor holds what started in each window against the bound.
func (f *flow) checkFloor(rt *rapid.T) {
	for i, from := range f.history {
		most := from.rate
		for j, to := range f.history[i+1:] {
			most = max(most, to.rate)
			all, own := to.all-from.all, to.own-from.own
			if least := f.floor * (all*10/11 - 30*most); own < least {
				rt.Fatalf("class %v, floor %v: %.0f of %.0f started in the %d s from %d s, want %.0f (R %.0f)",
					f.class, f.floor, own, all, j+1, i+1, least, most)
			}
		}
	}
}
