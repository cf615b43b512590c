// Package capacity runs the engines of one model: it drives the scheduler of
// package fair with real requests, real engines and real time, and learns what
// the engines can do with package estimate.
//
// A request path and a dispatcher talk by messages alone (see dispatcher): the
// path hands a request in and hears of its fate, then tells of the first token,
// of progress and of the end. Answers go straight from the engine to the
// caller.
package capacity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/estimate"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
)

// A Config describes the pool of one model's engines.
type Config struct {
	// Model names the pool in messages to callers: the card's id.
	Model string
	// Scheduler holds the constants of the scheduler; the zero value means
	// fair.Default().
	Scheduler fair.Config
	Engines   []Engine
	// Terms says what a request is entitled to; nil means Terms{} for all. It
	// is called once for each request, must not block, and is called
	// concurrently.
	Terms func(*outcrop.Request) Terms
	// ScrapeEvery is the time between two scrapes of an engine's metrics, which
	// is also what one may take at most; 0 means a second.
	ScrapeEvery time.Duration
}

// An Engine is one replica of a pool.
type Engine struct {
	Name  string // unique in the pool
	Model outcrop.Model
	// Capacity is what the engine is thought to be able to do; see Of and
	// Unknown. MaxSeqs is the most that it is ever given at a time. Its marks,
	// which neither of these sets, are kept as they are: Lane, Optimized, and
	// Priorities, with which the engine gets Request.Priority.
	Capacity fair.Capacity
	// Fixed keeps the rates of Capacity as they are. Otherwise they are where
	// the estimate begins. Measured tells that they were measured of this
	// engine: they count until what is seen is far off.
	Fixed, Measured bool
	// Stream asks the engine to stream even if the caller does not, so that
	// the first token of each conversation is seen when it comes. Native
	// bodies are left as they are.
	Stream bool
	// Whole tells that what does not stream comes in one piece: the end of an
	// answer follows its beginning at once. Of others the dispatcher is told
	// when they begin, and of their tokens.
	Whole bool
	// Metrics fetches what the engine says of itself; nil if it says nothing.
	// See VLLM.
	Metrics func(context.Context) (estimate.Scrape, error)
}

// Terms are what a request is entitled to in the queue.
type Terms struct {
	// Weight is the share of the request's tenant relative to the others of
	// its class, such as the units it has bought; 0 means 1.
	Weight float64
	// MaxWait bounds the time in the queue, within the bound of the class; 0
	// means the class's alone.
	MaxWait time.Duration
	// Deadline is when the request must have started; zero if it has none. The
	// requests of a tenant start in the order of their deadlines.
	Deadline time.Time
}

// Of returns the capacity of an engine of which the constants of package step
// are known, by calibration or as the card's. Constants of an engine that is
// faster than life must be scaled first.
//
// What is on its way to the engine for Entry counts as unread all the while, so
// that a step is taken to be larger by what the engine reads in that time.
func Of(c step.Constants) fair.Capacity {
	token := max(float64(c.Token)/1000, 1e-3)
	return fair.Capacity{
		KVTokens: c.KVTokens, MaxSeqs: c.MaxSeqs, StepBudget: c.Budget + int(float64(c.Entry)/token),
		PrefillRate: float64(time.Second) / token,
		DecodeRate:  float64(time.Second) / max(float64(c.Overhead+c.Weights), 1),
	}
}

// What an engine is counted with of which it is not known: more than any has,
// also when it is given a fifth of it.
const (
	unknownKV   = 1 << 40
	unknownSeqs = 1 << 16
)

// Unknown returns the capacity of an engine of which only the number of
// requests that it takes at a time is known, or not even that (0). It is no
// gate but for that number, until the engine itself refuses; its rates are to
// be estimated.
func Unknown(limit int) fair.Capacity {
	if limit <= 0 {
		limit = unknownSeqs
	}
	return fair.Capacity{KVTokens: unknownKV, MaxSeqs: limit, StepBudget: 1 << 30, PrefillRate: 10_000, DecodeRate: 50}
}

// A Pool is a Model that gives each request to one of its engines when the
// scheduler says so. It is safe for concurrent use.
type Pool struct {
	config Config
	local  *local
	queue  dispatcher // local, as the request path sees it
	ids    atomic.Uint64
	caches prefixes
	// engines are those of the latest Update and of the one before, by name:
	// one that leaves may have been granted.
	engines atomic.Pointer[map[string]*Engine]

	invocations sync.Pool // of *invocation

	scraping context.Context
	stop     context.CancelFunc
	scrapers sync.WaitGroup
	updating sync.Mutex // one Update or Close at a time
	latest   []Engine   // of the latest Update
	scraped  map[string]context.CancelFunc
}

// ErrName is why New and Update refuse engines.
var ErrName = errors.New("capacity: engines need a model and names that are not empty and differ")

// New returns a pool of the engines; there may be none yet. Close it when it is
// not used any more.
func New(c Config) (*Pool, error) {
	if c.Scheduler == (fair.Config{}) {
		c.Scheduler = fair.Default()
	}
	if c.ScrapeEvery <= 0 {
		c.ScrapeEvery = time.Second
	}
	d := newLocal(c.Scheduler)
	p := &Pool{config: c, local: d, queue: d, scraped: map[string]context.CancelFunc{}}
	p.invocations.New = func() any { return new(invocation) }
	p.scraping, p.stop = context.WithCancel(context.Background())
	if err := p.Update(c.Engines); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// Update makes the engines of the pool those given. One of a name that was
// there keeps what was learned of it, with the new Capacity as its bound; its
// rates begin anew if those given are others than before. One
// that is not there any more gets nothing new and leaves once it is empty. No
// request is lost.
func (p *Pool) Update(engines []Engine) error {
	if err := check(engines); err != nil {
		return err
	}
	p.updating.Lock()
	defer p.updating.Unlock()
	p.know(engines)
	p.local.update(engines)
	p.scrape(engines)
	return nil
}

// know makes the engines those that requests can be given to.
func (p *Pool) know(engines []Engine) {
	known := map[string]*Engine{}
	for _, e := range p.latest {
		known[e.Name] = &e
	}
	p.latest = slices.Clone(engines)
	for _, e := range engines {
		known[e.Name] = &e
	}
	p.engines.Store(&known)
}

// engine returns the engine of that name; nil if there is none.
func (p *Pool) engine(name string) *Engine { return (*p.engines.Load())[name] }

func check(engines []Engine) error {
	seen := map[string]bool{}
	for _, e := range engines {
		if e.Name == "" || e.Model == nil || seen[e.Name] {
			return fmt.Errorf("%w: %q", ErrName, e.Name)
		}
		seen[e.Name] = true
	}
	return nil
}

// Drain gives the engine of that name nothing new, or takes it back. It reports
// whether there is such an engine.
func (p *Pool) Drain(name string, drain bool) bool { return p.local.drain(name, drain) }

// Remove takes an engine that is gone out of the pool at once. Its requests
// without a token wait again; the others fail. It reports whether there was
// such an engine.
func (p *Pool) Remove(name string) bool { return p.local.remove(name) }

// SetFloor changes the share of service that a class gets whatever the classes
// above it want.
func (p *Pool) SetFloor(c outcrop.Class, share float64) { p.local.setFloor(c, share) }

// Need tells how many requests a second must start of the batch jobs that
// hurry, those whose records run above class batch; 0 if there are none. They
// are given that while they wait, up to the bound of the scheduler.
func (p *Pool) Need(perSecond float64) { p.local.need(perSecond) }

// Close refuses what waits and what comes, and ends the pool's background
// work. What runs goes on. Close waits for scrapes under way to end.
func (p *Pool) Close() {
	p.updating.Lock()
	defer p.updating.Unlock()
	p.stop()
	p.local.close()
	p.scrapers.Wait()
}
