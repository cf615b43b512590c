package calibration

import (
	"math"
	"time"

	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
)

// What a proposal assumes.
const (
	// UnitsPerEngine is into how many units an engine is divided.
	UnitsPerEngine = 16
	// Yield is the share of what was measured that units are made of (eta): the
	// rest is for what calibration does not see, such as prompts and answers
	// that come at the same time.
	Yield = 0.8
	// OperatingContext is how many tokens of context a sequence is assumed to
	// have when the output of an engine is computed. It is about the mean of
	// the Azure conversation trace of 2023: 1,155 tokens of prompt and half of
	// 211 tokens of answer.
	OperatingContext = 1260
)

// A Unit is what one model unit carries, in tokens a minute.
type Unit struct {
	Input, Output int
}

// An Output is what an engine yields when as many sequences decode as its
// memory holds and the longest gap allows.
type Output struct {
	Sequences int // n*
	Context   int // tokens, of each sequence
	Gap       time.Duration
	Rate      float64 // D: tokens a second of all sequences together, n*/gap
	// Slow tells that not even one sequence keeps the longest gap; Sequences
	// is 1 then.
	Slow bool
}

// Output returns the most that the engine yields with no gap longer than
// longest. Sequences are at most as many as were seen to run together, and as
// fit the memory where its size is known: nothing is extrapolated.
func (f *Fit) Output(longest time.Duration) Output {
	most := max(f.Sequences.N, 1)
	if f.Cache.Limit {
		most = max(min(most, f.Cache.N/OperatingContext), 1)
	}
	n := 1
	for n < most && f.Gap(n+1, (n+1)*OperatingContext) <= longest {
		n++
	}
	gap := f.Gap(n, n*OperatingContext)
	return Output{
		Sequences: n, Context: OperatingContext, Gap: gap,
		Rate: float64(n) / gap.Seconds(), Slow: gap > longest,
	}
}

// Unit proposes a model unit: a sixteenth of what the engine reads when it
// does nothing but read, and a sixteenth of what it writes when it does
// nothing but write, both times Yield:
//
//	input  = 60 · P / 16 · 0.8      P = 1/b, tokens of prompt a second
//	output = 60 · D / 16 · 0.8      D = n*/gap(n*), of all sequences together
//
// A unit used to the full in both ways thus takes 2·0.8/16 = a tenth of the
// engine's time, and not a sixteenth: whoever sells units counts both parts.
func (f *Fit) Unit(longest time.Duration) Unit {
	perMinute := func(rate float64) int {
		return max(1, figures(60*rate/UnitsPerEngine*Yield, 2))
	}
	return Unit{Input: perMinute(1 / f.read.slope), Output: perMinute(f.Output(longest).Rate)}
}

// Capacity returns what the scheduler must know. PrefillRate is 1/b, and
// DecodeRate 1/gap of a single sequence without context. What was not seen is
// 0: MaxSeqs only if nothing decoded, KVTokens and StepBudget where the engine
// met no limit. Rates are rounded down to three figures, which is more than
// the measurement is worth.
func (f *Fit) Capacity() fair.Capacity {
	c := fair.Capacity{
		MaxSeqs:     f.Sequences.N,
		PrefillRate: float64(figures(1/f.read.slope, 3)),
		DecodeRate:  float64(figures(1/f.Gap(1, 0).Seconds(), 3)),
	}
	if f.Cache.Limit {
		c.KVTokens = f.Cache.N
	}
	if f.Budget.Limit {
		c.StepBudget = f.Budget.N
	}
	return c
}

// Constants returns the engine in the terms of package step, for a simulated
// engine that is to behave like it. What reading the weights takes shows where
// more sequences begin to take longer, else, less exactly, where longer prompts
// do: their line has the fixed costs of several steps in it. If neither
// has a knee it cannot be told from the fixed cost of a step: if many sequences
// take longer than one by more than a hundredth, all is Overhead, and otherwise
// all is Weights. Limits that were not met are as large as was seen.
func (f *Fit) Constants() step.Constants {
	overhead, weights := f.split()
	token := f.read.slope
	if f.Budget.Limit { // b holds a step's fixed cost, spread over its tokens
		token -= overhead / float64(f.Budget.N)
	}
	return step.Constants{
		Entry:    duration(max(f.read.base-overhead, 0)),
		Overhead: duration(overhead), Weights: duration(weights),
		Token: duration(1000 * max(token, 0)), Context: duration(1000 * f.decode.context),
		Budget: f.Budget.N, MaxSeqs: f.Sequences.N, KVTokens: f.Cache.N,
	}
}

// split parts the time of a step with a single sequence, in seconds.
func (f *Fit) split() (overhead, weights float64) {
	alone := f.Gap(1, 0).Seconds()
	switch d := f.decode; {
	case d.knee > 0:
		weights = min(d.slope*d.knee, alone)
	case f.read.knee > 0:
		weights = min(f.read.slope*f.read.knee, alone)
	case d.slope*float64(f.Sequences.N) <= alone/100:
		weights = alone
	}
	return alone - weights, weights
}

// figures rounds v, which is positive, down to n significant figures.
func figures(v float64, n int) int {
	if v < 1 {
		return int(math.Ceil(v))
	}
	unit := math.Pow(10, max(0, math.Floor(math.Log10(v))-float64(n-1)))
	return int(math.Floor(v/unit) * unit)
}
