package identity

import (
	"errors"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sigv4"
)

// fromSigV4 gives a refusal of sigv4 its code on the wire.
func fromSigV4(err error) error {
	var e *sigv4.Error
	if !errors.As(err, &e) {
		return mismatch()
	}
	switch e.Fault {
	case sigv4.FaultMissing:
		return missing()
	case sigv4.FaultIncomplete:
		return &outcrop.Error{Code: outcrop.CodeIncompleteSignature, Message: e.Message}
	default:
		return &outcrop.Error{Code: outcrop.CodeInvalidSignature, Message: e.Message}
	}
}

func missing() error {
	return &outcrop.Error{Code: outcrop.CodeMissingToken, Message: "Missing Authentication Token"}
}

func unrecognized() error {
	return &outcrop.Error{Code: outcrop.CodeUnrecognizedClient, Message: "The security token included in the request is invalid."}
}

func expired() error {
	return &outcrop.Error{Code: outcrop.CodeExpiredToken, Message: "The security token included in the request is expired"}
}

func mismatch() error {
	return &outcrop.Error{Code: outcrop.CodeInvalidSignature, Message: "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
}

func notPresigned() error {
	return &outcrop.Error{Code: outcrop.CodeInvalidSignature, Message: "Presigned requests are not accepted here."}
}

func ambiguous() error {
	return &outcrop.Error{Code: outcrop.CodeIncompleteSignature, Message: "The request must carry exactly one Authorization header, that starts with '" +
		sigv4.Algorithm + "' or 'Bearer', or the query parameters of a presigned URL, but not both."}
}

func denied(message string) error {
	return &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: message}
}

// badAPIKey says the same to all callers; why goes to the log.
func badAPIKey(cause error) error {
	if cause != nil {
		cause = errors.New(cause.Error()) // its code is not the code of this one
	}
	return &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "Authentication failed: Please make sure your API Key is valid.", Cause: cause}
}
