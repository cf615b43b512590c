package runtimeapi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/runtimeapi"
)

// never is a model that must not be asked.
func never(t *testing.T) modelFunc {
	return func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
		t.Error("the model was asked")
		return outcrop.Receipt{}, outcrop.CodeInternal
	}
}

func refused(t *testing.T, h *house, call *runtimeapi.Call, status int, code, text string) {
	t.Helper()
	w, line := h.serve(t, call)
	kind, _, _ := strings.Cut(w.fields["X-Amzn-Errortype"], ":")
	if w.status != status || kind != code || message(t, w.body) != text {
		t.Errorf("%s: %d %s %s", call.Operation, w.status, kind, w.body)
	}
	if line["code"] != code || line["status"] != float64(status) {
		t.Errorf("%s: recorded %v", call.Operation, line)
	}
}

func TestWhoMayNotIsToldInIAMsWords(t *testing.T) {
	actions := map[outcrop.Operation]string{
		outcrop.OpConverse: "bedrock:InvokeModel", outcrop.OpConverseStream: "bedrock:InvokeModelWithResponseStream",
		outcrop.OpInvokeModel: "bedrock:InvokeModel", outcrop.OpInvokeModelStream: "bedrock:InvokeModelWithResponseStream",
		outcrop.OpCountTokens: "bedrock:CountTokens",
	}
	for op, action := range actions {
		text := "User: arn:aws:iam::111122223333:user/test is not authorized to perform: " + action +
			" on resource: arn:aws:bedrock:us-east-1::foundation-model/maker.model-v1:0 because no identity-based policy allows the " + action + " action"
		for name, p := range map[string]outcrop.Principal{
			"wrong action": {Actions: []string{"bedrock:ListFoundationModels", action + "X"}},
			"wrong model":  {Models: []string{"maker.model-v2:0"}},
			"both":         {Actions: []string{"x"}, Models: []string{"y"}},
		} {
			t.Run(string(op)+" "+name, func(t *testing.T) {
				call := newCall(op, bodies[op])
				p.KeyID, p.ARN, p.Account = "AKIATEST", "arn:aws:iam::111122223333:user/test", "111122223333"
				call.Principal = &p
				refused(t, serving(outcrop.DialectNova, never(t)), call, 403, "AccessDeniedException", text)
			})
		}
		call := newCall(op, bodies[op])
		call.Principal = &outcrop.Principal{Actions: []string{action}, Models: []string{"maker.*"}}
		if w, _ := serving(outcrop.DialectNova, says(nil, hello()...)).serve(t, call); w.status != 200 {
			t.Errorf("%s with a key for it: %d %s", op, w.status, w.body)
		}
	}
}

func TestModelsThatDoNotSpeakAreRefused(t *testing.T) {
	embedding := card(outcrop.DialectTitan)
	embedding.Output = []outcrop.Modality{outcrop.ModalityEmbedding}
	for _, op := range operations {
		h := newHouse(oneTarget{&runtimeapi.Target{Card: embedding, Model: never(t)}}, false)
		refused(t, h, newCall(op, bodies[op]), 400, "ValidationException", bedrock.UnsupportedAction)
	}
	mute := card(outcrop.DialectNova)
	mute.Streaming = false
	for _, op := range []outcrop.Operation{outcrop.OpConverseStream, outcrop.OpInvokeModelStream} {
		h := newHouse(oneTarget{&runtimeapi.Target{Card: mute, Model: never(t)}}, false)
		refused(t, h, newCall(op, bodies[op]), 400, "ValidationException", "The model is unsupported for streaming.")
	}
}

func TestAWrongBodyTellsNothingToWhoMayNotCall(t *testing.T) {
	call := newCall(outcrop.OpConverse, "{")
	call.Principal = &outcrop.Principal{ARN: "arn:aws:iam::111122223333:user/test", Models: []string{"none"}}
	if w, _ := serving(outcrop.DialectNova, never(t)).serve(t, call); w.status != 403 {
		t.Errorf("%d %s", w.status, w.body)
	}
}

func TestMoreTokensThanTheModelCan(t *testing.T) {
	const want = "The maximum tokens you requested exceed the model limit of 4096. Try again with a maximum tokens value lower than 4096."
	over := map[outcrop.Dialect]string{
		outcrop.DialectAnthropic: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":4097,"messages":[{"role":"user","content":"Hi"}]}`,
		outcrop.DialectOpenAI:    `{"max_completion_tokens":4097,"messages":[{"role":"user","content":"Hi"}]}`,
		outcrop.DialectNova:      `{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"Hi"}]}],"inferenceConfig":{"maxTokens":4097}}`,
		outcrop.DialectTitan:     `{"inputText":"Hi","textGenerationConfig":{"maxTokenCount":4097}}`,
		outcrop.DialectMistral:   `{"prompt":"Hi","max_tokens":4097}`,
	}
	for d, body := range over {
		for _, op := range []outcrop.Operation{outcrop.OpInvokeModel, outcrop.OpInvokeModelStream} {
			refused(t, serving(d, never(t)), newCall(op, body), 400, "ValidationException", want)
			exact := strings.Replace(body, "4097", "4096", 1)
			if w, _ := serving(d, says(nil, hello()...)).serve(t, newCall(op, exact)); w.status != 200 {
				t.Errorf("%v %s: the limit itself is %d %s", d, op, w.status, w.body)
			}
		}
	}
	for _, op := range []outcrop.Operation{outcrop.OpConverse, outcrop.OpConverseStream} {
		body := `{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"inferenceConfig":{"maxTokens":4097}}`
		refused(t, serving(outcrop.DialectNova, never(t)), newCall(op, body), 400, "ValidationException", want)
	}
}

const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func TestImagesForModelsThatReadOnlyText(t *testing.T) {
	const image = `{"image":{"format":"png","source":{"bytes":"` + pixel + `"}}}`
	cases := map[string]struct {
		op      outcrop.Operation
		dialect outcrop.Dialect
		body    string
	}{
		"converse":       {outcrop.OpConverse, outcrop.DialectNova, `{"messages":[{"role":"user","content":[{"text":"What?"},` + image + `]}]}`},
		"converseStream": {outcrop.OpConverseStream, outcrop.DialectNova, `{"messages":[{"role":"user","content":[` + image + `]}]}`},
		"nova":           {outcrop.OpInvokeModel, outcrop.DialectNova, `{"messages":[{"role":"user","content":[{"text":"What?"},` + image + `]}]}`},
		"anthropic": {outcrop.OpInvokeModelStream, outcrop.DialectAnthropic, `{"max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` +
			pixel + `"}}]}]}`},
		"openai": {outcrop.OpInvokeModel, outcrop.DialectOpenAI, `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + pixel + `"}}]}]}`},
		"in a tool result": {outcrop.OpConverse, outcrop.DialectNova, `{"messages":[{"role":"user","content":[{"text":"Go"}]},
			{"role":"assistant","content":[{"toolUse":{"toolUseId":"t1","name":"look","input":{}}}]},
			{"role":"user","content":[{"toolResult":{"toolUseId":"t1","content":[` + image + `]}}]}],
			"toolConfig":{"tools":[{"toolSpec":{"name":"look","inputSchema":{"json":{"type":"object"}}}}]}}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			blind := card(c.dialect)
			blind.Input = []outcrop.Modality{outcrop.ModalityText}
			w, _ := speaking(blind, never(t)).serve(t, newCall(c.op, c.body))
			if w.status != 400 || !strings.Contains(string(w.body), "support the image content block") {
				t.Errorf("%d %s", w.status, w.body)
			}
			if w, _ = serving(c.dialect, says(nil, hello()...)).serve(t, newCall(c.op, c.body)); w.status != 200 {
				t.Errorf("a model that takes images: %d %s", w.status, w.body)
			}
		})
	}
}

func TestInvokeModelHeadersThatCannotBeHonoured(t *testing.T) {
	cases := map[string]struct {
		header runtimeapi.Header
		want   string
	}{
		"guardrail": {runtimeapi.Header{Guardrail: "abc"}, "The guardrail identifier provided in the request does not exist."},
		"tier": {runtimeapi.Header{Tier: "gold"}, "1 validation error detected: Value 'gold' at 'serviceTier' failed to satisfy constraint: " +
			"Member must satisfy enum value set: [priority, default, flex, reserved]"},
		"latency": {runtimeapi.Header{Latency: "fast"}, "1 validation error detected: Value 'fast' at 'performanceConfigLatency' failed to satisfy constraint: " +
			"Member must satisfy enum value set: [standard, optimized]"},
		"long tier": {runtimeapi.Header{Tier: strings.Repeat("x", 5000)}, "1 validation error detected: Value '" + strings.Repeat("x", 32) + "' at 'serviceTier' failed to satisfy constraint: " +
			"Member must satisfy enum value set: [priority, default, flex, reserved]"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, op := range []outcrop.Operation{outcrop.OpInvokeModel, outcrop.OpInvokeModelStream} {
				call := newCall(op, bodies[op])
				call.Header = c.header
				refused(t, serving(outcrop.DialectNova, never(t)), call, 400, "ValidationException", c.want)
			}
		})
	}
}

// lacking are bodies without what AWS requires, as the mission's batch
// records have them.
var lacking = map[outcrop.Dialect]string{
	outcrop.DialectAnthropic: `{"messages":[{"role":"user","content":"Hi"}]}`,
	outcrop.DialectNova:      `{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}`,
}

func TestLenientServesWithAHint(t *testing.T) {
	for d, body := range lacking {
		for _, op := range []outcrop.Operation{outcrop.OpInvokeModel, outcrop.OpInvokeModelStream} {
			w, line := serving(d, says(nil, hello()...)).serve(t, newCall(op, body))
			hints, _ := line["hints"].([]any)
			if w.status != 200 || len(hints) == 0 {
				t.Errorf("%v %s: %d %s, hints %v", d, op, w.status, w.body, hints)
			}
		}
	}
}

func TestStrictRefusesAsAWSDoes(t *testing.T) {
	for d, body := range lacking {
		for _, op := range []outcrop.Operation{outcrop.OpInvokeModel, outcrop.OpInvokeModelStream} {
			h := newHouse(oneTarget{&runtimeapi.Target{Card: card(d), Model: never(t)}}, true)
			w, line := h.serve(t, newCall(op, body))
			if w.status != 400 || line["code"] != "ValidationException" || line["hints"] != nil {
				t.Errorf("%v %s: %d %s, %v", d, op, w.status, w.body, line)
			}
		}
	}
}

func TestACompleteBodyGivesNoHint(t *testing.T) {
	body := `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}`
	if _, line := serving(outcrop.DialectAnthropic, says(nil, hello()...)).serve(t, newCall(outcrop.OpInvokeModel, body)); line["hints"] != nil {
		t.Errorf("hints %v", line["hints"])
	}
}
