package simulation

import (
	"fmt"
	"time"
)

// A trace is a digest of all that happened, with the last of it in full.
type trace struct {
	events int
	hash   uint64
	last   [lastKept]event
}

// lastKept is how many events a violation shows.
const lastKept = 40

// An event is one thing that a kernel was told or that it wanted, with up to
// four numbers that say which.
type event struct {
	at   time.Duration
	what string
	n    [4]int64
}

// add notes an event.
func (t *trace) add(at time.Duration, what string, n ...int64) {
	e := event{at: at, what: what}
	copy(e.n[:], n)
	t.last[t.events%lastKept] = e
	t.events++
	t.mix(uint64(at))
	for i := range len(what) {
		t.mix(uint64(what[i]))
	}
	for _, v := range n {
		t.mix(uint64(v))
	}
}

// mix is a round of FNV-1a over a word.
func (t *trace) mix(v uint64) {
	if t.hash == 0 {
		t.hash = 14695981039346656037
	}
	t.hash = (t.hash ^ v) * 1099511628211
	t.hash ^= t.hash >> 29
}

// lines are the last events, oldest first.
func (t *trace) lines() (all []string) {
	for i := max(0, t.events-lastKept); i < t.events; i++ {
		e := t.last[i%lastKept]
		all = append(all, fmt.Sprintf("%14v  %-28s %v", e.at, e.what, e.n))
	}
	return all
}
