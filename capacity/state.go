package capacity

import (
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/estimate"
	"github.com/outcrop/outcrop/fair"
)

// A State is a snapshot of a pool that shares no memory with it.
type State struct {
	Model   string
	Rate    fair.Service // service tokens a second at which all queues drain
	Guarded bool         // low classes are held back for the sake of higher ones
	Lanes   bool         // lanes are kept
	Classes [outcrop.NumClasses]fair.ClassState
	Need    fair.NeedState // of batch jobs that hurry
	Engines []EngineState
}

// An EngineState is what is known of one engine.
type EngineState struct {
	Name string
	// Load is U, K and n, and the capacity with which the scheduler counts.
	Load fair.EngineState
	// Drained tells that it was told to take nothing new, Leaving that it is
	// not configured any more.
	Drained, Leaving bool
	Condition        estimate.Condition
	RestsFor         time.Duration // while Condition is estimate.Resting
	// Factor is the share of its capacity that it is given.
	Factor float64
	// Prefill and Decode are the estimated rates, tokens of prompt and steps a
	// second, and Samples how many first tokens they come from.
	Prefill, Decode float64
	Samples         int
	Failures        int // in a row
	Failed, Served  int // requests, so far
	// Scraped is how old what its metrics said is; negative if they were never
	// read. Said is what they said.
	Scraped time.Duration
	Said    estimate.Scrape
	// Gates say, for each class of which a request waits, what keeps one of
	// these from this engine now.
	Gates [outcrop.NumClasses]fair.Gate
}

// Draining is what Is returns for an engine that takes nothing new because it
// was told so, or is not configured any more.
const Draining = "draining"

// Is returns how the engine stands in one word: Draining, or its condition.
func (e *EngineState) Is() string {
	if e.Drained || e.Leaving {
		return Draining
	}
	return e.Condition.String()
}

// Memory returns how many tokens the engine's memory is counted to hold; known
// is false if nobody said.
func (e *EngineState) Memory() (tokens int, known bool) {
	return e.Load.Capacity.KVTokens, e.Load.Capacity.KVTokens < unknownKV/8
}

// Places returns how many requests the engine is counted to run at a time;
// known is false if nobody said.
func (e *EngineState) Places() (requests int, known bool) {
	return e.Load.Capacity.MaxSeqs, e.Load.Capacity.MaxSeqs < unknownSeqs/8
}

// ExpectedWait returns how long a request of the class that came now would
// wait at most, see fair.State.
func (s *State) ExpectedWait(class outcrop.Class) time.Duration {
	f := fair.State{Rate: float64(s.Rate), Classes: s.Classes}
	return f.ExpectedWait(class)
}

// State returns a snapshot.
func (p *Pool) State() State {
	s := p.local.state()
	s.Model = p.config.Model
	return s
}

// hold is x in the words of the dictionary.
func (d *local) hold(x *fair.Explanation) *outcrop.Hold {
	h := &outcrop.Hold{Class: x.Held, Ahead: int64(x.Ahead), Gates: make([]outcrop.Gate, len(x.Gates))}
	for i, g := range x.Gates {
		h.Gates[i].Gate = g.Gate.String()
		if e := d.engine(g.Engine); e != nil {
			h.Gates[i].Engine = e.Name
		}
	}
	return h
}

func (d *local) state() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if !d.closed {
		d.do(now, d.pool.Tick(now, d.out[:0]))
		d.arm(now)
	}
	f := d.pool.State()
	s := State{Rate: fair.Service(f.Rate), Guarded: f.Guarded, Lanes: f.Lanes, Classes: f.Classes, Need: f.Need}
	for _, e := range d.engines {
		s.Engines = append(s.Engines, e.state(now))
	}
	for _, load := range f.Engines {
		for i, e := range d.engines {
			if e.id == load.ID {
				s.Engines[i].Load = load
			}
		}
	}
	d.gates(&s)
	return s
}

func (e *engine) state(now time.Duration) EngineState {
	s := EngineState{
		Name: e.Name, Drained: e.drained, Leaving: e.leaving,
		Condition: e.health.Condition(), Factor: e.correction.Factor(),
		Prefill: e.rates.Prefill(), Decode: e.rates.Decode(),
		Failures: e.health.Failures(), Failed: e.failures, Served: e.served, Scraped: -1,
	}
	s.Samples, _ = e.rates.Samples()
	if until, rests := e.rests(); rests {
		s.RestsFor = max(0, until-now)
	}
	if e.scraped > 0 {
		s.Scraped, s.Said = now-e.scraped, e.said
	}
	return s
}

// gates asks for the last request of each class that had to wait.
func (d *local) gates(s *State) {
	for class, id := range d.waits {
		x, ok := d.pool.Explain(id)
		if !ok || x.Started {
			continue
		}
		for _, g := range x.Gates {
			for i, e := range d.engines {
				if e.id == g.Engine {
					s.Engines[i].Gates[class] = g.Gate
				}
			}
		}
	}
}
