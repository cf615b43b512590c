package gateway_test

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop/config"
)

// twoAMinute lets an account call Haiku twice a minute.
const twoAMinute = fast + "on_demand:\n  limits: [{ requests_per_minute: 2 }]\n"

func TestOnDemandRequestsOverTheLimitAreThrottledWithTheTrueWait(t *testing.T) {
	h := start(t, twoAMinute)
	client := newClient(t, &http.Transport{})
	for range 2 {
		if r := h.converse(t, client, haiku); r.status != 200 {
			t.Fatalf("within the limit: %d %s", r.status, r.body)
		}
	}
	r := h.converse(t, client, haiku)
	if r.status != 429 || r.code() != "ThrottlingException" || !strings.HasPrefix(r.message(), "Too many requests, please wait before trying again.") {
		t.Fatalf("over the limit: %d %s", r.status, r.body)
	}
	for _, word := range []string{"requests per minute", "at 2 of 2", r.header.Get("X-Amzn-Requestid")} {
		if !strings.Contains(r.message(), word) {
			t.Errorf("the refusal lacks %q: %s", word, r.message())
		}
	}
	if r.header.Get("Retry-After") == "" || r.header.Get("X-Amz-Retry-After") == "" {
		t.Errorf("headers: %v", r.header)
	}
	if r := h.converse(t, client, "amazon.nova-lite-v1:0"); r.status != 200 {
		t.Errorf("another model: %d %s", r.status, r.body)
	}
}

func TestAUnitRefusesWhatIsOverItAndNothingElse(t *testing.T) {
	h := start(t, fast+"provisioned: { max_wait: 0s }\nmodels:\n  - id: "+haiku+
		"\n    unit: { input_tokens_per_minute: 3, output_tokens_per_minute: 3000 }\n    engines: [{ kind: sim }]\n")
	client := newClient(t, &http.Transport{})
	arn := h.buy(t, client, "small", haiku)
	if r := h.converse(t, client, arn); r.status != 200 {
		t.Fatalf("the first: %d %s", r.status, r.body)
	}
	r := h.converse(t, client, arn)
	if r.status != 429 || r.code() != "ThrottlingException" {
		t.Fatalf("over the unit: %d %s", r.status, r.body)
	}
	for _, word := range []string{"input tokens of unit small", "spill is off", r.header.Get("X-Amzn-Requestid")} {
		if !strings.Contains(r.message(), word) {
			t.Errorf("the refusal lacks %q: %s", word, r.message())
		}
	}
	if r := h.converse(t, client, haiku); r.status != 200 {
		t.Errorf("on demand: %d %s", r.status, r.body)
	}
	if r := h.ask(t, client, "PATCH", "/provisioned-model-throughput/small", `{"desiredModelUnits":10}`); r.status != 200 {
		t.Fatalf("resize: %d %s", r.status, r.body)
	}
	for until := time.Now().Add(10 * time.Second); ; {
		if r = h.converse(t, client, arn); r.status == 200 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("after the resize: %d %s", r.status, r.body)
		}
	}
}

func TestAReloadChangesLimitsAndKeepsWhatWasUsed(t *testing.T) {
	h := start(t, twoAMinute)
	client := newClient(t, &http.Transport{})
	for range 2 {
		h.converse(t, client, haiku)
	}
	reload := func(yaml string) {
		t.Helper()
		if _, err := h.Reload(loadAt(t, yaml, h.data)); err != nil {
			t.Fatal(err)
		}
	}
	reload(strings.Replace(twoAMinute, ": 2", ": 3", 1))
	if r := h.converse(t, client, haiku); r.status != 200 {
		t.Errorf("the third: %d %s", r.status, r.body)
	}
	if r := h.converse(t, client, haiku); r.status != 429 {
		t.Errorf("the fourth: %d %s", r.status, r.body)
	}
	reload(fast)
	if r := h.converse(t, client, haiku); r.status != 200 {
		t.Errorf("without limits: %d %s", r.status, r.body)
	}
}

func TestALimitByTheDayOutlivesTheServer(t *testing.T) {
	const yaml = fast + "on_demand:\n  limits: [{ tokens_per_day: 40 }]\n"
	cfg := load(t, yaml)
	client := newClient(t, &http.Transport{})
	once := func(cfg *config.Config, want int) {
		t.Helper()
		h := startOn(t, cfg)
		if r := h.ask(t, client, "POST", "/model/"+url.PathEscape(haiku)+"/converse", hello); r.status != want {
			t.Errorf("%d %s, want %d", r.status, r.body, want)
		}
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		if err := h.close(); err != nil {
			t.Error(err)
		}
	}
	once(cfg, 200)
	once(loadAt(t, yaml, cfg.Data), 429)
}

func TestUnitsThatAreGoneAreForgottenWithARestart(t *testing.T) {
	cfg := load(t, fast)
	client := newClient(t, &http.Transport{})
	run := func(cfg *config.Config, visit func(h *house)) (state string) {
		t.Helper()
		h := startOn(t, cfg)
		visit(h)
		if err := errors.Join(h.stop(), h.close()); err != nil {
			t.Fatal(err)
		}
		saved, err := os.ReadFile(filepath.Join(cfg.Data, "limits.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(saved)
	}
	var stays, goes string
	state := run(cfg, func(h *house) {
		stays, goes = h.buy(t, client, "stays", haiku), h.buy(t, client, "goes", haiku)
		for _, arn := range []string{stays, goes} {
			if r := h.converse(t, client, arn); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		if r := h.ask(t, client, "DELETE", "/provisioned-model-throughput/goes", ""); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	})
	if !strings.Contains(state, stays) || !strings.Contains(state, goes) {
		t.Fatalf("nothing is left of what was used: %s", state)
	}
	if state = run(loadAt(t, fast, cfg.Data), func(*house) {}); !strings.Contains(state, stays) || strings.Contains(state, goes) {
		t.Errorf("%s stays, %s goes: %s", stays, goes, state)
	}
}

func TestLimitsOfAWSAreTheDefaultWhereAskedFor(t *testing.T) {
	h := start(t, fast+"on_demand: { defaults: aws }\n")
	client := newClient(t, &http.Transport{})
	var last reply
	for range 60 { // 50 a minute, as remembered
		if last = h.converse(t, client, "anthropic.claude-3-opus-20240229-v1:0"); last.status != 200 {
			break
		}
	}
	if last.status != 429 {
		t.Errorf("%d %s", last.status, last.body)
	}
}
