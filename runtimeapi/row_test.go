package runtimeapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/runtimeapi"
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
	if used.Priced {
		t.Errorf("a model without a price costs %v", used.Cost)
	}
	answer, _, err = h.api.Row(t.Context(), newCall(outcrop.OpInvokeModel, `{"max_tokens":"many"}`), outcrop.ClassBatch)
	if answer != nil || !errors.Is(err, outcrop.CodeValidation) {
		t.Errorf("%s %v", answer, err)
	}
	if line := h.record(t); line["status"] != 400. {
		t.Errorf("%v", line)
	}
}

// A record that had to hurry ran in another class, at the price of batch.
func TestARecordCostsHalf(t *testing.T) {
	c := card(outcrop.DialectNova)
	c.Price = &outcrop.Price{Input: 250_000_000, Output: 1_250_000_000, Batch: 50, Flex: 80, Priority: 175}
	m := modelFunc(func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		_, err := says(nil, hello()...)(ctx, req, out)
		return outcrop.Receipt{Usage: outcrop.Usage{Input: 1000, Output: 100}, Class: req.Class, Scheduled: true}, err
	})
	h := newHouse(oneTarget{&runtimeapi.Target{Card: c, Model: m}}, false)
	for _, class := range []outcrop.Class{outcrop.ClassBatch, outcrop.ClassFlex} {
		_, used, err := h.api.Row(t.Context(), newCall(outcrop.OpConverse, converseBody), class)
		if err != nil || !used.Priced || used.Cost != 187_500 {
			t.Errorf("%s: %v, %v", class, used.Cost, err)
		}
		h.record(t)
	}
}
