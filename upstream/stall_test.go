package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/upstream"
)

// murmuring is an engine that sends first, and then more every few seconds
// for an hour.
func murmuring(first, more string, every time.Duration) upstream.Dial {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			_, err := io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"+first)
			for began := time.Now(); err == nil && time.Since(began) < time.Hour; {
				time.Sleep(every)
				_, err = io.WriteString(theirs, more)
			}
		}()
		return ours, nil
	}
}

// opening is the speaker's stream up to an event in its middle.
func opening(s *speaker) string {
	return s.stream[:s.half()+strings.Index(s.stream[s.half():], "\n\n")+2]
}

func TestCommentsKeepNoStreamOpen(t *testing.T) {
	const role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
	limits := upstream.Timeouts{FirstToken: 50 * time.Second, Idle: 30 * time.Second}
	openai, anthropic := speakers[0], speakers[1]
	for name, c := range map[string]struct {
		s           speaker
		first, more string
		want        outcrop.Code
		within      time.Duration
	}{
		"openai, after a token":       {openai, opening(&openai), ": still here\n\n", outcrop.CodeModelStream, 60 * time.Second},
		"anthropic, after a token":    {anthropic, opening(&anthropic), ":\n", outcrop.CodeModelStream, 60 * time.Second},
		"openai native":               {speakers[2], opening(&openai), ": still here\n\n", outcrop.CodeModelStream, 60 * time.Second},
		"an event without an end":     {openai, opening(&openai), "data: x\n", outcrop.CodeModelStream, 60 * time.Second},
		"openai, before a token":      {openai, "", ": still here\n\n", outcrop.CodeModelTimeout, 50 * time.Second},
		"anthropic, before a token":   {anthropic, "", ":\n", outcrop.CodeModelTimeout, 50 * time.Second},
		"chunks before a token":       {openai, role, role, outcrop.CodeModelStream, 50 * time.Second},
		"silence, to compare it with": {openai, opening(&openai), "", outcrop.CodeModelStream, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := upstream.Server{URL: "http://engine.test", Timeouts: limits, Dial: murmuring(c.first, c.more, 7*time.Second)}
				if c.more == "" {
					server.Dial = murmuring(c.first, c.more, time.Hour)
				}
				began := time.Now()
				_, err := c.s.engine(t, server).Invoke(t.Context(), c.s.request("q", true), new(outcroptest.Grammar))
				if took := time.Since(began); !errors.Is(err, c.want) || took > c.within+time.Second {
					t.Errorf("got %v after %v, want %s within %v", err, took, c.want, c.within)
				}
				time.Sleep(2 * time.Hour) // until the engine has gone
			})
		})
	}
}

// What an engine says now and then for a long time is an answer.
func TestASlowAnswerIsNoStall(t *testing.T) {
	const chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n: between\n\n"
	synctest.Test(t, func(t *testing.T) {
		e := newOpenAI(t, upstream.Server{URL: "http://engine.test", Timeouts: upstream.Timeouts{Idle: 30 * time.Second}, Dial: murmuring("", chunk, 25*time.Second)})
		began := time.Now()
		_, err := e.Invoke(t.Context(), speakers[0].request("q", true), new(outcroptest.Grammar))
		if took := time.Since(began); took < time.Hour {
			t.Errorf("%v after %v", err, took)
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestAnEngineThatQuotesSecretsTellsNone has engines quote all that they were
// sent. Message and Original go to the caller.
func TestAnEngineThatQuotesSecretsTellsNone(t *testing.T) {
	const quote = `you sent canary-key, Bearer canary-token, canary-header, canary-secret and canary-session`
	long := strings.Repeat("x", 1024-len("you sent can")) + quote // to be cut within a secret
	for _, words := range []string{quote, long, `canary\u002dkey`} {
		for _, status := range []int{400, 404, 422, 429, 500, 503} {
			reply := outcroptest.Reply{Status: status, Body: []byte(`{"error":{"message":"` + words + `"},"message":"` + words + `","__type":"ValidationException"}`)}
			fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return reply })
			for name, e := range guardians(t, fake.URL) {
				for _, streaming := range []bool{true, false} {
					req := speakers[0].request("q", streaming)
					_, err := e.Invoke(t.Context(), req, new(outcroptest.Grammar))
					checkSecrets(t, name, err)
					_, err = e.CountTokens(t.Context(), req)
					checkSecrets(t, name, err)
				}
			}
		}
	}
	broken := outcroptest.Reply{Header: map[string][]string{"Content-Type": {"text/event-stream"}}, Body: []byte("data: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"" + quote + "\"}}\n\n")}
	fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return broken })
	for name, e := range guardians(t, fake.URL) {
		_, err := e.Invoke(t.Context(), speakers[0].request("q", true), new(outcroptest.Grammar))
		checkSecrets(t, name, err)
	}
}

func guardians(t *testing.T, url string) map[string]engine {
	s := upstream.Server{URL: url, Headers: map[string]upstream.Secret{"X-Team": "canary-header", "X-Auth": "Bearer canary-token"}}
	openai, err := upstream.NewOpenAI(upstream.OpenAIConfig{Server: s, Model: "m", Key: "canary-key", Tokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	anthropic, err := upstream.NewAnthropic(upstream.AnthropicConfig{Server: s, Model: "m", Key: "canary-key"})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := upstream.NewBedrock(upstream.BedrockConfig{Server: s, Region: "us-east-1", AccessKey: "AKID", SecretKey: "canary-secret", SessionToken: "canary-session"})
	if err != nil {
		t.Fatal(err)
	}
	bearer, err := upstream.NewBedrock(upstream.BedrockConfig{Server: s, Region: "us-east-1", Bearer: "canary-key"})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]engine{"openai": openai, "anthropic": anthropic, "bedrock signed": signed, "bedrock bearer": bearer}
	for _, e := range all {
		t.Cleanup(e.Close)
	}
	return all
}

// checkSecrets checks that err tells none. An engine is told no secrets of
// others, so that what it says of those may stand.
func checkSecrets(t *testing.T, name string, err error) {
	t.Helper()
	own := map[string][]string{
		"openai": {"canary-key"}, "anthropic": {"canary-key"}, "bedrock signed": {"canary-secret", "canary-session"}, "bedrock bearer": {"canary-key"},
	}[name]
	var told *outcrop.Error
	if !errors.As(err, &told) {
		t.Errorf("%s: %v", name, err)
		return
	}
	for _, secret := range append(own, "canary-header", "canary-token") {
		if all := told.Original + err.Error(); strings.Contains(all, secret) {
			t.Errorf("%s tells %s: %.200s", name, secret, all)
		}
	}
}
