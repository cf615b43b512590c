package quota

import (
	"time"

	"github.com/outcrop/outcrop"
)

// A step is what becomes of a request that is over its unit.
type step uint8

const (
	refuse step = iota
	wait
	spill
)

// over decides what becomes of a request that is over its unit: it waits if
// that lets it in soon enough, spills if that is wished, or is refused. left
// is what the unit says, waited what the request has waited, most the longest
// wait.
func over(left, waited, most time.Duration, to outcrop.Spill) step {
	switch {
	case left <= most-waited:
		return wait
	case to != outcrop.SpillNone:
		return spill
	}
	return refuse
}

// spillTo is where a request goes that is over its unit: where it says, else
// where the unit says, else nowhere.
func spillTo(asked, unit outcrop.Spill) outcrop.Spill {
	for _, s := range [...]outcrop.Spill{asked, unit} {
		switch s {
		case outcrop.SpillNone, outcrop.SpillDefault, outcrop.SpillPriority, outcrop.SpillFlex:
			return s
		}
	}
	return outcrop.SpillNone
}

// classOf is the class of on-demand requests of a tier.
func classOf(t outcrop.ServiceTier) outcrop.Class {
	switch t {
	case outcrop.TierPriority, outcrop.TierReserved:
		return outcrop.ClassPriority
	case outcrop.TierFlex:
		return outcrop.ClassFlex
	}
	return outcrop.ClassDefault
}
