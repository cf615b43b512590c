package fair_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// A saturated rig has a single engine of simulated hardware and more batch rows
// than it can take, and notes what happens to requests that come meanwhile.
type saturated struct {
	*rig
	rng     *rand.Rand
	waiting map[fair.ID]*flight // those that came and were not dispatched
	worst   time.Duration       // from an arrival until the dispatch
	aborted map[fair.ID]bool    // rows that were taken back
	resumed int                 // of them, those that have ended
	rows    int                 // that have ended
}

func newSaturated(t *testing.T) *saturated {
	s := &saturated{rig: newRig(t, 1, fair.Default()), rng: rand.New(rand.NewPCG(7, 11)), waiting: map[fair.ID]*flight{}, aborted: map[fair.ID]bool{}}
	s.done = func(f *flight) {
		if f.Class != outcrop.ClassBatch {
			return
		}
		if s.rows++; s.aborted[f.ID] {
			s.resumed++
		}
		s.submit(s.row(), 0)
	}
	s.backlog(200, s.row)
	s.run(5 * time.Second)
	return s
}

// row is a batch row. Most are so short that they would fit where another
// request does not.
func (s *saturated) row() fair.Request {
	prompt := 500 + s.rng.IntN(6000)
	if s.rng.IntN(8) > 0 {
		prompt = 20 + s.rng.IntN(100)
	}
	return fair.Request{Tenant: "batch", Class: outcrop.ClassBatch, Prompt: prompt, Output: 20 + s.rng.IntN(200)}
}

// arrive has a request come, and checks the actions of this very message: from
// its arrival no batch row is dispatched. It reports whether the request was
// dispatched by the message.
func (s *saturated) arrive(class outcrop.Class) (atOnce bool) {
	s.t.Helper()
	before := len(s.log)
	f := s.submit(fair.Request{Tenant: "online", Class: class, Prompt: 200 + s.rng.IntN(4000), Output: 50}, 0)
	s.waiting[f.ID] = f
	s.look(before)
	_, waits := s.waiting[f.ID]
	return !waits
}

// look goes through the actions since a place in the log: no batch row may be
// dispatched while another request waits.
func (s *saturated) look(from int) {
	s.t.Helper()
	for _, a := range s.log[from:] {
		f := s.live[a.ID]
		switch {
		case a.Kind == fair.AbortAndResume:
			s.aborted[a.ID] = true
		case a.Kind != fair.Dispatch:
		case s.waiting[a.ID] != nil:
			s.worst = max(s.worst, s.now-s.waiting[a.ID].sent)
			delete(s.waiting, a.ID)
		case f != nil && f.Class == outcrop.ClassBatch && len(s.waiting) > 0:
			s.t.Fatalf("at %v row %d is dispatched, and %d requests wait", s.now, a.ID, len(s.waiting))
		}
	}
}

// settle lets time pass, a step of the engine or a tick at a time, until
// nothing of higher classes waits.
func (s *saturated) settle() {
	s.t.Helper()
	for end := s.now + time.Minute; len(s.waiting) > 0; {
		if s.now > end {
			s.t.Fatalf("%d requests wait for a minute", len(s.waiting))
		}
		before := len(s.log)
		s.run(time.Millisecond)
		s.look(before)
	}
}

// TestBatchStopsAtTheArrivalOfAnother: whatever class a request above batch is
// of, from the message that it came with no batch row is dispatched until it is
// itself. A provisioned one is dispatched by that message, and rows whose
// prompts are still being read give way to it, and end well later. One of the
// classes below waits until the longest row is read, which takes four steps, at
// most.
func TestBatchStopsAtTheArrivalOfAnother(t *testing.T) {
	const arrivals = 50
	for _, c := range []struct {
		class  outcrop.Class
		atOnce int           // that are dispatched as they come, at least
		most   time.Duration // until the dispatch
		yields bool          // rows give way
	}{
		{outcrop.ClassFlex, 0, 300 * time.Millisecond, false},
		{outcrop.ClassDefault, 0, 300 * time.Millisecond, false},
		{outcrop.ClassPriority, arrivals * 9 / 10, 300 * time.Millisecond, true},
		{outcrop.ClassProvisioned, arrivals, 0, true},
	} {
		t.Run(c.class.String(), func(t *testing.T) {
			s, atOnce := newSaturated(t), 0
			for range arrivals {
				s.run(time.Duration(s.rng.IntN(1000)) * time.Millisecond)
				if s.arrive(c.class) {
					atOnce++
				}
				s.settle()
			}
			if atOnce < c.atOnce || s.worst > c.most {
				t.Errorf("%d of %d requests were dispatched as they came, and one waited %v; want %d and %v", atOnce, arrivals, s.worst, c.atOnce, c.most)
			}
			if c.yields != (s.resumed > 0) {
				t.Errorf("%d rows were taken back, and %d of them have ended", len(s.aborted), s.resumed)
			}
			t.Logf("%d of %d at once, the last one after %v; %d rows were taken back, %d of these and %d in all ended", atOnce, arrivals, s.worst, len(s.aborted), s.resumed, s.rows)
		})
	}
}
