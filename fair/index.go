package fair

import (
	"iter"
	"math/bits"
)

// An Index finds values by the ids of their requests. It is made for ids that
// are given out one after the other: their places are then next to each other
// and nearly always free. Any others do as well, at the cost of longer searches.
// The zero value is empty. An Index is not safe for concurrent use.
type Index[V any] struct {
	places []place[V] // a power of two of them, at least half of them free
	n      int
}

type place[V any] struct {
	id    ID
	taken bool
	value V
}

// leastPlaces is how many places an index begins with.
const leastPlaces = 64

// Len returns the number of values.
func (x *Index[V]) Len() int { return x.n }

// Get returns the value of the id, and the zero value if there is none.
func (x *Index[V]) Get(id ID) V {
	if i, ok := x.find(id); ok {
		return x.places[i].value
	}
	var none V
	return none
}

// Has reports whether the id has a value.
func (x *Index[V]) Has(id ID) bool {
	_, ok := x.find(id)
	return ok
}

// Set makes v the value of the id.
func (x *Index[V]) Set(id ID, v V) {
	i, ok := x.find(id)
	if !ok && 2*(x.n+1) > len(x.places) {
		x.grow()
		i, _ = x.find(id)
	}
	if !ok {
		x.n++
	}
	x.places[i] = place[V]{id: id, taken: true, value: v}
}

// Delete removes the id and its value. Those that were put behind it because
// its place was taken move up, so that a search may end at a free place.
func (x *Index[V]) Delete(id ID) {
	free, ok := x.find(id)
	if !ok {
		return
	}
	x.n--
	for i := x.after(free); x.places[i].taken; i = x.after(i) {
		if x.distance(x.home(x.places[i].id), i) >= x.distance(free, i) {
			x.places[free], free = x.places[i], i
		}
	}
	x.places[free] = place[V]{}
}

// All yields the ids and their values, in no order. The index must not change
// meanwhile.
func (x *Index[V]) All() iter.Seq2[ID, V] {
	return func(yield func(ID, V) bool) {
		for i := range x.places {
			if p := &x.places[i]; p.taken && !yield(p.id, p.value) {
				return
			}
		}
	}
}

// find returns the place of the id, or the free one at which the search ended.
func (x *Index[V]) find(id ID) (i int, ok bool) {
	if len(x.places) == 0 {
		return 0, false
	}
	for i = x.home(id); x.places[i].taken; i = x.after(i) {
		if x.places[i].id == id {
			return i, true
		}
	}
	return i, false
}

// home is where the search for the id begins: of ids one after the other, each
// has its own.
func (x *Index[V]) home(id ID) int { return int(uint64(id) & uint64(len(x.places)-1)) }

func (x *Index[V]) after(i int) int { return (i + 1) & (len(x.places) - 1) }

// distance is how many places a search goes from one to another.
func (x *Index[V]) distance(from, to int) int { return (to - from) & (len(x.places) - 1) }

func (x *Index[V]) grow() {
	old := x.places
	x.places = make([]place[V], max(leastPlaces, 1<<bits.Len(uint(2*x.n))))
	for i := range old {
		if old[i].taken {
			free, _ := x.find(old[i].id)
			x.places[free] = old[i]
		}
	}
}
