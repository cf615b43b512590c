package runtimeapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/runtimeapi"
)

// slowly is a model that answers with events after a second.
func slowly(events []outcrop.Event, r outcrop.Receipt) modelFunc {
	return func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		time.Sleep(time.Second)
		_, err := says(nil, events...)(ctx, req, out)
		return r, err
	}
}

func sameJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("%s\n%s", got, diff)
	}
}

func TestConverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serving(outcrop.DialectNova, slowly(weighs(), receipt))
		w, line := h.serve(t, newCall(outcrop.OpConverse, converseBody))
		if w.status != 200 || w.contentType != "application/json" || len(w.fields) != 0 {
			t.Errorf("%d %s %v", w.status, w.contentType, w.fields)
		}
		sameJSON(t, w.body, `{"output":{"message":{"role":"assistant","content":[
			{"reasoningContent":{"reasoningText":{"text":"Rain?","signature":"c2ln"}}},
			{"text":"I look it up."},
			{"toolUse":{"toolUseId":"tool_1","name":"weather","input":{"city":"Oslo"}}}]}},
			"stopReason":"tool_use","usage":{"inputTokens":12,"outputTokens":5,"totalTokens":17,"cacheReadInputTokens":0,"cacheWriteInputTokens":0},"metrics":{"latencyMs":1000}}`)
		for name, want := range map[string]any{
			"status": 200.0, "model": "maker.model-v1:0", "operation": "Converse", "input_tokens": 12.0, "output_tokens": 5.0, "duration_ms": 1000.0,
			"key": "AKIATEST", "account": "111122223333", "engine": "fake", "bytes_in": float64(len(converseBody)), "request_id": requestID, "remote": "127.0.0.1:5",
		} {
			if line[name] != want {
				t.Errorf("the record's %s is %v, want %v", name, line[name], want)
			}
		}
		if line["code"] != nil {
			t.Errorf("a success was recorded with code %v", line["code"])
		}
	})
}

func TestConverseStreamWritesOncePerFlushAndMetadataLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serving(outcrop.DialectNova, slowly(weighs(), receipt))
		w, line := h.serve(t, newCall(outcrop.OpConverseStream, converseBody))
		want := strings.Join([]string{
			"messageStart contentBlockDelta contentBlockDelta contentBlockStop",
			"contentBlockDelta contentBlockStop contentBlockStart contentBlockDelta",
			"contentBlockDelta contentBlockStop messageStop",
			"metadata",
		}, "\n")
		if got := w.types(t); got != want {
			t.Errorf("wrote\n%s\nwant\n%s", got, want)
		}
		if !w.ended || w.status != 200 {
			t.Errorf("ended %v with %d", w.ended, w.status)
		}
		frames := w.frames(t)
		var metadata map[string]any
		if err := json.Unmarshal(frames[len(frames)-1][0].Payload, &metadata); err != nil {
			t.Fatal(err)
		}
		delete(metadata, "p")
		wantMetadata := map[string]any{
			"usage":   map[string]any{"inputTokens": 12.0, "outputTokens": 5.0, "totalTokens": 17.0, "cacheReadInputTokens": 0.0, "cacheWriteInputTokens": 0.0},
			"metrics": map[string]any{"latencyMs": 1000.0},
		}
		if diff := cmp.Diff(wantMetadata, metadata); diff != "" {
			t.Error(diff)
		}
		if line["status"] != 200.0 || line["stop"] != "end_turn" {
			t.Errorf("recorded %v", line)
		}
	})
}

func TestEventsThatAreNotFlushedLeaveWithTheEnd(t *testing.T) {
	events := []outcrop.Event{
		{Kind: outcrop.EventStart}, {Kind: outcrop.EventBlockStart, Block: outcrop.BlockText},
		{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("a")},
		{Kind: outcrop.EventBlockStop}, {Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopEndTurn}},
	}
	w, _ := serving(outcrop.DialectNova, says(nil, events...)).serve(t, newCall(outcrop.OpConverseStream, converseBody))
	if got := w.types(t); got != "messageStart contentBlockDelta contentBlockStop messageStop metadata" {
		t.Errorf("wrote %s", got)
	}
}

func TestMuchBetweenTwoFlushesIsNotGathered(t *testing.T) {
	text := outcrop.Text(strings.Repeat("x", 40<<10))
	events := []outcrop.Event{{Kind: outcrop.EventStart}, {Kind: outcrop.EventBlockStart, Block: outcrop.BlockText}}
	for range 50 {
		events = append(events, outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: text})
	}
	events = append(events, outcrop.Event{Kind: outcrop.EventBlockStop}, outcrop.Event{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopEndTurn}})
	for _, op := range []outcrop.Operation{outcrop.OpConverseStream, outcrop.OpInvokeModelStream} {
		w, _ := serving(outcrop.DialectNova, says(nil, events...)).serve(t, newCall(op, bodies[op]))
		for _, written := range w.writes {
			if len(written) > 256<<10 {
				t.Errorf("%s: a write of %d bytes", op, len(written))
			}
		}
	}
}

func TestFlushOfNothingWritesNothing(t *testing.T) {
	var events []outcrop.Event
	for _, e := range hello() {
		events = append(events, outcrop.Event{Kind: outcrop.EventFlush}, outcrop.Event{Kind: outcrop.EventFlush}, e)
	}
	for _, op := range []outcrop.Operation{outcrop.OpConverseStream, outcrop.OpInvokeModelStream} {
		w, _ := serving(outcrop.DialectNova, says(nil, events...)).serve(t, newCall(op, bodies[op]))
		for i, written := range w.writes {
			if len(written) == 0 {
				t.Errorf("%s: write %d is empty", op, i)
			}
		}
	}
}

func TestTierLatencyAndMetadataReachTheModelAndComeBackAsServed(t *testing.T) {
	var seen outcrop.Request
	served := receipt
	served.Tier, served.Latency = outcrop.TierFlex, outcrop.LatencyOptimized
	model := func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		seen = *req
		_, err := says(nil, hello()...)(ctx, req, out)
		return served, err
	}
	body := `{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"serviceTier":{"type":"priority"},"performanceConfig":{"latency":"optimized"},"requestMetadata":{"team":"search"}}`
	for _, op := range []outcrop.Operation{outcrop.OpConverse, outcrop.OpConverseStream} {
		w, line := serving(outcrop.DialectNova, model).serve(t, newCall(op, body))
		if seen.Tier != outcrop.TierPriority || seen.Latency != outcrop.LatencyOptimized || !cmp.Equal(seen.Metadata, []outcrop.Metadata{{Key: "team", Value: "search"}}) {
			t.Errorf("%s: the model saw %q %q %v", op, seen.Tier, seen.Latency, seen.Metadata)
		}
		if seen.Streaming != streams(op) || seen.ID != requestID || seen.ModelID != "maker.model-v1:0" || seen.Principal == nil || seen.Card == nil || seen.Received.IsZero() {
			t.Errorf("%s: the model saw %+v", op, seen)
		}
		last := w.body
		if streams(op) {
			frames := w.frames(t)
			last = frames[len(frames)-1][0].Payload
		}
		var told struct {
			ServiceTier       struct{ Type string }
			PerformanceConfig struct{ Latency string }
		}
		if err := json.Unmarshal(last, &told); err != nil {
			t.Fatal(err)
		}
		if told.ServiceTier.Type != "flex" || told.PerformanceConfig.Latency != "optimized" {
			t.Errorf("%s told %+v", op, told)
		}
		if line["tier"] != "flex" {
			t.Errorf("%s: recorded tier %v", op, line["tier"])
		}
	}
}

func TestInvokeModelHeaders(t *testing.T) {
	const prefix = "X-Amzn-Bedrock-"
	cached := receipt
	cached.Usage.CacheRead, cached.Usage.CacheWrite = 7, 3
	served := receipt
	served.Tier, served.Latency = outcrop.TierPriority, outcrop.LatencyOptimized
	counts := map[string]string{prefix + "Invocation-Latency": "1000", prefix + "Input-Token-Count": "12", prefix + "Output-Token-Count": "5"}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range []map[string]string{counts, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	cases := map[string]struct {
		header  runtimeapi.Header
		receipt outcrop.Receipt
		want    map[string]string
	}{
		"plain":               {runtimeapi.Header{}, receipt, counts},
		"cache":               {runtimeapi.Header{}, cached, with(map[string]string{prefix + "Cache-Read-Input-Token-Count": "7", prefix + "Cache-Write-Input-Token-Count": "3"})},
		"asked, not granted":  {runtimeapi.Header{Tier: "flex", Latency: "optimized"}, receipt, with(map[string]string{prefix + "Service-Tier": "default", prefix + "Performanceconfig-Latency": "standard"})},
		"asked and granted":   {runtimeapi.Header{Tier: "priority", Latency: "optimized"}, served, with(map[string]string{prefix + "Service-Tier": "priority", prefix + "Performanceconfig-Latency": "optimized"})},
		"granted, not asked":  {runtimeapi.Header{}, served, counts},
		"content type of raw": {runtimeapi.Header{ContentType: "application/octet-stream", Accept: "*/*"}, receipt, counts},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				call := newCall(outcrop.OpInvokeModel, bodies[outcrop.OpInvokeModel])
				call.Header = c.header
				w, _ := serving(outcrop.DialectNova, slowly(hello(), c.receipt)).serve(t, call)
				if diff := cmp.Diff(c.want, w.fields); diff != "" || w.contentType != "application/json" || w.status != 200 {
					t.Errorf("%d %s %s", w.status, w.contentType, diff)
				}
			})
		})
	}
}

func TestInvokeModelStreamHeaders(t *testing.T) {
	call := newCall(outcrop.OpInvokeModelStream, bodies[outcrop.OpInvokeModelStream])
	call.Header = runtimeapi.Header{Accept: "application/json"}
	w, _ := serving(outcrop.DialectNova, says(nil, hello()...)).serve(t, call)
	if diff := cmp.Diff(map[string]string{"X-Amzn-Bedrock-Content-Type": "application/json"}, w.fields); diff != "" {
		t.Error(diff)
	}
	call.Header.Tier, call.Header.Latency = "default", "standard"
	w, _ = serving(outcrop.DialectNova, says(nil, hello()...)).serve(t, call)
	if diff := cmp.Diff(map[string]string{
		"X-Amzn-Bedrock-Content-Type": "application/json", "X-Amzn-Bedrock-Service-Tier": "default",
		"X-Amzn-Bedrock-Performanceconfig-Latency": "standard",
	}, w.fields); diff != "" {
		t.Error(diff)
	}
}

// What served is not known when the head of a stream leaves.
func TestInvokeModelStreamHeadersPromiseNothing(t *testing.T) {
	call := newCall(outcrop.OpInvokeModelStream, bodies[outcrop.OpInvokeModelStream])
	call.Header.Tier, call.Header.Latency = "flex", "optimized"
	w, _ := serving(outcrop.DialectNova, says(nil, hello()...)).serve(t, call)
	if diff := cmp.Diff(map[string]string{"X-Amzn-Bedrock-Content-Type": "application/json"}, w.fields); diff != "" {
		t.Error(diff)
	}
}

func TestInvokeModelStreamHoldsBackOnlyTheClosingChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := serving(outcrop.DialectNova, slowly(hello(), receipt)).serve(t, newCall(outcrop.OpInvokeModelStream, bodies[outcrop.OpInvokeModelStream]))
		var kinds []string
		var all []string
		for _, chunks := range w.chunks(t) {
			var names []string
			for _, c := range chunks {
				var members map[string]json.RawMessage
				if err := json.Unmarshal([]byte(c), &members); err != nil {
					t.Fatalf("%s: %v", c, err)
				}
				for _, name := range []string{"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"} {
					if members[name] != nil {
						names = append(names, name)
					}
				}
				all = append(all, c)
			}
			kinds = append(kinds, strings.Join(names, " "))
		}
		want := "messageStart contentBlockDelta\ncontentBlockDelta contentBlockStop\nmessageStop metadata"
		if got := strings.Join(kinds, "\n"); got != want {
			t.Errorf("wrote\n%s\nwant\n%s", got, want)
		}
		for i, c := range all {
			if has := strings.Contains(c, `"amazon-bedrock-invocationMetrics"`); has != (i == len(all)-1) {
				t.Errorf("chunk %d of %d: %s", i, len(all), c)
			}
		}
		var last struct {
			M map[string]int `json:"amazon-bedrock-invocationMetrics"`
		}
		if err := json.Unmarshal([]byte(all[len(all)-1]), &last); err != nil {
			t.Fatal(err)
		}
		wantMetrics := map[string]int{"inputTokenCount": 12, "outputTokenCount": 5, "invocationLatency": 1000, "firstByteLatency": 20}
		if diff := cmp.Diff(wantMetrics, last.M); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCountTokensTakesBothInputs(t *testing.T) {
	for name, body := range map[string]string{
		"converse":    `{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"12345"}]}]}}}`,
		"invokeModel": `{"input":{"invokeModel":{"body":"eyJtZXNzYWdlcyI6W3sicm9sZSI6InVzZXIiLCJjb250ZW50IjpbeyJ0ZXh0IjoiMTIzNDUifV19XX0="}}}`,
	} {
		w, line := serving(outcrop.DialectNova, nil).serve(t, newCall(outcrop.OpCountTokens, body))
		if w.status != 200 || string(w.body) != `{"inputTokens":5}` {
			t.Errorf("%s: %d %s", name, w.status, w.body)
		}
		if line["status"] != 200.0 || line["input_tokens"] != 0.0 {
			t.Errorf("%s: counting is free, recorded %v", name, line)
		}
	}
}
