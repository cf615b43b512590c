package simulation

import (
	"fmt"
	"math/bits"
	"strings"
)

// A Fault is a kind of thing that goes wrong.
type Fault uint8

// The kinds of faults. Those up to LimitChange come at times of their own, the
// others befall a part of the messages or requests.
const (
	EngineLoss   Fault = iota // an engine dies with all it has, and comes back
	EngineStall               // an engine does nothing for a while
	EngineSlow                // an engine works at a fraction of its speed
	EngineDrain               // an operator drains an engine
	Break                     // the connection of one attempt breaks
	Crash                     // the process dies and starts again
	Freeze                    // the process stands still for a while
	ClockBack                 // the clock is set back
	ClockLeap                 // the clock leaps forward, also over midnight
	UnitResize                // a unit is resized
	UnitDelete                // a unit is deleted, and bought again later
	UnitRename                // a unit is renamed, or moved to a variant of its model
	FloorChange               // the floor of a class changes, or what must hurry
	RateChange                // the measured rates of an engine change
	LimitChange               // the limits of the accounts change
	Disconnect                // the caller goes away
	LostSettle                // a settlement is not made
	TwiceSettle               // a settlement is made twice
	TwiceMessage              // a message comes twice
	LateMessage               // a message comes late, after later ones
	RepeatID                  // a request comes again with the same id
	WrongUsage                // an engine miscounts by up to a half, or tells nothing
	LongAnswer                // an engine does not stop at max_tokens
	Reject                    // an engine does not take a request
	numFaults
)

const timedFaults = LimitChange + 1

var faultNames = [numFaults]string{
	"engine-loss", "engine-stall", "engine-slow", "engine-drain", "break", "crash", "freeze", "clock-back",
	"clock-leap", "unit-resize", "unit-delete", "unit-rename", "floor-change", "rate-change", "limit-change",
	"disconnect", "lost-settle", "twice-settle", "twice-message", "late-message", "repeat-id", "wrong-usage",
	"long-answer", "reject",
}

// String returns the fault's name in options and reports.
func (f Fault) String() string {
	if f < numFaults {
		return faultNames[f]
	}
	return ""
}

// Faults is a set of kinds of faults.
type Faults uint32

// Has reports whether f is in the set.
func (s Faults) Has(f Fault) bool { return s>>f&1 == 1 }

// With returns the set with f in it.
func (s Faults) With(f Fault) Faults { return s | 1<<f }

// Without returns the set without f.
func (s Faults) Without(f Fault) Faults { return s &^ (1 << f) }

// Len returns how many kinds are in the set.
func (s Faults) Len() int { return bits.OnesCount32(uint32(s)) }

// String returns the names, with commas between them.
func (s Faults) String() string {
	var names []string
	for f := range numFaults {
		if s.Has(f) {
			names = append(names, f.String())
		}
	}
	return strings.Join(names, ",")
}

// ParseFaults is the reverse of String.
func ParseFaults(names string) (s Faults, err error) {
	for name := range strings.SplitSeq(names, ",") {
		if name == "" {
			continue
		}
		f := Fault(0)
		for f < numFaults && faultNames[f] != name {
			f++
		}
		if f == numFaults {
			return 0, fmt.Errorf("simulation: no fault is called %q", name)
		}
		s = s.With(f)
	}
	return s, nil
}
