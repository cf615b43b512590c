package calibration

import (
	"math"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/step"
)

// OperatingContext is how many tokens of context a sequence is assumed to
// have when the output of an engine is computed. It is about the mean of
// the Azure conversation trace of 2023: 1,155 tokens of prompt and half of
// 211 tokens of answer.
const OperatingContext = 1260

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

// Unit proposes a model unit: lifecycle.DefaultUnit, a sixteenth of the engine,
// rounded down to two figures. P = 1/b is what it reads when it does nothing
// else, and D = n*/gap(n*) what it writes, of all sequences together.
func (f *Fit) Unit(longest time.Duration) outcrop.UnitRates {
	u := lifecycle.DefaultUnit(lifecycle.Speed{Input: 1 / f.read.slope, Output: f.Output(longest).Rate})
	return outcrop.UnitRates{Input: int64(figures(float64(u.Input), 2)), Output: int64(figures(float64(u.Output), 2))}
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
