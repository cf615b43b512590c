package lifecycle

import (
	"math"
	"slices"

	"github.com/outcrop/outcrop"
)

// A Speed is what an engine carries when it does nothing else: tokens of
// prompt a second, or tokens of output a second over all its sequences. Both
// must be positive.
type Speed struct{ Input, Output float64 }

// SpeedOf returns the speed of an engine that reads prefill tokens of prompt a
// second, and in decode steps a second gives each of a few sequences a token.
// With sequences at a time a step also computes a token of each, so that the
// output is
//
//	sequences / (1/decode + sequences/prefill)
func SpeedOf(prefill, decode float64, sequences int) Speed {
	n := float64(sequences)
	return Speed{Input: prefill, Output: n / (1/decode + n/prefill)}
}

// togetherRatio is how many tokens of input come with one of output where a
// unit limits both together: what the units have that limit them apart.
const togetherRatio = 5

// Share returns the part of an engine's time that one unit takes when it is
// used in full:
//
//	input/(60 Input) + output/(60 Output)
//
// Where input and output are limited together, five tokens of input are
// reckoned with for one of output.
func (s Speed) Share(unit outcrop.UnitRates) float64 {
	in, out := float64(unit.Input), float64(unit.Output)
	if unit.Together > 0 {
		in, out = float64(unit.Together)*togetherRatio/(togetherRatio+1), float64(unit.Together)/(togetherRatio+1)
	}
	return (in/s.Input + out/s.Output) / 60
}

// DefaultUnit returns the unit of a model whose card names none: a sixteenth of
// an engine, half of it for input and half for output.
func DefaultUnit(s Speed) outcrop.UnitRates {
	return outcrop.UnitRates{Input: max(1, int64(60*s.Input/32)), Output: max(1, int64(60*s.Output/32))}
}

// A Sale is what there is to decide whether units can be sold.
type Sale struct {
	Engines []Speed
	// Survive is how many engines may be lost, but for the last one, and
	// Headroom the share of the others that is never sold.
	Survive  int
	Headroom float64
	// Sold are the units that are sold already on the same engines.
	Sold []Units
}

// Units is a number of units of one kind.
type Units struct {
	Number int
	Rates  outcrop.UnitRates
}

// Largest returns how many more units can be sold: as many as the engines
// that are left carry in full beside what is sold, when those that carry most
// are lost. It is 0 or more; without engines it is 0.
func (s *Sale) Largest(unit outcrop.UnitRates) int {
	used := 0.0
	for _, sold := range s.Sold {
		if n := s.carry(sold.Rates); n > 0 {
			used += float64(sold.Number) / n
		}
	}
	const exact = 1e-9 // what sums of fractions may be off
	left := (1 - s.Headroom - used) * s.carry(unit)
	return max(0, int(math.Floor(left+exact)))
}

// carry returns how many units the surviving engines carry when they do
// nothing else.
func (s *Sale) carry(unit outcrop.UnitRates) float64 {
	each := make([]float64, len(s.Engines))
	for i, e := range s.Engines {
		each[i] = 1 / max(e.Share(unit), 1e-12)
	}
	slices.Sort(each)
	sum := 0.0
	for _, n := range each[:max(len(each)-s.Survive, min(len(each), 1))] {
		sum += n
	}
	return sum
}
