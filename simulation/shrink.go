package simulation

import (
	"fmt"
	"strings"
	"time"
)

// Shrink returns options that break the same invariant as o does, with kinds
// of faults left out and the phase of faults cut short as far as that is
// found to be possible. It runs some dozens of worlds. If o breaks nothing, it
// returns o.
func Shrink(o Options) Options {
	v := Run(o).Violation
	if v == nil {
		return o
	}
	try := func(less Options) {
		if got := Run(less).Violation; got != nil && got.Invariant == v.Invariant {
			o = less
		}
	}
	for f := range numFaults {
		if o.Faults.Has(f) {
			less := o
			less.Faults = o.Faults.Without(f)
			try(less)
		}
	}
	for range 8 {
		less := o
		less.Until = (o.Until / 2).Round(time.Millisecond)
		try(less)
	}
	return o
}

// Replay is the command that runs the world of o again, in the root of the
// repository. Options that neither the seed nor Faults nor Until tell are not
// in it.
func Replay(o Options) string {
	return fmt.Sprintf("go run ./simulation/run -seed %d -faults %q -until %v", o.Seed, o.Faults, o.Until)
}

// Report tells all of a violation that there is to know: what broke, the
// options, the last events, and how to see it again.
func Report(r Result) string {
	v := r.Violation
	if v == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %v\n\n%v\nthe last events:\n", r.Options.Seed, v, r.Options)
	for _, line := range v.Last {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "\nto see it again: %s\n", Replay(r.Options))
	return b.String()
}
