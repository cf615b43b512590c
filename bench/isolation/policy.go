package isolation

import (
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
)

// A policy stands between the requests and the engines of a world.
type policy interface {
	submit(r *request)
	progress(r *request, tokens int)
	finished(r *request)
	nextAt() (time.Duration, bool)
	tick()
}

// newPolicy returns the policy of the setup, and how many batch rows it wants
// to have at hand.
func (w *world) newPolicy() (policy, int) {
	switch w.Policy {
	case Fair:
		return newScheduled(w), w.Engines * (w.Constants.MaxSeqs + 64)
	case StaticCap:
		return &capped{w: w, busy: make([]int, w.Engines)}, w.Engines * w.NaiveRows
	}
	return &direct{w: w, priorities: w.Policy == EnginePriority}, w.Engines * w.NaiveRows
}

// Capacity returns what the scheduler is told of an engine.
func Capacity(c step.Constants) fair.Capacity {
	return fair.Capacity{
		KVTokens: c.KVTokens, MaxSeqs: c.MaxSeqs, StepBudget: c.Budget,
		PrefillRate: float64(time.Second) / (float64(c.Token) / 1000),
		DecodeRate:  float64(time.Second) / float64(c.Overhead+c.Weights),
		Priorities:  true,
	}
}

// scheduled is package fair.
type scheduled struct {
	w    *world
	pool *fair.Pool
	out  []fair.Action
}

func newScheduled(w *world) *scheduled {
	s := &scheduled{w: w, pool: fair.New(w.Config)}
	for i := range w.engines {
		c := Capacity(w.Constants)
		c.Lane = w.Lane && i%4 == 3
		s.out = s.pool.Up(0, fair.EngineID(i), c, s.out)
	}
	return s
}

func (s *scheduled) submit(r *request) {
	out, err := s.pool.Submit(s.w.now, r.Request, s.out[:0])
	if err != nil {
		panic(err) // the lengths are such that no request is invalid
	}
	s.do(out)
}

func (s *scheduled) progress(r *request, tokens int) {
	s.do(s.pool.Progress(s.w.now, r.ID, tokens, s.out[:0]))
}

func (s *scheduled) finished(r *request) {
	u := outcrop.Usage{Input: r.Prompt - r.cached, CacheRead: r.cached, Output: r.tokens}
	s.do(s.pool.Finished(s.w.now, r.ID, u, s.out[:0]))
}

func (s *scheduled) nextAt() (time.Duration, bool) { return s.pool.NextAt() }
func (s *scheduled) tick()                         { s.do(s.pool.Tick(s.w.now, s.out[:0])) }

// do carries out the actions.
func (s *scheduled) do(out []fair.Action) {
	s.out = out
	for _, a := range out {
		r := s.w.live[a.ID]
		switch a.Kind {
		case fair.Dispatch:
			s.w.start(r, int(a.Engine), a.Priority)
		case fair.AbortAndResume:
			s.w.engines[a.Engine].Abort(s.w.now, step.ID(a.ID))
			if s.w.measured() {
				s.w.result.Resumed++
			}
		case fair.Refuse:
			s.w.refuse(r)
		}
	}
}

// direct hands everything to the engines at once, in turns.
type direct struct {
	w          *world
	priorities bool
	turn       int
}

func (d *direct) submit(r *request) {
	priority := 0
	if d.priorities {
		priority = -int(r.Class)
	}
	d.w.start(r, d.turn%d.w.Engines, priority)
	d.turn++
}

func (d *direct) progress(*request, int)        {}
func (d *direct) finished(*request)             {}
func (d *direct) nextAt() (time.Duration, bool) { return 0, false }
func (d *direct) tick()                         {}

// capped bounds the number of lower-class requests on each engine.
type capped struct {
	w     *world
	busy  []int
	queue []*request
	turn  int
}

func (c *capped) submit(r *request) {
	if r.kind == Provisioned {
		c.w.start(r, c.turn%c.w.Engines, 0)
		c.turn++
		return
	}
	c.queue = append(c.queue, r)
	c.feed()
}

func (c *capped) feed() {
	for len(c.queue) > 0 {
		least := 0
		for i, n := range c.busy {
			if n < c.busy[least] {
				least = i
			}
		}
		if c.busy[least] >= c.w.StaticCap {
			return
		}
		c.busy[least]++
		c.w.start(c.queue[0], least, 0)
		c.queue[0] = nil
		c.queue = c.queue[1:]
	}
}

func (c *capped) finished(r *request) {
	if r.kind != Provisioned {
		c.busy[r.engine]--
		c.feed()
	}
}

func (c *capped) progress(*request, int)        {}
func (c *capped) nextAt() (time.Duration, bool) { return 0, false }
func (c *capped) tick()                         {}
