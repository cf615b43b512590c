package runtimeapi_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
	"github.com/outcrop/outcrop/runtimeapi"
	"github.com/outcrop/outcrop/sim"
)

// A told is what an answer says of what served.
type told struct{ tier, latency string }

// ask asks for a tier and a latency, either empty for none, and returns what
// the answer says.
func (h *house) ask(t *testing.T, op outcrop.Operation, tier, latency string) told {
	t.Helper()
	call := newCall(op, bodies[op])
	if op == outcrop.OpInvokeModel {
		call.Header = runtimeapi.Header{Tier: tier, Latency: latency}
		w, _ := h.serve(t, call)
		return told{w.fields["X-Amzn-Bedrock-Service-Tier"], w.fields["X-Amzn-Bedrock-Performanceconfig-Latency"]}
	}
	body := converseBody[:len(converseBody)-1]
	if tier != "" {
		body += `,"serviceTier":{"type":"` + tier + `"}`
	}
	if latency != "" {
		body += `,"performanceConfig":{"latency":"` + latency + `"}`
	}
	call.Body = []byte(body + "}")
	w, _ := h.serve(t, call)
	last := w.body
	if streams(op) {
		frames := w.frames(t)
		messages := frames[len(frames)-1]
		last = messages[len(messages)-1].Payload
	}
	var answer struct {
		ServiceTier       struct{ Type string }
		PerformanceConfig struct{ Latency string }
	}
	if err := json.Unmarshal(last, &answer); err != nil {
		t.Fatalf("%s: %v", last, err)
	}
	return told{answer.ServiceTier.Type, answer.PerformanceConfig.Latency}
}

// telling are the operations whose answers say what served.
var telling = []outcrop.Operation{outcrop.OpConverse, outcrop.OpConverseStream, outcrop.OpInvokeModel}

// engines is a pool of simulated engines named by their marks.
func engines(t *testing.T, marks ...string) *capacity.Pool {
	t.Helper()
	c := capacity.Config{Model: "model"}
	for _, mark := range marks {
		size := capacity.Unknown(8)
		size.Optimized = mark == "optimized"
		c.Engines = append(c.Engines, capacity.Engine{Name: mark, Model: sim.New(sim.Config{}), Capacity: size})
	}
	p, err := capacity.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestPerformanceConfigSaysTheLatencyThatServed(t *testing.T) {
	for _, op := range telling {
		p := engines(t, "standard", "optimized")
		h := serving(outcrop.DialectNova, p.Invoke)
		for asked, want := range map[string]string{"": "", "standard": "standard", "optimized": "optimized"} {
			if got := h.ask(t, op, "", asked); got.latency != want {
				t.Errorf("%s: asked for %q, told %q", op, asked, got.latency)
			}
		}
		p.Drain("optimized", true)
		if got := h.ask(t, op, "", "optimized"); got.latency != "standard" {
			t.Errorf("%s: the marked engine is away, told %q", op, got.latency)
		}
		if got := serving(outcrop.DialectNova, engines(t, "standard").Invoke).ask(t, op, "", "optimized"); got.latency != "standard" {
			t.Errorf("%s: no engine is marked, told %q", op, got.latency)
		}
	}
}

// Input and output are reserved apart. The first request overdraws one of the
// two, for a minute.
func TestServiceTierSaysReservedWithinItAndDefaultAfterOverflow(t *testing.T) {
	for i, op := range append(telling, telling...) {
		used := outcrop.Usage{Input: 300, Output: 50}
		if i >= len(telling) {
			used = outcrop.Usage{Input: 10, Output: 300}
		}
		synctest.Test(t, func(t *testing.T) {
			l, err := quota.New(quota.Config{Settings: quota.Settings{Reserved: []quota.Reserved{{
				Account: anyone().Account, Model: "maker.model-v1:0", InputTokensPerMinute: 600, OutputTokensPerMinute: 600,
			}}, Ledger: ledger.Config{Rules: []ledger.Rule{{Limits: ledger.Limits{TokensPerMinute: 1 << 20}}}}}})
			if err != nil {
				t.Fatal(err)
			}
			inner := func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
				r, err := says(nil, hello()...)(ctx, req, out)
				r.Usage = used
				return r, err
			}
			h := serving(outcrop.DialectNova, l.Model(modelFunc(inner)).Invoke)
			for i, want := range []string{"reserved", "default"} {
				if got := h.ask(t, op, "reserved", ""); got.tier != want {
					t.Errorf("%s using %+v: request %d was told %q, want %q", op, used, i+1, got.tier, want)
				}
			}
			time.Sleep(time.Minute)
			if got := h.ask(t, op, "reserved", ""); got.tier != "reserved" {
				t.Errorf("%s using %+v: told %q after a minute", op, used, got.tier)
			}
		})
	}
}

// priced returns the record of a call of a model at the price, which ends with
// the receipt and the failure.
func priced(t *testing.T, price *outcrop.Price, receipt outcrop.Receipt, failure error) map[string]any {
	t.Helper()
	c := card(outcrop.DialectNova)
	c.Price = price
	m := modelFunc(func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		if failure != nil {
			return receipt, failure
		}
		_, err := says(nil, hello()...)(ctx, req, out)
		return receipt, err
	})
	_, line := newHouse(oneTarget{&runtimeapi.Target{Card: c, Model: m}}, false).serve(t, newCall(outcrop.OpConverse, converseBody))
	return line
}

func TestTheRecordSaysWhatACallCost(t *testing.T) {
	price := &outcrop.Price{Input: 250_000_000, Output: 1_250_000_000, Batch: 50, Flex: 50, Priority: 175}
	used := outcrop.Usage{Input: 1000, Output: 100}
	broke := &outcrop.Error{Code: outcrop.CodeModelError, Message: "it broke"}
	for name, c := range map[string]struct {
		price   *outcrop.Price
		receipt outcrop.Receipt
		failure error
		want    any
	}{
		"on demand":          {price, outcrop.Receipt{Usage: used}, nil, "0.000375"},
		"batch":              {price, outcrop.Receipt{Usage: used, Class: outcrop.ClassBatch, Scheduled: true}, nil, "0.0001875"},
		"provisioned":        {price, outcrop.Receipt{Usage: used, Class: outcrop.ClassProvisioned, Unit: "u"}, nil, "0"},
		"what broke off too": {price, outcrop.Receipt{Usage: outcrop.Usage{Input: 1000}}, broke, "0.00025"},
		"nothing used":       {price, outcrop.Receipt{}, broke, nil},
		"no price":           {nil, outcrop.Receipt{Usage: used}, nil, nil},
	} {
		if got := priced(t, c.price, c.receipt, c.failure)["cost_usd"]; got != c.want {
			t.Errorf("%s: cost_usd is %v, want %v", name, got, c.want)
		}
	}
}
