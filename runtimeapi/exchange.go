package runtimeapi

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/explain"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/price"
)

// maxKept is the largest buffer that an exchange takes back to the pool.
const maxKept = 1 << 20

// An exchange is one call and its answer, with all the memory that they need.
// It is reused: nothing of it may be referred to after finish.
type exchange struct {
	api    *API
	call   *Call
	wire   brittleWire
	target *Target

	request  outcrop.Request
	native   outcrop.Native
	converse bedrock.Converse
	reply    bedrock.Reply
	frames   bedrock.Frames
	receipt  outcrop.Receipt
	out      []byte
	fields   []Field
	streamed bool // Begin was called: the status is out
	status   int
}

func (x *exchange) begin(a *API, call *Call, wire Wire) {
	x.api, x.call, x.wire = a, call, brittleWire{Wire: wire}
	x.request = outcrop.Request{
		ID: call.RequestID, Operation: call.Operation, Principal: call.Principal,
		ModelID: call.ModelID, Received: call.Received,
	}
	x.receipt = outcrop.Receipt{}
	x.out, x.fields = x.out[:0], x.fields[:0]
	x.streamed, x.status, x.target = false, 200, nil
}

func (x *exchange) release() {
	pool := &x.api.pool
	x.api, x.call, x.wire, x.target = nil, nil, brittleWire{}, nil
	x.request, x.native = outcrop.Request{}, outcrop.Native{}
	x.converse.Reset()
	if cap(x.out) > maxKept {
		x.out = nil
	}
	pool.Put(x)
}

// guarded is run, with a panic turned into an internal error: a fault in one
// request is not the others' business.
func (x *exchange) guarded(ctx context.Context) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
		}
	}()
	return x.run(ctx)
}

func (x *exchange) run(ctx context.Context) error {
	target, err := x.api.resolver.Resolve(ctx, x.call.Principal, x.call.ModelID)
	if err != nil {
		return err
	}
	x.target, x.request.Card, x.request.Unit = target, target.Card, target.Unit
	if err := x.api.authorize(x.call.Principal, x.call.Operation, target.Card); err != nil {
		return err
	}
	if err := serves(target.Card, x.call.Operation); err != nil {
		return err
	}
	if err := x.readSpillHeader(); err != nil {
		return err
	}
	switch x.call.Operation {
	case outcrop.OpConverse, outcrop.OpConverseStream:
		return x.runConverse(ctx)
	case outcrop.OpInvokeModel, outcrop.OpInvokeModelStream:
		return x.runInvoke(ctx)
	}
	return x.runCountTokens(ctx)
}

// invoke has the model answer into out.
func (x *exchange) invoke(ctx context.Context, out outcrop.Sink) (err error) {
	x.receipt, err = x.target.Model.Invoke(ctx, &x.request, out)
	return err
}

// elapsed is the latency that the caller is told.
func (x *exchange) elapsed() time.Duration { return time.Since(x.call.Received) }

// finish tells the caller of a failure, if there is still a way to, and
// records the call.
func (x *exchange) finish(ctx context.Context, err error) {
	entry := meter.Entry{
		Time: x.call.Received, RequestID: x.call.RequestID, Operation: x.call.Operation,
		AskedModel: x.call.ModelID, Account: x.call.Principal.Account, KeyID: x.call.Principal.KeyID,
		Remote: x.call.Remote, SDKAttempt: x.call.SDKAttempt,
		BytesIn: len(x.call.Body), Hints: x.request.Hints, Unit: x.request.Unit,
	}
	if x.target != nil {
		entry.Model = x.target.Card.ID
	}
	if err != nil {
		x.fail(ctx, err, &entry)
	}
	x.charge()
	entry.Status, entry.Receipt, entry.Duration = x.status, x.receipt, x.elapsed()
	x.api.book.Record(&entry)
	if x.api.options.Explain != nil {
		x.explain(err, &entry)
	}
}

// charge writes what the call costs into its receipt, if the model has a price.
func (x *exchange) charge() {
	if x.target == nil || x.target.Card.Price == nil || x.receipt.Usage == (outcrop.Usage{}) {
		return
	}
	class, r := outcrop.ClassDefault, &x.receipt
	if r.Scheduled || r.Spilled || r.Unit != "" {
		class = r.Class
	}
	if x.request.Batch {
		class = outcrop.ClassBatch // also of a record that had to hurry
	}
	r.Cost, r.Priced = price.Of(x.target.Card.Price, class, r.Usage), true
}

// explain keeps why the call went as it did.
func (x *exchange) explain(err error, entry *meter.Entry) {
	r := explain.Of(&x.request, &x.receipt, err, entry.Duration)
	if entry.Code == meter.CodeClientGone {
		r.Leave()
	}
	x.api.options.Explain.Add(&r)
}

// StatusClientGone is what logs show for a caller that hung up.
const StatusClientGone = 499

func (x *exchange) fail(ctx context.Context, err error, entry *meter.Entry) {
	e := *AsError(err)
	entry.Code, entry.Cause = e.Code, e.Cause
	if ctx.Err() == nil && !x.wire.broken {
		e.Code = bedrock.Modelled(x.call.Operation, e.Code)
		x.tell(&e)
	}
	if ctx.Err() != nil || x.wire.broken {
		entry.Code, x.status = meter.CodeClientGone, StatusClientGone
	}
}

// tell answers with e, or ends the stream with it if there is one.
func (x *exchange) tell(e *outcrop.Error) {
	if x.streamed {
		x.out = bedrock.AppendException(x.out, e, x.call.RequestID)
		_ = x.wire.Write(x.out, true) // the wire knows that it broke
		return
	}
	x.status = bedrock.Status(e.Code)
	_ = WriteError(&x.wire, e, x.call.RequestID) // likewise
}

// A brittleWire is a wire that remembers that it broke: what was said on it
// until then is unknown, and nothing more can be said.
type brittleWire struct {
	Wire
	broken bool
}

// Answer implements Wire.
func (w *brittleWire) Answer(status int, contentType string, fields []Field, body []byte) error {
	return w.note(w.Wire.Answer(status, contentType, fields, body))
}

// Begin implements Wire.
func (w *brittleWire) Begin(fields []Field) error { return w.note(w.Wire.Begin(fields)) }

// Write implements Wire.
func (w *brittleWire) Write(frames []byte, last bool) error {
	return w.note(w.Wire.Write(frames, last))
}

func (w *brittleWire) note(err error) error {
	w.broken = w.broken || err != nil
	return err
}

// StatusOf is the HTTP status that goes with e.
func StatusOf(e *outcrop.Error) int { return bedrock.Status(e.Code) }

// WriteError answers with e in Bedrock's form: status, x-amzn-ErrorType, body,
// and on 429 and 503 both headers that say when to try again.
func WriteError(wire Wire, e *outcrop.Error, requestID string) error {
	status := bedrock.Status(e.Code)
	fields := []Field{{"X-Amzn-Errortype", bedrock.ErrorType(e.Code)}}
	if status == 429 || status == 503 {
		wait := max(e.RetryAfter, time.Millisecond)
		if e.RetryAfter == 0 {
			wait = defaultRetry
		}
		seconds := (wait + time.Second - 1) / time.Second
		fields = append(fields,
			Field{"X-Amz-Retry-After", strconv.FormatInt(wait.Milliseconds(), 10)},
			Field{"Retry-After", strconv.FormatInt(int64(seconds), 10)})
	}
	return wire.Answer(status, jsonType, fields, bedrock.AppendErrorBody(nil, e, requestID))
}

// defaultRetry is the advice where the true waiting time is not known.
const defaultRetry = time.Second

const jsonType = "application/json"
