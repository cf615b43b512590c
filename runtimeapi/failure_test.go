package runtimeapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/runtimeapi"
)

var operations = []outcrop.Operation{
	outcrop.OpConverse, outcrop.OpConverseStream, outcrop.OpInvokeModel, outcrop.OpInvokeModelStream, outcrop.OpCountTokens,
}

// invoking are the operations that call Model.Invoke.
var invoking = operations[:4]

func message(t *testing.T, body []byte) string {
	t.Helper()
	var b struct{ Message string }
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return b.Message
}

func TestErrorsBeforeTheFirstEventAreAnswers(t *testing.T) {
	cases := []struct {
		err          *outcrop.Error
		status       int
		code         outcrop.Code
		unaryMessage string
	}{
		{&outcrop.Error{Code: outcrop.CodeThrottling, Message: "slow down"}, 429, outcrop.CodeThrottling, "slow down"},
		{&outcrop.Error{Code: outcrop.CodeThrottling}, 429, outcrop.CodeThrottling, bedrock.TooManyRequests},
		{&outcrop.Error{Code: outcrop.CodeUnavailable}, 503, outcrop.CodeUnavailable, bedrock.ServiceUnavailable},
		{&outcrop.Error{Code: outcrop.CodeModelError, Message: "engine broke", Status: 500}, 424, outcrop.CodeModelError, "engine broke"},
		{&outcrop.Error{Code: outcrop.CodeModelTimeout}, 408, outcrop.CodeModelTimeout, bedrock.ModelTimedOut},
		{&outcrop.Error{Code: outcrop.CodeModelNotReady}, 429, outcrop.CodeModelNotReady, bedrock.ModelNotReady},
		{outcrop.Invalid("bad"), 400, outcrop.CodeValidation, "bad"},
		{&outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "no"}, 403, outcrop.CodeAccessDenied, "no"},
		{&outcrop.Error{Code: outcrop.CodeNotFound, Message: "gone"}, 404, outcrop.CodeNotFound, "gone"},
	}
	for _, c := range cases {
		for _, op := range invoking {
			c.err.Cause = errors.New("only for the log")
			w, line := serving(outcrop.DialectNova, says(c.err)).serve(t, newCall(op, bodies[op]))
			if w.begun || w.status != c.status || w.contentType != "application/json" {
				t.Errorf("%s of %s: stream %v, %d %s", c.code, op, w.begun, w.status, w.contentType)
			}
			if kind, _, _ := strings.Cut(w.fields["X-Amzn-Errortype"], ":"); kind != string(c.code) {
				t.Errorf("%s of %s: type %q", c.code, op, kind)
			}
			if got := message(t, w.body); got != c.unaryMessage {
				t.Errorf("%s of %s: message %q", c.code, op, got)
			}
			if line["status"] != float64(c.status) || line["code"] != string(c.code) || line["cause"] != "only for the log" {
				t.Errorf("%s of %s: recorded %v", c.code, op, line)
			}
			if strings.Contains(string(w.body), "only for the log") {
				t.Errorf("%s of %s told its cause", c.code, op)
			}
		}
	}
}

func TestErrorsOfCountTokens(t *testing.T) {
	fails := counterFunc(func(context.Context, *outcrop.Request) (int, error) {
		return 0, &outcrop.Error{Code: outcrop.CodeModelTimeout, Cause: errors.New("the tokenizer hangs")}
	})
	h := newHouse(oneTarget{&runtimeapi.Target{Card: card(outcrop.DialectNova), Counter: fails}}, false)
	w, line := h.serve(t, newCall(outcrop.OpCountTokens, bodies[outcrop.OpCountTokens]))
	if w.status != 503 || !strings.HasPrefix(w.fields["X-Amzn-Errortype"], "ServiceUnavailableException:") {
		t.Errorf("%d %v", w.status, w.fields)
	}
	if line["code"] != "ModelTimeoutException" || line["cause"] != "the tokenizer hangs" {
		t.Errorf("recorded %v", line)
	}
}

func TestErrorsAfterEventsAreExceptionsOnTheStream(t *testing.T) {
	causes := map[outcrop.Code]string{
		outcrop.CodeModelStream: "modelStreamErrorException", outcrop.CodeThrottling: "throttlingException",
		outcrop.CodeUnavailable: "serviceUnavailableException", outcrop.CodeModelTimeout: "modelStreamErrorException",
		outcrop.CodeValidation: "validationException", outcrop.CodeInternal: "internalServerException",
	}
	for code, exception := range causes {
		for _, op := range []outcrop.Operation{outcrop.OpConverseStream, outcrop.OpInvokeModelStream} {
			for sent := 1; sent <= len(hello()); sent++ {
				model := says(&outcrop.Error{Code: code, Cause: errors.New("for the log")}, hello()[:sent]...)
				w, line := serving(outcrop.DialectNova, model).serve(t, newCall(op, bodies[op]))
				frames := w.frames(t)
				last := frames[len(frames)-1]
				if m := last[len(last)-1]; m.MessageType != "exception" || m.ExceptionType != exception {
					t.Errorf("%s after %d events of %s: ends with %s %s", code, sent, op, m.MessageType, m.ExceptionType)
				}
				if strings.Contains(w.types(t), "metadata") || !w.ended || w.status != 200 {
					t.Errorf("%s after %d events of %s: %s", code, sent, op, w.types(t))
				}
				if line["status"] != 200.0 || line["code"] != string(code) || line["cause"] != "for the log" || line["output_tokens"] != 5.0 {
					t.Errorf("%s after %d events of %s: recorded %v", code, sent, op, line)
				}
			}
		}
	}
}

func TestWhatCameBeforeAFailureIsSent(t *testing.T) {
	model := says(&outcrop.Error{Code: outcrop.CodeModelStream}, hello()[:3]...) // not flushed yet
	w, _ := serving(outcrop.DialectNova, model).serve(t, newCall(outcrop.OpConverseStream, converseBody))
	if got := w.types(t); got != "messageStart contentBlockDelta modelStreamErrorException" {
		t.Errorf("wrote %s", got)
	}
}

func TestErrorsAfterEventsOfAUnaryCallAreAnswers(t *testing.T) {
	for _, op := range []outcrop.Operation{outcrop.OpConverse, outcrop.OpInvokeModel} {
		w, line := serving(outcrop.DialectNova, says(&outcrop.Error{Code: outcrop.CodeModelStream, Message: "cut"}, hello()[:4]...)).serve(t, newCall(op, bodies[op]))
		if w.status != 424 || w.begun || message(t, w.body) != "cut" || strings.Contains(string(w.body), "Hello") {
			t.Errorf("%s: %d %s", op, w.status, w.body)
		}
		if line["code"] != "ModelStreamErrorException" || line["output_tokens"] != 5.0 {
			t.Errorf("%s: recorded %v", op, line)
		}
	}
}

func TestUnknownErrorsTellTheRequestIDAlone(t *testing.T) {
	secret := errors.New("open /etc/engine.key: permission denied")
	leaks := map[string]modelFunc{
		"error":         says(secret),
		"wrapped error": says(fmt.Errorf("engine a: %w", secret)),
		"panic": func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
			panic("open /etc/engine.key: permission denied")
		},
		"panic with an error": func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
			panic(secret)
		},
		"nil dereference": func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
			var e *outcrop.Error
			panic(fmt.Sprint("/etc/engine.key", e.Message))
		},
	}
	for name, model := range leaks {
		for _, op := range invoking {
			h := serving(outcrop.DialectNova, model)
			w, line := h.serve(t, newCall(op, bodies[op]))
			if w.status != 500 || !strings.HasPrefix(w.fields["X-Amzn-Errortype"], "InternalServerException:") {
				t.Errorf("%s of %s: %d %v", name, op, w.status, w.fields)
			}
			text := message(t, w.body)
			if !strings.Contains(text, requestID) || strings.Contains(text, "engine") || strings.Contains(text, "panic") || strings.Contains(text, "permission") {
				t.Errorf("%s of %s told %q", name, op, text)
			}
			cause, _ := line["cause"].(string)
			if line["level"] != "ERROR" || line["code"] != "InternalServerException" || cause == "" {
				t.Errorf("%s of %s: recorded %v", name, op, line)
			}
			if name != "nil dereference" && !strings.Contains(cause, "/etc/engine.key") {
				t.Errorf("%s of %s: cause %q", name, op, cause)
			}
			if strings.Contains(name, "panic") && !strings.Contains(cause, "failure_test.go") {
				t.Errorf("%s of %s: no stack in %q", name, op, cause)
			}
		}
	}
}

func TestPanicInAStreamIsAnExceptionAndTheServerGoesOn(t *testing.T) {
	panics := true
	model := func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		if !panics {
			return says(nil, hello()...)(ctx, req, out)
		}
		_, _ = says(nil, hello()[:4]...)(ctx, req, out)
		panic("secret")
	}
	h := serving(outcrop.DialectNova, model)
	for _, op := range []outcrop.Operation{outcrop.OpConverseStream, outcrop.OpInvokeModelStream} {
		panics = true
		w, line := h.serve(t, newCall(op, bodies[op]))
		frames := w.frames(t)
		last := frames[len(frames)-1][0]
		if last.ExceptionType != "internalServerException" || strings.Contains(string(last.Payload), "secret") || !strings.Contains(string(last.Payload), requestID) {
			t.Errorf("%s ended with %s %s", op, last.ExceptionType, last.Payload)
		}
		if cause, _ := line["cause"].(string); !strings.Contains(cause, "secret") {
			t.Errorf("%s: recorded %v", op, line)
		}
		panics = false
		if w, line = h.serve(t, newCall(op, bodies[op])); !w.ended || line["code"] != nil {
			t.Errorf("%s after a panic: %v", op, line)
		}
	}
}

func TestResolverErrorsAreAnswers(t *testing.T) {
	for _, op := range operations {
		w, line := newHouse(noTarget{outcrop.Invalid(bedrock.InvalidModelID)}, false).serve(t, newCall(op, bodies[op]))
		if w.status != 400 || message(t, w.body) != "The provided model identifier is invalid." {
			t.Errorf("%s: %d %s", op, w.status, w.body)
		}
		if line["model"] != nil || line["asked_model"] != "maker.model-v1:0" || line["code"] != "ValidationException" {
			t.Errorf("%s: recorded %v", op, line)
		}
	}
}

func TestBodiesThatCannotBeReadAreValidationErrors(t *testing.T) {
	for _, op := range operations {
		for _, body := range []string{"", "{", "[]", "null", `{"messages":`, "\xff", `{"messages":[]}garbage`, strings.Repeat("[", 100_000)} {
			w, line := serving(outcrop.DialectNova, says(nil, hello()...)).serve(t, newCall(op, body))
			if w.status != 400 || !strings.HasPrefix(w.fields["X-Amzn-Errortype"], "ValidationException:") || message(t, w.body) == "" {
				t.Errorf("%s of %.20q: %d %s", op, body, w.status, w.body)
			}
			if len(w.body) > 4096 {
				t.Errorf("%s of %.20q: an answer of %d bytes", op, body, len(w.body))
			}
			if line["code"] != "ValidationException" {
				t.Errorf("%s of %.20q: recorded %v", op, body, line)
			}
		}
	}
}

var errHungUp = errors.New("the caller hung up")

func TestACallerThatHangsUpGetsNothingMore(t *testing.T) {
	for _, op := range invoking {
		for after := range len(hello()) {
			ctx, hangUp := context.WithCancelCause(context.Background())
			model := func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
				_, _ = says(nil, hello()[:after]...)(ctx, req, out)
				hangUp(errHungUp)
				return receipt, context.Cause(ctx)
			}
			w := &wire{}
			wrote := -1
			line := func() map[string]any {
				h := serving(outcrop.DialectNova, func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
					r, err := model(ctx, req, out)
					wrote = w.calls
					return r, err
				})
				return h.serveOn(t, ctx, newCall(op, bodies[op]), w)
			}()
			if w.calls != wrote {
				t.Errorf("%s after %d events: %d more calls of the wire", op, after, w.calls-wrote)
			}
			if line["status"] != 499.0 || line["code"] != "ClientGone" || line["output_tokens"] != 5.0 {
				t.Errorf("%s after %d events: recorded %v", op, after, line)
			}
		}
	}
}

func TestAFaultIsRecordedThoughTheCallerHungUp(t *testing.T) {
	ctx, hangUp := context.WithCancelCause(context.Background())
	hangUp(errHungUp)
	h := serving(outcrop.DialectNova, func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) { panic("a fault") })
	line := h.serveOn(t, ctx, newCall(outcrop.OpConverse, converseBody), &wire{})
	if cause, _ := line["cause"].(string); line["status"] != 499.0 || !strings.Contains(cause, "a fault") {
		t.Errorf("recorded %v", line)
	}
}

func TestEveryWriteThatFailsEndsTheInvocation(t *testing.T) {
	for _, once := range []bool{true, false} {
		for _, op := range operations {
			for k := 1; ; k++ {
				sent, failed := 0, 0
				model := func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
					for _, e := range weighs() {
						sent++
						if err := out.Send(e); err != nil {
							failed++
							return receipt, fmt.Errorf("engine: %w", err)
						}
					}
					return receipt, nil
				}
				w := &wire{failAt: k, once: once}
				line := serving(outcrop.DialectNova, model).serveOn(t, context.Background(), newCall(op, bodies[op]), w)
				if w.calls < k {
					if k == 1 || line["code"] != nil {
						t.Errorf("%s: no call of the wire, or %v", op, line)
					}
					break
				}
				if w.calls > k {
					t.Errorf("%s: %d calls after call %d failed", op, w.calls-k, k)
				}
				if failed > 1 {
					t.Errorf("%s: Send went on after it failed", op)
				}
				if line["status"] != 499.0 || line["code"] != "ClientGone" {
					t.Errorf("%s, call %d fails (once %v): recorded %v", op, k, once, line)
				}
			}
		}
	}
}

func TestErrorsThatCannotBeToldAreRecorded(t *testing.T) {
	for _, op := range invoking {
		w := &wire{failAt: 1}
		h := serving(outcrop.DialectNova, says(&outcrop.Error{Code: outcrop.CodeUnavailable, Cause: errors.New("engine refused")}))
		line := h.serveOn(t, context.Background(), newCall(op, bodies[op]), w)
		if line["status"] != 499.0 || line["code"] != "ClientGone" || line["cause"] != "engine refused" {
			t.Errorf("%s: recorded %v", op, line)
		}
	}
}

func TestRetryAdviceOn429And503(t *testing.T) {
	cases := []struct {
		code          outcrop.Code
		wait          time.Duration
		millis, whole string
	}{
		{outcrop.CodeThrottling, 0, "1000", "1"},
		{outcrop.CodeThrottling, 1900 * time.Millisecond, "1900", "2"},
		{outcrop.CodeThrottling, 2 * time.Second, "2000", "2"},
		{outcrop.CodeThrottling, time.Nanosecond, "1", "1"},
		{outcrop.CodeUnavailable, 90 * time.Second, "90000", "90"},
		{outcrop.CodeModelNotReady, 30 * time.Second, "30000", "30"},
		{outcrop.CodeValidation, time.Second, "", ""},
		{outcrop.CodeInternal, time.Second, "", ""},
		{outcrop.CodeModelError, time.Second, "", ""},
	}
	for _, c := range cases {
		w, _ := serving(outcrop.DialectNova, says(&outcrop.Error{Code: c.code, RetryAfter: c.wait})).serve(t, newCall(outcrop.OpConverse, converseBody))
		if got := w.fields["X-Amz-Retry-After"]; got != c.millis {
			t.Errorf("%s after %v: x-amz-retry-after %q, want %q", c.code, c.wait, got, c.millis)
		}
		if got := w.fields["Retry-After"]; got != c.whole {
			t.Errorf("%s after %v: retry-after %q, want %q", c.code, c.wait, got, c.whole)
		}
	}
}
