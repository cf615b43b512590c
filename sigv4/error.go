package sigv4

// A Fault is the class of an Error.
type Fault uint8

// The faults.
const (
	// FaultMissing: the request carries no credentials.
	FaultMissing Fault = iota + 1
	// FaultIncomplete: the credentials, or the request around them, are
	// malformed or ambiguous.
	FaultIncomplete
	// FaultRefused: the credentials are well formed but break a rule.
	FaultRefused
	// FaultExpired: the date is too far from the verifier's, or the presigned
	// URL's life is over.
	FaultExpired
)

// An Error says why Parse refused a request. The message is for the caller,
// in AWS's words where they are known, and quotes no secret.
type Error struct {
	Fault   Fault
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return "sigv4: " + e.Message }

func incomplete(message string) error { return &Error{FaultIncomplete, message} }
func refused(message string) error    { return &Error{FaultRefused, message} }
func expired(message string) error    { return &Error{FaultExpired, message} }
