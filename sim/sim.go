// Package sim is the simulated engine: a Model that runs no model. Its times
// come from a step-based model of continuous batching (package step) that all
// its requests share, so that prompts hold up answers and overload looks like
// overload. Its texts are made up from a seed and the conversation: the same
// request gets the same answer. Receipts, and the texts themselves, say that
// they are simulated.
package sim

import (
	"math"
	"regexp"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/step"
)

// A Config describes a simulated engine, which is one machine that runs one
// model.
type Config struct {
	// Name goes into receipts; "sim" if empty.
	Name string
	// Card is the model that the engine plays: it gives the constants, the
	// limits, and the name in the texts. It may be nil.
	Card *outcrop.Card
	// Speed scales time: 1 is true to life, 10 ten times as fast. With 0 or
	// infinity nothing waits, and nothing contends either.
	Speed float64
	// Seed chooses the texts, and which calls the faults of a rate hit.
	Seed uint64
	// Replies are canned answers, tried in order.
	Replies []Reply
	Faults  []Fault
	// Constants replace those of ConstantsFor(Card), each where it is not
	// zero. Entry is ignored: it follows from FirstToken.
	Constants step.Constants
	// FirstToken is the time to the first token of a short prompt on the
	// idle machine; 0 means FirstTokenFor(Card).
	FirstToken time.Duration
	// CacheMinimum is the least number of tokens before a cache point that
	// the simulated prompt cache keeps. Real models want 1,024 and more; 0
	// keeps any, so that short tests see the cache at work.
	CacheMinimum int
}

// A Reply is a canned answer: to requests whose last text of the user Match
// matches, the answer is Text, in which $1 stands for what the first group
// matched. A nil Match matches everything.
type Reply struct {
	Match *regexp.Regexp
	Text  string
}

// An Engine is a simulated engine: a Model and a Counter. It has no
// goroutines and needs no closing.
type Engine struct {
	name    string
	seed    uint64
	minimum int
	replies []Reply
	faults  faults
	cache   promptCache
	machine machine
}

var (
	_ outcrop.Model   = (*Engine)(nil)
	_ outcrop.Counter = (*Engine)(nil)
)

// New returns an idle engine.
func New(c Config) *Engine {
	if c.Name == "" {
		c.Name = "sim"
	}
	e := &Engine{name: c.Name, seed: c.Seed, minimum: c.CacheMinimum, replies: c.Replies}
	e.faults.init(c.Faults, c.Seed)
	e.machine.init(Machine(c))
	return e
}

// Machine returns the constants of the machine that an engine with the
// configuration runs on, at its speed. Instant tells that nothing waits.
func Machine(c Config) (k step.Constants, instant bool) {
	k = override(c.Constants, c.Card, c.FirstToken)
	if c.Speed <= 0 || math.IsInf(c.Speed, 1) || math.IsNaN(c.Speed) {
		return k, true
	}
	return k.Scaled(c.Speed), false
}
