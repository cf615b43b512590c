package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/explain"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/watchapi"
)

// TestWatchersMustNameTheServer plays a web page whose name was made to point
// to this machine: it may read what comes from its own name.
func TestWatchersMustNameTheServer(t *testing.T) {
	open := start(t, fast)
	named := startKeyed(t, fast+"hosts: [bedrock.example]\n")
	anywhere := startKeyed(t, fast)
	for protocol, transport := range protocols() {
		client := newClient(t, transport)
		for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
			for _, c := range []struct {
				h      *house
				host   string
				status int
			}{
				{open, "evil.example", 403}, {open, "evil.example:8484", 403}, {open, "localhost", 200}, {open, "127.0.0.1:1", 200},
				{named, "localhost", 403}, {named, "bedrock.example:8484", 200}, {anywhere, "evil.example", 200},
			} {
				req, err := http.NewRequest("GET", c.h.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = c.host
				r := do(t, client, req)
				if r.status != c.status {
					t.Errorf("%s: %s of %s: %d", protocol, path, c.host, r.status)
				}
				if plain := r.header.Get("Content-Type") == "text/plain; charset=utf-8"; c.status == 403 && (!plain || strings.Count(r.body, "\n") != 1) {
					t.Errorf("%s: %s of %s: %s", protocol, path, c.host, r.body)
				}
			}
		}
	}
}

// startKeyed runs a server that has a key.
func startKeyed(t *testing.T, yaml string) *house {
	t.Helper()
	cfg := load(t, yaml)
	aKey(t, cfg.Data, nil)
	return startOn(t, cfg)
}

// TestUnsignedFieldsOfInvokeModelAreRefused adds what changes the service to a
// request after it was signed.
func TestUnsignedFieldsOfInvokeModelAreRefused(t *testing.T) {
	cfg := load(t, fast)
	id, secret := aKey(t, cfg.Data, nil)
	h := startOn(t, cfg)
	client := newClient(t, &http.Transport{})
	const body = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"Hello"}]}`
	for name, value := range map[string]string{
		"X-Amzn-Bedrock-Service-Tier": "priority", "X-Amzn-Bedrock-Performanceconfig-Latency": "optimized", "X-Amzn-Bedrock-Guardrailidentifier": "none", "X-Amzn-Bedrock-Trace": "ENABLED",
	} {
		c := caller{id: id, secret: secret, change: func(r *http.Request) { r.Header.Set(name, value) }}
		if r := c.ask(t, h, client, "POST", haikuPath+"/invoke", body); r.status != 403 || r.code() != "InvalidSignatureException" || !strings.Contains(r.message(), strings.ToLower(name)) {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if r := (caller{id: id, secret: secret}).ask(t, h, client, "POST", haikuPath+"/invoke", body); r.status != 200 {
		t.Errorf("without any: %d %s", r.status, r.body)
	}
}

// lookup asks for what is on record of the request that r answers.
func lookup(t *testing.T, h *house, client *http.Client, c caller, id string) reply {
	t.Helper()
	return c.ask(t, h, client, "GET", watchapi.ExplainPath+id, "")
}

func TestEveryRequestIsExplained(t *testing.T) {
	h := start(t, fast)
	for protocol, transport := range protocols() {
		client := newClient(t, transport)
		for _, path := range []string{conversePath, streamPath, "/model/no.such-model/converse"} {
			answered := h.ask(t, client, "POST", path, hello)
			id := answered.header.Get("X-Amzn-Requestid")
			r := lookup(t, h, client, caller{}, id)
			record, err := explain.Parse([]byte(r.body))
			if err != nil || r.status != 200 || record.ID != id || record.Status != answered.status || answered.status >= 400 && record.Message == "" {
				t.Errorf("%s: %s -> %d: %d %s", protocol, path, answered.status, r.status, r.body)
			}
		}
		if r := lookup(t, h, client, caller{}, "unknown"); r.status != 404 {
			t.Errorf("%s: an unknown id: %d %s", protocol, r.status, r.body)
		}
	}
}

func TestAccountsSeeTheirOwnAlone(t *testing.T) {
	cfg := load(t, fast)
	id, secret := aKey(t, cfg.Data, nil)
	_, token := aBearer(t, cfg.Data)
	otherID, otherSecret := aKey(t, cfg.Data, func(k *identity.Key) { k.Principal.Account = "444455556666" })
	h := startOn(t, cfg)
	client := newClient(t, &http.Transport{})
	mine, same, other := caller{id: id, secret: secret}, caller{bearer: token}, caller{id: otherID, secret: otherSecret}
	buy := `{"modelUnits":1,"provisionedModelName":"mine","modelId":"` + haiku + `"}`
	if r := mine.ask(t, h, client, "POST", "/provisioned-model-throughput", buy); r.status != 201 {
		t.Fatal(r.status, r.body)
	}
	request := mine.ask(t, h, client, "POST", conversePath, hello).header.Get("X-Amzn-Requestid")
	for _, c := range []struct {
		name            string
		caller          caller
		explain, status int
		units           int
	}{{"the caller", mine, 200, 200, 1}, {"another key of the account", same, 200, 200, 1}, {"another account", other, 404, 200, 0}, {"nobody", caller{}, 403, 403, 0}, {"a wrong secret", caller{id: id, secret: "x"}, 403, 403, 0}} {
		if r := lookup(t, h, client, c.caller, request); r.status != c.explain {
			t.Errorf("%s: explain: %d %s", c.name, r.status, r.body)
		}
		r := c.caller.ask(t, h, client, "GET", watchapi.CapacityPath, "")
		if r.status != c.status || strings.Count(r.body, `"name":"mine"`) != c.units {
			t.Errorf("%s: capacity: %d %s", c.name, r.status, r.body)
		}
		if r.status != 200 && r.message() == "" {
			t.Errorf("%s: no message in %s", c.name, r.body)
		}
	}
}

// TestWebPagesDoNotWatch plays a web page in a browser on this machine: under
// a name of its own it is refused, and from its own site it may not read.
func TestWebPagesDoNotWatch(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	for _, path := range []string{watchapi.CapacityPath, watchapi.ExplainPath + "x"} {
		c := caller{change: func(r *http.Request) { r.Host = "evil.example" }}
		if r := c.ask(t, h, client, "GET", path, ""); r.status != 403 {
			t.Errorf("%s by another name: %d %s", path, r.status, r.body)
		}
		c = caller{change: func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }}
		if r := c.ask(t, h, client, "GET", path, ""); r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, r.header)
		}
	}
}

func TestCapacityShowsWhatIsServedAndSold(t *testing.T) {
	h := start(t, twoAMinute)
	client := newClient(t, &http.Transport{})
	arn := h.buy(t, client, "mine", haiku)
	for _, model := range []string{arn, haiku, haiku, haiku} { // the last one is refused
		h.converse(t, client, model)
	}
	v, err := watchapi.Parse([]byte(h.ask(t, client, "GET", watchapi.CapacityPath, "").body))
	if err != nil {
		t.Fatal(err)
	}
	finished, pools := map[string]int{}, map[string]watchapi.Pool{}
	for _, p := range v.Pools {
		pools[p.Model] = p
	}
	p := pools[haiku]
	for _, c := range p.Classes {
		finished[c.Class] = c.Finished
	}
	if len(pools) != len(v.Pools) || !p.Simulated || p.Units.Sold != 1 || p.Units.Free < 1 || finished["default"] != 2 || finished["provisioned"] != 1 || len(p.Engines) != 1 || p.Engines[0].Served != 3 {
		t.Errorf("%d pools of %d models, %+v", len(v.Pools), len(pools), p)
	}
	if _, ok := pools[haiku+":48k"]; ok {
		t.Error("a variant is shown beside the pool that it shares")
	}
	if len(v.Units) != 1 || v.Units[0].ARN != arn || v.Units[0].Admitted != 1 || v.Units[0].Status != outcrop.ProvisionedInService {
		t.Errorf("units: %+v", v.Units)
	}
	if len(v.OnDemand) != 1 || v.OnDemand[0].Admitted != 2 || len(v.OnDemand[0].Refused) != 1 {
		t.Errorf("on demand: %+v", v.OnDemand)
	}
}

func TestMetricsOfPoolsAndLimits(t *testing.T) {
	const account = "314159265358"
	h := start(t, twoAMinute+"account: \""+account+"\"\n")
	client := newClient(t, &http.Transport{})
	for range 3 {
		h.converse(t, client, haiku)
	}
	page := h.ask(t, client, "GET", "/metrics", "").body
	for _, line := range []string{
		`outcrop_scheduled_total{class="default",model="` + haiku + `",outcome="finished"} 2`,
		`outcrop_queue_seconds_count{class="default",model="` + haiku + `"} 2`,
		`outcrop_quota_refused_total{limit="requests-per-minute",model="` + haiku + `"} 1`,
		`outcrop_engine_condition{condition="healthy",engine="sim",model="` + haiku + `"} 1`,
	} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	if strings.Contains(page, account) {
		t.Error("an account is named")
	}
	if strings.Contains(page, "amazon.nova-lite") {
		t.Error("there are series of a simulated model that nobody has asked for")
	}
}
