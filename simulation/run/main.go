// Command run plays simulated worlds for as long as it is told, and stops at
// the first one in which an invariant does not hold. With -seed it plays one.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/outcrop/outcrop/simulation"
)

type flags struct {
	seed     uint64
	first    uint64
	seeds    int
	duration time.Duration
	workers  int
	faults   string
	until    time.Duration
}

func main() {
	var f flags
	flag.Uint64Var(&f.seed, "seed", 0, "play the world of this seed alone, and shrink it if it breaks")
	flag.Uint64Var(&f.first, "first", 0, "begin with this seed; 0 begins somewhere")
	flag.IntVar(&f.seeds, "seeds", 0, "stop after so many; 0 goes on for -duration")
	flag.DurationVar(&f.duration, "duration", time.Minute, "stop after this time")
	flag.IntVar(&f.workers, "workers", runtime.GOMAXPROCS(0), "worlds at the same time")
	flag.StringVar(&f.faults, "faults", "as drawn", "with -seed: the kinds of faults, with commas between them")
	flag.DurationVar(&f.until, "until", 0, "with -seed: the length of the phase with faults; 0 is as drawn")
	flag.Parse()
	ok := false
	if f.seed != 0 {
		ok = f.one()
	} else {
		ok = f.many()
	}
	if !ok {
		os.Exit(1)
	}
}

// one plays a single world and reports whether all invariants held.
func (f *flags) one() bool {
	o := simulation.Draw(f.seed)
	if f.faults != "as drawn" {
		faults, err := simulation.ParseFaults(f.faults)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return false
		}
		o.Faults = faults
	}
	if f.until > 0 {
		o.Until = f.until
	}
	r := simulation.Run(o)
	if r.Violation == nil {
		fmt.Printf("%vall invariants held: %d events in %v of virtual time, hash %016x\n", o, r.Events, r.Passed, r.Hash)
		return true
	}
	fail(r)
	return false
}

// fail prints a violation as drawn, and the command for the least that still
// shows it.
func fail(r simulation.Result) {
	fmt.Fprint(os.Stderr, simulation.Report(r))
	fmt.Fprintf(os.Stderr, "with less:       %s\n", simulation.Replay(simulation.Shrink(r.Options)))
}

// A tally is what all worlds so far came to.
type tally struct {
	mu     sync.Mutex
	next   uint64
	left   int // worlds; negative for no bound
	worlds int
	events int
	seen   simulation.Seen
	broken *simulation.Result
	start  time.Time
	end    time.Time
}

// many plays worlds on all workers and reports whether all invariants held
// and, of enough worlds, whether all marks were reached.
func (f *flags) many() bool {
	t := &tally{next: f.first, left: f.seeds, start: time.Now()}
	t.end = t.start.Add(f.duration)
	if t.next == 0 {
		t.next = uint64(t.start.UnixNano()) >> 10
	}
	if t.left <= 0 {
		t.left = -1
	}
	fmt.Printf("seeds from %d on, %d workers; all of it is simulated\n", t.next, f.workers)
	var workers sync.WaitGroup
	for range f.workers {
		workers.Go(t.work)
	}
	done := make(chan struct{})
	go t.progress(done)
	workers.Wait()
	close(done)
	return t.report()
}

func (t *tally) work() {
	for {
		seed, ok := t.take()
		if !ok {
			return
		}
		t.add(simulation.Run(simulation.Draw(seed)))
	}
}

func (t *tally) take() (seed uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == 0 || t.broken != nil || time.Now().After(t.end) {
		return 0, false
	}
	t.left--
	t.next++
	return t.next - 1, true
}

func (t *tally) add(r simulation.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.worlds++
	t.events += r.Events
	t.seen.Add(r.Seen)
	if r.Violation != nil && t.broken == nil {
		t.broken = &r
	}
}

// progress prints a line every ten seconds until done is closed.
func (t *tally) progress(done <-chan struct{}) {
	every := time.NewTicker(10 * time.Second)
	defer every.Stop()
	for {
		select {
		case <-done:
			return
		case <-every.C:
			t.mu.Lock()
			t.line()
			t.mu.Unlock()
		}
	}
}

// line prints how far it is; the caller holds the lock.
func (t *tally) line() {
	s := time.Since(t.start).Seconds()
	fmt.Printf("%6.0f s  %d seeds, %.0f a second  %d events, %.0f a second  %d marks not reached\n",
		s, t.worlds, float64(t.worlds)/s, t.events, float64(t.events)/s, len(t.seen.Never()))
}

// enough is of how many worlds on every mark must have been reached.
const enough = 1000

func (t *tally) report() bool {
	for i, n := range t.seen {
		fmt.Printf("%10d  %v\n", n, simulation.Mark(i))
	}
	t.line()
	if t.broken != nil {
		fail(*t.broken)
		return false
	}
	if never := t.seen.Never(); len(never) > 0 && t.worlds >= enough {
		fmt.Fprintf(os.Stderr, "never reached: %q\n", never)
		return false
	}
	return true
}
