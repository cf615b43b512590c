package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/upstream"
)

func TestSecretsAreNeverShown(t *testing.T) {
	c := upstream.OpenAIConfig{Key: "sk-canary", Server: upstream.Server{Headers: map[string]upstream.Secret{"x": "sk-canary"}}}
	js, err := json.Marshal(map[string]any{"k": c.Key, "h": c.Headers})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%s %q", c.Key, c.Key), string(js)} {
		if strings.Contains(shown, "canary") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestWrongConfigurationIsRefused(t *testing.T) {
	for name, s := range map[string]upstream.Server{
		"no URL":         {},
		"other scheme":   {URL: "ftp://x"},
		"no host":        {URL: "http://"},
		"user":           {URL: "http://u:p@x"},
		"query":          {URL: "http://x/?a=b"},
		"host header":    {URL: "http://x", Headers: map[string]upstream.Secret{"Host": "y"}},
		"length header":  {URL: "http://x", Headers: map[string]upstream.Secret{"content-length": "1"}},
		"header newline": {URL: "http://x", Headers: map[string]upstream.Secret{"a": "b\r\nc: d"}},
		"header name":    {URL: "http://x", Headers: map[string]upstream.Secret{"a b": "c"}},
	} {
		if _, err := upstream.NewOpenAI(upstream.OpenAIConfig{Server: s}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := upstream.NewOpenAI(upstream.OpenAIConfig{Server: upstream.Server{URL: "http://x"}, Key: "a\nb"}); err == nil || strings.Contains(err.Error(), "a\nb") {
		t.Errorf("a key with a line end: %v", err)
	}
}

func TestNamesDoNotLeadToTheMachineOrItsMetadata(t *testing.T) {
	for _, c := range []struct {
		address string
		local   bool
		ok      bool
	}{
		{"93.184.216.34:443", false, true},
		{"10.1.2.3:8000", false, true},
		{"127.0.0.1:8000", true, true},
		{"[::1]:8000", true, true},
		{"127.0.0.1:8000", false, false},
		{"[::ffff:127.0.0.1]:80", false, false},
		{"169.254.169.254:80", true, false},
		{"[::ffff:169.254.169.254]:80", true, false},
		{"[fe80::1%eth0]:80", true, false},
		{"[fd00:ec2::254]:80", true, false},
		{"0.0.0.0:80", true, false},
		{"[::]:80", true, false},
		{"224.0.0.1:80", true, false},
		{"nonsense", true, false},
	} {
		if err := upstream.CheckAddress(c.address, c.local); (err == nil) != c.ok {
			t.Errorf("%s (local name: %v): %v", c.address, c.local, err)
		}
	}
	for name, local := range map[string]bool{
		"localhost": true, "ollama": true, "vllm.local": true, "host.docker.internal": true, "x.localhost.": true,
		"api.example.com": false, "localhost.example.com": false, "127.0.0.1.nip.io": false,
	} {
		if upstream.IsLocalName(name) != local {
			t.Errorf("%s: local is %v", name, !local)
		}
	}
}

func TestCountTokensAsksTheEngine(t *testing.T) {
	for name, c := range map[string]struct {
		s      speaker
		answer string
		target string
		want   int
	}{
		"vLLM":      {speakers[0], `{"count":21,"max_model_len":4096,"tokens":[1,2]}`, "/tokenize", 21},
		"llama.cpp": {speakers[0], `{"tokens":[5,[1,"{"],{"id":7,"piece":"]"}]}`, "/tokenize", 3},
		"anthropic": {speakers[1], `{"input_tokens":14}`, "/v1/messages/count_tokens", 14},
		"native":    {speakers[3], `{"input_tokens":14}`, "/v1/messages/count_tokens", 14},
	} {
		t.Run(name, func(t *testing.T) {
			e, fake := c.s.start(t, outcroptest.Reply{Body: []byte(c.answer)})
			n, err := e.CountTokens(t.Context(), c.s.request("how many", false))
			call := fake.Calls()[0]
			if err != nil || n != c.want || call.Target != c.target || !json.Valid(call.Body) || !strings.Contains(string(call.Body), "how many") {
				t.Errorf("got %d, %v; call %s %s", n, err, call.Target, call.Body)
			}
		})
	}
}

func TestCountTokensFails(t *testing.T) {
	for _, s := range speakers[:2] {
		for body, want := range map[string]outcrop.Code{`{}`: outcrop.CodeModelError, `[`: outcrop.CodeModelError, "429": outcrop.CodeThrottling} {
			reply := outcroptest.Reply{Body: []byte(body)}
			if body == "429" {
				reply = outcroptest.Reply{Status: 429}
			}
			e, _ := s.start(t, reply)
			if _, err := e.CountTokens(t.Context(), s.request("q", false)); !errors.Is(err, want) {
				t.Errorf("%s: %s: got %v, want %s", s.name, body, err, want)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply {
			cancel(gone)
			return outcroptest.Reply{Silent: true}
		})
		e := s.engine(t, upstream.Server{URL: fake.URL})
		if _, err := e.CountTokens(ctx, s.request("q", false)); !errors.Is(err, gone) {
			t.Errorf("%s: got %v", s.name, err)
		}
		fake.Close()
		if _, err := e.CountTokens(t.Context(), s.request("q", false)); !errors.Is(err, outcrop.CodeUnavailable) {
			t.Errorf("%s: got %v", s.name, err)
		}
	}
}

func TestCountTokensWithoutTokenizerEstimates(t *testing.T) {
	e, err := upstream.NewOpenAI(upstream.OpenAIConfig{Server: upstream.Server{URL: "http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	few, err := e.CountTokens(t.Context(), speakers[0].request("a", false))
	if err != nil || few == 0 {
		t.Fatal(few, err)
	}
	many, err := e.CountTokens(t.Context(), speakers[0].request(strings.Repeat("many words ", 100), false))
	if err != nil || many < few+150 {
		t.Errorf("%d and %d tokens, %v", few, many, err)
	}
}

func TestCheck(t *testing.T) {
	type checker interface{ Check(context.Context) error }
	for status, ok := range map[int]bool{200: true, 404: true, 401: false, 403: false, 302: false, 500: false} {
		for _, s := range speakers[:2] {
			e, fake := s.start(t, outcroptest.Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"}}})
			if err := e.(checker).Check(t.Context()); (err == nil) != ok {
				t.Errorf("%s: status %d: %v", s.name, status, err)
			}
			if c := fake.Calls()[0]; c.Method != "GET" || c.Target != "/v1/models" {
				t.Errorf("%s %s", c.Method, c.Target)
			}
			fake.Close()
			if err := e.(checker).Check(t.Context()); err == nil {
				t.Errorf("%s: no error though the engine is gone", s.name)
			}
		}
	}
}
