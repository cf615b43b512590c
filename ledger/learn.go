package ledger

import (
	"container/list"
	"slices"
)

// The constants of the learned estimate of an output.
const (
	// Window is of how many of the latest outputs it is made.
	Window = 512
	// Enough is from how many outputs on it is made; before, it is Cold.
	Enough = 20
	Cold   = 1024
)

// learned holds the latest lengths of outputs by account and model.
type learned struct {
	byScope map[Scope]*list.Element // of *lengths
	order   *list.List              // the least recently taught first
}

// lengths are the latest outputs of one scope, twice: in order of time and
// in order of length.
type lengths struct {
	scope  Scope
	recent []uint32
	next   int // where the oldest is, once recent is full
	sorted []uint32
}

func (e *learned) init() {
	e.byScope, e.order = map[Scope]*list.Element{}, list.New()
}

// estimate is the 95th percentile by nearest rank: of n lengths in order, the
// one with the number ceil(0.95 n).
func (e *learned) estimate(s Scope) (tokens, outputs int) {
	el := e.byScope[s]
	if el == nil {
		return Cold, 0
	}
	x := el.Value.(*lengths)
	n := len(x.sorted)
	if n < Enough {
		return Cold, n
	}
	return int(x.sorted[(95*n+99)/100-1]), n
}

// observe teaches the length of one more output.
func (e *learned) observe(s Scope, tokens, most int) {
	el := e.byScope[s]
	if el == nil {
		el = e.order.PushBack(&lengths{scope: s})
		e.byScope[s] = el
		e.bound(most)
	}
	e.order.MoveToBack(el)
	el.Value.(*lengths).add(uint32(tokens))
}

func (e *learned) bound(most int) {
	for e.order.Len() > most {
		el := e.order.Front()
		delete(e.byScope, el.Value.(*lengths).scope)
		e.order.Remove(el)
	}
}

func (x *lengths) add(tokens uint32) {
	if len(x.recent) < Window {
		x.recent = append(x.recent, tokens)
	} else {
		i, _ := slices.BinarySearch(x.sorted, x.recent[x.next])
		x.sorted = slices.Delete(x.sorted, i, i+1)
		x.recent[x.next] = tokens
		x.next = (x.next + 1) % Window
	}
	i, _ := slices.BinarySearch(x.sorted, tokens)
	x.sorted = slices.Insert(x.sorted, i, tokens)
}

// inOrder returns the lengths, oldest first.
func (x *lengths) inOrder() []uint32 {
	return append(slices.Clone(x.recent[x.next:]), x.recent[:x.next]...)
}
