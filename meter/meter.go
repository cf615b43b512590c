// Package meter keeps the record of what was asked and what it took: one
// wide log line and a handful of metrics for each invocation, refused ones
// included.
package meter

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
)

// An Entry is all that is recorded of one invocation. It holds no prompt, no
// answer and no secret.
type Entry struct {
	Time       time.Time // when the request arrived
	RequestID  string
	Operation  outcrop.Operation
	Model      string // the card's id; empty if none was resolved
	AskedModel string // as the caller named it; logged only if it is not Model
	Account    string
	KeyID      string
	Remote     string
	SDKAttempt string // the client's own count, from amz-sdk-request
	Status     int
	// Code is the error's code; empty for success. CodeClientGone means that
	// the caller hung up.
	Code     outcrop.Code
	Duration time.Duration
	Receipt  outcrop.Receipt
	BytesIn  int
	Hints    []string
	// Unit is the ARN of the provisioned throughput that the request named;
	// empty on demand.
	Unit string
	// Cause is what the operator should know of a failure.
	Cause error
}

// CodeClientGone stands in logs and metrics for a caller that hung up before
// the answer's end. It never goes over the wire.
const CodeClientGone outcrop.Code = "ClientGone"

// A Book records entries to a Log and to metrics. It is safe for concurrent
// use, and Record does not block on I/O.
type Book struct {
	log     *Log
	metrics *metrics
}

// NewBook returns a Book that writes to log and registers its metrics with
// reg.
func NewBook(log *Log, reg prometheus.Registerer) *Book {
	return &Book{log: log, metrics: newMetrics(reg)}
}

// Record records one invocation.
func (b *Book) Record(e *Entry) {
	b.metrics.record(e)
	b.log.Invocation(e)
}

// class is the class that the request was scheduled in; ok is false if it was
// scheduled in none.
func (e *Entry) class() (c outcrop.Class, ok bool) {
	r := &e.Receipt
	return r.Class, r.Scheduled || r.Spilled || r.Unit != ""
}

// betweenTokens is the mean time between output tokens; ok is false for an
// answer too short to have one.
func (e *Entry) betweenTokens() (d time.Duration, ok bool) {
	n := e.Receipt.Usage.Output
	if n < 2 || e.Receipt.FirstToken <= 0 || e.Duration <= e.Receipt.FirstToken {
		return 0, false
	}
	return (e.Duration - e.Receipt.FirstToken) / time.Duration(n-1), true
}
