package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
)

// provisionedIn runs a server whose provisioned throughputs come into service
// as provision says.
func provisionedIn(t *testing.T, provision func(context.Context, outcrop.Provisioned) error) (*house, *http.Client) {
	t.Helper()
	h := newServer(t, load(t, fast))
	if err := h.ProvisionBy(provision); err != nil {
		t.Fatal(err)
	}
	p := h.pipe(t)
	return h, newClient(t, &http.Transport{DialContext: p.dial})
}

// nativeHello is hello in the dialect of the model that is bought.
const nativeHello = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"Hello"}]}`

var inferences = map[string]string{
	"converse": hello, "converse-stream": hello, "invoke": nativeHello, "invoke-with-response-stream": nativeHello,
}

// called is a call of the runtime, with how long it took.
type called struct {
	model, operation string
	reply
	took time.Duration
}

// callAll makes each inference by the ARN, the name and the id, all at once.
func (h *house) callAll(t *testing.T, client *http.Client, arn, name string) (all []called) {
	t.Helper()
	var mu sync.Mutex
	var calls sync.WaitGroup
	began := time.Now()
	for _, model := range []string{arn, name, arn[strings.LastIndexByte(arn, '/')+1:]} {
		for operation, body := range inferences {
			calls.Go(func() {
				r := h.ask(t, client, "POST", "/model/"+url.PathEscape(model)+"/"+operation, body)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, called{model, operation, r, time.Since(began)})
			})
		}
	}
	calls.Wait()
	return all
}

func TestACallWhileAUnitIsCreatingWaitsAndIsAnsweredByIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, client := provisionedIn(t, func(context.Context, outcrop.Provisioned) error {
			time.Sleep(3 * time.Second)
			return nil
		})
		arn := h.buy(t, client, "my-pt", haiku)
		for _, c := range h.callAll(t, client, arn, "my-pt") {
			if c.status != 200 || c.took != 3*time.Second {
				t.Errorf("%s of %s: %d after %v: %s", c.operation, c.model, c.status, c.took, c.body)
			}
		}
		time.Sleep(time.Second) // the log is written every tenth of a second
		lines := h.log.lines(t, "invocation")
		for _, line := range lines {
			if line["unit"] != arn || line["class"] != "provisioned" {
				t.Errorf("recorded %v", line)
			}
		}
		if len(lines) != 12 {
			t.Errorf("%d calls are recorded", len(lines))
		}
	})
}

func TestACallToAUnitThatStaysInCreatingMayBeTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, client := provisionedIn(t, func(context.Context, outcrop.Provisioned) error {
			time.Sleep(time.Minute)
			return nil
		})
		arn := h.buy(t, client, "my-pt", haiku)
		for _, c := range h.callAll(t, client, arn, "my-pt") {
			if c.status != 429 || c.code() != "ModelNotReadyException" || c.took != 5*time.Second || !strings.Contains(c.message(), "still being created") {
				t.Errorf("%s of %s: %d %s after %v: %s", c.operation, c.model, c.status, c.code(), c.took, c.body)
			}
			if c.header.Get("Retry-After") != "1" {
				t.Errorf("%s of %s: %v", c.operation, c.model, c.header)
			}
		}
		time.Sleep(time.Minute)
		for _, c := range h.callAll(t, client, arn, "my-pt") {
			if c.status != 200 || c.took != 0 {
				t.Errorf("%s of %s, tried again: %d after %v: %s", c.operation, c.model, c.status, c.took, c.body)
			}
		}
	})
}

func TestACallToAUnitThatCouldNotBeCreatedIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, client := provisionedIn(t, func(context.Context, outcrop.Provisioned) error {
			time.Sleep(2 * time.Second)
			return errors.New("no engine has the room")
		})
		arn := h.buy(t, client, "my-pt", haiku)
		for _, c := range h.callAll(t, client, arn, "my-pt") {
			if c.status != 400 || c.code() != "ValidationException" || c.took != 2*time.Second || !strings.Contains(c.message(), "could not be created") {
				t.Errorf("%s of %s: %d %s after %v: %s", c.operation, c.model, c.status, c.code(), c.took, c.body)
			}
		}
	})
}

// A caller who leaves while he waits for a unit is forgotten at once.
func TestACallerWhoLeavesWhileAUnitIsCreatingIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, client := provisionedIn(t, func(context.Context, outcrop.Provisioned) error {
			time.Sleep(time.Minute)
			return nil
		})
		h.buy(t, client, "my-pt", haiku)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", h.URL+"/model/my-pt/converse", strings.NewReader(hello))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer anything")
		if r, err := client.Do(req); err == nil {
			t.Errorf("answered with %d", r.StatusCode)
			r.Body.Close()
		}
		time.Sleep(time.Second)
		lines := h.log.lines(t, "invocation")
		if len(lines) != 1 || lines[0]["code"] != "ClientGone" || lines[0]["duration_ms"] != 2000.0 {
			t.Errorf("recorded %v", lines)
		}
	})
}
