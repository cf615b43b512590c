package simulation

import (
	"container/heap"
	"time"
)

// An agenda holds what is to happen, by time and then in the order in which it
// was put down.
type agenda struct {
	items entries
	count int
}

type entry struct {
	at     time.Duration
	number int
	what   func()
}

type entries []entry

func (e entries) Len() int { return len(e) }
func (e entries) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].number < e[j].number
}
func (e entries) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any)   { *e = append(*e, x.(entry)) }
func (e *entries) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = entry{}
	*e = (*e)[:last]
	return x
}

func (a *agenda) put(at time.Duration, what func()) {
	a.count++
	heap.Push(&a.items, entry{at, a.count, what})
}

// next is when the first of them is due; never if there is none.
func (a *agenda) next() time.Duration {
	if len(a.items) == 0 {
		return never
	}
	return a.items[0].at
}

// pop takes out the first of them; there must be one.
func (a *agenda) pop() func() { return heap.Pop(&a.items).(entry).what }
