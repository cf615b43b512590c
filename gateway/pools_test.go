package gateway_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// units asks for so many units and returns the answer.
func (h *house) units(t *testing.T, client *http.Client, name, model string, n int) reply {
	t.Helper()
	return h.ask(t, client, "POST", "/provisioned-model-throughput",
		fmt.Sprintf(`{"modelUnits":%d,"provisionedModelName":%q,"modelId":%q}`, n, name, model))
}

func TestTenUnitsOfEachModelOfTheTableFitItsSimulatedEngine(t *testing.T) {
	h := start(t, "listen: 127.0.0.1:0\n")
	client := newClient(t, &http.Transport{})
	for i, model := range []string{
		"anthropic.claude-3-sonnet-20240229-v1:0", haiku, "amazon.titan-text-express-v1", "amazon.titan-text-lite-v1",
		"anthropic.claude-3-opus-20240229-v1:0", "amazon.nova-pro-v1:0", "meta.llama3-1-8b-instruct-v1:0", "meta.llama3-1-70b-instruct-v1:0",
	} {
		if r := h.units(t, client, fmt.Sprintf("ten-%d", i), model, 10); r.status != 201 {
			t.Errorf("%s: %d %s", model, r.status, r.body)
		}
	}
}

// measuredEngine carries .7 x 1/(3000/20000 + 600/8000) = 3 units of Sonnet.
const measuredEngine = `listen: 127.0.0.1:0
models:
  - id: anthropic.claude-3-sonnet-20240229-v1:0
    engines:
      - { kind: sim, speed: 0, capacity: { prefill: 20000, decode: 100, output: 8000, sequences: 256 } }
`

func TestUnitsThatTheEnginesCannotCarryAreNotSold(t *testing.T) {
	h := start(t, measuredEngine)
	client := newClient(t, &http.Transport{})
	const sonnet = "anthropic.claude-3-sonnet-20240229-v1:0"
	r := h.units(t, client, "four", sonnet, 4)
	if r.status != 400 || r.code() != "ServiceQuotaExceededException" || !strings.Contains(r.message(), "The largest number that you can have now is 3.") {
		t.Errorf("four: %d %s", r.status, r.body)
	}
	if r := h.units(t, client, "two", sonnet, 2); r.status != 201 {
		t.Fatalf("two: %d %s", r.status, r.body)
	}
	r = h.ask(t, client, "PATCH", "/provisioned-model-throughput/two", `{"desiredModelUnits":4}`)
	if r.status != 400 || !strings.Contains(r.message(), "The largest number that you can have now is 3.") {
		t.Errorf("resized to four: %d %s", r.status, r.body)
	}
	if r := h.ask(t, client, "PATCH", "/provisioned-model-throughput/two", `{"desiredModelUnits":3}`); r.status != 200 {
		t.Errorf("resized to three: %d %s", r.status, r.body)
	}
}

func TestAnotherContextLengthOfTheSameUnitsNeedsNoMoreOfThem(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	const sonnet = "anthropic.claude-3-sonnet-20240229-v1:0"
	r := h.units(t, client, "most", sonnet, 1_000_000_000)
	_, after, _ := strings.Cut(r.message(), "that you can have now is ")
	var largest int
	if _, err := fmt.Sscanf(after, "%d", &largest); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	if r := h.units(t, client, "all", sonnet, largest); r.status != 201 {
		t.Fatalf("%d: %d %s", largest, r.status, r.body)
	}
	if r := h.ask(t, client, "PATCH", "/provisioned-model-throughput/all", `{"desiredModelId":"`+sonnet+`:28k"}`); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestAVariantThatGetsEnginesOfItsOwnLeavesThoseOfItsBase(t *testing.T) {
	base, own := saying(t, openAIAnswer, "from the base"), saying(t, openAIAnswer, "from its own")
	const nova, variant = "amazon.nova-micro-v1:0", "amazon.nova-micro-v1:0:24k"
	yaml := "listen: 127.0.0.1:0\nbuiltin: all\nmodels:\n  - { id: " + nova + ", engines: [{ url: \"" + base.URL + "\", model: m }] }\n"
	h := start(t, yaml)
	client := newClient(t, &http.Transport{})
	arn := h.buy(t, client, "small", variant)
	asked := func(id, want string) {
		t.Helper()
		if r := h.converse(t, client, id); !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %q", id, r.status, r.body, want)
		}
	}
	asked(arn, "from the base")
	for range 4 { // there and back, twice
		if _, err := h.Reload(loadAt(t, yaml+"  - { id: "+variant+", engines: [{ url: \""+own.URL+"\", model: m }] }\n", h.data)); err != nil {
			t.Fatal(err)
		}
		asked(arn, "from its own")
		asked(nova, "from the base")
		if _, err := h.Reload(loadAt(t, yaml, h.data)); err != nil {
			t.Fatal(err)
		}
		asked(arn, "from the base")
		asked(nova, "from the base")
	}
}

// A simulated engine sends token by token also what its caller wants whole: its
// prompt is read long before the answer has come.
func TestThePromptOfAWholeAnswerIsReadWhenItsFirstTokenComes(t *testing.T) {
	h := start(t, "listen: 127.0.0.1:0\n")
	client := newClient(t, &http.Transport{})
	done := make(chan reply, 1)
	go func() { done <- h.converse(t, client, haiku) }()
	for seen := false; !seen; time.Sleep(time.Millisecond) {
		select {
		case r := <-done:
			t.Fatalf("the answer came and no moment was seen in which its prompt was read: %d %s", r.status, r.body)
		default:
		}
		for _, load := range h.Loads(haiku) {
			seen = seen || load.Sequences == 1 && load.Unread == 0
		}
	}
	if r := <-done; r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// A variant's jobs run on the engines of its base.
func TestWhatJobsNeedIsToldToThePoolOfTheirModel(t *testing.T) {
	const nova, variant, other = "amazon.nova-micro-v1:0", "amazon.nova-micro-v1:0:24k", "amazon.nova-lite-v1:0"
	h := start(t, "listen: 127.0.0.1:0\nbuiltin: all\n")
	h.Need(map[string]float64{nova: 1, variant: 2, other: 4})
	if got := h.Needs(); !maps.Equal(got, map[string]float64{nova: 3, other: 4}) {
		t.Errorf("%v", got)
	}
	h.Need(nil)
	if got := h.Needs(); len(got) > 0 {
		t.Errorf("%v is needed by nobody", got)
	}
}
