package simulation

import (
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/ledger"
)

// A watch follows the scheduler by its actions alone, and knows what it may do
// next: an account of the world's own, by the words of docs/scheduler.md.
type watch struct {
	time    time.Duration // that the scheduler was told last
	late    time.Duration // the most by which it was told later than it asked for
	told    bool          // it was told something since the last check
	queue   []*request
	waiting [outcrop.NumClasses]int // requests that wait
	back    [outcrop.NumClasses]int // of these, those that were on an engine
	hosts   map[fair.EngineID]*host
	floors  [outcrop.NumClasses]float64
	need    need
	flows   [outcrop.NumClasses][]*flow
	laned   [outcrop.NumClasses]bool // lanes were kept since the class was idle
	checks  int

	full  int64 // level of the fullest limit of the unit that is asked, in percent
	spans map[string]span
}

// A need is what is guaranteed to those that hurry, by the world's own count.
type need struct {
	rate     float64       // requests a second
	since    time.Duration // when that was told
	requests float64       // that were guaranteed until then
	largest  fair.Service  // cost of one
	refunded fair.Service
}

// until is how many requests were guaranteed until now.
func (n *need) until(now time.Duration) float64 { return n.requests + n.rate*(now-n.since).Seconds() }

// A host is an engine as the scheduler must have it.
type host struct {
	m        *machine
	drained  bool
	requests int
	tokens   int // prompts and predicted outputs
	prefixes map[uint64]bool
}

// A flow is a tenant of a class.
type flow struct {
	name            string
	weight          float64
	waiting, flying int
	// Over the weight: charged is since its latest start, refunded since the
	// class was idle, and base what the others' refunded was at that start.
	charged, refunded float64
	base              map[*flow]float64
}

func (v *watch) reset() {
	spans := v.spans
	if spans == nil {
		spans = map[string]span{}
	}
	*v = watch{hosts: map[fair.EngineID]*host{}, spans: spans}
}

// before notes that the scheduler is about to be told something.
func (v *watch) before(w *world) {
	p := &w.process
	v.told = true
	now := max(v.time, w.poolNow())
	if at, ok := p.pool.NextAt(); ok && at < now {
		v.late = max(v.late, now-at)
	}
	v.time = now
}

func (v *watch) flow(r *request) *flow {
	for _, f := range v.flows[r.class] {
		if f.name == r.ask.Tenant {
			return f
		}
	}
	f := &flow{name: r.ask.Tenant, weight: r.ask.Weight, base: map[*flow]float64{}}
	v.flows[r.class] = append(v.flows[r.class], f)
	return f
}

// submitted puts r into the queue.
func (v *watch) submitted(w *world, r *request, q fair.Request) {
	r.ask, r.came = q, v.time
	r.flow = v.flow(r)
	r.bound = w.Scheduler.Bound[r.class]
	if q.Hurry {
		r.bound = 0
		v.need.largest = max(v.need.largest, w.cost(r))
	}
	if q.MaxWait > 0 && (r.bound == 0 || q.MaxWait < r.bound) {
		r.bound = q.MaxWait
	}
	r.state = queued
	v.enter(r)
}

func (v *watch) enter(r *request) {
	r.since, r.place = v.time, len(v.queue)
	v.queue = append(v.queue, r)
	v.waiting[r.class]++
	r.flow.waiting++
	if r.returned {
		v.back[r.class]++
	}
}

// exit takes r out of the queue and checks how long it was there (I15).
func (v *watch) exit(w *world, r *request) {
	last := v.queue[len(v.queue)-1]
	v.queue[r.place], last.place = last, r.place
	v.queue[len(v.queue)-1] = nil
	v.queue = v.queue[:len(v.queue)-1]
	v.waiting[r.class]--
	r.flow.waiting--
	if r.returned {
		v.back[r.class]--
	}
	r.queued += v.time - r.since
	w.checkWait(r)
}

// acted follows what the scheduler did with r.
func (v *watch) acted(w *world, r *request, a fair.Action) {
	switch a.Kind {
	case fair.Dispatch:
		w.checkDispatch(r, a)
		v.exit(w, r)
		v.start(r, v.hosts[a.Engine])
	case fair.AbortAndResume, fair.Requeue:
		v.refund(r, r.charged)
		v.need.refunded += w.cost(r)
		v.stop(r)
		r.returned = true
		v.enter(r)
	case fair.Refuse:
		w.checkRefusal(r, a)
		v.exit(w, r)
		v.idle(r.class)
	case fair.Lost:
		v.stop(r)
		v.idle(r.class)
	}
}

// start books r on a host, and charges its tenant.
func (v *watch) start(r *request, h *host) {
	r.fresh = r.prompt - min(r.ask.Cached, r.prompt-1)
	if x := r.ask.Prefix; x != 0 && !h.prefixes[x] {
		r.fresh = r.prompt
		h.prefixes[x] = true
	}
	r.host, r.started, r.told = h, v.time, 0
	h.requests++
	h.tokens += r.prompt + r.ask.Output
	f := r.flow
	f.flying++
	f.charged = 0
	for _, o := range v.flows[r.class] {
		f.base[o] = o.refunded
	}
	v.charge(r, float64(r.fresh))
}

// charge adds service to what the tenant of r was given.
func (v *watch) charge(r *request, service float64) {
	r.charged += service
	r.flow.charged += service / r.flow.weight
}

func (v *watch) refund(r *request, service float64) {
	r.charged -= service
	r.flow.refunded += service / r.flow.weight
}

// stop takes r off its host.
func (v *watch) stop(r *request) {
	h := r.host
	h.requests--
	h.tokens -= r.prompt + r.ask.Output
	r.host = nil
	r.flow.flying--
	r.engines += v.time - r.started
}

// idle forgets the tenants of a class that has no request.
func (v *watch) idle(c outcrop.Class) {
	if v.waiting[c] > 0 {
		return
	}
	for _, f := range v.flows[c] {
		if f.flying > 0 {
			return
		}
	}
	v.flows[c], v.laned[c] = nil, false
}

// progressed charges the output that came.
func (v *watch) progressed(w *world, r *request, n int) {
	if n > r.told {
		v.charge(r, w.Scheduler.OutputWeight*float64(n-r.told))
		r.told = n
	}
}

// finished charges what the engine says was used.
func (v *watch) finished(w *world, r *request, u outcrop.Usage) {
	if u != (outcrop.Usage{}) {
		due := float64(u.Input+u.CacheWrite) + w.Scheduler.OutputWeight*float64(u.Output)
		if due > r.charged {
			v.charge(r, due-r.charged)
		} else {
			v.refund(r, r.charged-due)
		}
	}
	v.ended(w, r)
}

// ended takes r out, wherever it is.
func (v *watch) ended(w *world, r *request) {
	if r.host != nil {
		v.stop(r)
	} else {
		v.exit(w, r)
	}
	v.idle(r.class)
}

func (v *watch) up(m *machine) {
	h := v.hosts[m.id]
	if h == nil {
		h = &host{m: m, prefixes: map[uint64]bool{}}
		v.hosts[m.id] = h
	}
	h.drained = false
}

func (v *watch) drain(m *machine) {
	if h := v.hosts[m.id]; h != nil {
		h.drained = true
	}
}

func (v *watch) down(m *machine) { delete(v.hosts, m.id) }

// standing is how many engines take requests.
func (v *watch) standing() (n int) {
	for _, h := range v.hosts {
		if !h.drained {
			n++
		}
	}
	return n
}

// A span is for how long a unit has been refusing by one limit, and what it
// was charged until then.
type span struct {
	limit        ledger.Limit
	mono         time.Duration
	level, total int64
}
