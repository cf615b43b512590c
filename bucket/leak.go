// Package bucket is the arithmetic of limits: levels that rise with what is
// taken and drain at a fixed rate, windows of a day, and the pair of levels of
// a provisioned unit. All of it is exact: integers only, so that no sequence
// of calls, however long, drifts from the formulas.
//
// Time is an argument: a distance from the Unix epoch, so that midnight UTC is
// a multiple of 24 hours. It is clamped: a time before the latest one that a
// bucket has seen counts as that latest one. Amounts are int64 of a unit of
// the caller's choice; negative ones count as 0, and levels saturate at 2^61.
//
// The types are plain values, not safe for concurrent use.
package bucket

import (
	"math"
	"math/bits"
	"time"
)

// Never is the wait for what cannot come while the limits stay as they are.
const Never = time.Duration(math.MaxInt64)

const (
	minute  = int64(time.Minute)
	ceiling = int64(1) << 61
)

// A Leak is a level that drains at a rate per minute, down to zero, and that
// admits up to a burst: the leaky bucket as a meter, which decides as GCRA
// does. The level may stand above the burst: Add does not ask.
//
// The zero Leak has no rate and no burst: it admits nothing.
type Leak struct {
	rate, burst int64
	// The level is whole + part/minute, with 0 <= part < minute: a rate of r
	// a minute drains r parts in a nanosecond, so nothing is ever rounded.
	whole, part int64
	at          time.Duration
}

// NewLeak returns an empty level that drains by rate units a minute and
// admits up to burst units.
func NewLeak(rate, burst int64) Leak {
	return Leak{rate: bound(rate), burst: bound(burst)}
}

// Would returns how long after now Take would succeed if nothing else
// happened: 0 for at once, otherwise the least number of nanoseconds d with
//
//	level - rate*d/minute + min(cost, burst) <= burst
//
// A cost above the burst is thus admitted once the level is zero, and paid in
// full. A cost of 0 is always admitted.
func (b *Leak) Would(now time.Duration, cost int64) time.Duration {
	b.drain(now)
	if cost <= 0 {
		return 0
	}
	if b.burst == 0 {
		return Never
	}
	over := b.whole + min(cost, b.burst) - b.burst
	if over < 0 || over == 0 && b.part == 0 {
		return 0
	}
	return b.drained(over, 0)
}

// Below returns how long after now the level is less than the burst: 0 if it
// is now, otherwise the least number of nanoseconds d with
//
//	level - rate*d/minute < burst
func (b *Leak) Below(now time.Duration) time.Duration {
	b.drain(now)
	if b.burst == 0 {
		return Never
	}
	if b.whole < b.burst {
		return 0
	}
	return b.drained(b.whole-b.burst, 1)
}

// Take adds cost to the level if Would returns 0, and returns what Would
// returns.
func (b *Leak) Take(now time.Duration, cost int64) time.Duration {
	wait := b.Would(now, cost)
	if wait == 0 {
		b.Add(now, cost)
	}
	return wait
}

// Add raises the level without asking, for what was used already.
func (b *Leak) Add(now time.Duration, cost int64) {
	b.drain(now)
	b.whole = min(b.whole+bound(cost), ceiling)
}

// Return lowers the level by what was taken and not used, down to zero.
func (b *Leak) Return(now time.Duration, cost int64) {
	b.drain(now)
	b.whole -= bound(cost)
	if b.whole < 0 {
		b.whole, b.part = 0, 0
	}
}

// Resize changes rate and burst. What had drained until now drained at the
// old rate; the level stays, in units.
func (b *Leak) Resize(now time.Duration, rate, burst int64) {
	b.drain(now)
	b.rate, b.burst = bound(rate), bound(burst)
}

// Rate returns the units drained a minute.
func (b *Leak) Rate() int64 { return b.rate }

// Burst returns the units admitted at once.
func (b *Leak) Burst() int64 { return b.burst }

// Level returns the level in units, rounded up.
func (b *Leak) Level(now time.Duration) int64 {
	b.drain(now)
	if b.part > 0 {
		return b.whole + 1
	}
	return b.whole
}

// Percent returns the level in percent of the burst, rounded down, so that it
// is below 100 exactly if Below returns 0. It is 100 if there is no burst.
func (b *Leak) Percent(now time.Duration) int64 {
	b.drain(now)
	if b.burst == 0 {
		return 100
	}
	hi, lo := bits.Mul64(uint64(b.whole), 100)
	lo, carry := bits.Add64(lo, uint64(b.part*100/minute), 0)
	hi += carry
	if hi >= uint64(b.burst) {
		return math.MaxInt64
	}
	percent, _ := bits.Div64(hi, lo, uint64(b.burst))
	return int64(min(percent, math.MaxInt64))
}

// A State is a level to be kept: Whole + Part/60e9 units, 0 <= Part < 60e9.
type State struct{ Whole, Part int64 }

// State returns the level at now.
func (b *Leak) State(now time.Duration) State {
	b.drain(now)
	return State{b.whole, b.part}
}

// Restore sets the level that b has at now; a state out of range counts as
// the nearest one in range.
func (b *Leak) Restore(now time.Duration, s State) {
	b.drain(now)
	b.whole, b.part = bound(s.Whole), min(max(s.Part, 0), minute-1)
}

// drain brings the level to the time now.
func (b *Leak) drain(now time.Duration) {
	if now <= b.at {
		return
	}
	hi, lo := bits.Mul64(uint64(b.rate), uint64(now-b.at))
	b.at = now
	if hi >= uint64(minute) {
		b.whole, b.part = 0, 0
		return
	}
	whole, part := bits.Div64(hi, lo, uint64(minute))
	if whole > uint64(b.whole) {
		b.whole, b.part = 0, 0
		return
	}
	b.whole -= int64(whole)
	b.part -= int64(part)
	if b.part < 0 {
		b.whole--
		b.part += minute
	}
	if b.whole < 0 {
		b.whole, b.part = 0, 0
	}
}

// drained is the time in which over units and the part of the level drain: at
// least so much if more is 0, more than that if more is 1.
func (b *Leak) drained(over int64, more uint64) time.Duration {
	if b.rate == 0 {
		return Never
	}
	hi, lo := bits.Mul64(uint64(over), uint64(minute))
	lo, carry := bits.Add64(lo, uint64(b.part), 0)
	hi += carry
	if hi >= uint64(b.rate) {
		return Never
	}
	d, rest := bits.Div64(hi, lo, uint64(b.rate))
	if rest > 0 {
		more = 1
	}
	if d >= math.MaxInt64-1 {
		return Never
	}
	return time.Duration(d + more)
}

func bound(n int64) int64 { return min(max(n, 0), ceiling) }
