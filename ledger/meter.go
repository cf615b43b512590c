package ledger

import (
	"math"
	"math/bits"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
)

// An Amount is what a request counts, in what its scope limits: requests and
// quota tokens on demand, quota tokens of input and of output on a unit.
type Amount struct {
	Requests      int64
	Tokens        outcrop.QuotaTokens
	Input, Output outcrop.QuotaTokens
}

// A Tally adds up amounts. At any time, and for each kind of amount,
//
//	Reserved = Held + Settled + Expired + Returned
//
// and Overrun is the part of Reserved that was charged without asking.
type Tally struct{ Reserved, Held, Settled, Expired, Returned, Overrun Amount }

func (a Amount) plus(b Amount) Amount {
	return Amount{a.Requests + b.Requests, a.Tokens + b.Tokens, a.Input + b.Input, a.Output + b.Output}
}

func (a Amount) minus(b Amount) Amount {
	return Amount{a.Requests - b.Requests, a.Tokens - b.Tokens, a.Input - b.Input, a.Output - b.Output}
}

// beyond returns what a has more than b, kind by kind.
func (a Amount) beyond(b Amount) Amount {
	return Amount{max(a.Requests-b.Requests, 0), max(a.Tokens-b.Tokens, 0), max(a.Input-b.Input, 0), max(a.Output-b.Output, 0)}
}

func (t *Tally) add(u Tally) {
	t.Reserved = t.Reserved.plus(u.Reserved)
	t.Held = t.Held.plus(u.Held)
	t.Settled = t.Settled.plus(u.Settled)
	t.Expired = t.Expired.plus(u.Expired)
	t.Returned = t.Returned.plus(u.Returned)
	t.Overrun = t.Overrun.plus(u.Overrun)
}

// A meter is the state of one scope.
type meter struct {
	scope    Scope
	burndown Burndown
	limits   Limits
	rpm, tpm bucket.Leak
	tpd      bucket.Day
	unit     *unit // nil on demand
	open     int   // reservations
	tally    Tally
}

type unit struct {
	Unit
	level   bucket.Dual
	removed bool
}

// limit puts limits in force while the levels stay; what is not measured any
// more has none.
func (m *meter) limit(l Limits, t instant) {
	m.limits, m.burndown = l, l.Burndown
	resize(&m.rpm, l.RequestsPerMinute, l.Burst, t)
	resize(&m.tpm, int64(l.TokensPerMinute), l.Burst, t)
	if l.TokensPerDay <= 0 {
		m.tpd = bucket.Day{}
		return
	}
	m.tpd.Resize(int64(l.TokensPerDay))
}

func resize(b *bucket.Leak, rate int64, window time.Duration, t instant) {
	if rate <= 0 {
		*b = bucket.Leak{}
		return
	}
	b.Resize(t.mono, rate, burst(rate, window))
}

// burst is what a rate per minute gives in the time b, rounded down, but at
// least 1.
func burst(rate int64, b time.Duration) int64 {
	hi, lo := bits.Mul64(uint64(rate), uint64(b))
	if hi >= uint64(time.Minute) {
		return math.MaxInt64
	}
	units, _ := bits.Div64(hi, lo, uint64(time.Minute))
	return max(int64(min(units, math.MaxInt64)), 1)
}

// cost weighs a usage by b.
func (m *meter) cost(b Burndown, u outcrop.Usage) Amount {
	if m.unit == nil {
		return Amount{Requests: 1, Tokens: b.Tokens(u)}
	}
	input, output := b.parts(u)
	return Amount{Input: input, Output: output}
}

// charge adds to all levels without asking. Tokens count on the day on which
// their request was admitted, and on no other.
func (m *meter) charge(a Amount, day int64, t instant) {
	if m.unit != nil {
		m.unit.level.Add(t.mono, int64(a.Input), int64(a.Output))
		return
	}
	if m.limits.RequestsPerMinute > 0 {
		m.rpm.Add(t.mono, a.Requests)
	}
	if m.limits.TokensPerMinute > 0 {
		m.tpm.Add(t.mono, int64(a.Tokens))
	}
	if m.limits.TokensPerDay > 0 && day == t.day {
		m.tpd.Add(t.wall, int64(a.Tokens))
	}
}

// refund takes back from all levels what was charged for a request that was
// admitted on the day.
func (m *meter) refund(a Amount, day int64, t instant) {
	if m.unit != nil {
		m.unit.level.Return(t.mono, int64(a.Input), int64(a.Output))
		return
	}
	m.rpm.Return(t.mono, a.Requests)
	m.tpm.Return(t.mono, int64(a.Tokens))
	m.tpd.Return(t.wall, int64(a.Tokens), day)
}

// idle reports whether a new meter would behave the same.
func (m *meter) idle(t instant) bool {
	if m.open > 0 {
		return false
	}
	if m.unit != nil {
		return m.unit.removed
	}
	return m.rpm.Level(t.mono) == 0 && m.tpm.Level(t.mono) == 0 && m.tpd.Used(t.wall) == 0
}

// wait returns how long the limit would have a request wait; parity tells
// whether more than the limit itself waits for ever.
func (m *meter) wait(limit Limit, a Amount, parity bool, t instant) time.Duration {
	need, most, lag := int64(a.Tokens), int64(0), t.monoLag
	var wait time.Duration
	switch limit {
	case RequestsPerMinute:
		need, most = a.Requests, m.rpm.Burst()
		wait = m.rpm.Would(t.mono, need)
	case TokensPerMinute:
		most = m.tpm.Burst()
		wait = m.tpm.Would(t.mono, need)
	case TokensPerDay:
		most, lag = m.tpd.Limit(), t.wallLag
		wait = m.tpd.Would(t.wall, need)
	}
	if parity && need > most {
		return bucket.Never
	}
	if wait == 0 || wait > bucket.Never-lag {
		return wait
	}
	return wait + lag
}

// refuses returns the limit with the longest wait, or a wait of 0.
func (m *meter) refuses(a Amount, parity bool, t instant) (limit Limit, wait time.Duration) {
	if m.unit != nil {
		return m.unit.refuses(t)
	}
	for _, l := range [...]struct {
		limit Limit
		value int64
	}{
		{RequestsPerMinute, m.limits.RequestsPerMinute},
		{TokensPerMinute, int64(m.limits.TokensPerMinute)},
		{TokensPerDay, int64(m.limits.TokensPerDay)},
	} {
		if l.value == Unlimited {
			continue
		}
		if w := m.wait(l.limit, a, parity, t); w > wait {
			limit, wait = l.limit, w
		}
	}
	return limit, wait
}

func (u *unit) refuses(t instant) (limit Limit, wait time.Duration) {
	if u.removed {
		return NoUnit, bucket.Never
	}
	wait, output := u.level.Wait(t.mono)
	if wait > 0 && wait <= bucket.Never-t.monoLag {
		wait += t.monoLag
	}
	switch {
	case output:
		return UnitOutput, wait
	case u.level.Rates().Together > 0:
		return UnitTokens, wait
	}
	return UnitInput, wait
}

// status returns how full the limit is; ok is false if it limits nothing.
func (m *meter) status(limit Limit, t instant) (s Status, ok bool) {
	leak := func(l *bucket.Leak, ok bool) (Status, bool) {
		return Status{limit, l.Level(t.mono), l.Burst(), l.Percent(t.mono)}, ok
	}
	onDemand := m.unit == nil
	switch limit {
	case RequestsPerMinute:
		return leak(&m.rpm, onDemand && m.limits.RequestsPerMinute != Unlimited)
	case TokensPerMinute:
		return leak(&m.tpm, onDemand && m.limits.TokensPerMinute != Unlimited)
	case TokensPerDay:
		return Status{limit, m.tpd.Used(t.wall), m.tpd.Limit(), m.tpd.Percent(t.wall)}, onDemand && m.limits.TokensPerDay != Unlimited
	}
	if onDemand || limit == NoUnit {
		return Status{}, false
	}
	u := m.unit
	r := u.level.Rates()
	switch limit {
	case UnitInput:
		return leak(u.level.Input(), r.Together <= 0 && (r.Input > 0 || r.Output <= 0))
	case UnitOutput:
		return leak(u.level.Output(), r.Together <= 0 && r.Output > 0)
	}
	return leak(u.level.Input(), r.Together > 0)
}
