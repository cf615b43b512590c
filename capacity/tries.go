package capacity

import (
	"errors"
	"time"

	"github.com/outcrop/outcrop"
)

// maxTries bounds how many tries are told of a request.
const maxTries = 8

// tries are those that a receipt tells of. One that did not wait and went well
// is not worth a word if it is the only one, so that an ordinary request
// allocates nothing for it.
type tries struct {
	first, last *outcrop.Try
	n           int
	queued      time.Duration // before the last one, in all
}

// add appends t, which was queued so long in all.
func (l *tries) add(queued time.Duration, t outcrop.Try) {
	if l.n == maxTries {
		return
	}
	t.Queued, l.queued = queued-l.queued, queued
	l.n++
	if l.last == nil {
		l.first, l.last = &t, &t
		return
	}
	l.last.Next, l.last = &t, &t
}

// tried notes how the attempt on the engine went.
func (v *invocation) tried(err error) {
	f := &v.final
	if err == nil && f.held == nil && v.tries.n == 0 {
		return
	}
	t := outcrop.Try{Engine: f.engine, Ran: time.Since(v.launched), TakenBack: errors.Is(err, errTakenBack), Held: f.held}
	if !t.TakenBack {
		t.Code, _ = codeOf(err)
	}
	v.tries.add(f.queued, t)
}

// left notes that the request left the queue with err and no engine. One that
// did not wait has nothing to tell.
func (v *invocation) left(held *outcrop.Hold, err error) {
	if held == nil {
		return
	}
	code, _ := codeOf(err)
	v.tries.add(v.receipt.Queued, outcrop.Try{Code: code, Held: held})
}
