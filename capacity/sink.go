package capacity

import (
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

const (
	reportTokens = 16
	reportEvery  = 20 * time.Millisecond
)

// A sink passes the answer on and tells the dispatcher of it. Start is held
// back until there is something behind it, since it commits to a 200 and the
// attempt may still be taken back.
type sink struct {
	out     outcrop.Sink
	queue   dispatcher
	ticket  *ticket
	id      fair.ID
	attempt int
	slow    bool // the answer comes piece by piece

	held     bool // a Start
	sent     bool // the attempt is the last one
	broken   bool // the caller takes no more
	tokens   int
	reported int
	at       time.Time // of the last report
}

// Send allocates nothing.
func (s *sink) Send(e outcrop.Event) error {
	if !s.sent {
		switch e.Kind {
		case outcrop.EventStart:
			s.held = true
			return nil
		case outcrop.EventFlush:
			return nil
		}
		if err := s.commit(); err != nil {
			return err
		}
	}
	if e.Kind == outcrop.EventDelta || e.Kind == outcrop.EventNative {
		s.count(len(e.Text))
	}
	err := s.out.Send(e)
	s.broken = err != nil
	return err
}

// commit makes this the last attempt.
func (s *sink) commit() error {
	if !s.granted() {
		return errTakenBack
	}
	s.sent, s.tokens, s.reported = true, 0, 0
	if s.slow {
		s.at = time.Now()
	}
	return s.open()
}

// granted asks whether the attempt may answer: the dispatcher if that takes
// time, and it must not give the engine to another one meanwhile. The end of an
// answer in one piece comes right behind; should the dispatcher have taken the
// attempt back in between, the answer is good all the same.
func (s *sink) granted() bool {
	if s.slow {
		return s.queue.first(s.id, s.attempt)
	}
	return s.ticket.stopBy(s.attempt, nil)
}

// open sends a Start that was held back.
func (s *sink) open() error {
	if !s.held {
		return nil
	}
	s.held = false
	err := s.out.Send(outcrop.Event{Kind: outcrop.EventStart})
	s.broken = err != nil
	return err
}

// longDelta is more text than one token has: about four tokens of English.
const longDelta = 16

// count counts a delta as a token, and a long one as several, and tells of them
// if they come one after the other.
func (s *sink) count(text int) {
	s.tokens += 1 + text/longDelta
	if !s.slow || s.tokens < s.reported+reportTokens {
		return
	}
	s.reported = s.tokens
	now := time.Now()
	if now.Sub(s.at) < reportEvery {
		return
	}
	s.at = now
	s.queue.progress(s.id, s.attempt, s.tokens)
}
