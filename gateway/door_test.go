package gateway_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

const invokeBody = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":20,"messages":[{"role":"user","content":"Hello"}]}`

func TestRuntimeAndControlPlaneShareOnePort(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	count := `{"input":{"invokeModel":{"body":"` + base64.StdEncoding.EncodeToString([]byte(invokeBody)) + `"}}}`
	for _, c := range []struct{ method, path, body, kind, within string }{
		{"POST", conversePath, hello, "application/json", `"stopReason"`},
		{"POST", streamPath, hello, "application/vnd.amazon.eventstream", "messageStop"},
		{"POST", haikuPath + "/invoke", invokeBody, "application/json", `"stop_reason"`},
		{"POST", haikuPath + "/invoke-with-response-stream", invokeBody, "application/vnd.amazon.eventstream", "chunk"},
		{"POST", haikuPath + "/count-tokens", count, "application/json", `"inputTokens"`},
		{"GET", "/foundation-models", "", "application/json", haiku},
		{"GET", "/foundation-models/" + haiku, "", "application/json", `"modelDetails"`},
		{"GET", "/healthz", "", "text/plain; charset=utf-8", "ok"},
		{"GET", "/readyz", "", "text/plain; charset=utf-8", "ready"},
		{"GET", "/metrics", "", "text/plain", "outcrop_requests_total"},
	} {
		r := h.ask(t, client, c.method, c.path, c.body)
		if r.status != 200 || !strings.HasPrefix(r.header.Get("Content-Type"), c.kind) || !strings.Contains(r.body, c.within) {
			t.Errorf("%s %s: %d %v %.300s", c.method, c.path, r.status, r.header, r.body)
		}
	}
}

func TestARNsAndProfilesReachTheirModel(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	for _, id := range []string{
		"us." + haiku, "arn:aws:bedrock:us-east-1::foundation-model/" + haiku,
		"arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fanthropic.claude-3-haiku-20240307-v1%3A0",
	} {
		if r := h.ask(t, client, "POST", "/model/"+id+"/converse", hello); r.status != 200 {
			t.Errorf("%s: %d %s", id, r.status, r.body)
		}
	}
	r := h.ask(t, client, "POST", "/model/no.such-model-v1:0/converse", hello)
	if r.status != 400 || r.message() != "The provided model identifier is invalid." {
		t.Errorf("an unknown model: %d %s", r.status, r.body)
	}
}

func TestEveryReplyHasItsOwnRequestID(t *testing.T) {
	h := start(t, fast)
	seen := map[string]bool{}
	for name, sent := range map[string]string{
		"answer":            request("POST", conversePath, "Connection: close\r\n", hello),
		"stream":            request("POST", streamPath, "Connection: close\r\n", hello),
		"control":           request("GET", "/foundation-models", "Connection: close\r\n", ""),
		"health":            request("GET", "/healthz", "Connection: close\r\n", ""),
		"bad body":          request("POST", conversePath, "Connection: close\r\n", "{"),
		"unknown model":     request("POST", "/model/x/converse", "Connection: close\r\n", hello),
		"unknown operation": request("POST", "/nothing", "Connection: close\r\n", ""),
		"framing":           request("POST", conversePath, "Content-Encoding: gzip\r\n", hello),
		"HTTP/1.0":          strings.Replace(request("POST", conversePath, "", hello), "HTTP/1.1", "HTTP/1.0", 1),
		"too large":         "POST " + conversePath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 25000001\r\n\r\n",
		"two credentials":   request("POST", conversePath+"?X-Amz-Signature=1", "Connection: close\r\n", hello),
		"foreign host":      strings.Replace(request("POST", conversePath, "Connection: close\r\n", hello), "localhost", "evil.example", 1),
	} {
		answers := h.raw(t, sent)
		if len(answers) != 1 {
			t.Fatalf("%s: %d answers", name, len(answers))
		}
		id := answers[0].header.Get("X-Amzn-Requestid")
		if !uuid.MatchString(id) || seen[id] {
			t.Errorf("%s: %d with request id %q", name, answers[0].status, id)
		}
		seen[id] = true
	}
}

func TestUnknownOperationsAreSaidToBeUnknown(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	for _, c := range []struct{ method, path string }{
		{"GET", "/"}, {"POST", "/model/x/no-such-operation"}, {"GET", conversePath}, {"PUT", conversePath}, {"DELETE", "/foundation-models"},
		{"POST", "/foundation-models"}, {"POST", "//model/x/converse"}, {"POST", "/model/x/converse/"}, {"POST", "/Model/x/converse"}, {"GET", "/healthz/"}, {"GET", "/debug/pprof/"},
		{"POST", "/model/x/../../foundation-models"},
	} {
		r := h.ask(t, client, c.method, c.path, "")
		if r.status != 404 || r.code() != "UnknownOperationException" || r.message() == "" {
			t.Errorf("%s %s: %d %s %s", c.method, c.path, r.status, r.code(), r.body)
		}
	}
}

// TestFramingInWhichTwoParsersCouldDisagree sends each request with a second
// one behind it, or in its body, which must never be served.
func TestFramingInWhichTwoParsersCouldDisagree(t *testing.T) {
	h := start(t, fast)
	second := request("POST", conversePath, "Connection: close\r\n", hello)
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hello), hello)
	head := "POST " + conversePath + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(hello))
	for name, sent := range map[string]string{
		"HTTP/1.0":                         strings.Replace(head, "1.1", "1.0", 1) + "Connection: keep-alive\r\n" + length + "\r\n" + hello,
		"HTTP/1.0 with a chunked body":     strings.Replace(head, "1.1", "1.0", 1) + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
		"both lengths":                     head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
		"both lengths, in the other order": head + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunked,
		"chunks":                           head + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
		"an absolute target":               strings.Replace(head, "POST ", "POST http://localhost", 1) + length + "\r\n" + hello,
		"a target elsewhere":               strings.Replace(head, "POST ", "POST http://evil.example", 1) + length + "\r\n" + hello,
		"no path":                          "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
		"a tunnel":                         "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a compressed body":                head + "Content-Encoding: gzip\r\n" + length + "\r\n" + hello,
		"a health check in chunks":         "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			answers := h.raw(t, sent+second)
			if len(answers) != 1 || answers[0].status != 400 {
				t.Fatalf("%d answers: %+v", len(answers), answers)
			}
			if !answers[0].closes {
				t.Error("the answer does not say that the connection closes")
			}
			if answers[0].code() != "ValidationException" || answers[0].message() == "" {
				t.Errorf("%s %s", answers[0].code(), answers[0].body)
			}
		})
	}
}

func TestRefusalsAreRecorded(t *testing.T) {
	h := start(t, fast)
	h.raw(t, request("POST", conversePath, "Content-Encoding: gzip\r\n", hello))
	h.raw(t, request("POST", "/model/"+strings.Repeat("a", 3000)+"/converse?X-Amz-Signature=1", "Connection: close\r\n", hello))
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	lines := h.log.lines(t, "invocation")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), h.log)
	}
	if lines[0]["code"] != "ValidationException" || lines[0]["status"] != 400.0 || lines[0]["operation"] != "Converse" || lines[0]["asked_model"] != haiku {
		t.Errorf("recorded %v", lines[0])
	}
	if asked, _ := lines[1]["asked_model"].(string); lines[1]["code"] != "IncompleteSignatureException" || len(asked) > 256 {
		t.Errorf("recorded %v", lines[1])
	}
}

func TestMetricsCountRefusalsUnderNoMadeUpModel(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	for i := range 5 {
		h.ask(t, client, "POST", fmt.Sprintf("/model/made.up-%d/converse", i), hello)
	}
	h.ask(t, client, "POST", conversePath, hello)
	metrics := h.ask(t, client, "GET", "/metrics", "").body
	if strings.Contains(metrics, "made.up") {
		t.Error("a caller made up a label")
	}
	for _, want := range []string{
		`outcrop_requests_total{model="unknown",operation="Converse",outcome="ValidationException"} 5`,
		`outcrop_requests_total{model="` + haiku + `",operation="Converse",outcome="ok"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestAFaultInTheDoorTellsTheRequestIDAlone(t *testing.T) {
	h := newServer(t, load(t, fast))
	h.Watch(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the secret of the house") }))
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.URL = h.Server.URL()
	h.run(t)
	for protocol, transport := range protocols() {
		client := newClient(t, transport)
		r := h.ask(t, client, "GET", "/healthz", "")
		id := r.header.Get("X-Amzn-Requestid")
		if r.status != 500 || r.code() != "InternalServerException" || !strings.Contains(r.message(), id) || strings.Contains(r.body, "secret") {
			t.Errorf("%s: %d %s", protocol, r.status, r.body)
		}
		if r := h.ask(t, client, "POST", conversePath, hello); r.status != 200 {
			t.Errorf("%s: after it: %d %s", protocol, r.status, r.body)
		}
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	faults := 0
	for _, line := range h.log.lines(t, "invocation") {
		cause, _ := line["cause"].(string)
		if line["level"] == "ERROR" && strings.Contains(cause, "the secret of the house") && strings.Contains(cause, "door_test.go") {
			faults++
		}
	}
	if faults != 2 {
		t.Errorf("%d faults in %s", faults, h.log)
	}
}

func TestTheSpilloverHeaderReachesEachOperation(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	count := `{"input":{"converse":` + hello + `}}`
	for path, body := range map[string]string{
		conversePath: hello, streamPath: hello, haikuPath + "/invoke": invokeBody, haikuPath + "/invoke-with-response-stream": invokeBody, haikuPath + "/count-tokens": count,
	} {
		for value, status := range map[string]int{"flex": 200, "none": 200, "sometimes": 400} {
			req, err := http.NewRequest("POST", h.URL+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer anything")
			req.Header.Set("X-Outcrop-Spillover", value)
			r := do(t, client, req)
			if r.status != status || status == 400 && (r.code() != "ValidationException" || !strings.Contains(r.message(), "X-Outcrop-Spillover")) {
				t.Errorf("%s %s: %d %.300s", path, value, r.status, r.body)
			}
		}
	}
}
