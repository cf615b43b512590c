package simulation

import (
	"fmt"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/ledger"
)

// checkScheduler asserts I11, I12, I14, I15 and I18 after every event that the
// scheduler was told of.
func (w *world) checkScheduler() {
	v := &w.watch
	if !v.told || w.process.down || w.violation != nil {
		return
	}
	v.told = false
	v.checks++
	w.fail("I12, I14, I15", w.process.pool.Check())
	s := w.process.pool.State()
	w.checkEngines(&s)
	w.checkQueues(&s)
	if len(v.queue) <= 12 || v.checks%32 == 0 {
		w.checkIdle(&s)
	}
	w.checkGaps(&s)
	w.checkNeed(&s)
}

// checkEngines asserts I12: an engine has no more requests than it takes, and
// no more tokens, as predicted, than its memory holds, unless it has one
// request alone; and the scheduler has of each what its actions say. It asserts
// I11 too: the scheduler's time is the latest one that it was told.
func (w *world) checkEngines(s *fair.State) {
	v := &w.watch
	if s.Now != v.time {
		w.fail("I11", fmt.Errorf("the scheduler is at %v and was told %v", s.Now, v.time))
	}
	if len(s.Engines) != len(v.hosts) {
		w.fail("I12", fmt.Errorf("%d engines, want %d", len(s.Engines), len(v.hosts)))
		return
	}
	for _, e := range s.Engines {
		h := v.hosts[e.ID]
		switch {
		case e.Sequences != h.requests || e.Draining != h.drained:
			w.fail("I12", fmt.Errorf("engine %d has %d requests, want %d", e.ID, e.Sequences, h.requests))
		case e.Sequences > h.m.c.MaxSeqs:
			w.fail("I12", fmt.Errorf("engine %d has %d requests of %d", e.ID, e.Sequences, h.m.c.MaxSeqs))
		case h.requests > 1 && h.tokens > h.m.c.KVTokens:
			w.fail("I12", fmt.Errorf("engine %d has %d tokens of %d", e.ID, h.tokens, h.m.c.KVTokens))
		}
	}
}

// checkQueues asserts I12: no more requests wait than the bound of the class,
// not counting those that were on an engine before; and the scheduler has in
// its queues what its actions say.
func (w *world) checkQueues(s *fair.State) {
	v := &w.watch
	for c, got := range s.Classes {
		if got.Queued != v.waiting[c] {
			w.fail("I12", fmt.Errorf("%d wait in class %d, want %d", got.Queued, c, v.waiting[c]))
		}
		if most := w.Scheduler.Queue[c]; most > 0 && v.waiting[c]-v.back[c] > most {
			w.fail("I12", fmt.Errorf("%d wait in class %d, at most %d may", v.waiting[c], c, most))
		}
	}
}

// checkIdle asserts I14: no engine is idle beside a request that is eligible.
// A request is if it is the next one of its class, the gate of an engine is
// open for it, and either the floor of its class is due, or no higher class
// waits and no floor is due, nor anything to those that hurry (which does not
// hold back provisioned requests).
// That an engine would be open after aborting requests is not looked at, and
// neither are the lanes.
func (w *world) checkIdle(s *fair.State) {
	due, hurries := w.dueFloors(s), s.Need.Queued > 0 && s.Need.Rate > 0 && s.Need.Credit > 0 // may be due
	for _, r := range w.watch.queue {
		x, ok := w.process.pool.Explain(r.ask.ID)
		if !ok || x.Started {
			w.fail("I17", fmt.Errorf("request %d waits, but the scheduler says %+v", r.id, x))
			return
		}
		open := false
		for _, g := range x.Gates {
			open = open || g.Gate == fair.GateOpen
			if g.Gate != fair.GateOpen {
				w.mark(heldByGate + Mark(g.Gate) - 1)
			}
		}
		free := due[r.class] || x.Held == r.class && (r.class == outcrop.ClassProvisioned || due == [outcrop.NumClasses]bool{} && !hurries)
		if x.Next && open && free {
			w.fail("I14", fmt.Errorf("request %d of class %v waits at %+v", r.id, r.class, x))
		}
	}
}

// dueFloors says of which classes the floor is due, by the rule of
// docs/scheduler.md.
func (w *world) dueFloors(s *fair.State) (due [outcrop.NumClasses]bool) {
	for _, r := range w.watch.queue {
		share := w.watch.floors[r.class]
		if share <= 0 || due[r.class] {
			continue
		}
		if x, _ := w.process.pool.Explain(r.ask.ID); x.Next {
			due[r.class] = s.Classes[r.class].Credit >= min(w.cost(r), fair.Service(10*share*s.Rate))
		}
	}
	return due
}

// cost is what r is predicted to cost.
func (w *world) cost(r *request) fair.Service {
	return fair.Service(r.prompt-min(r.ask.Cached, r.prompt-1)) + fair.Service(w.Scheduler.OutputWeight*float64(r.ask.Output))
}

// checkNeed asserts I13 for those that must hurry: what was started of them
// before its turn cost no more than they were guaranteed until now, as if all
// were as large as the largest, and what was given back.
func (w *world) checkNeed(s *fair.State) {
	n := &w.watch.need
	most := fair.Service(n.until(w.watch.time))*n.largest + n.refunded
	if s.Need.Started > most+1 {
		w.fail("I13", fmt.Errorf("%v were started of those that hurry, at most %v", s.Need.Started, most))
	}
}

// checkGaps asserts I18: of two tenants of a class that both wait, one is
// ahead of the other by no more than what it was charged since it was started
// last, which is what it has on the engines, plus what the other one got back
// since then. It does not hold while lanes are kept, which start the short
// requests of others, nor where those that hurry are guaranteed something.
func (w *world) checkGaps(s *fair.State) {
	v := &w.watch
	for c := range v.flows {
		v.laned[c] = v.laned[c] || s.Lanes && len(v.flows[c]) > 0
		if v.laned[c] || len(v.flows[c]) < 2 {
			continue
		}
		for _, a := range v.flows[c] {
			for _, b := range v.flows[c] {
				if a != b && a.waiting > 0 && b.waiting > 0 {
					w.checkGap(outcrop.Class(c), a, b)
				}
			}
		}
	}
}

func (w *world) checkGap(c outcrop.Class, a, b *flow) {
	w.mark(gapChecked)
	served, _ := w.process.pool.Served(c, a.name)
	other, _ := w.process.pool.Served(c, b.name)
	bound := a.charged + b.refunded - a.base[b]
	if gap := served - other; gap > bound+1e-6*(1+served) {
		w.fail("I18", fmt.Errorf("class %v: %s is at %v and %s at %v, %v ahead, at most %v", c, a.name, served, b.name, other, gap, bound))
	}
}

// checkDispatch asserts the order of the classes (I13): a request starts while
// one of a higher class waits only by the floor of its class, in a lane, or
// because it must hurry, which is never before a provisioned one.
func (w *world) checkDispatch(r *request, a fair.Action) {
	v := &w.watch
	h := v.hosts[a.Engine]
	if h == nil || h.drained || r.host != nil {
		w.fail("I12", fmt.Errorf("%+v of request %d", a, r.id))
		return
	}
	if r.ask.Hurry && v.need.rate > 0 {
		v.laned[r.class] = true
	}
	above := 0
	for c := r.class + 1; c < outcrop.NumClasses; c++ {
		above += v.waiting[c]
	}
	if above == 0 {
		return
	}
	switch {
	case v.floors[r.class] > 0:
		w.mark(floorStart)
	case h.m.c.Lane && r.class < outcrop.ClassPriority:
		w.mark(laneStart)
	case r.ask.Hurry && v.need.rate > 0 && v.waiting[outcrop.ClassProvisioned] == 0:
		w.mark(needStart)
	default:
		w.fail("I13", fmt.Errorf("request %d of class %v starts, and %d of higher classes wait", r.id, r.class, above))
	}
}

// checkRefusal asserts the half of I13 that is the scheduler's: while an engine
// stands, a provisioned request is refused for nothing but its own size, or by
// a time that it brought itself.
func (w *world) checkRefusal(r *request, a fair.Action) {
	own := a.Bound == fair.BoundSize || a.Bound == fair.BoundDeadline && r.ask.Deadline > 0 || a.Bound == fair.BoundWait && r.ask.MaxWait > 0
	standing := w.watch.standing() > 0
	if standing && (a.Bound == fair.BoundEngines || r.class == outcrop.ClassProvisioned && !own) {
		w.fail("I13", fmt.Errorf("%+v of request %d of class %v while engines stand", a, r.id, r.class))
	}
	if r.host != nil || a.Bound != fair.BoundSize && a.Retry <= 0 {
		w.fail("I17", fmt.Errorf("%+v of request %d", a, r.id))
	}
}

// checkTakenBack asserts what the scheduler has of I20: a request is not sent
// again after its first token; nor is it aborted or lost more often than the
// configuration says, and high classes are not aborted.
func (w *world) checkTakenBack(r *request) {
	c := &w.Scheduler
	if r.tokens > 0 || r.aborted > c.MaxAborts || r.losses >= c.MaxLosses || r.aborted > 0 && r.class >= outcrop.ClassPriority {
		w.fail("I20", fmt.Errorf("request %d of class %v is queued again after %d tokens, aborted %d times, lost %d times",
			r.id, r.class, r.tokens, r.aborted, r.losses))
	}
}

// checkWait asserts I15 for a request that leaves the queue: it was there for
// no longer than its bound, and not after its deadline, time on engines not
// counted; plus that by which the scheduler was told the time too late.
func (w *world) checkWait(r *request) {
	v := &w.watch
	if r.bound > 0 && r.queued > r.bound+v.late {
		w.fail("I15", fmt.Errorf("request %d waited %v, at most %v (told %v late)", r.id, r.queued, r.bound, v.late))
	}
	if d := r.ask.Deadline; d > 0 && v.time > max(d, r.came)+r.engines+v.late {
		w.fail("I15", fmt.Errorf("request %d left the queue at %v, its deadline was %v", r.id, v.time, d))
	}
}

// checkAnswers asserts I17: no request has two answers.
func (w *world) checkAnswers(r *request) {
	if r.answers > 1 {
		w.fail("I17", fmt.Errorf("request %d has %d answers", r.id, r.answers))
	}
}

// checkGone asserts I19: when the caller went away, the scheduler forgot the
// request at once, and the engine works on it no more after the time that the
// network takes. That it is charged for what was produced is part of I5.
func (w *world) checkGone(a *attempt) {
	w.mark(goneChecked)
	if a.m.runs[a.id] == a {
		w.fail("I19", fmt.Errorf("engine %d still works on request %d", a.m.id, a.r.id))
	}
	if a.boot == w.process.boots && !w.process.down {
		if r := w.process.jobs[fair.ID(a.r.id)]; r == a.r {
			w.fail("I19", fmt.Errorf("the scheduler still has request %d", a.r.id))
		}
	}
}

// checkQuiet asserts at quiescence, after the faults have ended:
//
//   - I9: nothing is held, and no reservation is open.
//   - I15: nobody waits, neither for a limit nor for an engine.
//   - I17: each request had exactly one answer.
//
// and that the scheduler and the engines are empty.
func (w *world) checkQuiet() {
	if len(w.live) > 0 {
		r := w.live[0]
		w.fail("I15", fmt.Errorf("%d requests have no answer; request %d, of class %v, is in state %d", len(w.live), r.id, r.class, r.state))
	}
	if w.answers != w.made {
		w.fail("I17", fmt.Errorf("%d answers for %d requests", w.answers, w.made))
	}
	if l := w.books.ledger; l.InFlight() > 0 || l.Tally().Held != (ledger.Amount{}) {
		w.fail("I9", fmt.Errorf("%d reservations are open, %+v is held", l.InFlight(), l.Tally().Held))
	}
	for c, s := range w.process.pool.State().Classes {
		if s.Queued+s.Flying+s.Tenants > 0 {
			w.fail("I17", fmt.Errorf("class %d is left with %+v", c, s))
		}
	}
	for _, m := range w.machines {
		if len(m.runs) > 0 {
			w.fail("I19", fmt.Errorf("engine %d still works on %d requests", m.id, len(m.runs)))
		}
	}
	if at, ok := w.process.pool.NextAt(); ok {
		w.fail("I15", fmt.Errorf("the scheduler waits for %v", at))
	}
}
