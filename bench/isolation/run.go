// Package isolation measures, in virtual time, how well provisioned requests
// keep their first-token times while others overload the same engines, and
// how much of the idle capacity the others get. It drives the scheduler of
// package fair, and the baselines, with the engines of package step and
// open-loop arrivals. All figures that come from it are simulated.
package isolation

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
)

// A Kind is a kind of traffic.
type Kind uint8

// The kinds of traffic.
const (
	Provisioned Kind = iota
	OnDemand         // the well-behaved tenants
	Aggressor        // the one that is not
	Batch
	numKinds
)

func (k Kind) class() outcrop.Class {
	return [...]outcrop.Class{outcrop.ClassProvisioned, outcrop.ClassDefault, outcrop.ClassDefault, outcrop.ClassBatch}[k]
}

// String returns the kind's name in tables.
func (k Kind) String() string {
	return [...]string{"provisioned", "on-demand", "aggressor", "backlog"}[k]
}

// Tenants are the names of so many tenants that send traffic of the kind.
func (k Kind) Tenants(n int) (names []string) {
	for i := range n {
		names = append(names, [...]string{"unit", "tenant", "aggressor", "job"}[k]+string(rune('a'+i)))
	}
	return names
}

// A Policy decides when requests go to which engine.
type Policy uint8

// The policies.
const (
	// FIFO hands everything to the engines at once, in turns.
	FIFO Policy = iota
	// EnginePriority does the same and tells the engines the class.
	EnginePriority
	// StaticCap hands over provisioned requests at once and others first
	// come, first served, up to a fixed number on each engine.
	StaticCap
	// Fair is package fair.
	Fair
)

// String returns the policy's name in the tables.
func (p Policy) String() string {
	return [...]string{"fifo", "engine priority", "static cap", "outcrop"}[p]
}

// A Setup is one run. Rates are requests a second on each engine.
type Setup struct {
	Engines  int
	Policy   Policy
	Seed     uint64
	CV       float64 // of the times between requests: 1 is Poisson
	Warmup   time.Duration
	Duration time.Duration // with the warm-up
	Lengths  Lengths       `json:"-"`

	Provisioned float64 // rate
	Units       int     // provisioned tenants
	OnDemand    float64 // rate of all well-behaved tenants together
	Tenants     int     // of these
	Aggressor   float64 // rate
	Batch       bool    // a backlog of batch rows

	Config    fair.Config `json:"-"`
	Constants step.Constants
	StaticCap int // lower-class requests on an engine
	NaiveRows int // batch rows on an engine with policies that know no batch
	Lane      bool
}

// Base returns the setup of CAPACITY's D6: an 8B model on an H100 with a
// quarter of the capacity provisioned, no other traffic.
func Base(engines int) Setup {
	c := step.H100Llama8B()
	c.Entry, c.Noise = time.Millisecond, .05
	return Setup{
		Engines: engines, Policy: Fair, Seed: 1, CV: 1,
		Warmup: 30 * time.Second, Duration: 30*time.Second + 600*time.Second/time.Duration(engines),
		Lengths: Conversation, Provisioned: 4, Units: 2, Tenants: 9,
		Config: fair.Default(), Constants: c, StaticCap: 16, NaiveRows: 160,
		Lane: engines >= 4,
	}
}

// A Result is what a run showed, after the warm-up.
type Result struct {
	// First are the first-token times in seconds, from the time at which the
	// request was to be sent; +Inf for requests that got none. Refused ones
	// are not in it.
	First [numKinds][]float64
	// Sent, Refused and Finished count requests.
	Sent, Refused, Finished [numKinds]int
	// Tokens are prompts read to their end and output, a second.
	Tokens [numKinds]float64
	// Resumed counts abort-and-resume.
	Resumed  int
	Seconds  float64
	Requests int // sent in all, with the warm-up
}

// Total is the throughput of all kinds, tokens a second.
func (r *Result) Total() (sum float64) {
	for _, t := range r.Tokens {
		sum += t
	}
	return sum
}

// Percentile returns the first-token time that so many percent of the requests
// of the kinds have at most, in seconds.
func (r *Result) Percentile(percent float64, kinds ...Kind) float64 {
	var all []float64
	for _, k := range kinds {
		all = append(all, r.First[k]...)
	}
	if len(all) == 0 {
		return math.NaN()
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(percent/100*float64(len(all))))]
}

// A request is one that was sent.
type request struct {
	fair.Request
	kind   Kind
	sent   time.Duration
	output int // true
	first  time.Duration
	cached int
	tokens int
	engine int
}

// A world is a run under way.
type world struct {
	Setup
	now     time.Duration
	sources []*Source
	batch   *Source
	engines []*step.Engine
	policy  policy
	live    map[fair.ID]*request
	nextID  fair.ID
	result  Result
	events  []step.Event
	predict int
	rows    int // batch rows that have not ended
	wanted  int
}

// Run runs a setup to its end.
func Run(s Setup) *Result {
	w := newWorld(s)
	for {
		at, what := w.next()
		if at > s.Duration {
			break
		}
		w.now = max(w.now, at)
		what()
		w.refill()
	}
	w.close()
	return &w.result
}

func newWorld(s Setup) *world {
	w := &world{Setup: s, live: map[fair.ID]*request{}, predict: 1024}
	if t, ok := s.Lengths.(Table); ok {
		_, w.predict = t.at(95)
	}
	for i := range s.Engines {
		c := s.Constants
		c.Seed = s.Seed*1000 + uint64(i)
		w.engines = append(w.engines, step.New(c))
	}
	w.sources, w.batch = s.Sources(), s.Backlog()
	w.policy, w.wanted = w.newPolicy()
	w.refill()
	return w
}

// next is what happens next, and when.
func (w *world) next() (at time.Duration, what func()) {
	at = math.MaxInt64
	for _, s := range w.sources {
		if s.At() < at {
			at, what = s.At(), func() { w.send(s) }
		}
	}
	for i, e := range w.engines {
		if t, ok := e.NextAt(); ok && t < at {
			at, what = t, func() { w.work(i) }
		}
	}
	if t, ok := w.policy.nextAt(); ok && t < at {
		at, what = t, func() { w.policy.tick() }
	}
	return at, what
}

func (w *world) measured() bool { return w.now >= w.Warmup }

func (w *world) send(s *Source) {
	prompt, output := s.Take()
	w.nextID++
	r := &request{kind: s.Kind, sent: w.now, output: output, engine: -1}
	r.Request = fair.Request{
		ID: w.nextID, Tenant: s.Tenant, Class: s.Kind.class(), Prompt: prompt, Output: w.predict,
	}
	w.live[r.ID] = r
	w.result.Requests++
	if w.measured() {
		w.result.Sent[s.Kind]++
	}
	w.policy.submit(r)
}

// refill keeps the backlog of batch rows.
func (w *world) refill() {
	if !w.Batch {
		return
	}
	for w.rows < w.wanted {
		w.rows++
		w.batch.Tenant = string(rune('a' + w.nextID%2))
		w.send(w.batch)
	}
}

// start hands a request to an engine.
func (w *world) start(r *request, engine, priority int) {
	r.engine = engine
	s := step.Sequence{ID: step.ID(r.ID), Prompt: r.Prompt, Output: r.output, Priority: priority}
	if r.Class < outcrop.ClassPriority {
		for k := range r.Prompt / step.BlockTokens {
			s.Blocks = append(s.Blocks, uint64(r.ID)<<24|uint64(k+1))
		}
	}
	if err := w.engines[engine].Submit(w.now, s); err != nil {
		panic(err) // the lengths do not fit the engines
	}
}

// work lets an engine take its step.
func (w *world) work(engine int) {
	w.events = w.engines[engine].Advance(w.now, w.events[:0])
	for _, ev := range w.events {
		r := w.live[fair.ID(ev.ID)]
		switch ev.Kind {
		case step.Started:
			r.cached = ev.N
		case step.Token:
			w.token(r, ev.N)
		case step.Finished:
			w.finish(r)
		}
	}
}

func (w *world) token(r *request, n int) {
	r.tokens = n
	tokens := 1
	if n == 1 {
		r.first = w.now
		tokens += r.Prompt
		w.policy.progress(r, 1)
	} else if n%16 == 0 {
		w.policy.progress(r, n)
	}
	if w.measured() {
		w.result.Tokens[r.kind] += float64(tokens)
	}
}

func (w *world) finish(r *request) {
	w.record(r)
	if w.measured() {
		w.result.Finished[r.kind]++
	}
	w.forget(r)
	w.policy.finished(r)
}

func (w *world) forget(r *request) {
	delete(w.live, r.ID)
	if r.kind == Batch {
		w.rows--
	}
}

func (w *world) refuse(r *request) {
	if w.measured() {
		w.result.Refused[r.kind]++
	}
	w.forget(r)
}

func (w *world) record(r *request) {
	if r.sent >= w.Warmup {
		w.result.First[r.kind] = append(w.result.First[r.kind], (r.first - r.sent).Seconds())
	}
}

// close counts what has not ended: requests without a first token, but for
// those of the last five seconds, never get one.
func (w *world) close() {
	left := make([]*request, 0, len(w.live))
	for _, r := range w.live {
		left = append(left, r)
	}
	slices.SortFunc(left, func(a, b *request) int { return cmp.Compare(a.ID, b.ID) })
	for _, r := range left {
		switch {
		case r.first > 0:
			w.record(r)
		case r.sent >= w.Warmup && r.sent < w.Duration-5*time.Second:
			w.result.First[r.kind] = append(w.result.First[r.kind], math.Inf(1))
		}
	}
	w.result.Seconds = (w.Duration - w.Warmup).Seconds()
	for k := range w.result.Tokens {
		w.result.Tokens[k] /= w.result.Seconds
	}
}
