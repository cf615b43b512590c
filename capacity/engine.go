package capacity

import (
	"slices"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/estimate"
	"github.com/outcrop/outcrop/fair"
)

// An engine is what the dispatcher knows of one engine, beside what the
// scheduler knows.
type engine struct {
	*Engine
	id       fair.EngineID
	drained  bool // by command
	leaving  bool
	standing bool          // the scheduler may use it
	told     fair.Capacity // what the scheduler was told last

	health     estimate.Health
	rates      estimate.Rates
	correction estimate.Correction
	scraped    time.Duration // when; 0 if never
	said       estimate.Scrape

	jobs    []*job
	loads   uint64        // requests that it was given
	unread  int           // uncached tokens of prompts without a first token
	reading time.Duration // since when it reads the first of these
	context int           // tokens of prompts and predicted output

	failures, served int
	alone            int // first tokens of prompts that were read alone
}

// leastMemory is the share of an engine's memory that is always counted with:
// what is larger than the memory is refused and not only delayed.
const leastMemory = 0.5

// known is how many first tokens make the estimate worth judging by.
const known = 20

func (e *engine) load(now time.Duration, j *job) {
	if e.unread == 0 {
		e.reading = now
	}
	j.engine = e
	j.fresh = j.Prompt - min(j.Cached, j.Prompt-1)
	j.alone, j.ahead = e.unread == 0, e.ahead(now)
	e.unread += j.fresh
	e.context += j.Prompt + j.Output
	e.loads++
	j.loads = e.loads
	j.number = len(e.jobs)
	e.jobs = append(e.jobs, j)
}

// ahead returns how many tokens of prompts are still to be read: some of what
// has no first token was read since the last one.
func (e *engine) ahead(now time.Duration) int {
	return max(e.unread-int((now-e.reading).Seconds()*e.rates.Prefill()), 0)
}

// read books that the prompt of j is read, or will not be.
func (e *engine) read(j *job) {
	e.unread -= j.fresh
	j.fresh = 0
}

func (e *engine) unload(j *job) {
	e.read(j)
	e.context -= j.Prompt + j.Output
	last := len(e.jobs) - 1
	e.jobs[last].number = j.number
	e.jobs[j.number], e.jobs[last] = e.jobs[last], nil
	e.jobs = e.jobs[:last]
	j.engine = nil
}

// began learns from a first token.
func (e *engine) began(now time.Duration, j *job) {
	if firsts, _ := e.rates.Samples(); firsts >= known && !e.Fixed {
		e.health.FirstToken(now, j.took, e.rates.Predict(j.ahead, j.own()))
	}
}

// own is how many tokens of the prompt the engine had to read, by the
// prediction.
func (j *job) own() int { return j.Prompt - min(j.Cached, j.Prompt-1) }

// decoded learns from progress.
func (e *engine) decoded(now time.Duration, j *job, tokens int) {
	if j.quiet && j.loads == e.loads {
		e.rates.Gap((now-j.at)/time.Duration(tokens-j.tokens), len(e.jobs), e.context)
	}
	j.at, j.tokens, j.quiet, j.loads = now, tokens, e.unread == 0, e.loads
}

// ended learns from the end of an attempt. Prompts that are read together share
// their steps, so that their first tokens come sooner than those of prompts that
// are read one after the other: they count only while there is nothing better.
func (e *engine) ended(now time.Duration, j *job, end end) {
	switch end.failure {
	case "":
		e.served++
		if j.took == 0 { // an answer in one piece
			e.reading = now
		}
		e.health.Succeeded()
		e.correction.Served(now)
	case outcrop.CodeUnavailable, outcrop.CodeModelStream, outcrop.CodeModelTimeout:
		e.failures++
		e.health.Broke(now)
	}
	if j.took == 0 || !j.streams || !j.alone && e.alone >= known {
		return
	}
	if j.alone {
		e.alone++
	}
	own := j.own()
	if end.exact && end.usage != (outcrop.Usage{}) {
		own = end.usage.Input + end.usage.CacheWrite
	}
	e.rates.FirstToken(j.took, j.ahead, own)
}

// refused learns that the engine did not take a request.
func (e *engine) refused(now time.Duration, code outcrop.Code, retry time.Duration) {
	e.failures++
	if code == outcrop.CodeUnavailable {
		e.health.Unavailable(now)
		return
	}
	e.health.Full(now, retry)
	if code == outcrop.CodeThrottling {
		e.correction.Throttled(now)
	}
}

// rests returns until when the engine rests, if it does.
func (e *engine) rests() (until time.Duration, ok bool) {
	return e.health.Until(), e.health.Condition() == estimate.Resting
}

// capacity is what the scheduler should think of the engine, but for its rates.
func (e *engine) capacity() fair.Capacity {
	c := e.Capacity
	f := e.correction.Factor()
	c.MaxSeqs = max(1, int(f*float64(c.MaxSeqs)))
	c.KVTokens = max(1, int(max(f, leastMemory)*float64(c.KVTokens)))
	if e.health.Condition() == estimate.Probing {
		c.MaxSeqs = 1
	}
	return c
}

// rate sets the rates of e in c: those that were measured, or those of its
// kind, or its own where they differ.
func (d *local) rate(e *engine, c *fair.Capacity) {
	if e.Fixed {
		return
	}
	var few [8]float64
	prefill, decode := few[:0:4], few[4:4:8]
	for _, o := range d.engines {
		if o.kin(e) {
			prefill, decode = append(prefill, o.rates.Prefill()), append(decode, o.rates.Decode())
		}
	}
	c.PrefillRate, c.DecodeRate = estimate.Among(e.rates.Prefill(), prefill), estimate.Among(e.rates.Decode(), decode)
	if e.Measured {
		c.PrefillRate, c.DecodeRate = estimate.Against(e.Capacity.PrefillRate, c.PrefillRate), estimate.Against(e.Capacity.DecodeRate, c.DecodeRate)
	}
	d.level(e, c)
}

// level sets the rates in c to what the scheduler was told of the first engine
// of e's kind that are near: a kind that is told of one by one, each when it
// has moved, would differ in what is only the age of what was told.
func (d *local) level(e *engine, c *fair.Capacity) {
	for _, o := range d.engines {
		if o.standing && o.kin(e) && near(o.told.PrefillRate, c.PrefillRate) && near(o.told.DecodeRate, c.DecodeRate) {
			c.PrefillRate, c.DecodeRate = o.told.PrefillRate, o.told.DecodeRate
			return
		}
	}
}

// kin reports whether the rates of e are learned, from where those of o began.
func (e *engine) kin(o *engine) bool {
	return !e.Fixed && e.Capacity.PrefillRate == o.Capacity.PrefillRate && e.Capacity.DecodeRate == o.Capacity.DecodeRate
}

// judge tells the scheduler what has become of the engine. The last one that
// stands does not rest: trying it is better than nothing.
func (d *local) judge(now time.Duration, e *engine) {
	if d.closed {
		return
	}
	if e.health.Condition() == estimate.Resting && !d.others(e) {
		e.health.Spare()
	}
	if e.drained || e.leaving || e.health.Condition() == estimate.Resting {
		if e.standing {
			e.standing = false
			d.do(now, d.pool.Drain(now, e.id, d.out[:0]))
		}
		return
	}
	c := e.capacity()
	d.rate(e, &c)
	if e.standing && alike(c, e.told) {
		return
	}
	e.standing, e.told = true, c
	d.do(now, d.pool.Up(now, e.id, c, d.out[:0]))
}

func (d *local) others(e *engine) bool {
	return slices.ContainsFunc(d.engines, func(o *engine) bool { return o != e && o.standing })
}

func near(x, y float64) bool { return x <= y*1.05 && y <= x*1.05 }

// alike reports whether a change is not worth telling.
func alike(a, b fair.Capacity) bool {
	if !near(a.PrefillRate, b.PrefillRate) || !near(a.DecodeRate, b.DecodeRate) {
		return false
	}
	a.PrefillRate, a.DecodeRate = b.PrefillRate, b.DecodeRate
	return a == b
}

// depart lets an engine go that leaves and is empty.
func (d *local) depart(now time.Duration, e *engine) {
	if !e.leaving || len(e.jobs) > 0 {
		return
	}
	d.engines = slices.DeleteFunc(d.engines, func(o *engine) bool { return o == e })
	d.do(now, d.pool.Down(now, e.id, d.out[:0]))
}

func (d *local) named(name string) *engine {
	for _, e := range d.engines {
		if e.Name == name && !e.leaving {
			return e
		}
	}
	return nil
}

func (d *local) update(engines []Engine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	var next []*engine
	for i := range engines {
		given := engines[i]
		e := d.named(given.Name)
		if e == nil {
			d.numbers++
			e = &engine{id: d.numbers}
		}
		if e.Engine == nil || e.Capacity.PrefillRate != given.Capacity.PrefillRate || e.Capacity.DecodeRate != given.Capacity.DecodeRate {
			e.rates = estimate.NewRates(max(given.Capacity.PrefillRate, 1), max(given.Capacity.DecodeRate, 1e-3))
		}
		e.Engine = &given
		next = append(next, e)
	}
	before := d.engines
	d.engines = slices.Clone(next)
	for _, e := range before {
		if !slices.Contains(next, e) {
			e.leaving = true
			d.engines = append(d.engines, e)
		}
	}
	for _, e := range next {
		d.judge(now, e)
	}
	for _, e := range before {
		d.judge(now, e)
		d.depart(now, e)
	}
	d.arm(now)
}

func (d *local) drain(name string, drain bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.named(name)
	if e == nil {
		return false
	}
	now := d.now()
	e.drained = drain
	d.judge(now, e)
	d.arm(now)
	return true
}

func (d *local) remove(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.named(name)
	if e == nil {
		return false
	}
	now := d.now()
	d.engines = slices.DeleteFunc(d.engines, func(o *engine) bool { return o == e })
	d.do(now, d.pool.Down(now, e.id, d.out[:0]))
	d.arm(now)
	return true
}

// correct learns what the metrics of an engine say.
func (d *local) correct(name string, s estimate.Scrape) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.named(name)
	if e == nil || d.closed {
		return
	}
	reading := 0
	for _, j := range e.jobs {
		if j.took == 0 {
			reading++
		}
	}
	now := d.now()
	e.scraped, e.said = max(now, 1), s
	e.correction.Scraped(now, s, reading)
	d.judge(now, e)
	d.arm(now)
}
