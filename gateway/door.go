package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/metricsapi"
	"github.com/outcrop/outcrop/runtimeapi"
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
	watch    http.Handler
	book     *meter.Book
	log      *slog.Logger
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	received := time.Now()
	id := newRequestID()
	w.Header()["X-Amzn-Requestid"] = []string{id}
	defer d.recoverPanic(w, id)
	if err := framing(r); err != nil {
		d.refuse(w, r, id, received, err)
		return
	}
	path := escapedPath(r)
	if metricsapi.Serves(path) {
		d.serveWatch(w, r)
		return
	}
	body, err := d.bodies.read(r, http.NewResponseController(w))
	defer body.release()
	if err != nil {
		d.refuse(w, r, id, received, err)
		return
	}
	d.serve(w, r, id, path, body.bytes, received)
}

func (d *door) serve(w http.ResponseWriter, r *http.Request, id, path string, body []byte, received time.Time) {
	operation, modelID, isRuntime := runtimeapi.ParsePath(path)
	isRuntime = isRuntime && r.Method == http.MethodPost
	principal, err := d.authenticate(r, body, received, isRuntime)
	if err != nil {
		d.refuse(w, r, id, received, err)
		return
	}
	if !isRuntime {
		d.serveControl(w, r, id, received, principal)
		return
	}
	call := runtimeapi.Call{
		RequestID: id, Received: received, Principal: principal,
		Operation: operation, ModelID: modelID, Body: body,
		Header: callHeader(r.Header, operation), Remote: r.RemoteAddr, SDKAttempt: first(r.Header["Amz-Sdk-Request"]),
	}
	d.runtime.Serve(r.Context(), &call, runtimeapi.NewHTTPWire(w, d.patience))
}

// serveWatch answers those who watch the server. Nobody needs a body for that.
func (d *door) serveWatch(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		hangUp(w, r)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d.patience)) // a server without deadlines has its own bounds
	d.watch.ServeHTTP(w, r)
}

func (d *door) serveControl(w http.ResponseWriter, r *http.Request, id string, received time.Time, p *outcrop.Principal) {
	if d.control.Serve(w, r, p, id) {
		return
	}
	d.refuse(w, r, id, received, &outcrop.Error{Code: outcrop.CodeUnknownOperation, Message: "The requested operation is not known to this service."})
}

// refuse answers with err before any API has seen the request. What the body
// still holds is not read: the connection is closed instead.
func (d *door) refuse(w http.ResponseWriter, r *http.Request, id string, received time.Time, err error) {
	e := runtimeapi.AsError(err)
	status := runtimeapi.StatusOf(e)
	if status == http.StatusBadRequest || status >= http.StatusInternalServerError {
		hangUp(w, r)
	}
	_ = runtimeapi.WriteError(runtimeapi.NewHTTPWire(w, d.patience), e, id) // the caller may be gone; the record below stands either way
	operation, modelID, _ := runtimeapi.ParsePath(escapedPath(r))
	d.book.Record(&meter.Entry{Time: received, RequestID: id, Operation: operation, AskedModel: shortened(modelID),
		Remote: r.RemoteAddr, Status: status, Code: e.Code, Cause: e.Cause, Duration: time.Since(received)})
}

// hangUp closes the connection once the answer is written. net/http would
// first read what is left of the body, and wait for it without limit. HTTP/2
// ends the stream alone.
func hangUp(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor > 1 {
		return
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // a server without deadlines has its own bounds
}

// recoverPanic keeps a fault of one request from the others. The caller
// learns the request id, the log learns the rest.
func (d *door) recoverPanic(w http.ResponseWriter, id string) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault == http.ErrAbortHandler {
		panic(fault)
	}
	d.log.LogAttrs(context.Background(), slog.LevelError, "panic", slog.String("request_id", id),
		slog.Any("fault", fault), slog.String("stack", string(debug.Stack())))
	panic(http.ErrAbortHandler)
}

func callHeader(h http.Header, op outcrop.Operation) runtimeapi.Header {
	accept := "Accept"
	if op == outcrop.OpInvokeModelStream {
		accept = "X-Amzn-Bedrock-Accept"
	}
	return runtimeapi.Header{
		ContentType: first(h["Content-Type"]), Accept: first(h[accept]),
		Tier: first(h["X-Amzn-Bedrock-Service-Tier"]), Latency: first(h["X-Amzn-Bedrock-Performanceconfig-Latency"]),
		Guardrail: first(h["X-Amzn-Bedrock-Guardrailidentifier"]),
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
