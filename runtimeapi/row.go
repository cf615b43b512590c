package runtimeapi

import (
	"bytes"
	"context"

	"github.com/outcrop/outcrop"
)

// Row answers one record of a batch job, a call of Converse or InvokeModel, and
// records it as Serve does. The answer is a whole body and the caller's. What it
// used is told also beside an error; errors that the owner may be told of are of
// type *outcrop.Error. It runs in the class given, outside of the limits of
// on-demand use.
func (a *API) Row(ctx context.Context, call *Call, class outcrop.Class) (answer []byte, used outcrop.Receipt, err error) {
	var wire rowWire
	x := a.pool.Get().(*exchange)
	x.begin(a, call, &wire)
	x.request.Batch, x.request.Class = true, class
	err = x.guarded(ctx)
	x.finish(ctx, err)
	used = x.receipt // with what it costs
	x.release()
	return wire.answer, used, err
}

// A rowWire keeps an answer.
type rowWire struct{ answer []byte }

// Answer implements Wire.
func (w *rowWire) Answer(status int, _ string, _ []Field, body []byte) error {
	if status < 300 {
		w.answer = bytes.Clone(body)
	}
	return nil
}

// Begin implements Wire; records have no streams.
func (w *rowWire) Begin([]Field) error {
	return outcrop.Invalid("A record cannot be answered with a stream.")
}

// Write implements Wire.
func (w *rowWire) Write([]byte, bool) error { return nil }
