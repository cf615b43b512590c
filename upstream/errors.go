package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/h1"
)

// What callers read. The causes go to the log.
const (
	saysUnavailable = "The model is currently unavailable. Try your request again."
	saysThrottled   = "Too many requests, please wait before trying again."
	saysTimeout     = "The model took too long to answer. Try your request again."
	saysStream      = "The model's answer broke off. Try your request again."
	saysError       = "The model could not process the request. Try your request again."
	saysRefused     = "The model returned the following errors: "
)

// fail turns what went wrong into the error that Invoke returns. What the
// sink returned comes back as it is, and the end of ctx is its cause.
func (x *exchange) fail(ctx context.Context, err error) error {
	if x.refusal != nil {
		return x.refusal
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var e *outcrop.Error
	if errors.As(err, &e) {
		return x.engine.secret.maskError(x.place(e))
	}
	return x.broken(err)
}

// place fits an error of a decoder to how far the answer has come: a model's
// error is one on the stream after the first event, and never before it.
func (x *exchange) place(e *outcrop.Error) *outcrop.Error {
	placed := *e
	switch {
	case x.sent && (e.Code == outcrop.CodeModelError || e.Code == outcrop.CodeModelTimeout):
		placed.Code = outcrop.CodeModelStream
	case !x.sent && e.Code == outcrop.CodeModelStream:
		placed.Code = outcrop.CodeModelError
	}
	return &placed
}

// broken is the error of an exchange that failed below its content.
func (x *exchange) broken(err error) error {
	e := &outcrop.Error{Code: outcrop.CodeModelError, Message: saysError, Cause: fmt.Errorf("engine %s: %w", x.engine.name, err)}
	var dial *h1.DialError
	switch {
	case x.sent:
		e.Code, e.Message = outcrop.CodeModelStream, saysStream
	case errors.As(err, &dial):
		e.Code, e.Message = outcrop.CodeUnavailable, saysUnavailable
	case errors.Is(err, h1.ErrFirstByte), errors.Is(err, h1.ErrIdle):
		e.Code, e.Message = outcrop.CodeModelTimeout, saysTimeout
	}
	return e
}

// refusal is the error of an answer whose status is not 200; words are the
// engine's own.
func refusal(name string, resp *h1.Response, words string) *outcrop.Error {
	return refused(name, resp.Status, words, patience(resp))
}

// patience is how long the engine asks callers to wait: in milliseconds under
// two names, and in Retry-After.
func patience(resp *h1.Response) time.Duration {
	millis := resp.Header("retry-after-ms")
	if millis == "" {
		millis = resp.Header("x-amz-retry-after")
	}
	return retryAfter(resp.Header("retry-after"), millis, time.Now())
}

// refused is the error of an answer whose status is not 200. words are the
// engine's own.
func refused(name string, status int, words string, retryAfter time.Duration) *outcrop.Error {
	e := &outcrop.Error{Status: status, Original: words, RetryAfter: retryAfter}
	switch {
	case status == http.StatusTooManyRequests:
		e.Code, e.Message = outcrop.CodeThrottling, saysThrottled
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status < 400:
		// The operator's fault, and not the caller's. The engine's words stay
		// out of the log: some quote the key, or the prompt.
		e.Code, e.Message = outcrop.CodeUnavailable, saysUnavailable
		e.Cause = fmt.Errorf("engine %s answered with status %d", name, status)
	case status == http.StatusRequestTimeout:
		e.Code, e.Message = outcrop.CodeModelTimeout, saysTimeout
	case status >= 500:
		e.Code, e.Message = outcrop.CodeModelError, saysError
	default:
		e.Code, e.Message = outcrop.CodeValidation, saysRefused+words
		if words == "" {
			e.Message = saysRefused + "status " + strconv.Itoa(status) + "."
		}
	}
	return e
}

// maxRetryAfter bounds how long an engine can keep callers away.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header Retry-After, which holds seconds or a date, and
// retry-after-ms, which some engines send beside it.
func retryAfter(seconds, millis string, now time.Time) time.Duration {
	d := time.Duration(0)
	if ms, err := strconv.ParseFloat(millis, 64); err == nil && ms < float64(maxRetryAfter/time.Millisecond) {
		d = time.Duration(ms * float64(time.Millisecond))
	} else if s, err := strconv.ParseFloat(seconds, 64); err == nil && s < maxRetryAfter.Seconds() {
		d = time.Duration(s * float64(time.Second))
	} else if at, err := http.ParseTime(seconds); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
