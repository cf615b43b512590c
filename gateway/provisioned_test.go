package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// buy creates a provisioned throughput of the model and returns its ARN.
func (h *house) buy(t *testing.T, client *http.Client, name, model string) string {
	t.Helper()
	r := h.ask(t, client, "POST", "/provisioned-model-throughput", fmt.Sprintf(`{"modelUnits":1,"provisionedModelName":%q,"modelId":%q}`, name, model))
	var made struct{ ProvisionedModelArn string }
	if err := json.Unmarshal([]byte(r.body), &made); err != nil || r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return made.ProvisionedModelArn
}

func (h *house) converse(t *testing.T, client *http.Client, model string) reply {
	t.Helper()
	return h.ask(t, client, "POST", "/model/"+url.PathEscape(model)+"/converse", hello)
}

// TestProvisionedARNsAreModelIDs in every way in which clients write them
// (pain 3 and 4 of those that other gateways have).
func TestProvisionedARNsAreModelIDs(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	arn := h.buy(t, client, "my-pt", haiku)
	whole := strings.NewReplacer(":", "%3A", "/", "%2F").Replace(arn)
	for _, spelt := range []string{arn, whole, strings.ReplaceAll(whole, "%", "%25"), "my-pt", arn[strings.LastIndexByte(arn, '/')+1:]} {
		for _, operation := range []string{"converse", "converse-stream"} {
			if r := h.ask(t, client, "POST", "/model/"+spelt+"/"+operation, hello); r.status != 200 {
				t.Errorf("%s %s: %d %s", spelt, operation, r.status, r.body)
			}
		}
	}
	if r := h.converse(t, client, strings.Replace(arn, "000000000000", "999999999999", 1)); r.status != 403 || r.code() != "AccessDeniedException" {
		t.Errorf("another account's: %d %s", r.status, r.body)
	}
	if r := h.ask(t, client, "DELETE", "/provisioned-model-throughput/my-pt", ""); r.status != 200 {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	if r := h.converse(t, client, arn); r.status != 404 || r.code() != "ResourceNotFoundException" {
		t.Errorf("deleted, by its ARN: %d %s", r.status, r.body)
	}
	if r := h.converse(t, client, "my-pt"); r.status != 400 || r.message() != "The provided model identifier is invalid." {
		t.Errorf("deleted, by its name: %d %s", r.status, r.body)
	}
}

func TestAVariantIsServedByTheEngineOfItsBase(t *testing.T) {
	engine := saying(t, openAIAnswer, "from the engine")
	for name, c := range map[string]struct{ base, variant string }{
		"with :0":    {haiku, haiku + ":48k"},
		"without :0": {"amazon.titan-text-express-v1", "amazon.titan-text-express-v1:0:8k"},
		"unknown":    {"my.model-v1:0", "my.model-v1:0:12k"},
	} {
		h := start(t, withEngines(c.base, fmt.Sprintf("{url: '%s', model: m}", engine.URL))+"builtin: all\n")
		client := newClient(t, &http.Transport{})
		arn := h.buy(t, client, "pt", c.variant)
		if r := h.converse(t, client, arn); r.status != 200 || !strings.Contains(r.body, "from the engine") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

func TestAModelThatIsGoneLeavesItsProvisionedThroughputUnserved(t *testing.T) {
	data := t.TempDir()
	h := startOn(t, loadAt(t, fast, data))
	client := newClient(t, &http.Transport{})
	arn := h.buy(t, client, "pt", haiku)
	if r := h.converse(t, client, arn); r.status != 200 {
		t.Fatal(r.body)
	}
	if _, err := h.Reload(loadAt(t, withEngines("my.model-v1:0", "{kind: sim}"), data)); err != nil {
		t.Fatal(err)
	}
	if r := h.converse(t, client, arn); r.status != 503 || r.code() != "ServiceUnavailableException" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := h.ask(t, client, "GET", "/provisioned-model-throughput/pt", ""); r.status != 200 || !strings.Contains(r.body, haiku) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestProvisioningReloadsNoKeys: the keys lie in the same database.
func TestProvisioningReloadsNoKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, fast)
		c := p.connect(t)
		body := `{"modelUnits":1,"provisionedModelName":"pt","modelId":"` + haiku + `"}`
		go func() {
			_, _ = io.WriteString(c, request("POST", "/provisioned-model-throughput", "Connection: close\r\n", body))
		}()
		if answers := answersOf(t, c); len(answers) != 1 || answers[0].status != 201 {
			t.Fatalf("%+v", answers)
		}
		time.Sleep(time.Minute) // the keys are looked at every second
		synctest.Wait()
		if lines := h.log.lines(t, "keys reloaded"); len(lines) != 0 {
			t.Errorf("%v", lines)
		}
	})
}
