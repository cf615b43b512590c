// Package calibration turns times that were measured at an engine into what
// the scheduler and the sale of units must know of it: how fast it reads
// prompts, how fast it decodes, and how much fits. It is pure: the same
// measurements always give the same figures.
//
// Two lines are fitted, each with a knee: the time to the first token of a
// prompt of p tokens that is alone on the engine, and the gap between two
// tokens of a sequence when n sequences decode that have C tokens of context
// together,
//
//	first(p)  = a  + b·max(p, p0)
//	gap(n, C) = t0 + s·max(n, n0) + kappa·C
//
// Below the knee more tokens ride free, since the time goes into reading the
// weights; an engine that computes from the first token on has its knee at 0.
// In the terms of package step: b is Token, kappa is Context, t0 is Overhead,
// s·n0 is Weights, and a is Entry and Overhead together. docs/calibration.md
// has an example by hand.
package calibration

import (
	"errors"
	"math"
	"time"
)

// The reasons for which Fit finds nothing.
var (
	ErrReads = errors.New("calibration: at least three prompts of different lengths are needed, each of which took time, " +
		"the longer ones more of it")
	ErrDecodes = errors.New("calibration: at least one gap between tokens is needed, and it must have taken time")
)

// Measurements are what was seen of an engine that did nothing else.
type Measurements struct {
	Reads   []Read
	Decodes []Decode
	// Stall is what a long prompt did to sequences that were decoding; its
	// zero value means that this was not measured.
	Stall Stall
	// Sequences is how many ran at the same time.
	Sequences Bound
	// Cache is how many tokens of context there were at the same time.
	Cache Bound
}

// A Read is one prompt, alone on the engine.
type Read struct {
	Tokens int // that the engine had to compute: without those in its prompt cache
	Took   time.Duration
}

// A Decode is a number of sequences that decode together.
type Decode struct {
	Sequences int
	Context   int // tokens of context of all of them together, halfway through
	Gap       time.Duration
}

// A Stall is a prompt that was read while sequences decoded.
type Stall struct {
	Prompt    int // tokens
	Sequences int
	Context   int           // tokens, of all sequences together
	Usual     time.Duration // gap between two tokens before the prompt came
	Worst     time.Duration // longest gap while it was read
}

// A Bound is the largest number that was seen; 0 if none was.
type Bound struct {
	N int
	// Limit tells that the engine would not do more. Otherwise nobody asked it
	// to, and N is a lower bound.
	Limit bool
}

// A Residual says how far a fit is from what was measured: relative errors, 1
// being all of the measured value.
type Residual struct {
	Typical float64 // root of the mean square
	Worst   float64
	Samples int
	// Left is how many more were left out, being far off all others.
	Left int
}

// Bad is the typical error from which on a fit should not be relied upon. It
// is the bound within which a model of an engine is accepted elsewhere in the
// project's plans; no deeper reason stands behind it.
const Bad = 0.15

// A Fit is an engine as its measurements show it.
type Fit struct {
	Reading, Decoding Residual
	Sequences, Cache  Bound
	// Budget is how many tokens a step computes at most.
	Budget Bound

	read, decode line
}

// New fits m.
func New(m Measurements) (*Fit, error) {
	f := &Fit{Sequences: m.Sequences, Cache: m.Cache}
	if err := f.fitReads(m.Reads); err != nil {
		return nil, err
	}
	if err := f.fitDecodes(m.Decodes); err != nil {
		return nil, err
	}
	f.Budget = f.budget(m.Stall)
	return f, nil
}

// leastSlope is the least time of a token of prompt, in seconds, that is taken
// for one: a nanosecond. What is faster was not read at all.
const leastSlope = 1e-9

func (f *Fit) fitReads(reads []Read) error {
	points := make([]point, len(reads))
	for i, r := range reads {
		if r.Took <= 0 || r.Tokens <= 0 {
			return ErrReads
		}
		points[i] = point{x: float64(r.Tokens), y: r.Took.Seconds()}
	}
	if distinct(points) < 3 {
		return ErrReads
	}
	f.read = fit(points)
	if f.read.slope < leastSlope {
		return ErrReads
	}
	f.Reading = f.read.residual(points)
	return nil
}

// leastGap is the least gap that is taken for one of a step.
const leastGap = time.Microsecond

func (f *Fit) fitDecodes(decodes []Decode) error {
	points := make([]point, len(decodes))
	for i, d := range decodes {
		if d.Gap < leastGap || d.Sequences <= 0 {
			return ErrDecodes
		}
		points[i] = point{x: float64(d.Sequences), z: float64(d.Context), y: d.Gap.Seconds()}
	}
	if len(points) == 0 {
		return ErrDecodes
	}
	var kept []point
	f.decode, kept = robust(points)
	f.Decoding = f.decode.residual(kept)
	f.Decoding.Left = len(points) - len(kept)
	return nil
}

// budget is what the longest step under a long prompt computed. It took b for
// each token, the step's fixed cost included, since b is the slope over many
// full steps; and kappa for each token of context: those of the sequences and
// those of the prompt before the step, which was the last full one,
//
//	worst = b·tokens + kappa·(C + prompt - tokens)
//
// A step that held nearly all of the prompt tells only that as much fits.
func (f *Fit) budget(s Stall) Bound {
	if s.Prompt <= 0 || s.Worst <= s.Usual {
		return Bound{}
	}
	b, kappa := f.read.slope, f.decode.context
	if b <= kappa {
		return Bound{}
	}
	tokens := int(math.Round((s.Worst.Seconds() - kappa*float64(s.Context+s.Prompt)) / (b - kappa)))
	if tokens <= 0 {
		return Bound{}
	}
	const nearly = 0.9
	if float64(tokens) >= nearly*float64(s.Prompt) {
		return Bound{N: s.Prompt}
	}
	return Bound{N: tokens, Limit: true}
}

// FirstToken returns the fitted time to the first token of a prompt that is
// alone on the engine; it is positive.
func (f *Fit) FirstToken(tokens int) time.Duration {
	return max(1, duration(f.read.at(float64(tokens), 0)))
}

// Gap returns the fitted gap between two tokens of a sequence when as many
// decode, with as many tokens of context together; it is a microsecond at least.
func (f *Fit) Gap(sequences, context int) time.Duration {
	return max(leastGap, duration(f.decode.at(float64(sequences), float64(context))))
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
