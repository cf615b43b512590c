package outcrop

import "time"

// A Try is one turn of a request in the scheduler: it waited, or not, and was
// given to an engine. It is immutable.
type Try struct {
	Engine string        // empty if it left the queue without one
	Queued time.Duration // before this try
	Ran    time.Duration
	// TakenBack tells that the engine was taken from it before the first
	// token: for a request of a higher class, or because it was lost.
	TakenBack bool
	Code      Code  // of the error; empty if there was none
	Held      *Hold // nil if it did not have to wait
	// Next is the try after this one; nil if there was none, or none that is
	// kept.
	Next *Try
}

// A Hold says why a request had to wait for an engine, as it was when the wait
// began. It is immutable.
type Hold struct {
	// Class is the class for which engines were kept; the request's own if
	// others of that were before it.
	Class Class
	// Ahead is the service predicted for what was before it, at most, in
	// service tokens.
	Ahead int64
	Gates []Gate // of each engine
}

// A Gate says what kept a request from an engine: "open" if nothing but that
// others were before it.
type Gate struct{ Engine, Gate string }
