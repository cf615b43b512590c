// Package outcrop is the dictionary of the project: the nouns that every
// other package speaks in, their validation, and nothing else. It does no
// I/O, starts no goroutines and imports only the standard library.
package outcrop

import "context"

// A Model answers invocations. It is an engine, or another Model with one
// concern (routing, quota, metering, ...) wrapped around it.
type Model interface {
	// Invoke sends the answer to out, in order, and returns when the answer
	// has ended.
	//
	// It never calls Send concurrently, nor after it returned. An error from
	// Send comes back unchanged or wrapped. Invoke does not modify req and
	// keeps no reference to it or to what it points at. When ctx ends, Invoke
	// returns promptly with context.Cause(ctx), and the engine is freed.
	//
	// The Receipt is valid even when the error is not nil: it counts what was
	// consumed until then, as io.Reader's n does.
	//
	// Before the first Send an error can still become an HTTP status; after
	// it, only an exception on the stream, and the invocation is never tried
	// again. Errors meant for the caller are of type *Error.
	//
	// Implementations are safe for concurrent use.
	Invoke(ctx context.Context, req *Request, out Sink) (Receipt, error)
}

// A Sink receives the events of one answer.
//
// Send may block: that is the back-pressure. The event, and the bytes it
// refers to, are the sink's only until Send returns. A sink is used by one
// goroutine at a time.
type Sink interface {
	Send(Event) error
}

// A Counter tells how many input tokens a request would be billed for.
// CountTokens runs no inference. Implementations are safe for concurrent use.
type Counter interface {
	CountTokens(ctx context.Context, req *Request) (int, error)
}
