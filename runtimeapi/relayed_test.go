package runtimeapi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
)

// asking is a Converse body that asks for the tier and the latency.
func asking(tier, latency string) string {
	return strings.TrimSuffix(converseBody, "}") + `,"serviceTier":{"type":"` + tier + `"},"performanceConfig":{"latency":"` + latency + `"}}`
}

// TestTheServiceThatABodyAsksForCounts also where the body passes untouched.
func TestTheServiceThatABodyAsksForCounts(t *testing.T) {
	for _, speaks := range [][]outcrop.Dialect{nil, {outcrop.DialectConverse}} {
		for _, op := range conversing {
			var seen outcrop.Request
			var body string
			model := func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
				seen = *req
				if req.Native != nil {
					body = string(req.Native.Body)
				}
				return says(nil, answerTo(req)...)(ctx, req, out)
			}
			want := asking("priority", "optimized")
			w, _ := onUnit("", model, speaks...).serve(t, newCall(op, want))
			if w.status != 200 || seen.Tier != outcrop.TierPriority || seen.Latency != outcrop.LatencyOptimized || speaks != nil && body != want {
				t.Errorf("%s, %v: %d, tier %q, latency %q, body %s", op, speaks, w.status, seen.Tier, seen.Latency, body)
			}
			refused(t, onUnit("", never(t), speaks...), newCall(op, asking("gold", "standard")), 400, "ValidationException",
				"1 validation error detected: Value 'gold' at 'serviceTier.type' failed to satisfy constraint: Member must satisfy enum value set: [priority, default, flex, reserved]")
		}
	}
}
