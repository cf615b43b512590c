package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
)

// A source is a Source at work.
type source struct {
	Source
	number int
	random *rand.Rand
	blocks []uint64 // of the prefix
	prefix uint64
	wakes  int // number of the latest waking of a greedy source
	rows   int // of a batch job that were sent
}

// A request is one call, or one row of a batch job.
type request struct {
	id       uint64 // the caller's choice; a request that is repeated has the same
	source   *source
	state    state
	born     time.Duration
	prompt   int           // tokens
	most     int           // max_tokens
	output   int           // tokens that an engine will answer with
	deadline time.Duration // 0 for none
	tries    int           // before this one, of a row

	unit    string // that it runs on; empty on demand
	tier    outcrop.ServiceTier
	class   outcrop.Class
	spilled bool
	boot    int // of the process that has it

	holds    bool // a reservation is open in its name
	estimate outcrop.Usage
	reportAt int

	attempts int
	attempt  *attempt // on an engine
	tokens   int      // that the caller was sent
	aborted  int      // how often it was aborted and resumed
	losses   int      // how often it was requeued after a loss
	returned bool     // it was on an engine before

	// As the watch has it; times are on the scheduler's scale.
	ask     fair.Request
	flow    *flow
	host    *host         // on an engine
	place   int           // in the queue
	came    time.Duration // to the scheduler
	since   time.Duration // in the queue
	queued  time.Duration // before that
	started time.Duration // on the host
	engines time.Duration // on hosts before
	bound   time.Duration // longest time in the queue; 0 for none
	fresh   int           // tokens of the prompt that its engine reads
	told    int           // tokens that the scheduler was told of
	charged float64       // service

	answers int
	lives   int // place among those without an answer
}

// A state is where a request is.
type state uint8

const (
	coming state = iota // on its way to the process
	asking              // it waits for its unit
	queued
	flying
	over
)

func (w *world) addSource(i int) {
	s := &source{Source: w.Sources[i], number: i, random: stream(w.Seed, ofSources+uint64(i))}
	for b := range s.Cached / step.BlockTokens {
		s.blocks = append(s.blocks, uint64(i+1)<<32|uint64(b+1))
	}
	if s.Cached > 0 {
		s.prefix = s.blocks[0]
	}
	w.sources = append(w.sources, s)
	switch s.Kind {
	case Batch:
		for range min(6, s.Rows) {
			w.at(0, func() { w.nextRow(s) })
		}
	case Greedy:
		w.wake(s, 0)
	default:
		w.awaitRequest(s)
	}
}

// awaitRequest lets the next request come when the source has it so.
func (w *world) awaitRequest(s *source) {
	gap := time.Duration(s.random.ExpFloat64() / s.Rate * float64(time.Second))
	if w.now+gap > w.Until {
		return
	}
	w.at(w.now+gap, func() {
		w.call(w.draw(s))
		w.awaitRequest(s)
	})
}

// wake has a greedy source ask at that time and not before.
func (w *world) wake(s *source, at time.Duration) {
	s.wakes++
	number := s.wakes
	w.at(at, func() {
		if number == s.wakes && !w.healed {
			w.call(w.draw(s))
		}
	})
}

func (w *world) nextRow(s *source) {
	if s.rows < s.Rows && !w.healed {
		s.rows++
		w.call(w.draw(s))
	}
}

// draw makes a request of the source.
func (w *world) draw(s *source) *request {
	tokens := func(mean, most int) int {
		return min(1+int(s.random.ExpFloat64()*float64(mean)), most)
	}
	w.ids++
	r := &request{id: w.ids, source: s, prompt: tokens(s.Prompt, s.Most) + s.Cached, output: tokens(s.Output, 4*s.Output)}
	r.most = r.output
	if s.Kind != Greedy && s.random.IntN(3) > 0 {
		r.most = 4 * s.Output
	}
	if w.befalls(LongAnswer) {
		r.output += w.faults[LongAnswer].IntN(500)
	}
	return r
}

// call sends a request, and may be sends it again or goes away.
func (w *world) call(r *request) {
	w.send(r, 0)
	f := w.faults[RepeatID]
	if r.source.Kind != Batch && w.befalls(RepeatID) {
		again := *r
		w.send(&again, time.Duration(f.Int64N(int64(2*time.Second))))
	}
	if r.source.Kind != Batch && w.befalls(Disconnect) {
		after := time.Duration(w.faults[Disconnect].Int64N(int64(500 * time.Millisecond)))
		w.deliver(w.process.boots, after, func() { w.gone(r) })
	}
}

// send has the request come to the process after a while.
func (w *world) send(r *request, after time.Duration) {
	r.born, r.lives = w.now+after, len(w.live)
	w.live = append(w.live, r)
	w.made++
	if r.source.Deadline > 0 {
		r.deadline = r.born + r.source.Deadline
	}
	w.at(w.now+after, func() { w.arrive(r) })
}

// answer gives the caller of r its one answer.
func (w *world) answer(r *request, how string) {
	w.note(how, int64(r.id), int64(r.tokens))
	r.state = over
	r.answers++
	w.answers++
	w.checkAnswers(r)
	if r.answers > 1 {
		return
	}
	last := w.live[len(w.live)-1]
	w.live[r.lives], last.lives = last, r.lives
	w.live[len(w.live)-1] = nil
	w.live = w.live[:len(w.live)-1]
	if r.source.Kind == Batch {
		w.rowDone(r, how)
	}
}

// maxTries is how often a row of a batch job is tried.
const maxTries = 3

// rowDone goes on with the job: the same row again, or the next one.
func (w *world) rowDone(r *request, how string) {
	s := r.source
	if how == answerOK || r.tries+1 >= maxTries || w.healed {
		if how != answerOK {
			w.mark(rowGivenUp)
		}
		w.at(w.now, func() { w.nextRow(s) })
		return
	}
	w.mark(rowTriedAgain)
	w.ids++
	again := &request{id: w.ids, source: s, prompt: r.prompt, output: r.output, most: r.most, tries: r.tries + 1}
	w.at(w.now+100*time.Millisecond, func() {
		if !w.healed {
			w.call(again)
		}
	})
}
