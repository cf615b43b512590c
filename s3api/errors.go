package s3api

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/awschunked"
	"github.com/outcrop/outcrop/sigv4"
)

// A failure is an error as S3 writes it.
type failure struct {
	status        int
	code, message string
	cause         error // for the log
}

// Error returns code and message.
func (f *failure) Error() string { return f.code + ": " + f.message }

func fault(status int, code, message string) *failure {
	return &failure{status: status, code: code, message: message}
}

// failureOf gives an error its form on the wire.
func failureOf(err error) *failure {
	var f *failure
	var own *outcrop.Error
	var rule *sigv4.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &own):
		return ofCode(own)
	case errors.As(err, &rule):
		return ofRule(rule)
	}
	return ofTransfer(err)
}

func ofCode(e *outcrop.Error) *failure {
	switch e.Code {
	case outcrop.CodeUnrecognizedClient:
		return fault(http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	case outcrop.CodeInvalidSignature:
		return fault(http.StatusForbidden, "SignatureDoesNotMatch", e.Message)
	case outcrop.CodeExpiredToken:
		return fault(http.StatusBadRequest, "ExpiredToken", e.Message)
	case outcrop.CodeAccessDenied:
		return fault(http.StatusForbidden, "AccessDenied", e.Message)
	case outcrop.CodeValidation, outcrop.CodeIncompleteSignature:
		return fault(http.StatusBadRequest, "InvalidRequest", e.Message)
	}
	return internal(e)
}

func ofRule(e *sigv4.Error) *failure {
	if e.Fault == sigv4.FaultExpired {
		return fault(http.StatusForbidden, "RequestTimeTooSkewed", e.Message)
	}
	return fault(http.StatusBadRequest, "AuthorizationHeaderMalformed", e.Message)
}

// ofTransfer is of what happened while bodies went through.
func ofTransfer(err error) *failure {
	f := internal(err)
	switch {
	case errors.Is(err, awschunked.ErrSignature):
		f = fault(http.StatusForbidden, "SignatureDoesNotMatch", "The signature of a chunk of the body does not match.")
	case errors.Is(err, awschunked.ErrMalformed), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled):
		f = fault(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		f = fault(http.StatusBadRequest, "RequestTimeout", "The request body arrived too slowly.")
	}
	f.cause = err
	return f
}

func internal(err error) *failure {
	f := fault(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	f.cause = err
	return f
}

type errorBody struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Resource  string
	RequestID string `xml:"RequestId"`
}

// refuse answers with err, unless an answer has begun.
func (x *exchange) refuse(err error) {
	f := failureOf(err)
	x.code, x.cause = f.code, f.cause
	if x.status != 0 {
		panic(http.ErrAbortHandler) // what has been sent must not look whole
	}
	x.status = f.status
	path, _, _ := cutTarget(x.r.RequestURI)
	text, err := xml.Marshal(errorBody{Code: f.code, Message: f.message, Resource: path, RequestID: x.id})
	if err != nil {
		text = nil // all of it is text
	}
	text = append([]byte(xml.Header), text...)
	h := x.w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Amz-Request-Id", x.id)
	x.hangUp()
	x.bound()
	x.w.WriteHeader(f.status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(text) // the caller may be gone
	}
}
