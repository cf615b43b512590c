package capacity

import (
	"encoding/gob"
	"net"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// A word is one message on the wire, to the dispatcher or from it.
type word struct {
	Verb            verb
	ID              fair.ID
	Request         fair.Request
	Deadline        time.Time
	Streams         bool
	Attempt, Tokens int
	Usage           outcrop.Usage
	Exact           bool
	Code            outcrop.Code
	Retry           time.Duration
	Yes             bool
	Kind            fateKind
	Engine          string
	Hint            int
	Queued          time.Duration
	Refusal         fair.Action
	Later           bool
	Held            *outcrop.Hold
}

type verb uint8

const (
	submits verb = iota
	first
	progressed
	finishes
	failed
	aborts
	answers
	tells
	explains
)

// A far is a dispatcher at the other end of a byte stream.
type far struct {
	conn    net.Conn
	delay   time.Duration // of what it hears
	writing sync.Mutex
	out     *gob.Encoder

	mu    sync.Mutex
	asked map[fair.ID]*asked
	gone  bool
}

// asked is a request that the other end was given.
type asked struct {
	path   listener
	answer chan bool
}

// Distant puts a byte stream between the request path of p and its dispatcher,
// before the first request. Each word of the dispatcher is so long on its way.
// HangUp closes the dispatcher's end, disconnect closes both and waits until
// nothing is read any more.
func (p *Pool) Distant(delay time.Duration) (hangUp, disconnect func()) {
	near, other := net.Pipe()
	f := &far{conn: near, delay: delay, out: gob.NewEncoder(near), asked: map[fair.ID]*asked{}}
	s := &station{dispatcher: p.local, conn: other, out: make(chan word, 64), closed: make(chan struct{}), open: map[fair.ID]bool{}}
	var ends sync.WaitGroup
	ends.Go(f.read)
	ends.Go(s.write)
	ends.Go(s.read)
	p.queue = f
	hangUp = func() { _ = other.Close() }
	return hangUp, func() { _ = near.Close(); _ = other.Close(); ends.Wait() }
}

func (f *far) send(w word) {
	f.writing.Lock()
	defer f.writing.Unlock()
	_ = f.out.Encode(&w) // the end of the stream is noticed by read
}

// ask sends w and waits for the answer; it is no once the stream has ended.
func (f *far) ask(w word) bool {
	f.mu.Lock()
	a := f.asked[w.ID]
	f.mu.Unlock()
	if a == nil {
		return false
	}
	f.send(w)
	return <-a.answer
}

func (f *far) forget(id fair.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.asked, id)
}

func (f *far) submit(o *order, l listener) {
	f.mu.Lock()
	gone := f.gone
	f.asked[o.ID] = &asked{l, make(chan bool, 1)}
	f.mu.Unlock()
	if gone {
		l.tell(fate{kind: lost})
		return
	}
	f.send(word{Verb: submits, ID: o.ID, Request: o.Request, Deadline: o.deadline, Streams: o.streams})
}

func (f *far) first(id fair.ID, attempt int) bool {
	return f.ask(word{Verb: first, ID: id, Attempt: attempt})
}

func (f *far) progress(id fair.ID, attempt, tokens int) {
	f.send(word{Verb: progressed, ID: id, Attempt: attempt, Tokens: tokens})
}

func (f *far) finished(id fair.ID, attempt int, e end) bool {
	yes := f.ask(word{Verb: finishes, ID: id, Attempt: attempt, Usage: e.usage, Exact: e.exact, Code: e.failure})
	if yes {
		f.forget(id)
	}
	return yes
}

func (f *far) failed(id fair.ID, attempt int, code outcrop.Code, retry time.Duration) {
	f.send(word{Verb: failed, ID: id, Attempt: attempt, Code: code, Retry: retry})
}

func (f *far) abort(id fair.ID, tokens int) {
	f.forget(id)
	f.send(word{Verb: aborts, ID: id, Tokens: tokens})
}

// read hears the dispatcher. When it is gone, so are the requests that it had.
func (f *far) read() {
	in := gob.NewDecoder(f.conn)
	for {
		var w word
		if err := in.Decode(&w); err != nil {
			break
		}
		time.Sleep(f.delay)
		f.hear(&w)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	for id, a := range f.asked {
		a.path.tell(fate{kind: lost})
		close(a.answer)
		delete(f.asked, id)
	}
}

func (f *far) hear(w *word) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.asked[w.ID]
	if a == nil {
		return
	}
	switch w.Verb {
	case answers:
		a.answer <- w.Yes
	case explains:
		a.path.explain(w.Held)
	case tells:
		if w.Kind == refused || w.Kind == lost {
			delete(f.asked, w.ID)
			close(a.answer) // the path may be asking about the attempt that is over
		}
		a.path.tell(fate{kind: w.Kind, attempt: w.Attempt, engine: w.Engine, hint: w.Hint, queued: w.Queued, refusal: w.Refusal, later: w.Later})
	}
}

// A station serves a dispatcher at its end of a byte stream.
type station struct {
	dispatcher
	conn   net.Conn
	out    chan word
	closed chan struct{}
	open   map[fair.ID]bool // of read alone
}

func (s *station) send(w word) {
	select {
	case s.out <- w:
	case <-s.closed:
	}
}

func (s *station) write() {
	out := gob.NewEncoder(s.conn)
	for {
		select {
		case w := <-s.out:
			_ = out.Encode(&w)
		case <-s.closed:
			return
		}
	}
}

// read does what it is told until the path is gone, and then ends what that had.
func (s *station) read() {
	defer close(s.closed)
	in := gob.NewDecoder(s.conn)
	for {
		var w word
		if err := in.Decode(&w); err != nil {
			break
		}
		s.obey(&w)
	}
	for id := range s.open {
		s.abort(id, 0)
	}
}

func (s *station) obey(w *word) {
	switch w.Verb {
	case submits:
		s.open[w.ID] = true
		s.submit(&order{Request: w.Request, deadline: w.Deadline, streams: w.Streams}, &speaker{s, w.ID})
	case first:
		s.send(word{Verb: answers, ID: w.ID, Yes: s.first(w.ID, w.Attempt)})
	case progressed:
		s.progress(w.ID, w.Attempt, w.Tokens)
	case finishes:
		yes := s.finished(w.ID, w.Attempt, end{usage: w.Usage, exact: w.Exact, failure: w.Code})
		s.send(word{Verb: answers, ID: w.ID, Yes: yes})
	case failed:
		s.failed(w.ID, w.Attempt, w.Code, w.Retry)
	case aborts:
		s.abort(w.ID, w.Tokens)
	}
}

// A speaker tells the path what its dispatcher says of one request.
type speaker struct {
	*station
	id fair.ID
}

func (s *speaker) tell(f fate) {
	s.send(word{Verb: tells, ID: s.id, Kind: f.kind, Attempt: f.attempt, Engine: f.engine, Hint: f.hint, Queued: f.queued, Refusal: f.refusal, Later: f.later})
}

func (s *speaker) explain(h *outcrop.Hold) { s.send(word{Verb: explains, ID: s.id, Held: h}) }
