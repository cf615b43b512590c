package bedrock

import (
	"errors"
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/eventstream"
)

// Status is the HTTP status of errors with the code; 500 for codes that
// Bedrock doesn't know [BEDROCK.md 4.2].
func Status(code outcrop.Code) int {
	switch code {
	case outcrop.CodeValidation, outcrop.CodeConflict, outcrop.CodeQuota, outcrop.CodeTooManyTags, outcrop.CodeIncompleteSignature:
		return 400
	case outcrop.CodeAccessDenied, outcrop.CodeExpiredToken, outcrop.CodeInvalidSignature,
		outcrop.CodeMissingToken, outcrop.CodeUnrecognizedClient:
		return 403
	case outcrop.CodeNotFound, outcrop.CodeUnknownOperation:
		return 404
	case outcrop.CodeModelTimeout:
		return 408
	case outcrop.CodeModelError, outcrop.CodeModelStream:
		return 424
	case outcrop.CodeThrottling, outcrop.CodeModelNotReady:
		return 429
	case outcrop.CodeUnavailable:
		return 503
	}
	return 500
}

// ErrorType is the value of the header x-amzn-ErrorType, as Bedrock writes it;
// clients cut it at the colon.
func ErrorType(code outcrop.Code) string {
	return string(code) + ":http://internal.amazon.com/coral/com.amazon.bedrock/"
}

// Modelled returns the code itself if clients of the operation know it, and
// else the nearest that they know. Codes of authentication are not modelled
// anywhere and stay.
func Modelled(op outcrop.Operation, code outcrop.Code) outcrop.Code {
	counts := op == outcrop.OpCountTokens
	invokes := op == outcrop.OpInvokeModel || op == outcrop.OpInvokeModelStream
	switch code {
	case outcrop.CodeModelTimeout, outcrop.CodeModelNotReady, outcrop.CodeModelError:
		if counts {
			return outcrop.CodeUnavailable
		}
	case outcrop.CodeModelStream:
		if counts {
			return outcrop.CodeUnavailable
		}
		if op != outcrop.OpInvokeModelStream {
			return outcrop.CodeModelError
		}
	case outcrop.CodeQuota:
		if !invokes {
			return outcrop.CodeThrottling
		}
	case outcrop.CodeConflict:
		return outcrop.CodeValidation
	}
	return code
}

// told returns err as the caller is told of it. An error that is not an
// *outcrop.Error, or says nothing, becomes the request id and nothing else.
func told(err error, requestID string) outcrop.Error {
	var e *outcrop.Error
	if !errors.As(err, &e) {
		e = &outcrop.Error{Code: outcrop.CodeInternal}
	}
	out := *e
	if out.Message == "" {
		out.Message = standard(out.Code)
		if Status(out.Code) == 500 {
			out.Message += " (request id " + requestID + ")"
		}
	}
	return out
}

// standard is what to say where nothing better is known.
func standard(code outcrop.Code) string {
	switch code {
	case outcrop.CodeThrottling:
		return TooManyRequests
	case outcrop.CodeModelTimeout:
		return ModelTimedOut
	case outcrop.CodeModelNotReady:
		return ModelNotReady
	case outcrop.CodeUnavailable:
		return ServiceUnavailable
	case outcrop.CodeNotFound:
		return ModelNotFound
	}
	return InternalFailure
}

// AppendErrorBody appends the JSON body of the error answer for err. An
// *outcrop.Error tells its message; of any other error the caller learns the
// request id alone.
func AppendErrorBody(dst []byte, err error, requestID string) []byte {
	e := told(err, requestID)
	dst = append(dst, `{"message":"`...)
	dst = append(outcrop.AppendQuote(dst, e.Message), '"')
	if e.Code == outcrop.CodeModelError || e.Code == outcrop.CodeModelStream {
		dst = appendOriginal(dst, &e)
	}
	return append(dst, '}')
}

// appendOriginal appends the members that say what the engine answered.
func appendOriginal(dst []byte, e *outcrop.Error) []byte {
	if e.Status >= 100 && e.Status <= 599 {
		dst = append(dst, `,"originalStatusCode":`...)
		dst = strconv.AppendInt(dst, int64(e.Status), 10)
	}
	if e.Original != "" && e.Code == outcrop.CodeModelStream {
		dst = append(dst, `,"originalMessage":"`...)
		dst = append(outcrop.AppendQuote(dst, short(e.Original)), '"')
	}
	return dst
}

var (
	headInternal    = eventstream.ExceptionHead("internalServerException")
	headStream      = eventstream.ExceptionHead("modelStreamErrorException")
	headValidation  = eventstream.ExceptionHead("validationException")
	headThrottling  = eventstream.ExceptionHead("throttlingException")
	headUnavailable = eventstream.ExceptionHead("serviceUnavailableException")
)

// AppendException appends the frame that ends a stream with err. Codes that
// the streams do not model become the nearest that they do.
func AppendException(dst []byte, err error, requestID string) []byte {
	e := told(err, requestID)
	head := headInternal
	switch e.Code {
	case outcrop.CodeModelError, outcrop.CodeModelStream, outcrop.CodeModelTimeout:
		head, e.Code = headStream, outcrop.CodeModelStream
	case outcrop.CodeThrottling, outcrop.CodeQuota:
		head = headThrottling
	case outcrop.CodeUnavailable, outcrop.CodeModelNotReady:
		head = headUnavailable
	case outcrop.CodeValidation, outcrop.CodeAccessDenied, outcrop.CodeNotFound:
		head = headValidation
	}
	start := len(dst)
	dst = eventstream.Begin(dst, head)
	dst = AppendErrorBody(dst, &e, requestID)
	return eventstream.Seal(dst, start)
}
