package fair_test

import (
	"math/rand/v2"
	"testing"

	"github.com/outcrop/outcrop/fair"
)

func TestTheLatestPrefixesAreRemembered(t *testing.T) {
	const remembered, added = 4096, 50_000
	rng := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func(n uint64) uint64{
		"hashes":  func(uint64) uint64 { return rng.Uint64() },
		"numbers": func(n uint64) uint64 { return n + 1 },
	} {
		var r fair.Recent
		if r.Has(1) || r.Has(0) {
			t.Errorf("%s: one is there before any came", name)
		}
		var all []uint64
		lost := 0
		for n := range uint64(added) {
			all = append(all, next(n))
			r.Add(all[n])
			if !r.Has(all[n]) {
				t.Fatalf("%s: the latest of %d is not there", name, n)
			}
			if old := int(n) - remembered; old >= 0 && r.Has(all[old]) {
				t.Errorf("%s: one is there after %d others", name, remembered)
			}
			if old := int(n) - remembered + 1; old >= 0 && !r.Has(all[old]) {
				lost++
			}
		}
		if lost > added/1000 {
			t.Errorf("%s: %d of %d were lost before their time", name, lost, added)
		}
	}
}

func TestAPrefixThatComesAgainIsAsGoodAsNew(t *testing.T) {
	var r fair.Recent
	for n := range uint64(100_000) {
		r.Add(7)
		r.Add(1000 + n)
		if !r.Has(7) {
			t.Fatalf("it is gone after %d", n)
		}
	}
	r.Add(0)
	if r.Has(0) {
		t.Error("what has no prefix is remembered")
	}
}
