package bucket

import (
	"math/bits"
	"time"
)

// The limits of the burst window of a Dual.
const (
	MinWindow     = 10 * time.Second
	MaxWindow     = 30 * time.Second
	DefaultWindow = 20 * time.Second
)

// Rates are what one model unit carries, in tokens a minute: either Input and
// Output, each on its own, or Together. Of Input and Output one may be 0,
// which means that it is not limited; Together excludes the other two.
type Rates struct{ Input, Output, Together int64 }

// Times returns the rates of n units.
func (r Rates) Times(n int64) Rates {
	return Rates{times(r.Input, n), times(r.Output, n), times(r.Together, n)}
}

// A Dual is what a provisioned unit has left. Its rule is the one that Azure
// documents for provisioned throughput: a request is admitted if every level
// is below 100 % before it is counted, whatever its size, and then counted in
// full. So a request is never refused for its own size, and what goes over
// 100 % is paid for by those that come after it.
//
// 100 % is what the rates carry in the burst window.
type Dual struct {
	in, out   Leak
	rates     Rates
	hasIn     bool // in counts input, or input and output together
	hasOut    bool
	inclusive bool // in counts both
}

// NewDual returns an unused unit. The window is clamped to MinWindow and
// MaxWindow; 0 means DefaultWindow. Without any rate nothing is admitted.
func NewDual(r Rates, window time.Duration) Dual {
	var d Dual
	d.Resize(0, r, window)
	return d
}

// Resize changes rates and window while the levels, in tokens, stay: what is
// owed is still owed, and drains at the new rates from now on. Where input and
// output are counted together from now on, so is what they owe; a level that
// is no longer limited is forgotten.
func (d *Dual) Resize(now time.Duration, r Rates, window time.Duration) {
	if window == 0 {
		window = DefaultWindow
	}
	window = min(max(window, MinWindow), MaxWindow)
	in, out := r.Input, r.Output
	d.inclusive = r.Together > 0
	if d.inclusive {
		in, out = r.Together, 0
		d.in.Add(now, d.out.Level(now))
	}
	d.rates = r
	d.hasIn, d.hasOut = in > 0 || out <= 0, out > 0
	d.in.Resize(now, in, carried(in, window))
	d.out.Resize(now, out, carried(out, window))
	if !d.hasIn {
		d.in = Leak{}
	}
	if !d.hasOut {
		d.out = Leak{}
	}
}

// Wait returns how long after now a request, of whatever size, would be
// admitted if nothing else happened. Output tells which level it is that
// takes the longest.
func (d *Dual) Wait(now time.Duration) (wait time.Duration, output bool) {
	if d.hasIn {
		wait = d.in.Below(now)
	}
	if !d.hasOut {
		return wait, false
	}
	if w := d.out.Below(now); w > wait {
		return w, true
	}
	return wait, false
}

// Take counts a request if Wait returns 0, and returns what Wait returns.
func (d *Dual) Take(now time.Duration, input, output int64) time.Duration {
	wait, _ := d.Wait(now)
	if wait == 0 {
		d.Add(now, input, output)
	}
	return wait
}

// Add counts tokens without asking.
func (d *Dual) Add(now time.Duration, input, output int64) {
	input, output = d.parts(input, output)
	d.in.Add(now, input)
	d.out.Add(now, output)
}

// Return gives back tokens that were counted and not used.
func (d *Dual) Return(now time.Duration, input, output int64) {
	input, output = d.parts(input, output)
	d.in.Return(now, input)
	d.out.Return(now, output)
}

// Input returns the level of the input, or of input and output together.
func (d *Dual) Input() *Leak { return &d.in }

// Output returns the level of the output.
func (d *Dual) Output() *Leak { return &d.out }

// Rates returns the rates in force.
func (d *Dual) Rates() Rates { return d.rates }

// Percent returns both levels in percent of what the window carries. What is
// not limited is at 0.
func (d *Dual) Percent(now time.Duration) (input, output int64) {
	if d.hasIn {
		input = d.in.Percent(now)
	}
	if d.hasOut {
		output = d.out.Percent(now)
	}
	return input, output
}

// Idle reports whether both levels are zero.
func (d *Dual) Idle(now time.Duration) bool {
	return d.in.Level(now) == 0 && d.out.Level(now) == 0
}

// parts says what of a request each level counts.
func (d *Dual) parts(input, output int64) (in, out int64) {
	input, output = bound(input), bound(output)
	if d.inclusive {
		return min(input+output, ceiling), 0
	}
	if d.hasIn {
		in = input
	}
	if d.hasOut {
		out = output
	}
	return in, out
}

// carried is what rate carries in the window, rounded down, but at least 1.
func carried(rate int64, window time.Duration) int64 {
	if rate <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(bound(rate)), uint64(window))
	units, _ := bits.Div64(hi, lo, uint64(minute))
	return max(int64(units), 1)
}

func times(rate, n int64) int64 {
	hi, lo := bits.Mul64(uint64(bound(rate)), uint64(bound(n)))
	if hi > 0 || lo > uint64(ceiling) {
		return ceiling
	}
	return int64(lo)
}
