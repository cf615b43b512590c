package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// smallUnit makes a unit of Haiku so small that one call fills it for more
// than a minute.
const smallUnit = fast + "provisioned: { max_wait: 0s }\nmodels:\n  - id: " + haiku +
	"\n    unit: { input_tokens_per_minute: 3, output_tokens_per_minute: 3000 }\n    engines: [{ kind: sim }]\n"

// spilling sends a request to the model with the header, unless that is empty.
func (h *house) spilling(t *testing.T, client *http.Client, model, operation, body, header string) reply {
	t.Helper()
	req, err := http.NewRequest("POST", h.URL+"/model/"+url.PathEscape(model)+"/"+operation, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anything")
	if header != "" {
		req.Header.Set("X-Outcrop-Spillover", header)
	}
	return do(t, client, req)
}

func TestARequestOverItsUnitGoesWhereItAndTheUnitSay(t *testing.T) {
	h := start(t, smallUnit)
	client := newClient(t, &http.Transport{})
	arn := h.buy(t, client, "small", haiku)
	if r := h.converse(t, client, arn); r.status != 200 || r.header.Get("X-Outcrop-Spillover") != "" || strings.Contains(r.body, "serviceTier") {
		t.Fatalf("within the unit: %d %v %s", r.status, r.header, r.body)
	}
	for _, c := range []struct{ tag, header, metadata, want string }{ // want is empty for a refusal
		{"", "", "", ""},
		{"", "flex", "", "flex"},
		{"", "", "priority", "priority"},
		{"default", "", "", "default"},
		{"default", "", "none", ""},
		{"default", "none", "priority", ""},
		{"none", "default", "none", "default"},
		{"flex", "", "", "flex"},
		{"", "", "", ""},
	} {
		h.retag(t, client, arn, c.tag)
		body := hello
		if c.metadata != "" {
			body = strings.TrimSuffix(hello, "}") + `,"requestMetadata":{"outcrop:spillover":"` + c.metadata + `"}}`
		}
		r := h.spilling(t, client, arn, "converse", body, c.header)
		var told struct{ ServiceTier struct{ Type string } }
		if err := json.Unmarshal([]byte(r.body), &told); err != nil {
			t.Fatal(err)
		}
		if (r.status == 200) != (c.want != "") || r.header.Get("X-Outcrop-Spillover") != c.want || told.ServiceTier.Type != c.want {
			t.Errorf("%+v: %d %v %s", c, r.status, r.header, r.body)
		}
		stream := h.spilling(t, client, arn, "converse-stream", body, c.header)
		if (stream.status == 200) != (c.want != "") || c.want != "" && !strings.Contains(stream.body, `"serviceTier":{"type":"`+c.want+`"}`) {
			t.Errorf("%+v, streamed: %d %q", c, stream.status, stream.body)
		}
	}
}

// retag makes the tag of the unit say where it spills, or takes it away.
func (h *house) retag(t *testing.T, client *http.Client, arn, spill string) {
	t.Helper()
	path, body := "/untagResource", `{"resourceARN":"`+arn+`","tagKeys":["outcrop:spillover"]}`
	if spill != "" {
		path, body = "/tagResource", `{"resourceARN":"`+arn+`","tags":[{"key":"outcrop:spillover","value":"`+spill+`"}]}`
	}
	if r := h.ask(t, client, "POST", path, body); r.status != 200 {
		t.Fatalf("%s: %d %s", path, r.status, r.body)
	}
}

func TestSpillsStandInHeadersLogAndMetrics(t *testing.T) {
	h := start(t, smallUnit)
	client := newClient(t, &http.Transport{})
	arn := h.buy(t, client, "small", haiku)
	h.converse(t, client, arn)
	r := h.spilling(t, client, arn, "invoke", invokeBody, "flex")
	if r.status != 200 || r.header.Get("X-Outcrop-Spillover") != "flex" || r.header.Get("X-Amzn-Bedrock-Service-Tier") != "flex" {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	if r := h.spilling(t, client, arn, "invoke-with-response-stream", invokeBody, "flex"); r.status != 200 ||
		r.header.Get("X-Outcrop-Spillover")+r.header.Get("X-Amzn-Bedrock-Service-Tier") != "" {
		t.Errorf("streamed: %d %v", r.status, r.header)
	}
	if r := h.spilling(t, client, arn, "invoke", invokeBody, "none"); r.status != 429 {
		t.Errorf("%d %s", r.status, r.body)
	}
	metrics := h.ask(t, client, "GET", "/metrics", "").body
	for _, line := range []string{
		`outcrop_spilled_requests_total{model="` + haiku + `",to="flex"} 2`,
		`outcrop_queue_seconds_count{class="flex",model="` + haiku + `"} 2`,
		`outcrop_queue_seconds_count{class="provisioned",model="` + haiku + `"} 1`,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no %s in the metrics", line)
		}
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range h.log.lines(t, "invocation") {
		if l["unit"] != arn {
			t.Errorf("unit %v", l["unit"])
		}
		part := func(name string) string { s, _ := l[name].(string); return s }
		spilled := ""
		if l["spilled"] == true {
			spilled = "spilled"
		}
		got = append(got, strings.Join([]string{part("class"), spilled, part("limit")}, " "))
	}
	want := "provisioned  \nflex spilled unit-input\nflex spilled unit-input\n  unit-input"
	if strings.Join(got, "\n") != want {
		t.Errorf("recorded %q, want %q", got, want)
	}
}
