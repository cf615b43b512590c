// Package ledger decides whether a request may run, keeps what it may use in
// reserve while it runs, and settles what it did use: reserve -> run ->
// settle. It covers the limits of on-demand use (requests a minute, quota
// tokens a minute and a day, by account and model) and the levels of
// provisioned units. docs/quotas.md has every formula with an example.
//
// Three rules hold throughout. All limits are asked before any is charged. A
// request that runs is never cut: what it uses beyond its estimate is charged
// without asking. And a reservation is a lease: it ends by Settle, Release or
// Expire, each of which gives back what was not used, and it ends only once.
//
// A Ledger is a pure state machine: it has no clock, no goroutines and no
// locks, and the same calls always have the same outcome. Time is an
// argument: the distance from the Unix epoch. A time before the latest one
// counts as that latest one, so callers read a clock that is not set back
// while they run: the time of their start plus what a monotonic clock says
// has passed. It is not safe for concurrent use.
package ledger

import (
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
)

// The defaults of a Config.
const (
	DefaultLease    = 10 * time.Minute
	DefaultRemember = 8192
	DefaultLearned  = 4096
)

// A Config says what is limited and how. It is not modified and may be shared.
type Config struct {
	// Rules set the limits, see Limits. Of two with the same scope the later
	// one counts.
	Rules []Rule
	// Parity reserves as Bedrock does: every token of the prompt and
	// max_tokens once each, without weights and without learning; and it
	// refuses for good what is larger than the limit itself.
	Parity bool
	// Lease is how long a reservation lasts without a sign of life, for
	// requests that do not say; 0 means DefaultLease.
	Lease time.Duration
	// Remember is how many ended ids are known, so that an event that comes
	// again is seen to be one; 0 means DefaultRemember.
	Remember int
	// Learned is for how many pairs of account and model output lengths are
	// learned; of more, the one that learned least recently is forgotten. 0
	// means DefaultLearned.
	Learned int
}

// A Ledger is the state. Use New or Restore.
type Ledger struct {
	config Config
	rules  map[Scope]Limits
	clock  clock

	meters map[Scope]*meter
	order  []*meter // all meters, for the sweep
	hand   int
	idle   []*meter // that were dropped

	leases map[ID]*lease // open and ended
	due    due           // the open ones by the end of their lease
	ended  ring
	spare  []*lease

	learned learned
	gone    Tally // of the meters that were dropped
}

// New returns a ledger in which nothing is used.
func New(c Config) *Ledger {
	l := &Ledger{meters: map[Scope]*meter{}, leases: map[ID]*lease{}}
	l.learned.init()
	l.configure(c)
	return l
}

// Configure replaces the configuration. Levels and reservations stay.
func (l *Ledger) Configure(c Config, now time.Duration) {
	t := l.clock.read(now)
	l.configure(c)
	for _, m := range l.order {
		if m.scope.Unit == "" {
			m.limit(l.limits(m.scope), t)
		}
	}
}

func (l *Ledger) configure(c Config) {
	if c.Lease <= 0 {
		c.Lease = DefaultLease
	}
	if c.Remember <= 0 {
		c.Remember = DefaultRemember
	}
	if c.Learned <= 0 {
		c.Learned = DefaultLearned
	}
	l.config = c
	l.rules = make(map[Scope]Limits, len(c.Rules))
	for _, r := range c.Rules {
		l.rules[Scope{Account: r.Account, Model: r.Model}] = r.Limits
	}
	l.learned.bound(c.Learned)
	for l.ended.len() > c.Remember {
		l.forget(l.ended.pop())
	}
}

// A Unit is a provisioned unit, or several of them bought together.
type Unit struct {
	ID    string       // as requests name it
	Rates bucket.Rates // of one model unit
	Units int64        // model units
	// Window is how much of a rate may come at once, see bucket.NewDual.
	Window time.Duration
	// Burndown weighs what a prompt costs; the zero value means
	// UnitBurndown.
	Burndown Burndown
}

// SetUnit adds a unit, or resizes it in place: what it owes, in tokens, stays
// owed, and drains at the new rate.
func (l *Ledger) SetUnit(u Unit, now time.Duration) {
	l.setUnit(u, l.clock.read(now))
}

func (l *Ledger) setUnit(u Unit, t instant) {
	m := l.meters[Scope{Unit: u.ID}]
	if m == nil {
		m = l.meter(Scope{Unit: u.ID})
		m.unit = &unit{}
	}
	if m.unit.removed && m.open == 0 {
		m.unit.level = bucket.Dual{}
	}
	m.unit.Unit, m.unit.removed = u, false
	if m.burndown = u.Burndown.bounded(); m.burndown == (Burndown{}) {
		m.burndown = UnitBurndown
	}
	m.unit.level.Resize(t.mono, u.Rates.Times(u.Units), u.Window)
}

// RemoveUnit ends a unit. It refuses from now on; what runs on it settles as
// ever, and then it is gone. An unknown id is harmless.
func (l *Ledger) RemoveUnit(id string) {
	if m := l.meters[Scope{Unit: id}]; m != nil {
		m.unit.removed = true
	}
}

// maxIdle is for how many meters that were dropped the memory is kept.
const maxIdle = 64

// meter adds an empty meter for the scope.
func (l *Ledger) meter(s Scope) *meter {
	m := &meter{}
	if last := len(l.idle) - 1; last >= 0 {
		m = l.idle[last]
		l.idle = l.idle[:last]
	}
	*m = meter{scope: s}
	l.meters[s] = m
	l.order = append(l.order, m)
	return m
}

// sweep looks at three meters, in turn, and drops those that a new one would
// equal. A call adds at most one, and at most one look falls on a new one that
// takes the place of one that was dropped, so the idle ones are soon gone.
func (l *Ledger) sweep(t instant) {
	for range min(3, len(l.order)) {
		if l.hand >= len(l.order) {
			l.hand = 0
		}
		m := l.order[l.hand]
		if !m.idle(t) {
			l.hand++
			continue
		}
		last := len(l.order) - 1
		l.order[l.hand], l.order[last] = l.order[last], nil
		l.order = l.order[:last]
		delete(l.meters, m.scope)
		l.gone.add(m.tally)
		if len(l.idle) < maxIdle {
			l.idle = append(l.idle, m)
		}
	}
}

// InFlight returns how many reservations are open.
func (l *Ledger) InFlight() int { return len(l.due) }

// Meters returns how many pairs of account and model, and units, have a
// state: what the ledger's memory grows with.
func (l *Ledger) Meters() int { return len(l.order) }

// Tally returns what the ledger did, over all scopes.
func (l *Ledger) Tally() Tally {
	sum := l.gone
	for _, m := range l.order {
		sum.add(m.tally)
	}
	return sum
}

// A Status is how full one limit is.
type Status struct {
	Limit   Limit
	Level   int64 // rounded up, in requests or quota tokens
	Max     int64
	Percent int64
}

// Status returns how full the limits of a scope are; those without a limit
// are left out. A unit that is not known has none.
func (l *Ledger) Status(s Scope, now time.Duration) []Status {
	t := l.clock.read(now)
	m := l.meters[s]
	if m == nil {
		if s.Unit != "" {
			return nil
		}
		m = &meter{}
		m.limit(l.limits(s), t)
	}
	var all []Status
	for limit := RequestsPerMinute; limit <= UnitTokens; limit++ {
		if st, ok := m.status(limit, t); ok {
			all = append(all, st)
		}
	}
	return all
}

// Learned returns the learned estimate of an output of the account and model,
// and from how many outputs it was learned.
func (l *Ledger) Learned(account, model string) (tokens, outputs int) {
	return l.learned.estimate(Scope{Account: account, Model: model})
}

// tokens is a count of tokens as the ledger takes it.
func tokens(n int) int64 { return int64(min(max(n, 0), maxTokens)) }

// maxTokens bounds every count of tokens of one request, so that no weighted
// sum of four of them can overflow.
const maxTokens = 1 << 31

func quota(n int64) outcrop.QuotaTokens { return outcrop.QuotaTokens(n) }
