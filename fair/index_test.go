package fair_test

import (
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop/fair"
)

// Ids come one after the other, at random, and such that they are looked for at
// the same place.
func TestAnIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.OneOf(rapid.Uint64Range(0, 40), rapid.Uint64(), rapid.Map(rapid.Uint64Range(0, 9), func(n uint64) uint64 { return n << 32 }))
		var x fair.Index[int]
		m := map[fair.ID]int{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			id := fair.ID(ids.Draw(t, "id"))
			if rapid.Bool().Draw(t, "delete") {
				x.Delete(id)
				delete(m, id)
			} else {
				v := rapid.IntRange(1, 1000).Draw(t, "value")
				x.Set(id, v)
				m[id] = v
			}
			if _, ok := m[id]; x.Get(id) != m[id] || x.Has(id) != ok || x.Len() != len(m) {
				t.Fatalf("%d: %d of %d, want %d of %d", id, x.Get(id), x.Len(), m[id], len(m))
			}
		}
		if got := maps.Collect(x.All()); !maps.Equal(got, m) {
			t.Fatalf("%v, want %v", got, m)
		}
	})
}

func TestAnIndexOfIDsInOrderAllocatesNothing(t *testing.T) {
	var x fair.Index[int]
	id := fair.ID(0)
	turn := func() {
		for range 50 {
			id++
			x.Set(id, 1)
			x.Delete(id - 20)
		}
	}
	turn()
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
