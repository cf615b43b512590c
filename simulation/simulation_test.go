package simulation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/simulation"
)

// seeds is how many worlds a test run plays: all marks are reached in less.
func seeds() uint64 {
	if testing.Short() || raceEnabled {
		return 100
	}
	return 1000
}

// The worlds of the seeds 1 to 1000, each with its own third of the faults:
// all invariants hold after every event, at each crash and at the end, and
// every branch worth reaching was reached.
func TestInvariantsHoldInEveryWorld(t *testing.T) {
	var seen simulation.Seen
	events := 0
	for seed := uint64(1); seed <= seeds(); seed++ {
		r := simulation.Run(simulation.Draw(seed))
		seen.Add(r.Seen)
		events += r.Events
		if r.Violation != nil {
			t.Fatalf("%s\nwith less: %s", simulation.Report(r), simulation.Replay(simulation.Shrink(r.Options)))
		}
	}
	t.Logf("%d worlds, %d events", seeds(), events)
	if never := seen.Never(); len(never) > 0 && seeds() == 1000 {
		t.Errorf("the worlds prove nothing about %q", never)
	}
}

func TestASeedIsAlwaysTheSameWorld(t *testing.T) {
	hashes := map[uint64]uint64{}
	for seed := uint64(1); seed <= seeds()/20; seed++ {
		a, b := simulation.Run(simulation.Draw(seed)), simulation.Run(simulation.Draw(seed))
		if a.Hash != b.Hash || a.Events != b.Events || a.Seen != b.Seen || a.Passed != b.Passed {
			t.Fatalf("seed %d: %d events, hash %x; %d events, hash %x", seed, a.Events, a.Hash, b.Events, b.Hash)
		}
		if a.Events == 0 || hashes[a.Hash] > 0 {
			t.Errorf("seed %d has %d events, and the hash of seed %d", seed, a.Events, hashes[a.Hash])
		}
		hashes[a.Hash] = seed
	}
}

// Every mark has a name of its own, or a report could not be read.
func TestNamesDiffer(t *testing.T) {
	names := map[string]bool{"": true}
	for i := range len(simulation.Seen{}) {
		name := simulation.Mark(i).String()
		if names[name] || strings.HasSuffix(name, " ") {
			t.Errorf("mark %d is called %q", i, name)
		}
		names[name] = true
	}
}

func TestFaultsGoThroughText(t *testing.T) {
	for seed := range uint64(50) {
		want := simulation.Draw(seed).Faults
		if got, err := simulation.ParseFaults(want.String()); err != nil || got != want {
			t.Errorf("%q is read as %q, %v", want, got, err)
		}
	}
	if _, err := simulation.ParseFaults("crash,flood"); err == nil {
		t.Error("a flood is taken for a fault")
	}
}

// I16: batch rows delay the first tokens of requests on demand by no more, on
// average, than epsilon: what an engine needs to read the longest row, since a
// prompt that is being read is not taken back for them, and one full step. While
// engines are slow or drained, epsilon is that of a slow one. An engine that stands
// still has no step by which to bound it, and one that dies hits other requests in
// the one world than in the other.
func TestBatchDelaysOnDemandByNoMoreThanEpsilon(t *testing.T) {
	for name, trouble := range map[string]struct {
		faults simulation.Faults
		slower time.Duration
	}{
		"calm": {0, 1},
		"slow": {simulation.Faults(0).With(simulation.EngineDrain).With(simulation.EngineSlow), slowest},
	} {
		t.Run(name, func(t *testing.T) { batchDelays(t, trouble.faults, trouble.slower) })
	}
}

// slowest is how many times as long as usual a step of a slow engine takes.
const slowest = 16

func batchDelays(t *testing.T, faults simulation.Faults, slower time.Duration) {
	worlds := 0
	for seed := uint64(1); seed <= seeds()/10; seed++ {
		with, epsilon := calm(seed)
		if epsilon == 0 {
			continue
		}
		epsilon *= slower
		with.Faults = faults
		alone := with
		silence(&alone, simulation.Batch)
		a, b := simulation.Run(alone), simulation.Run(with)
		if a.Violation != nil || b.Violation != nil {
			t.Fatalf("seed %d: %v, %v", seed, a.Violation, b.Violation)
		}
		if a.First == 0 || b.First < a.First {
			continue
		}
		worlds++
		added := b.Waited/time.Duration(b.First) - a.Waited/time.Duration(a.First)
		if added > epsilon {
			t.Errorf("seed %d: %v later, epsilon is %v", seed, added, epsilon)
		}
	}
	if worlds < int(seeds()/50) {
		t.Errorf("only %d worlds had both", worlds)
	}
}

// calm is a world without faults, without the classes for whose sake the low
// classes share a cap, and without a floor for batch; all its requests on demand
// are admitted, and engines have places and memory for them beyond the part that
// batch may fill. Epsilon is 0 if there are no batch rows.
func calm(seed uint64) (o simulation.Options, epsilon time.Duration) {
	o = simulation.Draw(seed)
	o.Faults, o.Ledger.Rules = 0, nil
	o.Scheduler.Floor[outcrop.ClassBatch] = 0
	silence(&o, simulation.Provisioned, simulation.Greedy)
	for i := range o.Engines {
		e := &o.Engines[i]
		e.MaxSeqs, e.KVTokens = 16, 64_000
	}
	for i := range o.Sources {
		s := &o.Sources[i]
		s.Tier, s.MaxWait, s.Deadline = outcrop.TierDefault, 0, 0
		s.Rate = min(s.Rate, 3)
	}
	for _, s := range o.Sources {
		for _, e := range o.Engines {
			if s.Rows > 0 {
				steps := (s.Most+s.Cached+e.Budget-1)/e.Budget + 1
				epsilon = max(epsilon, time.Duration(steps)*e.Time(e.Budget, 0, 0))
			}
		}
	}
	return o, epsilon
}

// silence leaves the sources of some kinds without a request, so that the
// others keep their numbers and with them their streams.
func silence(o *simulation.Options, kinds ...simulation.Kind) {
	o.Sources = slices.Clone(o.Sources)
	for i := range o.Sources {
		if s := &o.Sources[i]; slices.Contains(kinds, s.Kind) {
			s.Kind, s.Rows = simulation.Batch, 0
		}
	}
}
