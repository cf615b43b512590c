package fair

import (
	"math"
	"time"

	"github.com/outcrop/outcrop"
)

// An engine is what the scheduler knows of one engine; all of it is exact,
// but for the times of the fluid model.
type engine struct {
	id       EngineID
	c        Capacity
	draining bool
	jobs     []*job
	reading  []*job // those of lower classes without a first token
	unread   int    // U: fresh prompt tokens without a first token
	own      int    // of these, those of provisioned requests
	high     int    // of these, those of provisioned and priority requests
	low      int    // requests of the lower classes
	kv       int    // K: tokens of memory
	readBy   time.Duration
	level    float64 // of the low-class bucket, tokens of prompt
	aborted  time.Duration
	recent   recent
}

// A Gate says why an engine does not take a request now.
type Gate uint8

// The gates, in the order in which they are looked at.
const (
	GateOpen     Gate = iota
	GateDraining      // takes nothing new
	GateSize          // the memory is too small even when empty
	GateLane          // a lane, and the prompt is too long for it, or it has its fill of low classes
	GateSeqs          // n: sequences
	GateKV            // K: tokens of memory
	GateReading       // reads the prompt of a provisioned or priority request
	GateCap           // the low-class cap has no credit
	GatePrefill       // U: prompt tokens without a first token
	GateClear         // too few other engines are clear of prompts
	GateKept          // kept for a request that asks for optimized latency
)

// String returns the gate's name in logs and metrics.
func (g Gate) String() string {
	names := [...]string{"open", "draining", "size", "lane", "sequences", "memory", "reading", "low-cap", "prefill", "clear", "kept"}
	if int(g) < len(names) {
		return names[g]
	}
	return ""
}

// A turn is why a request is offered to the engines.
type turn uint8

const (
	byRank    turn = iota // it is next of its class, or of the short ones
	byFloor               // its class has saved what it costs
	byLatency             // it asks for optimized latency and is next of these
	byNeed                // it must hurry, and what it costs is saved
)

// isHigh tells the classes for whose sake lower ones are held back.
func isHigh(c outcrop.Class) bool { return c >= outcrop.ClassPriority }

// need is the memory that j will hold, by the prediction.
func (j *job) need() int { return j.Prompt + max(j.Output, j.output) }

// freshOn is how many tokens of j's prompt e would have to read.
func (e *engine) freshOn(j *job) int {
	if j.Cached > 0 && j.Prefix != 0 && !e.recent.has(j.Prefix) {
		return j.Prompt
	}
	return j.Prompt - j.Cached
}

// gate says whether e takes j now. A class whose floor is due is measured by
// the limits of the classes above it. One that must hurry is measured by those
// of default, so that the high classes suffer from it as from on-demand use.
func (p *Pool) gate(e *engine, j *job, by turn) Gate {
	if g := p.fits(e, j); g != GateOpen {
		return g
	}
	floored := by == byFloor
	c := &p.config
	factor, box, unread := c.Factor[j.Class], c.Box[j.Class], e.unread
	if floored {
		factor, box, unread = 1, max(box, c.Box[outcrop.ClassPriority]), e.unread-e.own
	}
	if by == byNeed {
		class := max(j.Class, outcrop.ClassDefault)
		factor, box = c.Factor[class], c.Box[class]
	}
	fresh := e.freshOn(j)
	low := !isHigh(j.Class) && !floored
	switch {
	case float64(len(e.jobs)) >= factor*float64(e.c.MaxSeqs):
		return GateSeqs
	case len(e.jobs) > 0 && float64(e.kv+j.need()) > factor*float64(e.c.KVTokens):
		return GateKV
	case c.LowSeqs > 0:
		return p.counted(e, j)
	case low && p.fillsLane(e):
		return GateLane
	case low && e.high > 0:
		return GateReading
	case low && p.guarded && c.LowCap > 0 && e.level < 0:
		return GateCap
	case unread > 0 && float64(unread+fresh) > box*float64(e.c.StepBudget):
		return GatePrefill
	case low && p.keepsLanes() && !p.leavesClear(e, fresh):
		return GateClear
	case p.kept(e, j, by):
		return GateKept
	}
	return GateOpen
}

// kept reports whether e is not for j at its turn: it is kept from j, or j is
// offered before its rank and e is not kept from the one that is next.
func (p *Pool) kept(e *engine, j *job, by turn) bool {
	switch by {
	case byFloor, byNeed:
		return false
	case byLatency:
		return !p.keptFrom(e, p.classes[j.Class].all.items[0].head())
	}
	return p.keptFrom(e, j)
}

// keptFrom reports whether e, which is marked, is kept from j, which did not
// ask for optimized latency: a request of its class or above that did waits
// and fits e, and j fits an engine without the mark.
func (p *Pool) keptFrom(e *engine, j *job) bool {
	if j.Optimized || !e.c.Optimized {
		return false
	}
	for i := int(j.Class); i < outcrop.NumClasses; i++ {
		if o := p.classes[i].nextOptimized(); o != nil && p.fits(e, o) == GateOpen {
			return p.fitsUnmarked(j)
		}
	}
	return false
}

func (p *Pool) fitsUnmarked(j *job) bool {
	for _, e := range p.engines {
		if !e.c.Optimized && p.fits(e, j) == GateOpen {
			return true
		}
	}
	return false
}

// counted is the gate where lower classes are bounded by a number.
func (p *Pool) counted(e *engine, j *job) Gate {
	if !isHigh(j.Class) && e.low >= p.config.LowSeqs {
		return GateSeqs
	}
	return GateOpen
}

// fillsLane reports whether e is a lane that has as many requests of low
// classes as it may.
func (p *Pool) fillsLane(e *engine) bool {
	return e.c.Lane && p.config.LaneSeqs > 0 && e.low >= p.config.LaneSeqs && p.keepsLanes()
}

// keepsLanes reports whether engines are kept for short prompts and clear of
// prompts now.
func (p *Pool) keepsLanes() bool { return p.lanes && p.guarded }

// leavesClear reports whether enough other engines read no prompt, so that a
// request of a high class that comes finds one, if e reads so many tokens for
// a low class.
func (p *Pool) leavesClear(e *engine, fresh int) bool {
	if len(e.reading) > 0 && fresh <= p.config.LaneTokens {
		return true
	}
	clear := 0
	for _, o := range p.engines {
		if o != e && !o.draining && o.high == 0 && len(o.reading) == 0 {
			clear++
		}
	}
	if float64(fresh) > p.config.Long*float64(e.c.StepBudget) {
		clear--
	}
	return clear >= p.config.Clear
}

// fits looks at what does not change from moment to moment.
func (p *Pool) fits(e *engine, j *job) Gate {
	switch {
	case e.draining:
		return GateDraining
	case j.need() > e.c.KVTokens:
		return GateSize
	case p.keepsLanes() && e.c.Lane && !isHigh(j.Class) && e.freshOn(j) > p.config.LaneTokens:
		return GateLane
	}
	return GateOpen
}

// choose returns the engine that takes j now, nil if none does. Of two that
// are as good, it is the one without the mark.
func (p *Pool) choose(j *job, by turn) *engine {
	var best *engine
	var least float64
	for _, e := range p.engines {
		if p.gate(e, j, by) != GateOpen {
			continue
		}
		s := p.score(e, j)
		if best == nil || s < least || s == least && best.c.Optimized && !e.c.Optimized {
			best, least = e, s
		}
	}
	return best
}

// longestStep bounds what a step is taken to read where the true budget is not
// known, or is larger than vLLM's default on large devices.
const longestStep = 8192

// score orders the engines that take j; the least is the best. If j asks for
// optimized latency, there is a step more to read where it would not have it.
func (p *Pool) score(e *engine, j *job) float64 {
	fresh, more := e.freshOn(j), 0
	if j.Optimized && !e.c.Optimized {
		more = min(e.c.StepBudget, longestStep)
	}
	if isHigh(j.Class) {
		return p.untilFirst(e, fresh) + float64(more)/e.c.PrefillRate + p.sooner(e, fresh)
	}
	return float64(fresh+e.unread+more)/float64(e.c.StepBudget) + e.load()
}

// laneKept is how much sooner, in steps of few sequences, the first token of a
// prompt of one step must come from a lane for it to go there: the short steps of
// lanes are worth more to those that take several. Chosen by the isolation
// benchmark: without it the p99 of its provisioned requests is 2 % higher, and
// with twice as much their p50 is.
const laneKept = .3

// sooner is by how much a prompt of a high class must be served sooner by e than
// elsewhere, in seconds. Lanes without a bound on requests have no short steps.
func (p *Pool) sooner(e *engine, fresh int) float64 {
	if !e.c.Lane || p.config.LaneSeqs == 0 || !p.keepsLanes() || fresh >= e.c.StepBudget {
		return 0
	}
	return laneKept / e.c.DecodeRate
}

// fullMemory is how much longer a step takes when the memory is full, which
// attention reads, in steps of few sequences: about 2 for an 8B model on an
// H100, half of whose memory is only predicted to be used.
const fullMemory = 2

// untilFirst is the time, in seconds, until e sends the first token of a
// request of a high class with so many tokens to read: what is left of the
// step under way, the prompts ahead, its own, and what those that decode add to
// each of the steps that this takes. Prompts of lower classes are aborted for
// it, beyond the step under way.
func (p *Pool) untilFirst(e *engine, fresh int) float64 {
	ahead := e.backlog(p.now)
	if p.config.MaxAborts > 0 {
		ahead = min(ahead, float64(e.high+e.c.StepBudget))
	}
	read := ahead + float64(fresh)
	t := read / e.c.PrefillRate
	if n := len(e.jobs); n > 0 {
		steps := 1 + math.Floor(read/float64(e.c.StepBudget))
		t += .5/e.c.DecodeRate + steps*(float64(n)/e.c.PrefillRate+fullMemory*e.load()/e.c.DecodeRate)
	}
	return t
}

// load is the share of the memory that is in use, by the predictions.
func (e *engine) load() float64 { return float64(e.kv) / float64(e.c.KVTokens) }

// backlog is how many tokens of prompt e has still to read: the fluid model
// of what U counts until the first tokens come.
func (e *engine) backlog(now time.Duration) float64 {
	if e.unread == 0 {
		return 0
	}
	return min(float64(e.unread), max(0, (e.readBy-now).Seconds()*e.c.PrefillRate))
}

// assign books j on e.
func (p *Pool) assign(e *engine, j *job) {
	j.fresh = e.freshOn(j)
	j.engine, j.number, j.first, j.output, j.held = e, len(e.jobs), false, 0, j.need()
	e.jobs = append(e.jobs, j)
	e.kv += j.held
	e.readBy = max(e.readBy, p.now) + seconds(float64(j.fresh)/e.c.PrefillRate)
	j.readBy = e.readBy
	e.unread += j.fresh
	e.recent.add(j.Prefix)
	switch {
	case j.Class == outcrop.ClassProvisioned:
		e.own += j.fresh
		e.high += j.fresh
	case isHigh(j.Class):
		e.high += j.fresh
	default:
		e.low++
		e.level -= float64(j.fresh)
		e.reading = append(e.reading, j)
	}
}

// read books that the prompt of j is read, or will not be.
func (p *Pool) read(j *job) {
	e := j.engine
	if j.first {
		return
	}
	j.first = true
	e.unread -= j.fresh
	switch {
	case j.Class == outcrop.ClassProvisioned:
		e.own -= j.fresh
		e.high -= j.fresh
	case isHigh(j.Class):
		e.high -= j.fresh
	default:
		e.forget(j)
	}
	e.readBy = min(e.readBy, p.now+seconds(float64(e.unread)/e.c.PrefillRate))
}

// forget takes j from the prompts that are being read; the others keep their
// order.
func (e *engine) forget(j *job) {
	for i, o := range e.reading {
		if o == j {
			e.reading = append(e.reading[:i], e.reading[i+1:]...)
			return
		}
	}
}

// unload takes j from its engine.
func (p *Pool) unload(j *job) {
	e := j.engine
	p.read(j)
	if !isHigh(j.Class) {
		e.low--
	}
	e.kv -= j.held
	last := e.jobs[len(e.jobs)-1]
	e.jobs[j.number], last.number = last, j.number
	e.jobs[len(e.jobs)-1] = nil
	e.jobs = e.jobs[:len(e.jobs)-1]
	j.engine, j.held = nil, 0
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// normal returns the capacity with sensible values in place of those with
// which no engine could work.
func (c Capacity) normal() Capacity {
	c.KVTokens = max(c.KVTokens, 1)
	c.MaxSeqs = max(c.MaxSeqs, 1)
	c.StepBudget = max(c.StepBudget, 1)
	if !(c.PrefillRate >= 1) {
		c.PrefillRate = 1
	}
	if !(c.DecodeRate >= 1e-3) {
		c.DecodeRate = 1e-3
	}
	return c
}
