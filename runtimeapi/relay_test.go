package runtimeapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/runtimeapi"
)

// speaking returns a house whose one model takes bodies in the dialects as
// they are.
func speaking(c *outcrop.Card, model modelFunc, speaks ...outcrop.Dialect) *house {
	return newHouse(oneTarget{&runtimeapi.Target{Card: c, Model: model, Counter: counterFunc(countBytes), Speaks: speaks}}, false)
}

// odd is JSON that no translation would leave as it is.
const odd = "{ \"messages\":[ {\"content\":\"\\u0048i\\/\", \"role\":\"user\"} ],\n\t\"unknown\": 1.50e+2, \"max_tokens\":5 , \"z\":null}\n"

func TestNativeBodiesPassUntouched(t *testing.T) {
	const answer = "{ \"odd\" : \"\\u0041\\/\" ,\"n\":1.50e+2}\n"
	cases := []struct {
		card   outcrop.Dialect
		speaks []outcrop.Dialect
		op     outcrop.Operation
		want   outcrop.Dialect
	}{
		{outcrop.DialectAnthropic, []outcrop.Dialect{outcrop.DialectAnthropic}, outcrop.OpInvokeModel, outcrop.DialectAnthropic},
		{outcrop.DialectOpenAI, []outcrop.Dialect{outcrop.DialectOpenAI}, outcrop.OpInvokeModel, outcrop.DialectOpenAI},
		{outcrop.DialectLlama, []outcrop.Dialect{outcrop.DialectOpenAI}, outcrop.OpInvokeModel, outcrop.DialectOpenAI},
		{outcrop.DialectMistral, []outcrop.Dialect{outcrop.DialectOpenAI}, outcrop.OpInvokeModel, outcrop.DialectOpenAI},
		{outcrop.DialectNova, []outcrop.Dialect{outcrop.DialectConverse}, outcrop.OpInvokeModel, outcrop.DialectNova},
		{outcrop.DialectNova, []outcrop.Dialect{outcrop.DialectConverse}, outcrop.OpConverse, outcrop.DialectConverse},
	}
	for _, c := range cases {
		var seen outcrop.Request
		var body string
		model := func(_ context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			seen, body = *req, string(req.Native.Body)
			seen.Native = &outcrop.Native{Dialect: req.Native.Dialect, ContentType: req.Native.ContentType, Accept: req.Native.Accept}
			_ = out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: outcrop.Text(answer[:9])})
			_ = out.Send(outcrop.Event{Kind: outcrop.EventFlush})
			return receipt, out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: outcrop.Text(answer[9:]), Final: true})
		}
		call := newCall(c.op, odd)
		call.Header = runtimeapi.Header{ContentType: "application/json; a=b", Accept: "application/json"}
		w, line := speaking(card(c.card), model, c.speaks...).serve(t, call)
		if body != odd || string(call.Body) != odd {
			t.Errorf("%v: the engine got %q", c.want, body)
		}
		if w.status != 200 || string(w.body) != answer {
			t.Errorf("%v: the caller got %d %q", c.want, w.status, w.body)
		}
		if seen.Conversation != nil || seen.Native.Dialect != c.want || seen.Native.ContentType != "application/json; a=b" || seen.Native.Accept != "application/json" {
			t.Errorf("%v: the model saw %+v %+v", c.want, seen, seen.Native)
		}
		if counted := w.fields["X-Amzn-Bedrock-Input-Token-Count"]; (counted == "12") != (c.op == outcrop.OpInvokeModel) {
			t.Errorf("%v: %v", c.want, w.fields)
		}
		if line["input_tokens"] != 12.0 {
			t.Errorf("%v: recorded %v", c.want, line)
		}
	}
}

func TestPromptsGoThroughTheHubThoughTheEngineTakesMessages(t *testing.T) {
	for d, body := range map[outcrop.Dialect]string{
		outcrop.DialectLlama: `{"prompt":"Hi"}`, outcrop.DialectMistral: `{"prompt":"<s>[INST] Hi [/INST]"}`, outcrop.DialectNova: bodies[outcrop.OpInvokeModel],
		outcrop.DialectTitan: `{"inputText":"Hi"}`,
	} {
		translated := false
		model := func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			translated = req.Native == nil && req.Conversation != nil
			return says(nil, hello()...)(ctx, req, out)
		}
		w, _ := speaking(card(d), model, outcrop.DialectOpenAI).serve(t, newCall(outcrop.OpInvokeModel, body))
		if !translated || w.status != 200 {
			t.Errorf("%v: %d %s", d, w.status, w.body)
		}
	}
}

// nativeChunks is a native stream in two reads.
func nativeChunks(chunks ...string) []outcrop.Event {
	var events []outcrop.Event
	for i, c := range chunks {
		events = append(events, outcrop.Event{Kind: outcrop.EventNative, Text: outcrop.Text(c), Final: i == len(chunks)-1})
		if i%2 == 1 || i == len(chunks)-1 {
			events = append(events, outcrop.Event{Kind: outcrop.EventFlush})
		}
	}
	return events
}

func TestNativeStreamPassesUntouchedAndMetricsStandInTheLastChunkAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chunks := []string{`{ "a" : "\u0041\/" }`, `{"b":{}}`, `{"c":[ ]}`, `{"type":"message_stop" }`}
		model := slowly(nativeChunks(chunks...), receipt)
		w, _ := speaking(card(outcrop.DialectAnthropic), model, outcrop.DialectAnthropic).serve(t, newCall(outcrop.OpInvokeModelStream, odd))
		got := w.chunks(t)
		last := `{"type":"message_stop" ,"amazon-bedrock-invocationMetrics":{"inputTokenCount":12,"outputTokenCount":5,"invocationLatency":1000,"firstByteLatency":20}}`
		want := [][]string{chunks[:2], chunks[2:3], {last}}
		if a, b := asLines(got), asLines(want); a != b {
			t.Errorf("got\n%s\nwant\n%s", a, b)
		}
		if w.fields["X-Amzn-Bedrock-Content-Type"] != "application/json" {
			t.Errorf("fields %v", w.fields)
		}
	})
}

func asLines(writes [][]string) string {
	var lines []string
	for _, chunks := range writes {
		lines = append(lines, strings.Join(chunks, " | "))
	}
	return strings.Join(lines, "\n")
}

func TestNativeStreamThatBreaksHasNoMetrics(t *testing.T) {
	model := says(&outcrop.Error{Code: outcrop.CodeModelStream}, nativeChunks(`{"a":1}`, `{"b":2}`)...)
	for op, d := range map[outcrop.Operation]outcrop.Dialect{outcrop.OpInvokeModelStream: outcrop.DialectAnthropic} {
		w, _ := speaking(card(d), model, d).serve(t, newCall(op, odd))
		for _, written := range w.writes {
			if strings.Contains(string(written), "invocationMetrics") {
				t.Errorf("metrics in a broken stream")
			}
		}
		if !strings.HasSuffix(w.types(t), "modelStreamErrorException") {
			t.Errorf("wrote %s", w.types(t))
		}
	}
}

func TestMetricsThatTheEngineSentStayAsTheyAre(t *testing.T) {
	last := `{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1,"outputTokenCount":2,"invocationLatency":3,"firstByteLatency":4}}`
	w, _ := speaking(card(outcrop.DialectAnthropic), says(nil, nativeChunks(`{"a":1}`, last)...), outcrop.DialectConverse).serve(t, newCall(outcrop.OpInvokeModelStream, odd))
	if got := asLines(w.chunks(t)); got != `{"a":1}`+"\n"+last {
		t.Errorf("got %s", got)
	}
}

func TestConverseStreamOfAnEngineThatSpeaksItKeepsItsPayloads(t *testing.T) {
	payloads := [][2]string{
		{"messageStart", `{"role":"assistant","p":"abc"}`}, {"contentBlockDelta", `{ "delta":{"text":"\u0041"},"contentBlockIndex":0}`},
		{"contentBlockStop", `{"contentBlockIndex":0}`}, {"somethingNew", `{"x":1}`}, {"messageStop", `{"stopReason":"end_turn"}`},
		{"metadata", `{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":4}}`},
	}
	var events []outcrop.Event
	for i, p := range payloads {
		events = append(events,
			outcrop.Event{Kind: outcrop.EventNative, Detail: &outcrop.Detail{Name: outcrop.Text(p[0])}, Text: outcrop.Text(p[1]), Final: i == len(payloads)-1},
			outcrop.Event{Kind: outcrop.EventFlush})
	}
	w, line := speaking(card(outcrop.DialectNova), says(nil, events...), outcrop.DialectConverse).serve(t, newCall(outcrop.OpConverseStream, converseBody))
	var got [][2]string
	for _, messages := range w.frames(t) {
		for _, m := range messages {
			got = append(got, [2]string{m.EventType, string(m.Payload)})
		}
	}
	if len(got) != len(payloads) {
		t.Fatalf("got %q", got)
	}
	for i := range got {
		if got[i] != payloads[i] {
			t.Errorf("frame %d: got %q, want %q", i, got[i], payloads[i])
		}
	}
	if !w.ended || line["code"] != nil {
		t.Errorf("ended %v, recorded %v", w.ended, line)
	}
}

func TestEveryWriteOfARelayThatFailsEndsTheInvocation(t *testing.T) {
	events := nativeChunks(`{"a":1}`, `{"b":2}`, `{"c":3}`)
	for i := range events {
		events[i].Detail = &outcrop.Detail{Name: outcrop.Text("contentBlockDelta")}
	}
	for _, op := range invoking {
		for k := 1; ; k++ {
			w := &wire{failAt: k, once: true}
			h := speaking(card(outcrop.DialectAnthropic), says(nil, events...), outcrop.DialectAnthropic, outcrop.DialectConverse)
			line := h.serveOn(t, context.Background(), newCall(op, odd), w)
			if w.calls < k {
				break
			}
			if w.calls > k || line["status"] != 499.0 || line["code"] != "ClientGone" {
				t.Errorf("%s, call %d fails: %d calls, recorded %v", op, k, w.calls, line)
			}
		}
	}
}

func TestCountTokensOfAnEngineThatSpeaksTheDialect(t *testing.T) {
	var seen *outcrop.Conversation
	counter := counterFunc(func(_ context.Context, req *outcrop.Request) (int, error) { seen = req.Conversation; return 42, nil })
	h := newHouse(oneTarget{&runtimeapi.Target{Card: card(outcrop.DialectNova), Counter: counter, Speaks: []outcrop.Dialect{outcrop.DialectConverse}}}, false)
	w, _ := h.serve(t, newCall(outcrop.OpCountTokens, bodies[outcrop.OpCountTokens]))
	if string(w.body) != `{"inputTokens":42}` || seen == nil {
		t.Errorf("%s, %v", w.body, seen)
	}
}

func TestLatencyIsWhatTheCallerWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call := newCall(outcrop.OpConverse, converseBody)
		time.Sleep(300 * time.Millisecond) // in the door, before Serve
		w, _ := serving(outcrop.DialectNova, slowly(hello(), receipt)).serve(t, call)
		var told struct{ Metrics struct{ LatencyMs int } }
		if err := json.Unmarshal(w.body, &told); err != nil || told.Metrics.LatencyMs != 1300 {
			t.Errorf("%s %v", w.body, err)
		}
	})
}
