package fair

import (
	"math"
	"slices"
	"time"

	"github.com/outcrop/outcrop"
)

// A Pool schedules the requests for the engines of one model. Every message
// carries the time now, the distance from an origin of the caller's choice; an
// earlier time counts as the latest one seen. Messages append to out what is
// to be done, in order, and return it. A message about an id that is not
// known, or not on an engine, is ignored. A Pool is not safe for concurrent
// use.
type Pool struct {
	config  Config
	now     time.Duration
	classes [outcrop.NumClasses]class
	engines []*engine // by id
	jobs    map[ID]*job
	spare   []*job // that have ended
	expiry  heap[*job]
	drained meter
	arrival uint64
	queued  int
	need    need // of those that must hurry

	standing  int     // engines that take requests
	rate      float64 // sum of their prefill rates
	lanes     bool    // enough engines stand for lanes
	without   time.Duration
	highSeen  time.Duration // when a high class was active last
	highCount int           // requests of high classes that have not ended
	everHigh  bool
	guarded   bool // the guard stands now
	due       bool // time alone has made possible what run has not looked at

	// Counters of what happened, for State.
	counts [outcrop.NumClasses]Counts
}

// New returns a pool without engines.
func New(c Config) *Pool {
	p := &Pool{config: c, jobs: map[ID]*job{}}
	for i := range p.classes {
		p.classes[i].init(outcrop.Class(i))
	}
	p.expiry = heap[*job]{
		before: func(a, b *job) bool {
			return a.expires < b.expires || a.expires == b.expires && a.arrival < b.arrival
		},
		place: func(j *job) *int { return &j.expiry },
	}
	return p
}

// Submit puts a request into the queue, or refuses it at once.
func (p *Pool) Submit(now time.Duration, r Request, out []Action) ([]Action, error) {
	if !r.valid() {
		return out, ErrRequest
	}
	if _, ok := p.jobs[r.ID]; ok {
		return out, ErrInUse
	}
	out = p.advance(now, out)
	p.arrival++
	p.counts[r.Class].Submitted++
	j := p.newJob(&r)
	if bound, level, limit := p.refusal(j); bound != 0 {
		p.classes[r.Class].rest(j.tenant)
		p.counts[r.Class].Refused++
		p.recycle(j)
		return p.wake(append(out, p.refused(j, bound, level, limit))), nil
	}
	p.jobs[r.ID] = j
	if isHigh(r.Class) {
		p.highCount++
		p.everHigh, p.guarded = true, true
	}
	p.enqueue(j)
	return p.run(out), nil
}

func (r *Request) valid() bool {
	return r.Class < outcrop.NumClasses && r.Prompt >= 1 && r.Prompt <= math.MaxInt32 &&
		r.Cached >= 0 && r.Output >= 0 && r.Output <= math.MaxInt32 && r.MaxWait >= 0 && r.Deadline >= 0
}

func (p *Pool) newJob(r *Request) *job {
	r.Cached = min(r.Cached, r.Prompt-1)
	j := p.lend()
	*j = job{arrival: p.arrival, came: p.now, at: -1, expiry: -1}
	j.Request = *r
	j.tenant = p.classes[r.Class].tenant(r.Tenant, r.Weight)
	fresh := r.Prompt - r.Cached
	j.cost = Service(fresh) + p.output(r.Output)
	if r.Prefix != 0 {
		fresh = r.Prompt
	}
	j.short = fresh <= p.config.LaneTokens
	j.expires, j.late = never, BoundWait
	if b := p.bound(j); b > 0 {
		j.expires = p.now + b
	}
	if r.Deadline > 0 && r.Deadline < j.expires {
		j.expires, j.late = r.Deadline, BoundDeadline
	}
	return j
}

// lend returns memory for a job. It may be that of one that has ended, which
// must therefore not be looked at after the next Submit.
func (p *Pool) lend() *job {
	last := len(p.spare) - 1
	if last < 0 {
		return &job{}
	}
	j := p.spare[last]
	p.spare = p.spare[:last]
	return j
}

// recycle takes the memory of a job that has ended.
func (p *Pool) recycle(j *job) {
	if len(p.spare) < maxSpare {
		p.spare = append(p.spare, j)
	}
}

func (p *Pool) output(tokens int) Service {
	return Service(p.config.OutputWeight * float64(tokens))
}

// bound is how long j may wait; 0 is without bound.
func (p *Pool) bound(j *job) time.Duration {
	b := p.config.Bound[j.Class]
	if j.Hurry {
		b = 0
	}
	if j.MaxWait > 0 && (b == 0 || j.MaxWait < b) {
		b = j.MaxWait
	}
	return b
}

func (p *Pool) enqueue(j *job) {
	p.classes[j.Class].add(j)
	p.queued++
	p.need.add(j)
	if j.expires != never {
		p.expiry.push(j)
	}
}

func (p *Pool) dequeue(j *job) {
	p.classes[j.Class].take(j)
	p.queued--
	p.need.take(j)
	p.expiry.remove(j)
}

// FirstToken tells that the engine sent the first token of a request.
func (p *Pool) FirstToken(now time.Duration, id ID, out []Action) []Action {
	return p.Progress(now, id, 1, out)
}

// Progress tells how many tokens of output the engine has sent so far. It
// need not be told of every token.
func (p *Pool) Progress(now time.Duration, id ID, tokens int, out []Action) []Action {
	out = p.advance(now, out)
	j := p.jobs[id]
	if j == nil || j.engine == nil || tokens <= j.output {
		return p.wake(out)
	}
	leads := j.output == 0 || p.classes[j.Class].leads(j.tenant)
	j.output = tokens
	p.read(j)
	j.engine.kv += j.need() - j.held
	j.held = j.need()
	p.settle(j, j.fresh, tokens)
	if !leads {
		return p.wake(out) // no gate opened, and the next request is still the same
	}
	return p.run(out)
}

// settle makes the tenant's charge for j that of so many fresh tokens of
// prompt and so many of output.
func (p *Pool) settle(j *job, fresh, output int) {
	due := Service(fresh) + p.output(output)
	c := &p.classes[j.Class]
	c.charge(j.tenant, due-j.charged)
	c.given.add(due - j.charged)
	j.charged = due
}

// Finished tells that a request ended well, and what it consumed. A zero
// usage means that this is not known.
func (p *Pool) Finished(now time.Duration, id ID, u outcrop.Usage, out []Action) []Action {
	return p.finish(now, id, u, false, out)
}

// GaveUp tells that a request ended with an error and is not tried again, and
// what it consumed, like Finished.
func (p *Pool) GaveUp(now time.Duration, id ID, u outcrop.Usage, out []Action) []Action {
	return p.finish(now, id, u, true, out)
}

func (p *Pool) finish(now time.Duration, id ID, u outcrop.Usage, failed bool, out []Action) []Action {
	out = p.advance(now, out)
	j := p.jobs[id]
	if j == nil || j.engine == nil {
		return p.wake(out)
	}
	fresh, output := j.fresh, j.output
	if u != (outcrop.Usage{}) {
		fresh, output = max(0, u.Input)+max(0, u.CacheWrite), max(0, u.Output)
	}
	p.settle(j, fresh, output)
	if failed {
		p.counts[j.Class].Failed++
	} else {
		p.counts[j.Class].Finished++
	}
	p.end(j)
	return p.run(out)
}

// Abort tells that the caller is gone: the request leaves the queue or its
// engine. Its tenant stays charged for the prompt and the tokens that were
// sent, so that going away is no way to get prompts read for nothing. No action
// about the request follows, even if its wait was over.
func (p *Pool) Abort(now time.Duration, id ID, out []Action) []Action {
	j := p.jobs[id]
	if j == nil {
		return p.wake(p.advance(now, out))
	}
	p.expiry.remove(j)
	out = p.advance(now, out)
	p.counts[j.Class].Aborted++
	if j.engine == nil {
		p.dequeue(j)
	} else {
		p.settle(j, j.fresh, j.output)
	}
	p.end(j)
	return p.run(out)
}

// Failed tells that the engine did not take a request or broke off before its
// first token, though it stands: the request is queued again, or Lost if that
// happened too often. After the first token the request is Lost.
func (p *Pool) Failed(now time.Duration, id ID, out []Action) []Action {
	out = p.advance(now, out)
	j := p.jobs[id]
	if j == nil || j.engine == nil {
		return p.wake(out)
	}
	return p.run(p.lose(j, &p.counts[j.Class].Failed, out))
}

// lose takes j from an engine that was lost. If it is given up it counts as
// given.
func (p *Pool) lose(j *job, counted *int, out []Action) []Action {
	e := j.engine.id
	j.losses++
	if j.output > 0 || j.losses >= p.config.MaxLosses {
		p.settle(j, j.fresh, j.output)
		*counted++
		p.end(j)
		return append(out, Action{Kind: Lost, ID: j.ID, Engine: e})
	}
	p.back(j)
	return append(out, Action{Kind: Requeue, ID: j.ID, Engine: e})
}

// back returns j from its engine to the queue, without charge. The time on the
// engine does not count as waiting. A tenant that did not wait meanwhile has
// saved up nothing by it.
func (p *Pool) back(j *job) {
	if j.expires != never {
		j.expires += p.now - j.started
	}
	p.settle(j, 0, 0)
	c := &p.classes[j.Class]
	p.drained.add(-j.cost)
	c.drained.add(-j.cost)
	if c.queued > 0 {
		c.credit += j.cost
	}
	p.need.refund(j)
	p.unload(j)
	c.lift(j.tenant)
	j.floored, j.needed = false, false
	j.tenant.flying--
	c.flying--
	p.enqueue(j)
}

// end forgets j, which is not in the queue any more.
func (p *Pool) end(j *job) {
	if j.engine != nil {
		p.unload(j)
		j.tenant.flying--
		p.classes[j.Class].flying--
	}
	delete(p.jobs, j.ID)
	if isHigh(j.Class) {
		p.highCount--
		p.highSeen = p.now
	}
	c := &p.classes[j.Class]
	c.served += j.charged
	c.rest(j.tenant)
	p.recycle(j)
}

// Up tells that an engine stands, and its capacity. It is also how a capacity
// that changed is told, and how a draining engine is taken back.
func (p *Pool) Up(now time.Duration, id EngineID, c Capacity, out []Action) []Action {
	out = p.advance(now, out)
	i, known := p.find(id)
	if !known {
		p.engines = slices.Insert(p.engines, i, &engine{id: id, aborted: -time.Hour})
	}
	e := p.engines[i]
	e.c, e.draining = c.normal(), false
	p.recount()
	return p.run(out)
}

// Rate tells that the measured rates of an engine are others than thought.
func (p *Pool) Rate(now time.Duration, id EngineID, prefill, decode float64, out []Action) []Action {
	out = p.advance(now, out)
	if i, known := p.find(id); known {
		e := p.engines[i]
		e.c.PrefillRate, e.c.DecodeRate = prefill, decode
		e.c = e.c.normal()
		p.recount()
	}
	return p.run(out)
}

// Drain tells that an engine takes nothing new; what it has goes on.
func (p *Pool) Drain(now time.Duration, id EngineID, out []Action) []Action {
	out = p.advance(now, out)
	if i, known := p.find(id); known {
		p.engines[i].draining = true
		p.recount()
	}
	return p.run(out)
}

// Down tells that an engine is gone, with all that it had.
func (p *Pool) Down(now time.Duration, id EngineID, out []Action) []Action {
	out = p.advance(now, out)
	i, known := p.find(id)
	if !known {
		return p.wake(out)
	}
	e := p.engines[i]
	p.engines = slices.Delete(p.engines, i, i+1)
	p.recount()
	for len(e.jobs) > 0 {
		j := e.jobs[len(e.jobs)-1]
		out = p.lose(j, &p.counts[j.Class].Lost, out)
	}
	return p.run(out)
}

// SetFloor changes the share of service that a class gets whatever the classes
// above it want.
func (p *Pool) SetFloor(now time.Duration, c outcrop.Class, share float64, out []Action) []Action {
	out = p.advance(now, out)
	if c < outcrop.NumClasses && share >= 0 && share <= 1 {
		p.config.Floor[c] = share
	}
	return p.run(out)
}

// Tick lets time pass. The pool needs it, or any other message that it takes,
// at NextAt at the latest.
func (p *Pool) Tick(now time.Duration, out []Action) []Action {
	return p.run(p.advance(now, out))
}

func (p *Pool) find(id EngineID) (int, bool) {
	return slices.BinarySearchFunc(p.engines, id, func(e *engine, id EngineID) int { return int(e.id) - int(id) })
}

// recount follows a change of the engines.
func (p *Pool) recount() {
	was := p.standing
	p.standing, p.rate = 0, 0
	lanes := 0
	for _, e := range p.engines {
		if e.draining {
			continue
		}
		p.standing++
		p.rate += e.c.PrefillRate
		if e.c.Lane {
			lanes++
		}
	}
	p.lanes = p.standing >= p.config.LaneEngines && lanes < p.standing
	if was > 0 && p.standing == 0 {
		p.without = p.now
	}
}
