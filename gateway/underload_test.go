package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/outcrop/outcrop/outcroptest"
)

const haikuVariant = haiku + ":48k"

// bothHaikus has Haiku and a variant of it on engines of their own, with units
// that nothing here fills.
func bothHaikus(base, variant string) string {
	const unit = "{ input_tokens_per_minute: 1M, output_tokens_per_minute: 1M }"
	return fast + "models:\n" +
		"  - { id: '" + haiku + "', unit: " + unit + ", engines: [" + base + "] }\n" +
		"  - { id: '" + haikuVariant + "', unit: " + unit + ", engines: [" + variant + "] }\n"
}

// update changes the provisioned throughput, and calls meanwhile until it is in
// service again.
func (h *house) update(t *testing.T, client *http.Client, arn, change string, meanwhile func()) {
	t.Helper()
	path := "/provisioned-model-throughput/" + url.PathEscape(arn)
	if r := h.ask(t, client, "PATCH", path, change); r.status != 200 {
		t.Fatalf("%s: %d %s", change, r.status, r.body)
	}
	for {
		switch r := h.ask(t, client, "GET", path, ""); {
		case strings.Contains(r.body, `"status":"InService"`):
			return
		case !strings.Contains(r.body, `"status":"Updating"`):
			t.Fatalf("%s: %d %s", change, r.status, r.body)
		}
		meanwhile()
	}
}

// changes are all that UpdateProvisionedModelThroughput can do, one by one and
// together.
var changes = []string{
	`{"desiredModelUnits":4}`,
	`{"desiredProvisionedModelName":"renamed"}`,
	`{"desiredModelId":"` + haikuVariant + `"}`,
	`{"desiredModelUnits":2}`,
	`{"desiredProvisionedModelName":"again","desiredModelId":"` + haiku + `","desiredModelUnits":3}`,
}

// A traffic is callers who ask on a provisioned throughput, one request after
// the other, until that is deleted.
type traffic struct {
	target   string // without the operation
	callers  sync.WaitGroup
	deleting atomic.Bool
	answered chan struct{} // has room for one
	failed   chan error    // has room for one
}

const briefly = `{"messages":[{"role":"user","content":[{"text":"Hello"}]}],"inferenceConfig":{"maxTokens":5}}`

func (h *house) traffic(client *http.Client, arn string, callers int) *traffic {
	f := &traffic{target: h.URL + "/model/" + url.PathEscape(arn), answered: make(chan struct{}, 1), failed: make(chan error, 1)}
	for i := range callers {
		f.callers.Go(func() {
			operation := []string{"/converse", "/converse-stream"}[i%2]
			for f.once(client, operation) {
			}
		})
	}
	return f
}

// once sends a request and reports whether to send another.
func (f *traffic) once(client *http.Client, operation string) bool {
	r, err := post(client, f.target+operation, briefly)
	switch {
	case err == nil && r.status == 200 && whole(r, operation):
		select {
		case f.answered <- struct{}{}:
		default:
		}
		return true
	case err == nil && r.status == 404 && r.code() == "ResourceNotFoundException" && f.deleting.Load():
		return false
	}
	select {
	case f.failed <- fmt.Errorf("%s: %d %q, %v", operation, r.status, r.body, err):
	default:
	}
	return false
}

// post sends a request from a goroutine that must not end the test.
func post(client *http.Client, target, body string) (reply, error) {
	req, err := http.NewRequest("POST", target, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer anything")
	answer, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	return reply{status: answer.StatusCode, header: answer.Header, body: string(got)}, err
}

// whole reports whether an answer came to its end.
func whole(r reply, operation string) bool {
	if operation == "/converse" {
		return strings.Contains(r.body, `"stopReason"`)
	}
	return strings.Contains(r.body, "messageStop") && strings.Contains(r.body, `"usage"`) && !strings.Contains(r.body, "exception")
}

// pass waits until so many requests were answered from now on.
func (f *traffic) pass(t *testing.T, requests int) {
	t.Helper()
	for range requests + 1 { // one may have been answered before
		select {
		case <-f.answered:
		case err := <-f.failed:
			t.Fatal(err)
		}
	}
}

func TestUpdatesAndDeletionUnderLoadLoseNoRequest(t *testing.T) {
	for protocol, transport := range protocols() {
		t.Run(protocol, func(t *testing.T) {
			h := start(t, bothHaikus("{kind: sim}", "{kind: sim}"))
			client := newClient(t, transport)
			arn := h.buy(t, client, "busy", haiku)
			f := h.traffic(client, arn, 8)
			for _, change := range changes {
				f.pass(t, 20)
				h.update(t, client, arn, change, func() { f.pass(t, 1) })
			}
			f.pass(t, 20)
			f.deleting.Store(true)
			if r := h.ask(t, client, "DELETE", "/provisioned-model-throughput/again", ""); r.status != 200 {
				t.Fatalf("delete: %d %s", r.status, r.body)
			}
			f.callers.Wait()
			select {
			case err := <-f.failed:
				t.Error(err)
			default:
			}
			if r := h.converse(t, client, arn); r.status != 404 || r.code() != "ResourceNotFoundException" {
				t.Errorf("deleted: %d %s", r.status, r.body)
			}
			if page := h.ask(t, client, "GET", "/metrics", "").body; !strings.Contains(page, "\noutcrop_quota_in_flight 0\n") {
				t.Error("reservations are left over")
			}
		})
	}
}

// A holding is an engine that keeps its answers back until it is let go.
type holding struct {
	*outcroptest.Engine
	arrived chan struct{}
	release chan struct{}
}

func hold(t *testing.T, text string) *holding {
	e := &holding{arrived: make(chan struct{}, 100), release: make(chan struct{})}
	e.Engine = outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply {
		e.arrived <- struct{}{}
		<-e.release
		return outcroptest.Reply{Body: fmt.Appendf(nil, openAIAnswer, text), Header: http.Header{"Content-Type": {"application/json"}}}
	})
	return e
}

// TestWhatRunsDuringAnUpdateEndsWhereItBegan: requests that are on an engine
// when their provisioned throughput is changed or deleted are answered by it,
// and those after that go where it is now.
func TestWhatRunsDuringAnUpdateEndsWhereItBegan(t *testing.T) {
	base, variant := hold(t, "from the base"), hold(t, "from the variant")
	h := start(t, bothHaikus("{ url: '"+base.URL+"', model: m }", "{ url: '"+variant.URL+"', model: m }"))
	client := newClient(t, &http.Transport{})
	arn := h.buy(t, client, "busy", haiku)
	var asked sync.WaitGroup
	failed := make(chan error, 100)
	ask := func(on *holding, want string) {
		asked.Go(func() {
			if r, err := post(client, h.URL+"/model/"+url.PathEscape(arn)+"/converse", briefly); err != nil || r.status != 200 || !strings.Contains(r.body, want) {
				failed <- fmt.Errorf("%d %s, %v, want one %s", r.status, r.body, err, want)
			}
		})
		select {
		case <-on.arrived:
		case err := <-failed:
			t.Error(err)
		}
	}
	now, want := base, "from the base"
	for _, change := range changes {
		ask(now, want)
		ask(now, want)
		h.update(t, client, arn, change, func() {})
		switch {
		case strings.Contains(change, haikuVariant):
			now, want = variant, "from the variant"
		case strings.Contains(change, haiku):
			now, want = base, "from the base"
		}
	}
	ask(now, want)
	if r := h.ask(t, client, "DELETE", "/provisioned-model-throughput/again", ""); r.status != 200 {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	if r := h.converse(t, client, arn); r.status != 404 || r.code() != "ResourceNotFoundException" {
		t.Errorf("deleted: %d %s", r.status, r.body)
	}
	close(base.release)
	close(variant.release)
	asked.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	if len(base.arrived)+len(variant.arrived) > 0 {
		t.Error("a request was sent twice")
	}
}
