package fair

import (
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
)

// Counts tell what happened to the requests of a class since New.
type Counts struct {
	Submitted, Dispatched, Finished, Refused, Aborted int
	// Failed counts those that ended with an error of their engines, Lost those
	// that were given up because their engines were removed.
	Failed, Lost int
	// Resumed counts abort-and-resume, Wasted the prompt tokens that engines
	// had read of those, by the fluid model.
	Resumed, Wasted int
}

// A ClassState is the queue of a class.
type ClassState struct {
	Queued, Flying int
	Cost           Service       // of what is queued, predicted
	Tenants        int           // that have a counter
	Oldest         time.Duration // the longest wait of those that are next of their tenants
	Rate           float64       // service tokens a second at which the queue drains
	// Pace is how many service tokens a second the class was given lately, with
	// a time constant of ten seconds, and Served what its requests that have
	// ended were given since the start.
	Pace   float64
	Served Service
	Credit Service // of the floor
	Counts Counts
}

// ExpectedWait returns how long a request of the class that came now would
// wait at most; one of a tenant that has little waiting waits less. It leaves
// out what the request itself costs.
func (s *State) ExpectedWait(class outcrop.Class) time.Duration {
	var above Service
	for i := int(class) + 1; i < outcrop.NumClasses; i++ {
		above += s.Classes[i].Cost
	}
	c := &s.Classes[class]
	return seconds(min(drainTime(above, s.Rate)+drainTime(c.Cost, c.Rate), maxSeconds))
}

// drainTime is in how many seconds a queue of the cost drains.
func drainTime(cost Service, rate float64) float64 {
	switch {
	case cost <= 0:
		return 0
	case rate <= 0:
		return maxSeconds // no engine stands
	}
	return float64(cost) / rate
}

// An EngineState is the load of an engine.
type EngineState struct {
	ID         EngineID
	Draining   bool
	Sequences  int     // n
	Unread     int     // U
	UnreadHigh int     // of these, those of provisioned and priority requests
	KV         int     // K
	Level      float64 // of the low-class bucket; negative is closed while the guard stands
	Capacity   Capacity
}

// A State is what a pool holds. It shares no memory with the pool.
type State struct {
	Now     time.Duration
	Rate    float64 // service tokens a second at which all queues drain
	Guarded bool    // the guard stands
	Lanes   bool    // lanes and clear engines are kept
	Classes [outcrop.NumClasses]ClassState
	Need    NeedState
	Engines []EngineState
}

// State returns what the pool holds.
func (p *Pool) State() State {
	s := State{Now: p.now, Rate: p.drained.rate(p.rate), Guarded: p.guarded, Lanes: p.keepsLanes()}
	s.Need = NeedState{Told: p.need.rate, Queued: p.need.queued, Rate: p.needRate(), Credit: p.need.credit, Started: p.need.started}
	for i := range p.classes {
		c := &p.classes[i]
		s.Classes[i] = ClassState{
			Queued: c.queued, Flying: c.flying, Cost: c.cost, Tenants: len(c.tenants),
			Rate: c.drained.rate(p.rate), Pace: c.given.pace(), Served: c.served, Credit: c.credit, Counts: p.counts[i],
		}
		for _, t := range c.all.items {
			s.Classes[i].Oldest = max(s.Classes[i].Oldest, p.now-t.head().came)
		}
	}
	for _, e := range p.engines {
		s.Engines = append(s.Engines, EngineState{
			ID: e.id, Draining: e.draining, Sequences: len(e.jobs), Unread: e.unread,
			UnreadHigh: e.high, KV: e.kv, Level: e.level, Capacity: e.c,
		})
	}
	return s
}

// An Explanation says where a request stands.
type Explanation struct {
	Engine  EngineID // if Started
	Started bool
	Waited  time.Duration // until now
	Expires time.Duration // when it leaves the queue; 0 if never
	// Next tells that it is the next of its class, Held which class holds it
	// otherwise open gates: its own if others of the class are before it.
	Next  bool
	Held  outcrop.Class
	Gates []EngineGate // of each engine, for this request
	// Ahead is the predicted service in its class and those above, at most.
	Ahead Service
}

// An EngineGate is the answer of one engine.
type EngineGate struct {
	Engine EngineID
	Gate   Gate
}

// Explain says why a request waits; ok is false if it is not there.
func (p *Pool) Explain(id ID) (x Explanation, ok bool) {
	j := p.jobs[id]
	if j == nil {
		return x, false
	}
	x.Waited, x.Held = p.now-j.came, j.Class
	if j.expires != never {
		x.Expires = j.expires
	}
	if j.engine != nil {
		x.Started, x.Engine = true, j.engine.id
		return x, true
	}
	for i := range p.classes[j.Class:] {
		c := &p.classes[int(j.Class)+i]
		x.Ahead += c.cost
		if c.queued > 0 {
			x.Held = c.rank
		}
	}
	x.Next = p.classes[j.Class].all.items[0].head() == j
	by := byRank
	if x.Next && p.floorDue(int(j.Class)) {
		by = byFloor
	} else if p.needComes() && p.nextHurried() == j {
		by = byNeed
	}
	for _, e := range p.engines {
		x.Gates = append(x.Gates, EngineGate{e.id, p.gate(e, j, by)})
	}
	return x, true
}

// Served returns the virtual counter of a tenant in a class: the service that
// it was charged over its weight, since the class was idle last. ok is false
// if it has none.
func (p *Pool) Served(c outcrop.Class, tenant string) (served float64, ok bool) {
	t := p.classes[c].tenants[tenant]
	if t == nil {
		return 0, false
	}
	return t.served, true
}

// Check returns an error if the pool contradicts itself: sums that are not
// those of their parts, requests at no place or at two, or an idle engine
// beside a request that it would take (invariants I12 and I14). It takes time
// linear in all that the pool holds.
func (p *Pool) Check() error {
	for _, check := range []func() error{p.checkQueues, p.checkNeed, p.checkEngines, p.checkExpiry, p.checkIdle} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pool) checkQueues() error {
	queued, flying, high := 0, 0, 0
	for i := range p.classes {
		c := &p.classes[i]
		if err := c.check(); err != nil {
			return fmt.Errorf("class %v: %w", c.rank, err)
		}
		queued += c.queued
		flying += c.flying
		if isHigh(c.rank) {
			high += c.queued + c.flying
		}
	}
	if queued != p.queued || queued+flying != len(p.jobs) || high != p.highCount {
		return fmt.Errorf("%d queued of %d, %d on engines, %d known, %d of high classes of %d",
			queued, p.queued, flying, len(p.jobs), high, p.highCount)
	}
	return nil
}

func (c *class) check() error {
	queued, flying := 0, 0
	var want [5]int // lengths of the heaps
	for _, t := range c.tenants {
		n := 0
		for k := range t.jobs {
			n += t.jobs[k].len()
		}
		if n != t.queued {
			return fmt.Errorf("tenant %q queues %d of %d", t.name, n, t.queued)
		}
		queued += t.queued
		flying += t.flying
		want[0] += number(t.queued > 0)
		want[1] += number(t.next(short) != nil)
		want[2] += number(t.next(optimized) != nil)
		want[3] += number(t.next(hurried) != nil)
		want[4] += number(t.queued+t.flying == 0)
	}
	if queued != c.queued || flying != c.flying {
		return fmt.Errorf("tenants hold %d queued of %d, %d flying of %d", queued, c.queued, flying, c.flying)
	}
	if have := [5]int{c.all.len(), c.short.len(), c.optimized.len(), c.hurried.len(), c.idle.len()}; have != want {
		return fmt.Errorf("heaps of %v tenants for %v", have, want)
	}
	if (queued == 0) != (c.cost == 0) || c.cost < 0 {
		return fmt.Errorf("cost %v of %d requests", c.cost, queued)
	}
	if queued+flying == 0 && len(c.tenants) > 0 {
		return fmt.Errorf("%d tenants of an idle class", len(c.tenants))
	}
	return nil
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (p *Pool) checkEngines() error {
	flying := 0
	for _, e := range p.engines {
		kv, unread, high, reading := 0, 0, 0, 0
		for i, j := range e.jobs {
			if j.engine != e || j.number != i || p.jobs[j.ID] != j || j.at >= 0 || j.expiry >= 0 {
				return fmt.Errorf("request %d is not where engine %d has it", j.ID, e.id)
			}
			kv += j.held
			if j.first {
				continue
			}
			unread += j.fresh
			if isHigh(j.Class) {
				high += j.fresh
			} else {
				reading++
			}
		}
		flying += len(e.jobs)
		if kv != e.kv || unread != e.unread || high != e.high || reading != len(e.reading) || e.own > e.high {
			return fmt.Errorf("engine %d: K %d of %d, U %d of %d, high %d of %d, reading %d of %d",
				e.id, e.kv, kv, e.unread, unread, e.high, high, len(e.reading), reading)
		}
	}
	if flying+p.queued != len(p.jobs) {
		return fmt.Errorf("%d on engines, %d queued, %d known", flying, p.queued, len(p.jobs))
	}
	return nil
}

func (p *Pool) checkExpiry() error {
	for _, j := range p.expiry.items {
		if j.engine != nil || p.jobs[j.ID] != j {
			return fmt.Errorf("request %d expires but does not wait", j.ID)
		}
	}
	if j, ok := p.expiry.top(); ok && j.expires <= p.now {
		return fmt.Errorf("request %d waits beyond its end", j.ID)
	}
	return nil
}

// checkIdle looks for an engine whose gate is open for the request that is
// next of its class, or next of those that ask for optimized latency, unless the
// class waits for the one that its floor is due to: an engine that this one may
// not use can be idle until that one starts, or its wait is over.
func (p *Pool) checkIdle() error {
	for i := outcrop.NumClasses - 1; i >= 0; i-- {
		c := &p.classes[i]
		if c.queued == 0 {
			continue
		}
		if !p.first(i) {
			continue
		}
		if e := p.choose(c.all.items[0].head(), byRank); e != nil {
			return fmt.Errorf("engine %d is open for class %v, which waits", e.id, c.rank)
		}
		if j := c.nextOptimized(); j != nil && !p.floorDue(i) {
			if e := p.choose(j, byLatency); e != nil {
				return fmt.Errorf("engine %d is open for optimized latency in class %v, which waits", e.id, c.rank)
			}
		}
	}
	return nil
}

// first reports whether no class above i waits, and no floor is due.
func (p *Pool) first(i int) bool {
	if p.needComes() {
		return false
	}
	for k := range p.classes {
		if k > i && p.classes[k].queued > 0 || k != i && p.floorDue(k) {
			return false
		}
	}
	return true
}
