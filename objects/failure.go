package objects

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/outcrop/outcrop"
)

// codes are those of S3's errors whose status does not say enough.
var codes = map[string]outcrop.Code{
	"NoSuchUpload":               outcrop.CodeNotFound,
	"ConditionalRequestConflict": outcrop.CodeUnavailable, // two writers at once; neither has failed for good
	"OperationAborted":           outcrop.CodeUnavailable,
	"RequestTimeout":             outcrop.CodeUnavailable,
	"BadDigest":                  outcrop.CodeUnavailable, // these three are damage on the way
	"IncompleteBody":             outcrop.CodeUnavailable,
	"XAmzContentSHA256Mismatch":  outcrop.CodeUnavailable,
	"NotImplemented":             outcrop.CodeValidation,
	"SlowDown":                   outcrop.CodeUnavailable,
	"ExpiredToken":               outcrop.CodeAccessDenied,
	"InvalidToken":               outcrop.CodeAccessDenied,
	"InvalidAccessKeyId":         outcrop.CodeAccessDenied,
	"SignatureDoesNotMatch":      outcrop.CodeAccessDenied,
}

// failure gives err its code; nil stays nil. precondition is what status 412
// means here.
func failure(ctx context.Context, err error, deed string, r Ref, precondition error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	e := &outcrop.Error{Code: outcrop.CodeUnavailable, Cause: err}
	var answered *awshttp.ResponseError
	if errors.As(err, &answered) {
		e.Status = answered.HTTPStatusCode()
		e.Code = ofStatus(e.Status)
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Original = api.ErrorCode()
		if code, known := codes[e.Original]; known {
			e.Code = code
		}
	}
	switch {
	case e.Original == "NoSuchUpload":
		e.Cause = fmt.Errorf("%w: %w", ErrNoUpload, err)
	case e.Status == http.StatusPreconditionFailed && precondition != nil:
		e.Cause = fmt.Errorf("%w: %w", precondition, err)
	}
	e.Message = "S3: cannot " + deed + " " + r.String() + ": " + reason(e)
	return e
}

func ofStatus(status int) outcrop.Code {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return outcrop.CodeAccessDenied
	case status == http.StatusNotFound:
		return outcrop.CodeNotFound
	case status == http.StatusPreconditionFailed:
		return outcrop.CodeConflict
	case status == http.StatusTooManyRequests, status == http.StatusTemporaryRedirect, status < 300, status >= 500:
		return outcrop.CodeUnavailable
	}
	return outcrop.CodeValidation
}

// reason says in few words what is wrong.
func reason(e *outcrop.Error) string {
	for _, known := range []error{ErrChanged, ErrExists, ErrNoUpload} {
		if errors.Is(e.Cause, known) {
			return known.Error() + "."
		}
	}
	text := map[outcrop.Code]string{
		outcrop.CodeAccessDenied: "access is denied", outcrop.CodeNotFound: "it does not exist",
		outcrop.CodeUnavailable: "S3 is not available", outcrop.CodeValidation: "S3 refuses the request",
		outcrop.CodeConflict: "it is not as was expected",
	}[e.Code]
	if e.Original != "" {
		text += " (" + e.Original + ")"
	}
	return text + "."
}
