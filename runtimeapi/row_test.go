package runtimeapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
)

func TestARecordOfABatchJob(t *testing.T) {
	var got outcrop.Request
	h := serving(outcrop.DialectNova, func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		got = *req
		return says(nil, hello()...)(ctx, req, out)
	})
	answer, used, err := h.api.Row(t.Context(), newCall(outcrop.OpConverse, converseBody), outcrop.ClassFlex)
	if err != nil || !strings.Contains(string(answer), `"text":"Hello, w\u00f6rld\n"`) || used.Usage != receipt.Usage {
		t.Errorf("%s %+v %v", answer, used, err)
	}
	if !got.Batch || got.Class != outcrop.ClassFlex {
		t.Errorf("the request was %+v", got)
	}
	if line := h.record(t); line["status"] != 200. || line["output_tokens"] != 5. {
		t.Errorf("%v", line)
	}
	answer, _, err = h.api.Row(t.Context(), newCall(outcrop.OpInvokeModel, `{"max_tokens":"many"}`), outcrop.ClassBatch)
	if answer != nil || !errors.Is(err, outcrop.CodeValidation) {
		t.Errorf("%s %v", answer, err)
	}
	if line := h.record(t); line["status"] != 400. {
		t.Errorf("%v", line)
	}
}
