package runtimeapi_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/explain"
)

// explained returns what is on record of the one call that h served.
func (h *house) explained(t *testing.T) explain.Record {
	t.Helper()
	r, ok := h.why.Find(requestID)
	if !ok || h.why.Len() != 1 {
		t.Fatalf("%d records, found %v", h.why.Len(), ok)
	}
	return r
}

func TestEachCallIsExplained(t *testing.T) {
	refusal := &outcrop.Error{Code: outcrop.CodeThrottling, Message: "Too many tokens.", RetryAfter: 2 * time.Second}
	refuses := func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
		return outcrop.Receipt{Limit: &outcrop.Limit{Name: "tokens-per-minute", Level: 9, Max: 10}}, refusal
	}
	for _, op := range invoking {
		h := serving(outcrop.DialectNova, says(nil, hello()...))
		h.serve(t, newCall(op, bodies[op]))
		if r := h.explained(t); r.Status != 200 || r.Operation != op || r.Served.Engine != "fake" || r.Usage.Output != 5 || r.Asked.Model == "" || r.Served.Model != "maker.model-v1:0" {
			t.Errorf("%s served: %+v", op, r)
		}
		h = serving(outcrop.DialectNova, refuses)
		h.serve(t, newCall(op, bodies[op]))
		if r := h.explained(t); r.Status != 429 || len(r.Limits) != 1 || r.RetryAfter != 2*time.Second || r.Message != refusal.Message {
			t.Errorf("%s refused: %+v", op, r)
		}
	}
}

func TestCallsThatNeverBecomeAnInvocationAreExplained(t *testing.T) {
	unknown := &outcrop.Error{Code: outcrop.CodeValidation, Message: "The provided model identifier is invalid."}
	h := newHouse(noTarget{unknown}, false)
	h.serve(t, newCall(outcrop.OpConverse, converseBody))
	if r := h.explained(t); r.Status != 400 || r.Message != unknown.Message || r.Served.Model != "" {
		t.Errorf("%+v", r)
	}
}

func TestALeavingCallerIsNoFaultOfTheServer(t *testing.T) {
	ctx, hangUp := context.WithCancelCause(context.Background())
	h := serving(outcrop.DialectNova, func(ctx context.Context, _ *outcrop.Request, _ outcrop.Sink) (outcrop.Receipt, error) {
		hangUp(errors.New("gone"))
		return receipt, context.Cause(ctx)
	})
	h.serveOn(t, ctx, newCall(outcrop.OpConverse, converseBody), &wire{})
	if r := h.explained(t); r.Status != 499 || r.Code != "ClientGone" || r.Usage.Output != 5 {
		t.Errorf("%+v", r)
	}
}
