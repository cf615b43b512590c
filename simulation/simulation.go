// Package simulation plays whole worlds of the pure kernels in virtual time:
// tenants, their limits and provisioned units (ledger, quota, lifecycle), the
// scheduler (fair) and step engines (step), with the faults of a bad week. It
// runs real code of the kernels and models what lies between them: callers,
// the network, the process that holds the kernels, and engines that die.
// docs/simulation.md tells what is simulated and what is checked.
//
// A world is drawn from a seed, and a seed is always the same world: nothing
// in it looks at a clock, at the order of a map, or at another goroutine.
// What it measures is simulated and says nothing about a machine.
package simulation

import (
	"fmt"
	"math"
	"runtime/debug"
	"time"
)

// A Result is what became of a world. It shares nothing with it.
type Result struct {
	Options   Options
	Events    int    // that the kernels were told of, and that they wanted done
	Hash      uint64 // of all of them, in order
	Seen      Seen
	Violation *Violation // nil if every invariant held
	// First tells of the requests on demand that had a first token, and Waited
	// how long they waited for it together.
	First  int
	Waited time.Duration
	Passed time.Duration // virtual time, with the healing
}

// A Violation is an invariant that did not hold.
type Violation struct {
	Invariant string
	What      string
	At        time.Duration // virtual time
	Last      []string      // the last events before it, oldest first
}

// Error implements error.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s does not hold at %v: %s", v.Invariant, v.At, v.What)
}

// never is later than all times.
const never = time.Duration(math.MaxInt64)

// Run plays a world to its end: first with faults until o.Until, then without
// until nothing is left to do.
func Run(o Options) (r Result) {
	w := newWorld(o)
	w.play()
	return Result{
		Options: o, Events: w.trace.events, Hash: w.trace.hash, Seen: w.seen, Violation: w.violation,
		First: w.first, Waited: w.waited, Passed: w.now,
	}
}

// play runs both phases. A kernel that panics breaks an invariant too.
func (w *world) play() {
	defer func() {
		if v := recover(); v != nil {
			w.fail("no panic", fmt.Errorf("%v\n%s", v, debug.Stack()))
		}
	}()
	for w.step(w.Until) {
	}
	if w.violation != nil {
		return
	}
	w.heal()
	for w.unfinished() && w.step(w.Until+healing) {
	}
	end := w.now + 3*w.Network + 1
	for w.step(end) {
	}
	if w.violation == nil {
		w.quiet()
	}
}

// step lets the next thing happen, if that is not after until, and checks what
// must hold after each.
func (w *world) step(until time.Duration) bool {
	at, which := w.next()
	if at > until {
		w.now = max(w.now, until)
		return false
	}
	w.now = max(w.now, at)
	if w.steps++; w.steps > mostSteps {
		w.fail("I15", fmt.Errorf("no end after %d steps", w.steps))
	}
	switch {
	case which >= 0:
		w.machines[which].work()
	case which == theGateway:
		w.tick()
	default:
		w.agenda.pop()()
	}
	w.checkScheduler()
	return w.violation == nil
}

// mostSteps is beyond what any world takes: one that takes more stands still.
const mostSteps = 2_000_000

const (
	theAgenda  = -1
	theGateway = -2
)

// next is when something happens, and to whom.
func (w *world) next() (at time.Duration, which int) {
	at, which = w.agenda.next(), theAgenda
	for i, m := range w.machines {
		if t := m.nextAt(); t < at {
			at, which = t, i
		}
	}
	if t := w.tickAt(); t < at {
		at, which = t, theGateway
	}
	return at, which
}
