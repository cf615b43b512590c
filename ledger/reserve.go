package ledger

import (
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
)

// Reserve asks all limits of the request's scope and, if none refuses,
// charges the estimate to all of them. Otherwise it charges nothing and says
// why. For a request that runs already it returns the grant that it has.
func (l *Ledger) Reserve(r *Request, now time.Duration) (Grant, *Refusal) {
	t := l.clock.read(now)
	l.sweep(t)
	if x := l.leases[r.ID]; x != nil {
		return l.again(x, r, now, t)
	}
	m := l.scope(r, t)
	if m == nil {
		return Grant{}, &Refusal{Scope: Scope{Unit: r.Unit}, Limit: NoUnit, Wait: bucket.Never}
	}
	estimate := r.Prompt
	estimate.Output = l.output(r)
	burndown := m.burndown
	if l.config.Parity && m.unit == nil {
		burndown = unweighted
	}
	want := m.cost(burndown, estimate)
	if limit, wait := m.refuses(want, l.config.Parity, t); wait > 0 {
		return Grant{}, m.refusal(limit, want, wait, t)
	}
	m.charge(want, t.day, t)
	m.open++
	m.tally.Reserved = m.tally.Reserved.plus(want)
	m.tally.Held = m.tally.Held.plus(want)
	x := l.fresh()
	*x = lease{id: r.ID, owner: Scope{Account: r.Account, Model: r.Model}, meter: m,
		estimate: estimate, granted: want, held: want, day: t.day, ttl: r.Lease}
	if x.ttl <= 0 {
		x.ttl = l.config.Lease
	}
	x.until = later(t.mono, x.ttl)
	l.leases[r.ID] = x
	l.due.push(x)
	return x.grant(now, t), nil
}

// again answers a request whose id is known.
func (l *Ledger) again(x *lease, r *Request, now time.Duration, t instant) (Grant, *Refusal) {
	if x.state == open {
		return x.grant(now, t), nil
	}
	scope := Scope{Account: r.Account, Model: r.Model}
	if r.Unit != "" {
		scope = Scope{Unit: r.Unit}
	}
	return Grant{}, &Refusal{Scope: scope, Limit: SeenBefore, Wait: bucket.Never}
}

func (x *lease) grant(now time.Duration, t instant) Grant {
	return Grant{Reserved: x.granted, Output: x.estimate.Output, Until: later(max(now, 0)+t.monoLag, x.until-t.mono)}
}

// scope returns the meter that the request counts on; nil if it names a unit
// that is not there.
func (l *Ledger) scope(r *Request, t instant) *meter {
	if r.Unit != "" {
		return l.meters[Scope{Unit: r.Unit}]
	}
	s := Scope{Account: r.Account, Model: r.Model}
	m := l.meters[s]
	if m == nil {
		m = l.meter(s)
		m.limit(l.limits(s), t)
	}
	return m
}

// output is the estimate of the tokens that the request will produce.
func (l *Ledger) output(r *Request) int {
	if r.MaxTokens < 0 {
		return 0
	}
	most := r.MaxTokens
	if most == 0 {
		most = r.ModelMax
	}
	if l.config.Parity {
		return min(max(most, 0), maxTokens)
	}
	estimate, _ := l.learned.estimate(Scope{Account: r.Account, Model: r.Model})
	if most > 0 {
		estimate = min(estimate, most)
	}
	return estimate
}

func (m *meter) refusal(limit Limit, want Amount, wait time.Duration, t instant) *Refusal {
	r := &Refusal{Scope: m.scope, Limit: limit, Wait: wait}
	if s, ok := m.status(limit, t); ok {
		r.Level, r.Max, r.Percent = s.Level, s.Max, s.Percent
	}
	switch limit {
	case RequestsPerMinute:
		r.Need = want.Requests
	case UnitInput:
		r.Need = int64(want.Input)
	case UnitOutput:
		r.Need = int64(want.Output)
	case UnitTokens:
		r.Need = int64(want.Input + want.Output)
	default:
		r.Need = int64(want.Tokens)
	}
	return r
}

// later is a+b, or the end of time.
func later(a, b time.Duration) time.Duration {
	if a > bucket.Never-b {
		return bucket.Never
	}
	return a + b
}

// TopUp tells how many tokens of output a running request has produced so
// far, and is a sign of life: the lease begins anew. Beyond the estimate it
// reserves in steps of Step tokens, and it never refuses. It returns false
// for an id that is unknown or has ended, which is harmless.
func (l *Ledger) TopUp(id ID, output int, now time.Duration) bool {
	t := l.clock.read(now)
	x := l.leases[id]
	if x == nil || x.state != open {
		return false
	}
	x.produced = min(max(x.produced, output), maxTokens)
	covered := x.estimate
	covered.Output = cover(x.produced, x.estimate.Output)
	l.grow(x, x.meter.cost(x.meter.burndown, covered), t)
	x.until = later(t.mono, x.ttl)
	l.due.fix(x.index)
	return true
}

// Step is by how many tokens of output TopUp reserves.
const Step = 256

// cover is for how many tokens of output to reserve when so many were
// produced: whole steps, from zero up to the estimate and from there on.
func cover(produced, estimate int) int {
	steps := func(n int) int { return (n + Step - 1) / Step * Step }
	if produced <= estimate {
		return min(steps(produced), estimate)
	}
	return estimate + steps(produced-estimate)
}

// Settle ends a reservation with what was used: the levels are what they
// would be had the use been known from the start, except where they had
// drained to zero in between. It returns false for an id that is unknown or
// has ended, which is harmless.
func (l *Ledger) Settle(id ID, used outcrop.Usage, now time.Duration) (Settlement, bool) {
	t := l.clock.read(now)
	x := l.leases[id]
	if x == nil || x.state != open {
		return Settlement{}, false
	}
	if used.Output > 0 {
		l.learned.observe(x.owner, min(used.Output, maxTokens), l.config.Learned)
	}
	return l.end(x, settled, x.meter.cost(x.meter.burndown, used), t), true
}

// Release ends the reservation of a request that never ran: all of it is
// given back, the request itself too. It returns false for an id that is
// unknown or has ended, which is harmless.
func (l *Ledger) Release(id ID, now time.Duration) (Settlement, bool) {
	t := l.clock.read(now)
	x := l.leases[id]
	if x == nil || x.state != open {
		return Settlement{}, false
	}
	return l.end(x, released, Amount{}, t), true
}

// Expire ends the leases that are over and returns them by the time of their
// end. Whoever held them gave no sign of life; they are charged for their
// prompt as estimated and for the output that TopUp told of.
func (l *Ledger) Expire(now time.Duration) []Settlement {
	t := l.clock.read(now)
	var gone []Settlement
	for len(l.due) > 0 && l.due[0].until <= t.mono {
		x := l.due[0]
		known := x.estimate
		known.Output = x.produced
		gone = append(gone, l.end(x, expired, x.meter.cost(x.meter.burndown, known), t))
	}
	return gone
}

// NextExpiry returns how long after now Expire has something to do; ok is
// false if nothing is open.
func (l *Ledger) NextExpiry(now time.Duration) (wait time.Duration, ok bool) {
	t := l.clock.read(now)
	if len(l.due) == 0 {
		return 0, false
	}
	return later(max(l.due[0].until-t.mono, 0), t.monoLag), true
}
