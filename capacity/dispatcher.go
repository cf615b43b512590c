package capacity

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// A dispatcher decides when a request starts and where. Its methods are the
// messages of a request path to it; its own go to the listener. Messages hold no
// more than a wire can carry, and may be on their way for a while, so that a
// dispatcher can live in another process. A message about an attempt that is
// over is ignored. Only first and finished have answers that the path waits for;
// what comes from an engine in one piece (see Engine.Whole) needs no first, since
// its end follows at once.
type dispatcher interface {
	// submit hands a request in. What becomes of it is told to l; it may be
	// known when submit returns, after which o is the caller's again.
	submit(o *order, l listener)
	// first tells that the engine's answer has come to its first token. If it
	// reports false, the attempt was taken back, and nothing of it may go out.
	first(id fair.ID, attempt int) bool
	// progress tells how many tokens came so far.
	progress(id fair.ID, attempt, tokens int)
	// finished tells that the attempt ended and there will be no other. It
	// reports false if the attempt had been taken back before.
	finished(id fair.ID, attempt int, e end) bool
	// failed tells that the engine did not take the request or had no room, and
	// may be for how long. The ticket is told whether there is another attempt.
	failed(id fair.ID, attempt int, code outcrop.Code, retry time.Duration)
	// abort tells that the caller is gone, and how many tokens he was sent.
	abort(id fair.ID, tokens int)
}

// A listener hears the messages of a dispatcher about one request, in their
// order. Its methods do not block.
type listener interface {
	// tell says what becomes of the request.
	tell(f fate)
	// explain says why it has to wait.
	explain(h *outcrop.Hold)
}

// An order is a request as the dispatcher gets it.
type order struct {
	fair.Request
	deadline time.Time
	// streams tells that tokens are seen as they come.
	streams bool
}

// An end is how an attempt ended.
type end struct {
	usage   outcrop.Usage // zero if it is not known
	exact   bool          // the engine told the usage
	failure outcrop.Code  // empty if it ended well
}

// A fate is what becomes of a request.
type fate struct {
	kind    fateKind
	attempt int           // with granted: its number, from 1
	engine  string        // with granted: the engine's name
	hint    int           // with granted: the priority for engines that take one
	queued  time.Duration // with all but waiting: in the queue so far
	refusal fair.Action   // with refused
	later   bool          // with refused for size: there is an engine for it, which does not stand
	held    *outcrop.Hold // with all but waiting: why it had to wait before this; nil if it had not
}

type fateKind uint8

const (
	waiting fateKind = iota
	granted
	refused
	lost // no further attempt; the last one's failure says why
)

// errTakenBack is why an engine's context ends when the dispatcher takes an
// attempt back. It never leaves the package.
var errTakenBack = errors.New("capacity: the attempt was taken back")

// A ticket is where a request path hears of its fate. Only the latest word
// counts.
type ticket struct {
	mu   sync.Mutex
	fate fate
	held *outcrop.Hold // why it waits since the last fate that was not to wait
	// stop ends the attempt that runs; nil if none does.
	stop context.CancelCauseFunc
	wake chan struct{} // has room for one
}

// tell implements listener. An attempt under way is stopped: whatever is new is
// not about it.
func (t *ticket) tell(f fate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fate = f
	if f.kind != waiting {
		t.fate.held, t.held = t.held, nil
	}
	if t.stop != nil {
		t.stop(errTakenBack)
		t.stop = nil
	}
	if t.wake == nil {
		return
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// explain implements listener.
func (t *ticket) explain(h *outcrop.Hold) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = h
}

// unheard returns why the request waits, of one that is waited for no more.
func (t *ticket) unheard() *outcrop.Hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held
}

// await tells the fate as soon as it is not to wait, and the error of ctx if
// that ends before. The attempt in f is over: the next word may still be on its
// way.
func (t *ticket) await(ctx context.Context, f *fate) error {
	for {
		wake := t.look(f)
		if f.kind != waiting {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (t *ticket) look(f *fate) (wake <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fate.kind != waiting && (t.fate.kind != granted || t.fate.attempt > f.attempt) {
		*f = t.fate
		return nil
	}
	f.kind = waiting
	if t.wake == nil {
		t.wake = make(chan struct{}, 1)
	}
	return t.wake
}

// stopBy says how to stop the attempt, nil if it is not to be stopped any more;
// it reports false if it is over already.
func (t *ticket) stopBy(attempt int, stop context.CancelCauseFunc) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fate.kind != granted || t.fate.attempt != attempt {
		return false
	}
	t.stop = stop
	return true
}

// ended tells that no attempt runs.
func (t *ticket) ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop = nil
}
