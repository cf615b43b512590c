package ledger

import (
	"time"

	"github.com/outcrop/outcrop"
)

// An ID names a reservation: the id of the request that it is for.
type ID string

// A Request asks for a reservation.
type Request struct {
	ID             ID
	Account, Model string // whose outputs are learned, and the scope on demand
	// Unit is the id of the provisioned unit to run on; empty means on
	// demand.
	Unit string
	// Prompt is what the prompt is expected to count; its Output is ignored.
	Prompt outcrop.Usage
	// MaxTokens is what the caller allows; 0 means absent, and -1 that there
	// is no output to count, as with embeddings.
	MaxTokens int
	ModelMax  int // the longest output of the model; 0 if unknown
	// Lease is how long the reservation lasts without a sign of life; 0 means
	// as configured.
	Lease time.Duration
}

// A Grant is a reservation.
type Grant struct {
	Reserved Amount
	Output   int // tokens of output that are reserved for
	// Until is when the lease ends, unless TopUp extends it.
	Until time.Duration
}

// A Limit is what can refuse a request.
type Limit uint8

// The limits.
const (
	NoLimit Limit = iota
	RequestsPerMinute
	TokensPerMinute
	TokensPerDay
	UnitInput  // the input level of a provisioned unit
	UnitOutput // its output level
	UnitTokens // its one level, of input and output together
	NoUnit     // there is no such unit
	SeenBefore // a request with the id ran and ended
)

// String returns the limit's name in logs and metrics.
func (l Limit) String() string {
	names := [...]string{"none", "requests-per-minute", "tokens-per-minute", "tokens-per-day",
		"unit-input", "unit-output", "unit-tokens", "no-unit", "seen-before"}
	if int(l) < len(names) {
		return names[l]
	}
	return ""
}

// A Refusal tells why there was no reservation, and when there can be one.
type Refusal struct {
	Scope Scope
	// Limit is, of those that refused, the one with the longest wait.
	Limit Limit
	// Level is how full it is, rounded up, of Max; Need is what the request
	// would add. All are in requests or quota tokens.
	Level, Max, Need int64
	Percent          int64
	// Wait is after how long the same request is granted if nothing else
	// happens, by all limits, to the nanosecond; bucket.Never if it is not.
	Wait time.Duration
}

// A Settlement tells what an ended reservation came to.
type Settlement struct {
	ID      ID
	Account string
	Model   string
	Unit    string // empty on demand
	// Granted was reserved by Reserve, and Held in the end, with what TopUp
	// added.
	Granted, Held Amount
	Actual        Amount // charged in the end
	// Overrun is what Actual is beyond Granted: charged without asking.
	Overrun Amount
}
