package quota_test

import (
	"context"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

// modelFunc is a Model.
type batchModel func(req *outcrop.Request) outcrop.Receipt

func (f batchModel) Invoke(_ context.Context, req *outcrop.Request, _ outcrop.Sink) (outcrop.Receipt, error) {
	return f(req), nil
}

// TestRecordsOfBatchJobsAreOutsideOfTheLimits of on-demand use, and reach the
// scheduler in their class, with an estimate.
func TestRecordsOfBatchJobsAreOutsideOfTheLimits(t *testing.T) {
	l, err := quota.New(quota.Config{Settings: quota.Settings{Ledger: ledger.Config{Rules: []ledger.Rule{{Limits: ledger.Limits{RequestsPerMinute: 1, TokensPerMinute: 1}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	var got outcrop.Request
	m := l.Model(batchModel(func(req *outcrop.Request) outcrop.Receipt {
		got = *req
		return outcrop.Receipt{Usage: outcrop.Usage{Input: 500, Output: 500}}
	}))
	req := &outcrop.Request{ID: "r", Principal: &outcrop.Principal{Account: "111122223333"}, Card: &outcrop.Card{ID: "m", MaxOutput: 100}, Batch: true, Class: outcrop.ClassBatch,
		Native: &outcrop.Native{Body: []byte(`{"max_tokens":7,"messages":[{"role":"user","content":"one two three four"}]}`)}}
	for range 3 {
		if _, err := m.Invoke(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got.Class != outcrop.ClassBatch || got.Estimate.Input < 4 || got.Estimate.Output > 7 {
		t.Errorf("%+v", got)
	}
	if held := l.Tally(); held != (ledger.Tally{}) {
		t.Errorf("something was counted: %+v", held)
	}
}
