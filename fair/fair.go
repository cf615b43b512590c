// Package fair is the scheduler of the engines that serve one model, as a pure
// state machine: it is told what happened and when, and answers with what to
// do. It has no clock, no goroutines, no locks and no randomness, so that the
// same messages always have the same outcome; the server drives it in real
// time, tests and benchmarks drive it in virtual time.
//
// Requests wait here and not in the engines. Each class of requests keeps its
// tenants in the order of what they were served so far; each tenant keeps its
// requests in the order of deadline and arrival. The next request is that of
// the least-served tenant of the highest class, and it starts as soon as an
// engine's gate is open for its class. docs/scheduler.md has all rules and
// figures, for readers who want to know why a request waited.
//
// The rules are those of strict priority with reserved floors, the virtual
// token counter (Sheng et al., OSDI 2024) between tenants, and late binding to
// engines by what is known exactly here: prompt tokens handed over whose first
// token has not come back, tokens in memory, and sequences.
package fair

import (
	"errors"
	"math"
	"time"

	"github.com/outcrop/outcrop"
)

// The reasons for which Submit does not take a request at all.
var (
	ErrRequest = errors.New("fair: a request needs a known class, a prompt of at least one token, and no negative size or time")
	ErrInUse   = errors.New("fair: the id is in use")
)

// An ID names a request; the caller chooses it. It is free again as soon as
// the request has ended.
type ID uint64

// An EngineID names an engine of the pool; the caller chooses it.
type EngineID int

// Service is what a request costs an engine, counted in tokens of prompt that
// are read: a prompt token costs 1, a cached one nothing, a token of output
// Config.OutputWeight. It is the currency of fairness and capacity alone,
// neither quota nor money.
type Service float64

// A Request asks for a place on an engine.
type Request struct {
	ID     ID
	Tenant string // whose counter is charged, within the class
	// Weight is the tenant's share relative to others of the class; the
	// latest one counts. Values that are not positive and finite mean 1.
	Weight float64
	Class  outcrop.Class
	Prompt int // tokens, at least 1
	// Cached is how many tokens of the prompt an engine is expected to have
	// in its prefix cache: any engine if Prefix is 0, otherwise only one that
	// was handed a request with the same Prefix lately.
	Cached int
	Output int // predicted tokens of output
	// MaxWait bounds the time in the queue, within the bound of the class; 0
	// is the class's bound alone.
	MaxWait time.Duration
	// Deadline is when the request must have started, on the scale of now; 0
	// if it has none. Requests of a tenant start in the order of deadlines.
	Deadline time.Duration
	Prefix   uint64 // hash of the beginning of the prompt; 0 if unknown
	// Optimized asks for an engine that is marked Optimized; any other serves
	// it too, if that is sooner.
	Optimized bool
	// Hurry has the request paid for by what Pool.Need guarantees. It waits
	// without the bound of its class.
	Hurry bool
}

// A Capacity says what an engine can do.
type Capacity struct {
	KVTokens    int     // tokens of context that fit its memory
	MaxSeqs     int     // sequences that run at the same time
	StepBudget  int     // tokens that a step computes at most
	PrefillRate float64 // tokens of prompt read in a second when nothing else runs
	DecodeRate  float64 // steps in a second when only a few sequences decode
	// Lane makes the engine a lane for short prompts: lower classes may send
	// it nothing longer than Config.LaneTokens, while enough engines stand.
	Lane bool
	// Optimized marks the engine for requests that ask for optimized latency:
	// it is kept for them while one waits and engines without the mark stand.
	Optimized bool
	// Priorities tells that the engine orders its own queue by priority.
	Priorities bool
}

// An ActionKind says what the caller is to do.
type ActionKind uint8

// The actions. Refuse and Lost end the request.
const (
	// Dispatch: send the request to Engine, with Priority if the engine takes
	// priorities.
	Dispatch ActionKind = iota + 1
	// AbortAndResume: break the request's connection to Engine, which has
	// not sent its first token; it waits in the queue again, at its old place.
	// Messages about the broken attempt must not be delivered any more.
	AbortAndResume
	// Refuse: answer that there is no room, and to retry after Retry.
	Refuse
	// Requeue: the engine was lost before the first token; the request waits
	// in the queue again, at its old place.
	Requeue
	// Lost: the engine was lost after the first token, or engines were lost
	// too often under this request.
	Lost
)

// An Action is what the caller is to do.
type Action struct {
	Kind     ActionKind
	ID       ID
	Engine   EngineID // but with Refuse
	Priority int      // with Dispatch: lower is served first by the engine
	// Wait is, with Dispatch and Refuse, the time since the request came.
	Wait time.Duration
	// Retry is, with Refuse, the time after which a retry can be expected to
	// be taken; 0 if it never will.
	Retry time.Duration
	Bound Bound // with Refuse: which limit was reached
	// Level and Limit are, with Refuse, the value that was compared with the
	// bound and the bound: seconds, requests or tokens.
	Level, Limit float64
}

// A Bound is a limit by which a request is refused.
type Bound uint8

// The bounds.
const (
	// BoundWait: the expected or actual wait exceeds that of the class, or
	// the request's own. Level and Limit are seconds.
	BoundWait Bound = iota + 1
	// BoundDeadline: the deadline passed in the queue. Seconds since Submit.
	BoundDeadline
	// BoundQueue: the queue of the class is full. Requests.
	BoundQueue
	// BoundTenant: the tenant has as many requests in the queue as there are
	// places left in it. Requests.
	BoundTenant
	// BoundSize: no standing engine has the memory. Tokens.
	BoundSize
	// BoundEngines: no engine stands, and none came back in time. Seconds.
	BoundEngines
)

// String returns the bound's name in logs and metrics.
func (b Bound) String() string {
	names := [...]string{"", "wait", "deadline", "queue", "tenant-queue", "size", "engines"}
	if int(b) < len(names) {
		return names[b]
	}
	return ""
}

// A Config holds the constants of the scheduler. Arrays are indexed by class.
type Config struct {
	// Factor is the share of an engine's memory and sequences up to which
	// the class may fill it.
	Factor [outcrop.NumClasses]float64
	// Box is the backlog of prompts on an engine, in full steps, up to which
	// the class may add to it; +Inf for no bound. An engine without backlog
	// takes one request of any length.
	Box [outcrop.NumClasses]float64
	// Bound is how long the class waits at most; 0 is without bound.
	Bound [outcrop.NumClasses]time.Duration
	// Queue is how many requests of the class may wait; 0 is without bound.
	Queue [outcrop.NumClasses]int
	// LowSeqs, if it is not 0, bounds the lower classes by a number of requests
	// on each engine, in place of what the gates measure.
	LowSeqs int
	// Floor is the share of the pool's service that a waiting class gets
	// whatever the classes above it want.
	Floor [outcrop.NumClasses]float64
	// MostNeed is the most that Pool.Need guarantees, as a share of the pool's
	// service.
	MostNeed float64
	// Priority is the hint for engines that take priorities.
	Priority [outcrop.NumClasses]int

	// OutputWeight is the cost of a token of output in tokens of prompt.
	OutputWeight float64

	// The guard keeps engines ready for the high classes, provisioned and
	// priority, at the cost of the low ones; it stands while a high class was
	// active within GuardFor. LowCap, Clear and Long are the knobs between
	// isolation and harvest.
	GuardFor time.Duration
	// LowCap is the share of an engine's PrefillRate that low classes may
	// use; 0 leaves them uncapped.
	LowCap float64
	// Clear is how many other engines must read no prompt for one to be given
	// a prompt of a low class, one more if it is longer than Long full steps.
	Clear int
	Long  float64
	// LaneTokens is the longest prompt of low classes in a lane, and LaneSeqs
	// how many of their requests it takes at a time, so that its steps stay
	// short; 0 is without bound. LaneEngines is how many engines must stand for
	// lanes and Clear to have effect.
	LaneTokens, LaneSeqs, LaneEngines int
	// MaxAborts is how often a request is aborted and resumed; 0 turns that
	// off. AbortTokens is how much of its prompt must be left to be worth it,
	// and AbortEvery the least time between two such moments on an engine.
	MaxAborts   int
	AbortTokens int
	AbortEvery  time.Duration
	// MaxLosses is how many engines may be lost under a request that has no
	// first token before it is given up: it may be what kills them.
	MaxLosses int
	// Grace is how long requests wait when no engine stands.
	Grace time.Duration
}

// Harvest returns the constants for those who want nearly all idle capacity
// used and let provisioned requests wait a little more for it.
func Harvest() Config {
	c := Default()
	c.LowCap, c.Clear, c.Long, c.LaneSeqs = 0, 0, .75, 0
	return c
}

// Default returns the constants with which the isolation benchmark was run.
func Default() Config {
	return Config{
		Factor:       [...]float64{.6, .6, .75, .9, 1},
		Box:          [...]float64{.25, .25, .5, 2, math.Inf(1)},
		Bound:        [...]time.Duration{0, 10 * time.Minute, 20 * time.Second, 5 * time.Second, 0},
		Queue:        [...]int{100_000, 100_000, 100_000, 100_000, 0},
		Floor:        [...]float64{0, 0, .05, 0, 0},
		MostNeed:     .3,
		Priority:     [...]int{100, 30, 20, 10, 0},
		OutputWeight: 4,
		GuardFor:     time.Minute,
		LowCap:       .55,
		Clear:        1,
		Long:         .66,
		LaneTokens:   512,
		LaneSeqs:     16,
		LaneEngines:  4,
		MaxAborts:    3,
		AbortTokens:  512,
		AbortEvery:   100 * time.Millisecond,
		MaxLosses:    3,
		Grace:        5 * time.Second,
	}
}
