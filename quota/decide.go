package quota

import (
	"time"

	"github.com/outcrop/outcrop"
)

// A Step is what becomes of a request that is over its unit.
type Step uint8

// The steps.
const (
	Refuse Step = iota
	Wait
	Spill
)

// Over decides what becomes of a request that is over its unit: it waits if
// that lets it in soon enough, spills if that is wished, or is refused. left
// is what the unit says, waited what the request has waited, most the longest
// wait.
func Over(left, waited, most time.Duration, to outcrop.Spill) Step {
	switch {
	case left <= most-waited:
		return Wait
	case to != outcrop.SpillNone:
		return Spill
	}
	return Refuse
}

// SpillTo is where a request goes that is over its unit: where it says, else
// where the unit says, else nowhere.
func SpillTo(asked, unit outcrop.Spill) outcrop.Spill {
	for _, s := range [...]outcrop.Spill{asked, unit} {
		switch s {
		case outcrop.SpillNone, outcrop.SpillDefault, outcrop.SpillPriority, outcrop.SpillFlex:
			return s
		}
	}
	return outcrop.SpillNone
}

// ClassOf is the class of on-demand requests of a tier.
func ClassOf(t outcrop.ServiceTier) outcrop.Class {
	switch t {
	case outcrop.TierPriority, outcrop.TierReserved:
		return outcrop.ClassPriority
	case outcrop.TierFlex:
		return outcrop.ClassFlex
	}
	return outcrop.ClassDefault
}
