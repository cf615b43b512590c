package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/metricsapi"
	"github.com/outcrop/outcrop/runtimeapi"
	"github.com/outcrop/outcrop/s3api"
	"github.com/outcrop/outcrop/watchapi"
)

// A door is the server's one handler: it guards the framing, gives the
// request its id, reads the body, finds out who calls, and hands over to the
// API that the path belongs to.
type door struct {
	bodies   *bodies
	patience time.Duration // for a caller to take a write
	who      *identity.Authenticator
	runtime  *runtimeapi.API
	control  *controlapi.API
	s3       *s3api.API // nil if there is none
	watch    http.Handler
	book     *meter.Book
	begun    atomic.Int64 // requests
	ended    atomic.Int64 // of these
}

// A visit is one request at the door.
type visit struct {
	w        http.ResponseWriter
	r        *http.Request
	control  *http.ResponseController
	id       string
	received time.Time
	path     string // escaped, as it was sent
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := visit{w: w, r: r, control: http.NewResponseController(w), id: newRequestID(), received: time.Now(), path: escapedPath(r)}
	w.Header()["X-Amzn-Requestid"] = []string{v.id}
	d.begun.Add(1)
	defer d.ended.Add(1)
	defer d.recoverPanic(&v)
	if d.isS3(&v) {
		d.s3.Serve(w, r, v.id)
		return
	}
	if err := framing(r); err != nil {
		d.refuse(&v, err)
		return
	}
	if metricsapi.Serves(v.path) || watchapi.Serves(v.path) {
		d.serveWatch(&v)
		return
	}
	body, err := d.bodies.read(r, v.control)
	defer body.release()
	if err != nil {
		d.refuse(&v, err)
		return
	}
	d.serve(&v, body.bytes)
}

// empty waits until nothing is being served, at most for the time given.
func (d *door) empty(most time.Duration) {
	for until := time.Now().Add(most); d.ended.Load() != d.begun.Load() && time.Now().Before(until); {
		time.Sleep(most / 100)
	}
}

func (d *door) serve(v *visit, body []byte) {
	operation, modelID, isRuntime := runtimeapi.ParsePath(v.path)
	isRuntime = isRuntime && v.r.Method == http.MethodPost
	principal, err := d.authenticate(v.r, body, v.received, isRuntime)
	if err != nil {
		d.refuse(v, err)
		return
	}
	if !isRuntime {
		d.serveControl(v, body, principal)
		return
	}
	call := v.call(operation, modelID)
	call.Principal, call.Body = principal, body
	d.runtime.Serve(v.r.Context(), call, d.wire(v))
}

func (v *visit) call(op outcrop.Operation, modelID string) *runtimeapi.Call {
	return &runtimeapi.Call{
		RequestID: v.id, Received: v.received, Operation: op, ModelID: modelID,
		Header: callHeader(v.r.Header, op), Remote: v.r.RemoteAddr, SDKAttempt: first(v.r.Header["Amz-Sdk-Request"]),
	}
}

func (d *door) wire(v *visit) *runtimeapi.HTTPWire {
	return runtimeapi.NewHTTPWire(v.w, v.control, d.patience)
}

// serveWatch answers those who watch the server. Nobody needs a body for that.
func (d *door) serveWatch(v *visit) {
	if v.r.ContentLength != 0 {
		v.hangUp()
	}
	d.bound(v)
	if !d.who.Hosted(v.r.Host) {
		http.Error(v.w, "The Host header names no endpoint of this server.", http.StatusForbidden)
		return
	}
	d.watch.ServeHTTP(v.w, v.r)
}

func (d *door) serveControl(v *visit, body []byte, p *outcrop.Principal) {
	d.bound(v)
	if d.control.Serve(v.w, v.r, body, p, v.id) {
		return
	}
	d.refuse(v, &outcrop.Error{Code: outcrop.CodeUnknownOperation, Message: "The requested operation is not known to this service."})
}

// bound limits how long the caller may take to read the answer.
func (d *door) bound(v *visit) {
	_ = v.control.SetWriteDeadline(time.Now().Add(d.patience)) // a server without deadlines has its own bounds
}

// refuse answers with err before any API has seen the request. What the body
// still holds is not read: the connection is closed instead.
func (d *door) refuse(v *visit, err error) {
	if errors.Is(err, context.Canceled) { // the caller has gone, and there is nobody to answer
		v.hangUp()
		d.record(v, runtimeapi.StatusClientGone, &outcrop.Error{Code: meter.CodeClientGone})
		return
	}
	e := runtimeapi.AsError(err)
	status := runtimeapi.StatusOf(e)
	leaves := status == http.StatusBadRequest || status >= http.StatusInternalServerError
	if leaves {
		v.hangUp()
	}
	_ = runtimeapi.WriteError(d.wire(v), e, v.id) // the caller may be gone; the record below stands either way
	if leaves {
		v.linger()
	}
	d.record(v, status, e)
}

// record records a request that no API has seen.
func (d *door) record(v *visit, status int, e *outcrop.Error) {
	operation, modelID, _ := runtimeapi.ParsePath(v.path)
	d.book.Record(&meter.Entry{Time: v.received, RequestID: v.id, Operation: operation, AskedModel: shortened(modelID),
		Remote: v.r.RemoteAddr, Status: status, Code: e.Code, Cause: e.Cause, Duration: time.Since(v.received)})
}

// hangUp closes the connection once the answer is written. net/http would
// first read what is left of the body, and wait for it without limit. HTTP/2
// ends the stream alone.
func (v *visit) hangUp() {
	if v.r.ProtoMajor > 1 {
		return
	}
	v.w.Header().Set("Connection", "close")
	_ = v.control.SetReadDeadline(time.Unix(1, 0)) // a server without deadlines has its own bounds
}

// What is read of a body after the caller was refused: enough that one who is
// in the middle of sending sees the answer before the connection breaks under
// him.
const (
	lingerTime  = 300 * time.Millisecond
	lingerBytes = 4 << 20
)

// linger lets the caller notice the answer after hangUp. A connection that is
// closed with bytes unread is reset, and a reset overtakes the answer.
func (v *visit) linger() {
	if v.r.ProtoMajor > 1 || v.r.Body == http.NoBody || v.control.Flush() != nil {
		return
	}
	_ = v.control.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, v.r.Body, lingerBytes) // whatever ends it, the connection is closed
	_ = v.control.SetReadDeadline(time.Unix(1, 0))
}

// recoverPanic keeps a fault of one request from the others. The caller
// learns the request id, the log learns the rest.
func (d *door) recoverPanic(v *visit) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault == http.ErrAbortHandler {
		panic(fault)
	}
	d.refuse(v, fmt.Errorf("panic: %v\n%s", fault, debug.Stack()))
}

func callHeader(h http.Header, op outcrop.Operation) runtimeapi.Header {
	accept := "Accept"
	if op == outcrop.OpInvokeModelStream {
		accept = "X-Amzn-Bedrock-Accept"
	}
	return runtimeapi.Header{
		ContentType: first(h["Content-Type"]), Accept: first(h[accept]),
		Tier: first(h["X-Amzn-Bedrock-Service-Tier"]), Latency: first(h["X-Amzn-Bedrock-Performanceconfig-Latency"]),
		Guardrail: first(h["X-Amzn-Bedrock-Guardrailidentifier"]), Trace: first(h["X-Amzn-Bedrock-Trace"]),
		Spillover: first(h["X-Outcrop-Spillover"]),
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// shortened bounds what a caller can put into the log.
func shortened(s string) string {
	const most = 256
	if len(s) > most {
		return s[:most]
	}
	return s
}
