package fair

import (
	"math"
	"time"

	"github.com/outcrop/outcrop"
)

// never is later than all times.
const never = time.Duration(math.MaxInt64)

// A job is a request from Submit to its end.
type job struct {
	Request
	tenant  *tenant
	arrival uint64 // number of the Submit
	came    time.Duration
	expires time.Duration // when it leaves the queue; never
	started time.Duration // when it was dispatched last
	late    Bound         // by which bound, then
	short   bool          // a lane takes it
	cost    Service       // predicted

	at, expiry int // places in the heaps, -1 outside

	// On an engine:
	engine  *engine
	number  int // among the engine's jobs
	fresh   int // prompt tokens that are not in the cache
	first   bool
	output  int           // tokens so far
	held    int           // tokens of memory
	charged Service       // to the tenant
	readBy  time.Duration // when its prompt will be read, by the fluid model

	floored        bool    // it was started by the floor of its class
	needed         bool    // it was started before its turn because it must hurry
	paid           Service // of what is guaranteed to those that must hurry
	aborts, losses int
}

// before reports whether j starts before o, both of one tenant.
func (j *job) before(o *job) bool {
	if a, b := j.due(), o.due(); a != b {
		return a < b
	}
	return j.arrival < o.arrival
}

func (j *job) due() time.Duration {
	if j.Deadline > 0 {
		return j.Deadline
	}
	return never
}

// A tenant is one flow of a class. It lives while it has requests, and after
// that as long as its counter is above what a newcomer would get.
type tenant struct {
	name   string
	weight float64
	served float64 // the virtual counter: service received over weight
	jobs   [kinds]heap[*job]
	queued int
	cost   Service // of what is queued
	flying int     // requests on engines
	places [5]int  // in class.all, short, optimized, hurried and idle
}

// The kinds of requests for which a tenant has queues of their own: the sum of
// what holds of them.
const (
	every     = 0
	short     = 1 // a lane takes it
	optimized = 2 // it asks for optimized latency
	hurried   = 4 // it must hurry
	kinds     = 8
)

// head returns the request that t starts next; there must be one.
func (t *tenant) head() *job { return t.next(every) }

// next returns the request of that kind that t starts next, nil if none waits.
func (t *tenant) next(kind int) (first *job) {
	for k := range t.jobs {
		if k&kind != kind {
			continue
		}
		if j, ok := t.jobs[k].top(); ok && (first == nil || j.before(first)) {
			first = j
		}
	}
	return first
}

func (t *tenant) before(o *tenant) bool {
	if t.served != o.served {
		return t.served < o.served
	}
	return t.name < o.name
}

// A class holds the tenants that have requests of one class.
type class struct {
	rank      outcrop.Class
	tenants   map[string]*tenant
	all       heap[*tenant] // those that wait
	short     heap[*tenant] // those that wait with a short prompt
	optimized heap[*tenant] // those that wait for optimized latency
	hurried   heap[*tenant] // those that wait and must hurry
	idle      heap[*tenant] // those without any request
	spare     []*tenant     // that have gone
	virtual   float64       // the counter that a newcomer gets
	queued    int
	flying    int
	cost      Service // of what is queued
	weight    float64 // of the tenants that wait
	drained   meter
	given     meter   // service given, whether a queue stands or not
	served    Service // to requests that have ended
	credit    Service // of the floor
}

func (c *class) init(rank outcrop.Class) {
	c.rank, c.tenants = rank, map[string]*tenant{}
	for i, h := range []*heap[*tenant]{&c.all, &c.short, &c.optimized, &c.hurried, &c.idle} {
		*h = heap[*tenant]{before: (*tenant).before, place: func(t *tenant) *int { return &t.places[i] }}
	}
}

// tenant returns the tenant of that name, a new one at the counter of the
// least-served if it was not there. A tenant that comes back is lifted to that
// counter, so that nobody saves up service for later.
func (c *class) tenant(name string, weight float64) *tenant {
	t := c.tenants[name]
	if t == nil {
		t = c.newTenant(name)
		c.tenants[name] = t
	}
	c.idle.remove(t)
	c.lift(t)
	if !(weight > 0) || math.IsInf(weight, 1) {
		weight = 1
	}
	if t.queued > 0 {
		c.weight += weight - t.weight
	}
	t.weight = weight
	return t
}

// maxSpare is for how many jobs, or tenants of a class, that have gone the
// memory is kept.
const maxSpare = 64

// newTenant returns a tenant at the counter of the least-served, in the memory
// of one that has gone if there is any.
func (c *class) newTenant(name string) *tenant {
	last := len(c.spare) - 1
	if last < 0 {
		t := &tenant{name: name, weight: 1, served: c.virtual, places: outside}
		for i := range t.jobs {
			t.jobs[i] = heap[*job]{before: (*job).before, place: func(j *job) *int { return &j.at }}
		}
		return t
	}
	t := c.spare[last]
	c.spare = c.spare[:last]
	t.name, t.weight, t.served = name, 1, c.virtual // it was let go without requests, and is in no heap
	return t
}

// outside is where a tenant is in the heaps of its class that is in none.
var outside = [5]int{-1, -1, -1, -1, -1}

// lift raises the counter of a tenant that begins to wait to that of the
// least-served one.
func (c *class) lift(t *tenant) {
	if t.queued == 0 {
		t.served = max(t.served, c.virtual)
	}
}

// add puts j into the queue.
func (c *class) add(j *job) {
	t := j.tenant
	t.jobs[kind(j)].push(j)
	t.queued++
	t.cost += j.cost
	c.queued++
	c.cost += j.cost
	if t.queued == 1 {
		c.weight += t.weight
		c.all.push(t)
	}
	if j.short && t.places[1] < 0 {
		c.short.push(t)
	}
	if j.Optimized && t.places[2] < 0 {
		c.optimized.push(t)
	}
	if j.Hurry && t.places[3] < 0 {
		c.hurried.push(t)
	}
}

func kind(j *job) (k int) {
	if j.short {
		k |= short
	}
	if j.Optimized {
		k |= optimized
	}
	if j.Hurry {
		k |= hurried
	}
	return k
}

// nextOptimized returns the request that asks for optimized latency and is
// next of these, nil if none waits.
func (c *class) nextOptimized() *job {
	if t, ok := c.optimized.top(); ok {
		return t.next(optimized)
	}
	return nil
}

// take removes j from the queue.
func (c *class) take(j *job) {
	t := j.tenant
	c.virtual = max(c.virtual, c.all.items[0].served)
	t.jobs[kind(j)].remove(j)
	t.queued--
	t.cost -= j.cost
	c.queued--
	c.cost -= j.cost
	last := t.queued == 0
	if j.short && (last || t.next(short) == nil) {
		c.short.remove(t)
	}
	if j.Optimized && (last || t.next(optimized) == nil) {
		c.optimized.remove(t)
	}
	if j.Hurry && (last || t.next(hurried) == nil) {
		c.hurried.remove(t)
	}
	if last {
		t.cost = 0
		c.weight -= t.weight
		c.all.remove(t)
	}
	if c.queued == 0 {
		c.cost, c.weight, c.credit = 0, 0, 0
	}
}

// charge adds to the counter of t; s may be negative.
func (c *class) charge(t *tenant, s Service) {
	t.served += float64(s) / t.weight
	c.all.fix(t)
	c.short.fix(t)
	c.optimized.fix(t)
	c.hurried.fix(t)
	c.idle.fix(t)
}

// leads reports whether t is next, of all that wait, of those with short
// prompts, of those that wait for optimized latency, or of those that must
// hurry.
func (c *class) leads(t *tenant) bool {
	return t.places[0] == 0 || t.places[1] == 0 || t.places[2] == 0 || t.places[3] == 0
}

// rest lets go of tenants whose counters say nothing any more, after t may
// have lost its last request.
func (c *class) rest(t *tenant) {
	if t.queued == 0 && t.flying == 0 && t.places[4] < 0 {
		c.idle.push(t)
	}
	for {
		o, ok := c.idle.top()
		if !ok || c.queued+c.flying > 0 && o.served > c.virtual {
			break
		}
		c.idle.remove(o)
		delete(c.tenants, o.name)
		if len(c.spare) < maxSpare {
			c.spare = append(c.spare, o)
		}
	}
	if len(c.tenants) == 0 {
		c.virtual = 0
	}
}

// A meter measures the rate at which a queue drains while it is not empty. It
// forgets with the time constant meterTime.
type meter struct {
	service Service
	seconds float64
}

const (
	meterTime  = 10 * time.Second
	priorTime  = 1.0 // seconds for which the assumed rate counts
	leastShare = 1e-3
)

// kept is the share of what was measured that counts after d. Where d is short,
// as it is between two messages, the first terms of the series are exact to
// twelve digits.
func kept(d time.Duration) float64 {
	x := float64(d) / float64(meterTime)
	if x < 1e-4 {
		return 1 - x + x*x/2
	}
	return math.Exp(-x)
}

// pass lets so many seconds pass, after which the share keep counts. A meter of
// nothing is not written to: what is read alone stays in the caches of all
// processors.
func (m *meter) pass(seconds, keep float64, waiting bool) {
	if !waiting && *m == (meter{}) {
		return
	}
	m.service *= Service(keep)
	m.seconds *= keep
	if waiting {
		m.seconds += seconds
	}
}

// pace returns service tokens a second over all the time, also that in which
// the queue was empty.
func (m *meter) pace() float64 { return float64(m.service) / meterTime.Seconds() }

func (m *meter) add(s Service) { m.service = max(0, m.service+s) }

// rate returns service tokens a second, given what to assume without any
// measurement.
func (m *meter) rate(assumed float64) float64 {
	r := (float64(m.service) + assumed*priorTime) / (m.seconds + priorTime)
	return max(r, assumed*leastShare)
}
