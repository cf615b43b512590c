package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/h1"
	"github.com/outcrop/outcrop/tokens"
)

const (
	maxAnswer  = 32 << 20 // bytes of an answer that is not streamed
	maxRefusal = 64 << 10 // bytes of an error's body that are looked at
	maxKept    = 256 << 10
	maxText    = 256 << 10 // of an answer's text that is kept for an estimate
	drainTime  = 5 * time.Millisecond
)

var errTooLong = errors.New("the answer is longer than 32 MiB")

// An outcome is what a decoder knows of an answer at some point in it.
type outcome struct {
	usage   outcrop.Usage
	metered bool // the engine told the usage
	began   bool // a token has come
	done    bool // the end marker was seen
	stop    outcrop.StopReason
	tier    outcrop.ServiceTier // that served
	latency outcrop.Latency
}

// A decoder turns an answer in some dialect into events.
type decoder interface {
	reset(req *outcrop.Request)
	// accept sees the head of the answer before its body is read.
	accept(resp *h1.Response)
	// refusal is the error of an answer whose status is not 200.
	refusal(name string, resp *h1.Response, body []byte) *outcrop.Error
	// answer takes the whole body of an answer that was not streamed.
	answer(body []byte, out outcrop.Sink) error
	// fill reads once from a stream.
	fill(src io.Reader) error
	// next decodes the next event at hand; ok is false if there is none.
	next(out outcrop.Sink) (ok bool, err error)
	// end tells that a stream has ended; clean that its framing was whole.
	// If the end marker was not seen before or now, that is an error.
	end(clean bool, out outcrop.Sink) error
	outcome() outcome
}

// An exchange is one invocation of an engine. It is the Sink of its decoder,
// and takes down what passes on to the caller's. It goes back to its pool
// once Invoke returns: by then h1 holds nothing of it.
type exchange struct {
	dec     decoder
	engine  *hosts
	begun   time.Time
	silent  time.Time // since when what came was no event, once a token has come
	out     outcrop.Sink
	refusal error // what out returned
	sent    bool  // something was sent
	receipt outcrop.Receipt

	request h1.Request
	header  []byte
	space   *[]byte // of bodies, while body lies in it
	body    []byte
	in      []byte // the answer
	resp    *h1.Response
	text    []byte // of the answer so far
	pieces  int    // native ones

	step  func() (more bool) // advance, bound once
	whole bool               // a stream has come to its end
	fault error              // or to this one
}

// bodies are buffers for what is sent: that takes a short time beside that of
// the answer.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// start makes x ready to carry req.
func (x *exchange) start(h *hosts, req *outcrop.Request, out outcrop.Sink) {
	x.begun = time.Now()
	x.engine, x.out = h, out
	x.receipt = outcrop.Receipt{Attempts: 1}
	x.header = append(x.header[:0], h.header...)
	x.space = bodies.Get().(*[]byte)
	x.body = (*x.space)[:0]
	x.dec.reset(req)
}

// dropBody gives the memory of the body back: it was sent, or will never be.
func (x *exchange) dropBody() {
	if x.space == nil {
		return
	}
	*x.space = kept(x.body)
	bodies.Put(x.space)
	x.space, x.body, x.request = nil, nil, h1.Request{}
}

// clear lets go of what is the caller's, and of buffers that have grown
// large.
func (x *exchange) clear() {
	x.dropBody()
	*x = exchange{
		dec: x.dec, header: x.header[:0], in: kept(x.in), text: x.text[:0], step: x.step,
	}
	x.dec.reset(nothing)
}

// nothing is the request to which decoders are reset while they wait for use,
// so that they hold on to none.
var nothing = &outcrop.Request{}

func kept(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// Send passes the event on.
func (x *exchange) Send(e outcrop.Event) error {
	x.sent = true
	if e.Kind == outcrop.EventDelta || e.Kind == outcrop.EventBlockStart && e.Block == outcrop.BlockToolUse {
		x.token()
		if len(x.text)+len(e.Text) <= maxText {
			x.text = append(x.text, e.Text...)
		}
	}
	if e.Kind == outcrop.EventNative {
		x.pieces++
	}
	err := x.out.Send(e)
	if err != nil {
		x.refusal = err
	}
	return err
}

// token notes that a token has come: from now on the engine may take its idle
// time between two pieces, and no longer all of it together that for the
// first token.
func (x *exchange) token() {
	if x.receipt.FirstToken == 0 {
		x.receipt.FirstToken = max(1, time.Since(x.begun))
		x.resp.Started()
	}
}

// run sends body to the host and passes the answer on; x.receipt is then
// complete. The body may lie in x.body, which is empty afterwards.
func (x *exchange) run(ctx context.Context, host *h1.Host, path string, body []byte, req *outcrop.Request) error {
	x.request = h1.Request{Method: "POST", Path: path, Header: x.header, Body: body}
	resp, err := host.Do(ctx, &x.request)
	x.dropBody()
	if err == nil {
		x.resp = resp
		err = x.receive(req.Streaming)
		resp.Close()
	}
	x.settle(req, err)
	if err != nil {
		return x.fail(ctx, err)
	}
	return nil
}

func (x *exchange) receive(streaming bool) error {
	if x.resp.Status != 200 {
		return x.refused()
	}
	x.receipt.Engine = x.engine.name
	x.dec.accept(x.resp)
	if streaming && !isJSON(x.resp.Header("content-type")) {
		return x.stream()
	}
	return x.unary()
}

// isJSON reports whether the content type says that a stream was not to be
// had: some engines then answer in one piece.
func isJSON(contentType string) bool {
	return len(contentType) >= 16 && contentType[:16] == "application/json"
}

// refused reads what the engine says about why.
func (x *exchange) refused() error {
	x.resp.Started()
	if err := x.readAll(maxRefusal); err != nil && !errors.Is(err, errTooLong) {
		x.in = x.in[:0]
	}
	return x.dec.refusal(x.engine.name, x.resp, x.engine.secret.maskBody(x.in))
}

// readAll reads the body into x.in. It grows with what comes, not with what
// is announced.
func (x *exchange) readAll(limit int) error {
	b := x.in[:0]
	if hint := int(min(x.resp.Length(), maxKept, int64(limit))); hint >= cap(b) {
		b = make([]byte, 0, hint+1)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := x.resp.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		x.in = b
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case len(b) > limit:
			return errTooLong
		}
	}
}

func (x *exchange) unary() error {
	x.resp.Started()
	if err := x.readAll(maxAnswer); err != nil {
		return err
	}
	if err := x.dec.answer(x.in, x); err != nil {
		return err
	}
	if x.dec.outcome().began {
		x.token()
	}
	return x.flush()
}

// stream passes on what the engine sends, as it comes: all complete events of
// what has come, and then a flush.
func (x *exchange) stream() error {
	if x.step == nil {
		x.step = x.advance
	}
	x.resp.Follow(x.step)
	if x.whole {
		x.resp.Drain(drainTime) // so that the connection can be used again
	}
	return x.fault
}

// advance is a step of stream.
func (x *exchange) advance() (more bool) {
	x.whole, x.fault = x.passOn()
	return !x.whole && x.fault == nil
}

// passOn reads once and passes on what came. It reports whether the answer is
// whole.
func (x *exchange) passOn() (whole bool, err error) {
	err = x.dec.fill(x.resp)
	if err == io.EOF {
		return true, x.end()
	}
	if err != nil {
		return false, err
	}
	some, whole, err := x.pass()
	if whole || err != nil {
		return whole, err
	}
	if x.stalled(some) {
		return false, h1.ErrIdle
	}
	return false, nil
}

// stalled reports whether the engine has sent no event for its idle time,
// although it sends something: comments, or the pieces of an event that does
// not come. h1 waits as long again for each of these. Before the first token
// there is nothing to watch: all of it shares the time for that. some tells
// whether an event has come now.
func (x *exchange) stalled(some bool) bool {
	if some || x.receipt.FirstToken == 0 {
		x.silent = time.Time{}
		return false
	}
	if x.silent.IsZero() {
		x.silent = x.resp.Waited()
	}
	return !x.silent.IsZero() && time.Since(x.silent) > x.engine.idle
}

// pass decodes the events at hand and reports whether there were any, and
// whether the answer is whole.
func (x *exchange) pass() (some, done bool, err error) {
	for !done {
		ok, err := x.dec.next(x)
		if err != nil {
			return some, false, err
		}
		if !ok {
			break
		}
		some = true
		o := x.dec.outcome()
		if o.began {
			x.token()
		}
		done = o.done
	}
	if !some || !x.sent || x.shared(done) {
		return some, done, nil
	}
	return some, done, x.flush()
}

// shared reports whether what was passed on can leave together with what
// follows, because that is at hand: more of the answer, or its end.
func (x *exchange) shared(done bool) bool {
	if done {
		return x.resp.Ended()
	}
	return x.resp.Ready()
}

// end is for a stream that ended before its end marker came.
func (x *exchange) end() error {
	if err := x.dec.end(x.resp.Delimited(), x); err != nil {
		return err
	}
	return x.flush()
}

func (x *exchange) flush() error { return x.Send(outcrop.Event{Kind: outcrop.EventFlush}) }

// settle fills in what the receipt says about the answer. What the engine
// should have told and did not is estimated.
func (x *exchange) settle(req *outcrop.Request, err error) {
	o := x.dec.outcome()
	r := &x.receipt
	r.Usage, r.Tier, r.Latency = counted(o.usage), o.tier, o.latency
	if o.done {
		r.Stop = o.stop
	}
	if !x.sent || o.metered && err == nil {
		return
	}
	if !o.metered {
		r.Usage = outcrop.Usage{Input: estimate(req)}
	}
	made := max(tokens.Count(x.text), x.pieces)
	if x.pieces == 1 {
		made = tokens.Count(x.in) // a native answer that was not streamed
	}
	if made > r.Usage.Output || !o.metered {
		r.Usage.Output = max(made, r.Usage.Output)
		r.Estimated = true
	}
}

// counted is u without counts that cannot be.
func counted(u outcrop.Usage) outcrop.Usage {
	return outcrop.Usage{Input: max(u.Input, 0), Output: max(u.Output, 0), CacheRead: max(u.CacheRead, 0), CacheWrite: max(u.CacheWrite, 0)}
}

// get sends a request without a body, or with one, and returns the answer's
// body. It is for the small calls beside invocations.
func (h *hosts) get(ctx context.Context, method, path string, header, body []byte) (status int, answer []byte, err error) {
	resp, err := h.unary.Do(ctx, &h1.Request{Method: method, Path: path, Header: header, Body: body})
	if err != nil {
		return 0, nil, fmt.Errorf("engine %s: %w", h.name, err)
	}
	defer resp.Close()
	resp.Started()
	x := exchange{engine: h, resp: resp}
	err = x.readAll(maxAnswer)
	if resp.Status != 200 {
		x.in = h.secret.maskBody(x.in)
	}
	return resp.Status, bytes.TrimSpace(x.in), err
}
