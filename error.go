package outcrop

import "time"

// A Code is the class of an Error, in Bedrock's words. A Code is itself an
// error, so that errors.Is(err, CodeThrottling) asks for the class of err.
type Code string

// The codes. Their HTTP statuses and wire names are the edge's business.
const (
	CodeAccessDenied        Code = "AccessDeniedException"
	CodeConflict            Code = "ConflictException"
	CodeInternal            Code = "InternalServerException"
	CodeModelError          Code = "ModelErrorException"
	CodeModelNotReady       Code = "ModelNotReadyException"
	CodeModelStream         Code = "ModelStreamErrorException"
	CodeModelTimeout        Code = "ModelTimeoutException"
	CodeNotFound            Code = "ResourceNotFoundException"
	CodeQuota               Code = "ServiceQuotaExceededException"
	CodeUnavailable         Code = "ServiceUnavailableException"
	CodeThrottling          Code = "ThrottlingException"
	CodeTooManyTags         Code = "TooManyTagsException"
	CodeValidation          Code = "ValidationException"
	CodeUnknownOperation    Code = "UnknownOperationException"
	CodeExpiredToken        Code = "ExpiredTokenException"
	CodeIncompleteSignature Code = "IncompleteSignatureException"
	CodeInvalidSignature    Code = "InvalidSignatureException"
	CodeMissingToken        Code = "MissingAuthenticationTokenException"
	CodeUnrecognizedClient  Code = "UnrecognizedClientException"
)

// Error returns the code's name.
func (c Code) Error() string { return string(c) }

// An Error is a failure that the caller may be told of. Any other error is
// internal: the caller learns the request id and the log learns the rest.
type Error struct {
	Code    Code
	Message string // for the caller; holds no prompt and no secret
	// RetryAfter is the true time after which a retry can succeed; 0 if that
	// is not known.
	RetryAfter time.Duration
	// Status and Original are what an engine answered, where one did.
	Status   int
	Original string
	// Cause is for the log alone; may be nil.
	Cause error
}

// Error returns code, message and cause, for logs.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the code and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Cause}
}

// Invalid returns a ValidationException with the message.
func Invalid(message string) *Error { return &Error{Code: CodeValidation, Message: message} }
