package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/ledger"
)

// A world is a run under way.
type world struct {
	Options
	now       time.Duration
	agenda    agenda
	trace     trace
	seen      Seen
	violation *Violation
	healed    bool // no more faults
	faults    [numFaults]*rand.Rand

	sources  []*source
	machines []*machine
	deeds    []*deed // one for each of Options.Units
	process  process
	books    books
	watch    watch

	live    []*request // that have no answer yet
	ids     uint64     // of requests
	starts  uint64     // of attempts
	made    int        // requests
	answers int
	steps   int

	first  int // see Result
	waited time.Duration
}

// healing is how much virtual time everything may take to come to rest.
const healing = 2 * time.Hour

func newWorld(o Options) *world {
	w := &world{Options: o}
	for f := range w.faults {
		w.faults[f] = stream(o.Seed, ofFaults+uint64(f))
	}
	w.openBooks()
	for i, e := range o.Engines {
		w.machines = append(w.machines, newMachine(w, fair.EngineID(i), e))
	}
	for i, u := range o.Units {
		w.deeds = append(w.deeds, newDeed(w, i, u))
	}
	w.boot()
	for i := range o.Sources {
		w.addSource(i)
	}
	for f := range timedFaults {
		if o.Faults.Has(f) {
			w.awaitFault(f)
		}
	}
	w.awaitSave()
	return w
}

// at puts something on the agenda; times that have passed mean now.
func (w *world) at(at time.Duration, what func()) { w.agenda.put(max(at, w.now), what) }

// mark notes that a branch was reached.
func (w *world) mark(m Mark) { w.seen[m]++ }

// fail notes that an invariant does not hold. Only the first one counts.
func (w *world) fail(invariant string, err error) {
	if w.violation == nil && err != nil {
		w.violation = &Violation{Invariant: invariant, What: err.Error(), At: w.now, Last: w.trace.lines()}
	}
}

// note puts something into the trace.
func (w *world) note(what string, n ...int64) { w.trace.add(w.now, what, n...) }

// befalls reports whether a message or request has the fault.
func (w *world) befalls(f Fault) bool {
	if w.healed || !w.Faults.Has(f) || w.faults[f].Float64() >= w.Rate {
		return false
	}
	w.mark(faultHappened + Mark(f))
	return true
}

// clock is what the process reads, since 1970.
func (w *world) clock() time.Duration { return w.process.epoch + w.now + w.process.skew }

// unfinished reports whether anything is left to do.
func (w *world) unfinished() bool { return len(w.live) > 0 }

// heal ends the phase of faults: engines stand, the process runs, clocks go,
// nothing new comes.
func (w *world) heal() {
	w.healed = true
	w.note("heal", int64(len(w.live)))
	if len(w.watch.queue) > 0 {
		w.mark(healedWithQueue)
	}
	w.process.frozen, w.process.lag = 0, 0
	if w.process.down {
		w.restart()
	}
	for _, m := range w.machines {
		m.recover()
	}
}

// quiet lets leases run out and checks what must hold when nothing is left.
func (w *world) quiet() {
	for range 10_000 {
		wait, ok := w.books.ledger.NextExpiry(w.clock())
		if !ok {
			break
		}
		w.now += wait
		w.apply(ledger.Event{Kind: ledger.Expire})
	}
	w.checkQuiet()
}

func gate(i Mark) string  { return fair.Gate(i).String() }
func bound(i Mark) string { return fair.Bound(i).String() }
func limit(i Mark) string { return ledger.Limit(i).String() }

// epoch is when a world begins: shortly before midnight, so that many see it.
func (o *Options) epoch() time.Duration {
	before := time.Duration(stream(o.Seed, ofWorkload).Int64N(int64(40 * time.Second)))
	return 20_000*24*time.Hour - before
}
