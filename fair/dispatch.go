package fair

import (
	"math"
	"time"

	"github.com/outcrop/outcrop"
)

// advance lets the time pass until now: buckets fill, waits end.
func (p *Pool) advance(now time.Duration, out []Action) []Action {
	if now > p.now {
		p.fill(now - p.now)
		p.now = now
	}
	if p.highCount > 0 {
		p.highSeen = p.now
	}
	guarded := p.everHigh && p.now-p.highSeen < p.config.GuardFor
	p.due = p.due || p.guarded && !guarded || p.standing == 0
	p.guarded = guarded
	for {
		j, ok := p.expiry.top()
		if !ok || j.expires > p.now {
			break
		}
		p.due = true
		out = append(out, p.expired(j))
	}
	return out
}

// fill adds to the buckets what d brings, and notes which of them it fills far
// enough for a request.
func (p *Pool) fill(d time.Duration) {
	var due [outcrop.NumClasses]bool
	for i := range p.classes {
		due[i] = p.floorDue(i)
	}
	needed := p.needDue()
	seconds, keep := d.Seconds(), kept(d)
	p.drained.pass(seconds, keep, p.queued > 0)
	for i := range p.classes {
		c := &p.classes[i]
		c.drained.pass(seconds, keep, c.queued > 0)
		c.given.pass(seconds, keep, false)
		if share := p.config.Floor[i]; share > 0 && c.queued > 0 && p.standing > 0 {
			c.credit = min(c.credit+Service(share*p.drained.rate(p.rate)*seconds), p.floorBurst(i))
		}
	}
	for i := range p.classes {
		p.due = p.due || p.floorDue(i) != due[i]
	}
	p.save(seconds)
	p.due = p.due || p.needDue() != needed
	for _, e := range p.engines {
		level := min(e.level+p.capRate(e)*seconds, p.capBurst(e))
		p.due = p.due || e.level < 0 && level >= 0
		e.level = level
	}
}

// wake starts what time alone has made possible, after a message that did
// nothing else.
func (p *Pool) wake(out []Action) []Action {
	if !p.due {
		return out
	}
	return p.run(out)
}

// floorBurst is the most credit of a floor: ten seconds' worth.
func (p *Pool) floorBurst(class int) Service {
	return Service(10 * p.config.Floor[class] * p.drained.rate(p.rate))
}

func (p *Pool) capRate(e *engine) float64 { return p.config.LowCap * e.c.PrefillRate }

// capBurst is the most credit of a low-class cap: a quarter of a step.
func (p *Pool) capBurst(e *engine) float64 { return float64(e.c.StepBudget) / 4 }

// run starts what can be started.
func (p *Pool) run(out []Action) []Action {
	p.due = false
	if p.queued > 0 && p.standing == 0 && p.now-p.without >= p.config.Grace {
		return p.giveUp(out)
	}
	for p.queued > 0 && p.standing > 0 {
		before := len(out)
		if out = p.start(out); len(out) == before {
			break
		}
	}
	return out
}

// start starts one request, or refuses one that fits nowhere. First come
// classes whose floor is due, then provisioned, then those that must hurry, if
// what they need is due, then all by rank. A class that waits holds those below
// it; one whose floor is due holds all but provisioned, and so do those that
// must hurry.
func (p *Pool) start(out []Action) []Action {
	before, held := len(out), false
	for i := outcrop.NumClasses - 1; i >= 0; i-- {
		if !p.floorDue(i) {
			continue
		}
		if out = p.offer(&p.classes[i], byFloor, out); len(out) > before {
			return out
		}
		held = true
	}
	if p.needComes() {
		if out = p.offerOne(p.nextHurried(), byNeed, out); len(out) > before {
			return out
		}
		held = true
	}
	for i := outcrop.NumClasses - 1; i >= 0; i-- {
		if p.classes[i].queued == 0 {
			continue
		}
		if held && i < int(outcrop.ClassProvisioned) {
			break
		}
		if out = p.offer(&p.classes[i], byRank, out); len(out) > before {
			return out
		}
		held = true
	}
	return p.startInLane(out)
}

// floorDue reports whether the class waits and has saved the credit for its
// next request.
func (p *Pool) floorDue(i int) bool {
	return p.config.Floor[i] > 0 && p.classes[i].queued > 0 && p.floorPaid(i)
}

// floorPaid reports whether the credit of a class that waits is enough.
func (p *Pool) floorPaid(i int) bool {
	c := &p.classes[i]
	return c.credit >= min(c.all.items[0].head().cost, p.floorBurst(i))
}

// offer starts the next request of c if an engine takes it. If none does, it
// starts the next of those that ask for optimized latency on an engine that is
// kept from the other.
func (p *Pool) offer(c *class, by turn, out []Action) []Action {
	j := c.all.items[0].head()
	before := len(out)
	if out = p.offerOne(j, by, out); len(out) > before {
		return out
	}
	if o := c.nextOptimized(); o != nil && o != j && by == byRank {
		return p.place(o, byLatency, out)
	}
	return out
}

// offerOne starts j if an engine takes it, and refuses it if none ever will.
func (p *Pool) offerOne(j *job, by turn, out []Action) []Action {
	before := len(out)
	if out = p.place(j, by, out); len(out) > before {
		return out
	}
	if most := p.mostMemory(); j.need() > most {
		p.dequeue(j)
		out = append(out, p.refused(j, BoundSize, float64(j.need()), float64(most)))
		p.counts[j.Class].Refused++
		p.end(j)
	}
	return out
}

// place starts j if an engine takes it, or would without what can be aborted.
func (p *Pool) place(j *job, by turn, out []Action) []Action {
	e := p.choose(j, by)
	if e == nil && isHigh(j.Class) {
		e, out = p.makeRoom(j, by, out)
	}
	if e == nil {
		return out
	}
	j.floored, j.needed = by == byFloor, by == byNeed
	if by == byNeed {
		p.need.started += j.cost
	}
	return p.dispatch(j, e, out)
}

// startInLane starts a short prompt of a low class in a lane: of the highest
// class that has one, whatever else waits for the other engines.
func (p *Pool) startInLane(out []Action) []Action {
	if !p.keepsLanes() {
		return out
	}
	for i := int(outcrop.ClassDefault); i >= 0; i-- {
		t, ok := p.classes[i].short.top()
		if !ok {
			continue
		}
		j := t.next(short)
		if e := p.chooseLane(j); e != nil {
			return p.dispatch(j, e, out)
		}
		return out
	}
	return out
}

func (p *Pool) chooseLane(j *job) *engine {
	for _, e := range p.engines {
		if e.c.Lane && p.gate(e, j, byRank) == GateOpen {
			return e
		}
	}
	return nil
}

// dispatch sends j to e, and takes back what it would have to wait for there.
func (p *Pool) dispatch(j *job, e *engine, out []Action) []Action {
	if isHigh(j.Class) {
		out = p.clear(e, j.Class, out)
	}
	c := &p.classes[j.Class]
	p.dequeue(j)
	p.assign(e, j)
	j.started = p.now
	j.tenant.flying++
	c.flying++
	p.settle(j, j.fresh, 0)
	p.drained.add(j.cost)
	c.drained.add(j.cost)
	if p.config.Floor[j.Class] > 0 && c.queued > 0 {
		c.credit = max(c.credit-j.cost, -p.floorBurst(int(j.Class)))
	}
	p.need.pay(j, p.needBurst())
	p.counts[j.Class].Dispatched++
	return append(out, Action{
		Kind: Dispatch, ID: j.ID, Engine: e.id,
		Priority: p.config.Priority[j.Class], Wait: p.now - j.came,
	})
}

// clear aborts requests of low classes whose prompts e is still reading, for
// one of the high class that comes.
func (p *Pool) clear(e *engine, high outcrop.Class, out []Action) []Action {
	if p.now-e.aborted < p.config.AbortEvery {
		return out
	}
	for i := len(e.reading) - 1; i >= 0; i-- {
		j := e.reading[i]
		if !p.mayAbort(j, high) || p.left(j) < float64(p.config.AbortTokens) {
			continue
		}
		out = p.resume(j, out)
		e.aborted = p.now
	}
	return out
}

// mayAbort reports whether j, whose prompt is being read, may be aborted for
// one of the high class: not too often, not if it is what its class is due,
// and if it is paid for because it must hurry, for provisioned alone.
func (p *Pool) mayAbort(j *job, high outcrop.Class) bool {
	return j.aborts < p.config.MaxAborts && !j.floored && (!j.needed || high == outcrop.ClassProvisioned)
}

// left is how many tokens of j's prompt its engine has still to read, by the
// fluid model.
func (p *Pool) left(j *job) float64 {
	return min(float64(j.fresh), max(0, (j.readBy-p.now).Seconds()*j.engine.c.PrefillRate))
}

// resume aborts j and queues it again. What the engine did not read goes back
// to the low-class bucket.
func (p *Pool) resume(j *job, out []Action) []Action {
	e := j.engine
	j.aborts++
	e.level += p.left(j)
	p.counts[j.Class].Resumed++
	p.counts[j.Class].Wasted += j.fresh - int(math.Round(p.left(j)))
	p.back(j)
	return append(out, Action{Kind: AbortAndResume, ID: j.ID, Engine: e.id})
}

// makeRoom looks for an engine that would take j, of a high class, without the
// requests of low classes that have no first token, and aborts these.
func (p *Pool) makeRoom(j *job, by turn, out []Action) (*engine, []Action) {
	var best *engine
	for _, e := range p.engines {
		if !p.wouldTake(e, j) || p.kept(e, j, by) {
			continue
		}
		if best == nil || j.Optimized && e.c.Optimized && !best.c.Optimized {
			best = e
		}
	}
	if best == nil {
		return nil, out
	}
	for i := len(best.reading) - 1; i >= 0; i-- {
		if p.mayAbort(best.reading[i], j.Class) {
			out = p.resume(best.reading[i], out)
		}
	}
	best.aborted = p.now
	return best, out
}

// wouldTake reports whether the gates of e would be open for j, of a high
// class, without the requests that can be aborted, of which there are some.
func (p *Pool) wouldTake(e *engine, j *job) bool {
	n, kv, unread := len(e.jobs), e.kv, e.unread
	for _, o := range e.reading {
		if p.mayAbort(o, j.Class) {
			n, kv, unread = n-1, kv-o.held, unread-o.fresh
		}
	}
	factor := p.config.Factor[j.Class]
	return n < len(e.jobs) && p.fits(e, j) == GateOpen &&
		float64(n) < factor*float64(e.c.MaxSeqs) &&
		(n == 0 || float64(kv+j.need()) <= factor*float64(e.c.KVTokens)) &&
		(unread == 0 || float64(unread+e.freshOn(j)) <= p.config.Box[j.Class]*float64(e.c.StepBudget))
}

// NextAt returns the time at which something happens even if no message
// comes; ok is false if nothing will.
func (p *Pool) NextAt() (at time.Duration, ok bool) {
	if p.queued == 0 {
		return 0, false
	}
	at = never
	if j, waits := p.expiry.top(); waits {
		at = j.expires
	}
	if p.standing == 0 {
		at = min(at, p.without+p.config.Grace)
	} else { // what fills is not exact, and may be looked at too soon
		at = min(at, max(p.nextCredit(), p.now+time.Microsecond))
	}
	return max(at, p.now+1), at != never
}

// nextCredit is when a bucket that holds up a request has filled.
func (p *Pool) nextCredit() time.Duration {
	at := never
	for i := range p.classes {
		c := &p.classes[i]
		if p.config.Floor[i] > 0 && c.queued > 0 && !p.floorDue(i) {
			lack := min(c.all.items[0].head().cost, p.floorBurst(i)) - c.credit
			at = min(at, p.after(float64(lack)/(p.config.Floor[i]*p.drained.rate(p.rate))))
		}
	}
	if p.need.rate > 0 && p.need.queued > 0 && !p.needDue() {
		at = min(at, p.after(float64(p.nextHurried().cost-p.need.credit)/p.needRate()))
	}
	if !p.guarded || !p.lowWaits() {
		return at
	}
	for _, e := range p.engines {
		if p.config.LowCap > 0 && e.level < 0 && !e.draining {
			at = min(at, p.after(-e.level/p.capRate(e)))
		}
	}
	return min(at, p.highSeen+p.config.GuardFor)
}

func (p *Pool) lowWaits() bool {
	for i := range outcrop.ClassPriority {
		if p.classes[i].queued > 0 {
			return true
		}
	}
	return false
}

// after is so many seconds from now, rounded up.
func (p *Pool) after(s float64) time.Duration {
	return p.now + seconds(min(math.Ceil(s*1e6)/1e6+1e-6, maxSeconds))
}
