// Package estimate learns what an engine can do from what can be seen from
// outside: the times to first tokens, the gaps between tokens, what its metrics
// say, and how it fails. It is pure: the time is an argument, and the same
// calls always have the same outcome. No value of it is safe for concurrent
// use.
package estimate

import (
	"slices"
	"time"
)

// Rates fits, as samples come,
//
//	first token = a + b·(tokens ahead + own tokens)
//	token gap   = t0 + c·sequences + kappa·context
//
// by recursive least squares with forgetting: one step of an engine cannot be
// seen, but these sums of steps can. 1/b is the rate at which prompts are read;
// 1/(t0+c) the rate of steps when a single sequence decodes.
type Rates struct {
	first, gap     regression
	prefill        float64 // at first
	firsts, others int
}

// Samples are in milliseconds over thousands of prompt tokens, tens of
// sequences and hundred thousands of tokens of context, so that all
// coefficients are of like size.
const (
	perPrompt    = 1e3
	perSequences = 10
	perContext   = 1e5
)

// NewRates returns rates that begin with what is assumed of the engine: tokens
// of prompt a second, and steps a second with few sequences. Both must be
// positive.
func NewRates(prefill, decode float64) Rates {
	step := 1e3 / decode
	read := 1e3 * perPrompt / prefill
	sure := func(v float64) float64 { return max(1, v*v/25) }
	return Rates{
		first:   newRegression([terms]float64{1.5 * step, read}, [terms]float64{25, sure(read)}),
		gap:     newRegression([terms]float64{step}, [terms]float64{sure(step), .25, 1}),
		prefill: prefill,
	}
}

// FirstToken learns the time from handing over a prompt to its first token,
// given the uncached tokens of it and of the prompts before it.
func (r *Rates) FirstToken(took time.Duration, ahead, own int) {
	if took <= 0 || ahead < 0 || own < 0 {
		return
	}
	r.firsts++
	r.first.add(prompt(ahead, own), milliseconds(took))
	usual := 1e3 * perPrompt / r.prefill
	r.first.w[0] = max(r.first.w[0], 0)
	r.first.w[1] = min(max(r.first.w[1], usual/100), usual*100)
}

// Gap learns the time between two tokens of a sequence, given how many
// sequences the engine ran and how many tokens of context these had. Gaps in
// which the engine read prompts say something else and should be left out.
func (r *Rates) Gap(gap time.Duration, sequences, context int) {
	if gap <= 0 || sequences < 1 || context < 0 {
		return
	}
	r.others++
	r.gap.add(batch(sequences, context), milliseconds(gap))
	for i := range r.gap.w {
		r.gap.w[i] = max(r.gap.w[i], 0)
	}
}

// Predict returns the expected time to the first token.
func (r *Rates) Predict(ahead, own int) time.Duration {
	return duration(r.first.predict(prompt(ahead, own)))
}

// PredictGap returns the expected time between two tokens of a sequence.
func (r *Rates) PredictGap(sequences, context int) time.Duration {
	return duration(r.gap.predict(batch(sequences, context)))
}

// Prefill returns how many tokens of prompt the engine reads in a second.
func (r *Rates) Prefill() float64 { return 1e3 * perPrompt / r.first.w[1] }

// Decode returns how many steps a second the engine makes for one sequence.
func (r *Rates) Decode() float64 { return 1e3 / max(r.gap.predict(batch(1, 0)), 1e-3) }

// notable is by which factor a rate has to differ from what is known of other
// sources before that counts: estimates scatter, and follow what an engine was
// given to do, by less.
const notable = 1.5

func isNotable(a, b float64) bool { return a > notable*b || b > notable*a }

// Among returns the rate to count with for an engine, given its own estimate
// and those of all engines that are configured alike, its own included: their
// median, or its own if that is far off. Whoever chooses between engines by
// small differences of estimates sends everything to the one that was
// overrated. It sorts alike.
func Among(own float64, alike []float64) float64 {
	slices.Sort(alike)
	n := len(alike)
	if n == 0 {
		return own
	}
	median := (alike[(n-1)/2] + alike[n/2]) / 2
	if isNotable(own, median) {
		return own
	}
	return median
}

// Against returns the rate to count with for an engine of which it was
// measured in quiet, given what is seen of it under load: what was measured,
// unless it is far off.
func Against(measured, seen float64) float64 {
	if isNotable(measured, seen) {
		return seen
	}
	return measured
}

// Samples returns how many times to first tokens, and gaps, were learned.
func (r *Rates) Samples() (firsts, gaps int) { return r.firsts, r.others }

func prompt(ahead, own int) [terms]float64 {
	return [terms]float64{1, float64(ahead+own) / perPrompt}
}

func batch(sequences, context int) [terms]float64 {
	return [terms]float64{1, float64(sequences) / perSequences, float64(context) / perContext}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func duration(ms float64) time.Duration {
	const most = 1e9 // eleven days
	return time.Duration(min(max(ms, 0), most) * float64(time.Millisecond))
}
