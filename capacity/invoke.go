package capacity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// Invoke implements outcrop.Model. Request.Class, Estimate, Unit and Latency say
// how the request is scheduled. Engines that take priorities get a copy with
// Priority set. Receipt.Latency says optimized if that was asked for and the
// engine that served is marked for it.
//
// It waits until the scheduler gives it an engine; an engine that is
// unavailable or throttles before it has sent a token costs a try, and so does
// a request of a higher class that takes the engine before then. After that
// there is no second try.
//
// Refusals are of CodeThrottling, or CodeUnavailable if no engine stands, or
// CodeValidation if no engine could ever hold the request; RetryAfter is when
// the scheduler expects to take a request like this.
func (p *Pool) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	v, err := p.begin(ctx, req, out)
	if err != nil {
		return outcrop.Receipt{Class: req.Class, Scheduled: true}, err
	}
	defer v.leave()
	err = v.run(ctx)
	v.end()
	return v.receipt, err
}

// begin submits req and returns its invocation. What stands on the stack while
// an engine answers is a good part of what a stream costs, so that whatever is
// large is put into the invocation, by functions that return before.
func (p *Pool) begin(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (*invocation, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if req.Class >= outcrop.NumClasses {
		return nil, fmt.Errorf("capacity: class %d", req.Class)
	}
	v := p.invocations.Get().(*invocation)
	v.pool, v.req, v.began, v.id = p, req, time.Now(), fair.ID(p.ids.Add(1))
	v.receipt.Class, v.receipt.Scheduled = req.Class, true
	v.waits = v.began
	v.sink = sink{out: out, queue: p.queue, ticket: &v.ticket, id: v.id}
	v.order = p.order(req, v.id)
	p.queue.submit(&v.order, &v.ticket)
	return v, nil
}

// end notes that the dispatcher has forgotten the request.
func (v *invocation) end() {
	v.settled = true
	v.receipt.Tries = v.tries.first
}

// free gives v back. The dispatcher has forgotten it, so that nothing more is
// told to its ticket.
func (p *Pool) free(v *invocation) {
	if v.copied != nil {
		*v.copied = outcrop.Request{}
	}
	*v = invocation{leash: v.leash, copied: v.copied}
	p.invocations.Put(v)
}

// An invocation is one request on its way.
type invocation struct {
	pool    *Pool
	req     *outcrop.Request
	id      fair.ID
	began   time.Time
	waits   time.Time // since when it waits
	order   order
	ticket  ticket
	leash   leash            // kept for the next request, like copied
	copied  *outcrop.Request // with what the engine is asked beyond the caller
	sink    sink
	receipt outcrop.Receipt
	failure error   // of the last attempt
	final   fate    // the latest
	engine  *Engine // of the latest attempt
	tries   tries
	settled bool // the dispatcher has forgotten the request

	attempts int
	launched time.Time // when the latest attempt began
}

// leave ends v. A request whose engine panics is forgotten too, and its v
// left alone.
func (v *invocation) leave() {
	if !v.settled {
		v.leash.loosen(false)
		v.pool.queue.abort(v.id, v.sink.tokens)
		return
	}
	v.pool.free(v)
}

func (v *invocation) run(ctx context.Context) error {
	for {
		if err := v.ticket.await(ctx, &v.final); err != nil {
			v.pool.queue.abort(v.id, v.sink.tokens)
			v.receipt.Queued += time.Since(v.waits)
			v.left(v.ticket.unheard(), err)
			return err
		}
		v.receipt.Queued = v.final.queued
		switch v.final.kind {
		case refused:
			err := v.pool.refusal(v, v.final)
			v.left(v.final.held, err)
			return err
		case lost:
			return v.lost()
		}
		if again, err := v.attempt(ctx); !again {
			return err
		}
		v.waits = time.Now()
	}
}

// attempt runs the request on the engine that was granted. Again reports that
// the ticket knows how it goes on.
func (v *invocation) attempt(ctx context.Context) (again bool, err error) {
	if v.engine = v.pool.engine(v.final.engine); v.engine == nil {
		v.pool.queue.failed(v.id, v.final.attempt, outcrop.CodeUnavailable, 0)
		return true, nil
	}
	running := v.leash.under(ctx)
	defer v.leash.loosen(v.req.Batch)
	if !v.ticket.stopBy(v.final.attempt, v.leash.stop) {
		return true, nil
	}
	req := v.request()
	v.sink.attempt, v.sink.held, v.sink.slow = v.final.attempt, false, req.Streaming || !v.engine.Whole
	v.launched = v.began
	if v.attempts++; v.attempts > 1 || v.final.queued > 0 {
		v.launched = time.Now()
	}
	v.receipt, err = v.engine.Model.Invoke(running, req, &v.sink)
	v.ticket.ended()
	v.complete()
	v.tried(err)
	return v.settle(ctx, err)
}

// request is what the engine gets.
func (v *invocation) request() *outcrop.Request {
	e := v.engine
	stream := e.Stream && !v.req.Streaming && v.req.Conversation != nil
	if !stream && !e.Capacity.Priorities {
		return v.req
	}
	if v.copied == nil {
		v.copied = new(outcrop.Request)
	}
	*v.copied = *v.req
	v.copied.Streaming = stream || v.req.Streaming
	if e.Capacity.Priorities {
		v.copied.Priority = v.final.hint
	}
	return v.copied
}

// complete makes the engine's receipt that of the invocation. An engine that
// says at which latency it served knows better than its mark.
func (v *invocation) complete() {
	r, e := &v.receipt, v.engine
	if r.Latency == "" && v.sink.sent && v.order.Optimized && e.Capacity.Optimized {
		r.Latency = outcrop.LatencyOptimized
	}
	r.Class, r.Scheduled, r.Queued, r.Attempts = v.req.Class, true, v.final.queued, v.attempts
	if r.FirstToken > 0 {
		r.FirstToken += v.launched.Sub(v.began)
	}
	if r.Engine == "" && v.sink.sent {
		r.Engine = e.Name
	}
}

// settle tells the dispatcher how the attempt ended.
func (v *invocation) settle(ctx context.Context, err error) (again bool, _ error) {
	queue, attempt := v.pool.queue, v.final.attempt
	switch {
	case errors.Is(err, errTakenBack):
		if v.sink.sent {
			queue.abort(v.id, v.sink.tokens) // of one that is forgotten already, this is nothing
			return false, v.lost()
		}
		v.failure = nil
		return true, nil
	case err != nil && (ctx.Err() != nil || v.sink.broken):
		queue.abort(v.id, v.sink.tokens)
		return false, err
	case err != nil && !v.sink.sent && another(err):
		v.failure = err
		code, retry := codeOf(err)
		queue.failed(v.id, attempt, code, retry)
		return true, nil
	}
	code, _ := codeOf(err)
	current := queue.finished(v.id, attempt, end{usage: v.receipt.Usage, exact: !v.receipt.Estimated, failure: code})
	switch {
	case !current && !v.sink.sent:
		return true, nil
	case !current:
		queue.abort(v.id, v.sink.tokens) // it may be in the queue again, for an answer that is there
	}
	if code == outcrop.CodeModelStream {
		if failed := v.sink.open(); failed != nil {
			return false, failed
		}
	}
	v.pool.caches.learn(v.req, v.order.Prefix, v.receipt.Usage.CacheRead)
	return false, err
}

// another reports whether another engine could do better than err.
func another(err error) bool {
	return errors.Is(err, outcrop.CodeUnavailable) || errors.Is(err, outcrop.CodeThrottling) ||
		errors.Is(err, outcrop.CodeModelNotReady)
}

func codeOf(err error) (outcrop.Code, time.Duration) {
	if err == nil {
		return "", 0
	}
	var e *outcrop.Error
	if errors.As(err, &e) {
		return e.Code, e.RetryAfter
	}
	return outcrop.CodeInternal, 0
}

// lost is the error when there is no further attempt.
func (v *invocation) lost() error {
	switch {
	case v.sink.sent:
		return &outcrop.Error{Code: outcrop.CodeModelStream, Message: "The engine was taken out of service while it answered."}
	case v.failure != nil:
		return v.failure
	}
	return &outcrop.Error{Code: outcrop.CodeUnavailable, RetryAfter: time.Second,
		Message: "The engines that were to answer were taken out of service. Try your request again."}
}
