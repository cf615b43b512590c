package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/gateway"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/outcroptest"
)

const (
	openAIAnswer    = `{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`
	anthropicAnswer = `{"id":"m1","type":"message","role":"assistant","content":[{"type":"text","text":"%s"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":2}}`
	bedrockAnswer   = `{"output":{"message":{"role":"assistant","content":[{"text":"%s"}]}},"stopReason":"end_turn","usage":{"inputTokens":9,"outputTokens":2,"totalTokens":11},"metrics":{"latencyMs":1}}`
)

// saying returns an engine that gives the same answer to each call.
func saying(t *testing.T, format, text string) *outcroptest.Engine {
	return outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply {
		return outcroptest.Reply{Body: fmt.Appendf(nil, format, text), Header: http.Header{"Content-Type": {"application/json"}}}
	})
}

func withEngines(id string, engines ...string) string {
	return fast + "models: [{id: '" + id + "', engines: [" + strings.Join(engines, ", ") + "]}]\n"
}

func TestEveryKindOfEngineGetsWhatItSpeaks(t *testing.T) {
	cases := map[string]struct {
		answer, engine, path string
		check                func(c outcroptest.Call) bool
	}{
		"openai": {openAIAnswer, "{url: '%s', model: m1, key: {env: ENGINE_KEY}, headers: {X-Team: search}}", "/v1/chat/completions", func(c outcroptest.Call) bool {
			return c.Header.Get("Authorization") == "Bearer engine-secret" && c.Header.Get("X-Team") == "search" && strings.Contains(string(c.Body), `"model":"m1"`)
		}},
		"openai with a path": {openAIAnswer, "{url: '%s/serving/v3', model: m1}", "/serving/v3/chat/completions", func(c outcroptest.Call) bool {
			return c.Header.Get("Authorization") == ""
		}},
		"anthropic": {anthropicAnswer, "{kind: anthropic, url: '%s', model: m2, key: {env: ENGINE_KEY}}", "/v1/messages", func(c outcroptest.Call) bool {
			return c.Header.Get("X-Api-Key") == "engine-secret" && strings.Contains(string(c.Body), `"model":"m2"`)
		}},
		"bedrock, signed": {bedrockAnswer, "{kind: bedrock, url: '%s', region: eu-west-1, access_key: {env: ENGINE_ID}, secret_key: {env: ENGINE_KEY}}", "/model/my.model-v1%3A0/converse", func(c outcroptest.Call) bool {
			a := c.Header.Get("Authorization")
			return strings.HasPrefix(a, "AWS4-HMAC-SHA256 Credential=AKIAENGINE/") && strings.Contains(a, "/eu-west-1/bedrock/") && string(c.Body) == hello
		}},
		"bedrock, bearer": {bedrockAnswer, "{kind: bedrock, url: '%s', model: other.model, bearer: {env: ENGINE_KEY}}", "/model/other.model/converse", func(c outcroptest.Call) bool {
			return c.Header.Get("Authorization") == "Bearer engine-secret"
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			engine := saying(t, c.answer, "from the engine")
			h := start(t, withEngines("my.model-v1:0", fmt.Sprintf(c.engine, engine.URL)))
			r := h.ask(t, newClient(t, &http.Transport{}), "POST", "/model/my.model-v1%3A0/converse", hello)
			if r.status != 200 || !strings.Contains(r.body, "from the engine") {
				t.Fatalf("%d %s", r.status, r.body)
			}
			calls := engine.Calls()
			if len(calls) != 1 || calls[0].Target != c.path || !c.check(calls[0]) {
				t.Errorf("the engine got %s %v %s", calls[0].Target, calls[0].Header, calls[0].Body)
			}
			if strings.Contains(h.log.String(), "engine-secret") {
				t.Error("the log shows the engine's key")
			}
		})
	}
}

// TestABodyThatBedrockGetsUntouchedIsScheduledByItsTier: with it go class and
// quota.
func TestABodyThatBedrockGetsUntouchedIsScheduledByItsTier(t *testing.T) {
	engine := saying(t, bedrockAnswer, "from Bedrock")
	h := start(t, withEngines("my.model-v1:0", "{kind: bedrock, url: '"+engine.URL+"', bearer: {env: ENGINE_KEY}}"))
	client := newClient(t, &http.Transport{})
	var want []any
	for _, tier := range []string{"priority", "flex", "default"} {
		body := strings.TrimSuffix(hello, "}") + `,"serviceTier":{"type":"` + tier + `"}}`
		if r := h.ask(t, client, "POST", "/model/my.model-v1%3A0/converse", body); r.status != 200 {
			t.Fatalf("%s: %d %s", tier, r.status, r.body)
		}
		want = append(want, tier)
		if calls := engine.Calls(); string(calls[len(calls)-1].Body) != body {
			t.Errorf("%s: the engine got %s", tier, calls[len(calls)-1].Body)
		}
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, line := range h.log.lines(t, "invocation") {
		got = append(got, line["class"])
	}
	if !slices.Equal(got, want) {
		t.Errorf("scheduled as %v, want %v", got, want)
	}
}

func TestQuirksReachTheEngine(t *testing.T) {
	const chat = `{"messages":[{"role":"user","content":[{"text":"Hi"}]},
		{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"because"}}},{"text":"Hello"}]},
		{"role":"user","content":[{"text":"Go on"}]}],"inferenceConfig":{"maxTokens":7},
		"toolConfig":{"tools":[{"toolSpec":{"name":"t","strict":true,"inputSchema":{"json":{"type":"object"}}}}]}}`
	for quirks, want := range map[string]map[string]bool{
		"{}": {`"max_tokens":7`: true, `"max_completion_tokens"`: false, `"strict":true`: true, "because": false},
		"{max_tokens: max_completion_tokens, strict: false, keep_reasoning: true}": {`"max_tokens"`: false, `"max_completion_tokens":7`: true, `"strict"`: false, "because": true},
	} {
		engine := saying(t, openAIAnswer, "x")
		h := start(t, withEngines("my.model", "{url: '"+engine.URL+"', model: m, quirks: "+quirks+"}"))
		if r := h.ask(t, newClient(t, &http.Transport{}), "POST", "/model/my.model/converse", chat); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		sent := string(engine.Calls()[0].Body)
		for part, there := range want {
			if strings.Contains(sent, part) != there {
				t.Errorf("%s: %s in %s", quirks, part, sent)
			}
		}
	}
}

func TestEnginesThatTakePrioritiesAreToldThem(t *testing.T) {
	for _, c := range []struct{ setting, tier, want string }{
		{"", "priority", ""}, {", priorities: false", "priority", ""},
		{", priorities: true", "priority", `"priority":10,`},
		{", priorities: true", "default", `"priority":20,`},
		{", priorities: true", "flex", `"priority":30,`},
	} {
		engine := saying(t, openAIAnswer, "x")
		h := start(t, withEngines("my.model", "{url: '"+engine.URL+"', model: m"+c.setting+"}"))
		body := strings.TrimSuffix(hello, "}") + `,"serviceTier":{"type":"` + c.tier + `"}}`
		if r := h.ask(t, newClient(t, &http.Transport{}), "POST", "/model/my.model/converse", body); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if sent := string(engine.Calls()[0].Body); strings.Contains(sent, `"priority"`) != (c.want != "") || !strings.Contains(sent, c.want) {
			t.Errorf("%s: %s", c.setting, sent)
		}
	}
}

func TestOptimizedLatencyIsServedByTheEngineThatIsMarked(t *testing.T) {
	plain, marked := saying(t, openAIAnswer, "from the plain one"), saying(t, openAIAnswer, "from the marked one")
	h := start(t, withEngines("my.model", "{url: '"+plain.URL+"', model: m}", "{url: '"+marked.URL+"', model: m, latency: optimized}"))
	client := newClient(t, &http.Transport{})
	for latency, who := range map[string]string{"standard": "plain", "optimized": "marked"} {
		body := strings.TrimSuffix(hello, "}") + `,"performanceConfig":{"latency":"` + latency + `"}}`
		r := h.ask(t, client, "POST", "/model/my.model/converse", body)
		if !strings.Contains(r.body, "from the "+who+" one") || !strings.Contains(r.body, `"performanceConfig":{"latency":"`+latency+`"}`) {
			t.Errorf("%s: %d %s", latency, r.status, r.body)
		}
	}
}

func TestStreamUsageIsAQuirk(t *testing.T) {
	for quirks, want := range map[string]bool{"{}": true, "{stream_usage: false}": false} {
		engine := saying(t, openAIAnswer, "x")
		h := start(t, withEngines("my.model", "{url: '"+engine.URL+"', model: m, quirks: "+quirks+"}"))
		h.ask(t, newClient(t, &http.Transport{}), "POST", "/model/my.model/converse-stream", hello)
		if sent := string(engine.Calls()[0].Body); strings.Contains(sent, "stream_options") != want {
			t.Errorf("%s: %s", quirks, sent)
		}
	}
}

func TestAnotherReplicaServesWhenOneIsGone(t *testing.T) {
	gone := saying(t, openAIAnswer, "x")
	gone.Close()
	engine := saying(t, openAIAnswer, "from the second")
	h := start(t, withEngines("my.model", "{url: '"+gone.URL+"', model: m}", "{url: '"+engine.URL+"', model: m}"))
	client := newClient(t, &http.Transport{})
	for range 3 {
		if r := h.ask(t, client, "POST", "/model/my.model/converse", hello); r.status != 200 || !strings.Contains(r.body, "from the second") {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}

func TestAnEngineThatIsNotThereIsUnavailable(t *testing.T) {
	gone := saying(t, openAIAnswer, "x")
	gone.Close()
	h := start(t, withEngines("my.model", "{url: '"+gone.URL+"', model: m}"))
	r := h.ask(t, newClient(t, &http.Transport{}), "POST", "/model/my.model/converse", hello)
	if r.status != 503 || r.code() != "ServiceUnavailableException" || r.header.Get("Retry-After") == "" || r.header.Get("X-Amz-Retry-After") == "" {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	if strings.Contains(r.body, "127.0.0.1") {
		t.Errorf("the caller learns where the engine is: %s", r.body)
	}
}

func TestBodiesPassUntouchedOnlyWhereEveryReplicaSpeaksThem(t *testing.T) {
	const body = `{"max_tokens":9,"anthropic_version":"bedrock-2023-05-31","messages":[{"role":"user","content":"Hi"}],"metadata":{"user_id":"odd"}}`
	claude, gpt := saying(t, anthropicAnswer, "x"), saying(t, openAIAnswer, "x")
	anthropic, openAI := "{kind: anthropic, url: '"+claude.URL+"', model: m}", "{url: '"+gpt.URL+"', model: m}"
	client := newClient(t, &http.Transport{})
	for name, h := range map[string]*house{"alone": start(t, withEngines(haiku, anthropic)), "mixed": start(t, withEngines(haiku, anthropic, openAI))} {
		before := len(claude.Calls())
		if r := h.ask(t, client, "POST", haikuPath+"/invoke", body); r.status != 200 {
			t.Fatalf("%s: %d %s", name, r.status, r.body)
		}
		sent := string(claude.Calls()[before].Body)
		if untouched := strings.Contains(sent, `"metadata":{"user_id":"odd"}`); untouched != (name == "alone") {
			t.Errorf("%s: the engine got %s", name, sent)
		}
	}
}

func TestModelsOfTheFileReplaceTheBuiltInOnesUnlessAsked(t *testing.T) {
	client := newClient(t, &http.Transport{})
	for builtin, want := range map[string]int{"": 400, "builtin: all\n": 200, "builtin: none\n": 400} {
		h := start(t, withEngines("my.model", "{kind: sim}")+builtin)
		if r := h.ask(t, client, "POST", "/model/my.model/converse", hello); r.status != 200 {
			t.Errorf("%q: the own model: %d %s", builtin, r.status, r.body)
		}
		if r := h.ask(t, client, "POST", conversePath, hello); r.status != want {
			t.Errorf("%q: a built-in model: %d %s", builtin, r.status, r.body)
		}
	}
}

func TestAModelOfAnUnknownMakerCanBeInvoked(t *testing.T) {
	h := start(t, withEngines("my.model", "{kind: sim}"))
	client := newClient(t, &http.Transport{})
	r := h.ask(t, client, "POST", "/model/my.model/invoke", `{"messages":[{"role":"user","content":"Hi"}]}`)
	if r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	r = h.ask(t, client, "POST", "/model/my.model/count-tokens", `{"input":{"invokeModel":{"body":"eyJtZXNzYWdlcyI6W3sicm9sZSI6InVzZXIiLCJjb250ZW50IjoiSGkifV19"}}}`)
	if r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestSettingsOfTheSimulatorHold(t *testing.T) {
	h := start(t, "listen: 127.0.0.1:0\nsim:\n  speed: 0\n  replies: [{match: '^ping (.*)$', text: 'pong $1'}]\n"+
		"  faults: [{kind: error, code: ThrottlingException, metadata: 'chaos=yes'}, {kind: error, code: ModelErrorException, metadata: 'once=yes', times: 1}]\n")
	client := newClient(t, &http.Transport{})
	ask := func(text, metadata string) reply {
		body := `{"messages":[{"role":"user","content":[{"text":"` + text + `"}]}]` + metadata + `}`
		return h.ask(t, client, "POST", conversePath, body)
	}
	var answer struct {
		Output struct {
			Message struct{ Content []struct{ Text string } }
		}
	}
	if err := json.Unmarshal([]byte(ask("ping 7", "").body), &answer); err != nil || !strings.Contains(answer.Output.Message.Content[0].Text, "pong 7") {
		t.Errorf("%v %+v", err, answer)
	}
	if r := ask("Hi", `,"requestMetadata":{"chaos":"yes"}`); r.status != 429 || r.code() != "ThrottlingException" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := ask("Hi", `,"requestMetadata":{"chaos":"no"}`); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	for i, want := range []int{424, 200} {
		if r := ask("Hi", `,"requestMetadata":{"once":"yes"}`); r.status != want {
			t.Errorf("call %d: %d %s", i, r.status, r.body)
		}
	}
}

func TestMoreEnginesThanAPoolHoldsAreRefused(t *testing.T) {
	engines := make([]string, 65)
	for i := range engines {
		engines[i] = fmt.Sprintf("{kind: sim, name: e%d}", i)
	}
	cfg := load(t, withEngines("my.model", engines...))
	if _, err := gateway.New(cfg, meter.NewLog(io.Discard, meter.JSON, slog.LevelInfo)); err == nil || !strings.Contains(err.Error(), "my.model: 65 engines") {
		t.Errorf("%v", err)
	}
	newServer(t, load(t, withEngines("my.model", engines[:64]...)))
}
