package gateway_test

import (
	"net/http"
	"strings"
	"testing"
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
