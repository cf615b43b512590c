package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/upstream"
)

func TestEnginesKeepTheContractOfModel(t *testing.T) {
	framings := map[string]outcroptest.Framing{
		"length": outcroptest.FramingLength, "chunked": outcroptest.FramingChunked, "close": outcroptest.FramingClose,
	}
	eachSpeaker(t, func(t *testing.T, s *speaker) {
		for name, framing := range framings {
			t.Run(name, func(t *testing.T) {
				outcroptest.RunModel(t, func(t *testing.T) outcroptest.ModelFixture { return s.fixture(t, framing) })
			})
		}
	})
}

// fixture is an engine whose server does what the prompt says.
func (s *speaker) fixture(t *testing.T, framing outcroptest.Framing) outcroptest.ModelFixture {
	fake := outcroptest.NewEngine(t, func(c outcroptest.Call) outcroptest.Reply { return s.behave(c, framing) })
	failing := map[string]func() *outcrop.Request{}
	for _, prompt := range []string{"status-400", "status-401", "status-429", "status-500", "cut-0", "cut-30", "garbage", "empty"} {
		failing[prompt] = func() *outcrop.Request { return s.request(prompt, false) }
		failing[prompt+" streaming"] = func() *outcrop.Request { return s.request(prompt, true) }
	}
	failing["cut-300 streaming"] = func() *outcrop.Request { return s.request("cut-300", true) }
	return outcroptest.ModelFixture{
		Model:   s.engine(t, upstream.Server{URL: fake.URL}),
		Request: func(streaming bool) *outcrop.Request { return s.request("q", streaming) },
		Endless: func(streaming bool) *outcrop.Request { return s.request("endless", streaming) },
		Failing: failing,
		Busy:    fake.Busy,
	}
}

func (s *speaker) behave(c outcroptest.Call, framing outcroptest.Framing) outcroptest.Reply {
	says := func(w string) bool { return strings.Contains(string(c.Body), w) }
	whole := s.answer(isStream(c), framing)
	switch {
	case says("status-400"):
		return outcroptest.Reply{Status: 400, Body: []byte(`{"error":{"message":"too long"}}`), Framing: framing}
	case says("status-401"):
		return outcroptest.Reply{Status: 401, Body: []byte(`{"error":{"message":"bad key"}}`), Framing: framing}
	case says("status-429"):
		return outcroptest.Reply{Status: 429, Header: http.Header{"Retry-After": {"7"}}, Framing: framing}
	case says("status-500"):
		return outcroptest.Reply{Status: 500, Body: []byte(`<html>`), Framing: framing}
	case says("cut-300"):
		return whole.CutAt(len(whole.Body) - 300)
	case says("cut-30"):
		return whole.CutAt(30)
	case says("cut-0"):
		return whole.CutAt(0)
	case says("garbage"):
		whole.Body = []byte("data: \xff\x00{]\n\n")
		return whole
	case says("empty"):
		whole.Body = nil
		return whole
	case says("endless") && isStream(c):
		whole.Hold = true
		return whole.CutAt(s.half())
	case says("endless"):
		return outcroptest.Reply{Silent: true}
	}
	return whole
}

func TestAnswersArriveWithTheirReceipt(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, s *speaker) {
		for _, streaming := range []bool{true, false} {
			e, _ := s.start(t, s.answer(streaming, outcroptest.FramingChunked))
			var a outcrop.Answer
			var g outcroptest.Grammar
			r, err := e.Invoke(t.Context(), s.request("q", streaming), both{&a, &g})
			if err != nil {
				t.Fatal(err)
			}
			if s.native == nil && (len(a.Content) != 1 || a.Content[0].Text.String() != s.text) {
				t.Errorf("content is %+v", a.Content)
			}
			if r.Usage != s.usage || r.Estimated || r.Engine != "fake" || r.Stop != outcrop.StopEndTurn || r.Attempts != 1 {
				t.Errorf("receipt is %+v", r)
			}
			if s.native != nil && !streaming && string(g.Text()) != s.unary {
				t.Errorf("the native body became %s", g.Text())
			}
		}
	})
}

type both [2]outcrop.Sink

func (b both) Send(e outcrop.Event) error { return errors.Join(b[0].Send(e), b[1].Send(e)) }

func TestConnectionsAreUsedAgain(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, s *speaker) {
		for _, streaming := range []bool{true, false} {
			for _, framing := range []outcroptest.Framing{outcroptest.FramingChunked, outcroptest.FramingLength} {
				e, fake := s.start(t, s.answer(streaming, framing))
				for range 5 {
					if _, err := e.Invoke(t.Context(), s.request("q", streaming), new(outcroptest.Grammar)); err != nil {
						t.Fatal(err)
					}
				}
				if n := fake.Conns(); n != 1 {
					t.Errorf("streaming %v: %d connections for 5 invocations one after the other", streaming, n)
				}
			}
		}
	})
}

func TestEventsOfOneReadShareAFlush(t *testing.T) {
	s := &speakers[0]
	e, _ := s.start(t, s.answer(true, outcroptest.FramingLength))
	var kinds []outcrop.EventKind
	if _, err := e.Invoke(t.Context(), s.request("q", true), sinkFunc(func(ev outcrop.Event) error {
		kinds = append(kinds, ev.Kind)
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	flushes := 0
	for _, k := range kinds {
		if k == outcrop.EventFlush {
			flushes++
		}
	}
	if flushes > 1 || len(kinds) < 5 { // at most the first read ends before the answer does; the end takes along the rest
		t.Errorf("events are %v", kinds)
	}
}

func TestEachReadIsPassedOnAtOnce(t *testing.T) {
	s := &speakers[0]
	reply := s.answer(true, outcroptest.FramingChunked)
	reply.Hold = true
	e, _ := s.start(t, reply.CutAt(strings.Index(openaiStream, `" you"`)))
	ended := errors.New("seen")
	hello := false
	_, err := e.Invoke(t.Context(), s.request("q", true), sinkFunc(func(ev outcrop.Event) error {
		hello = hello || string(ev.Text) == "Hello"
		if hello && ev.Kind == outcrop.EventFlush {
			return ended
		}
		return nil
	}))
	if !errors.Is(err, ended) {
		t.Errorf("got %v", err)
	}
}

type sinkFunc func(outcrop.Event) error

func (f sinkFunc) Send(e outcrop.Event) error { return f(e) }

// Dialect differences seen in the field, and in both framings.
func TestDialectQuirksOfOpenAIServers(t *testing.T) {
	lines := func(all ...string) string { return "data: " + strings.Join(all, "\n\ndata: ") + "\n\n" }
	for name, c := range map[string]struct {
		stream    string
		estimated bool
		needsEnd  bool // no end marker: the framing has to tell
	}{
		"Ollama": {stream: lines(
			`{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"},"finish_reason":null}]}`,
			`{"choices":[{"index":0,"delta":{"role":"assistant","content":" you"},"finish_reason":null}]}`,
			`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}`,
			`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`, `[DONE]`)},
		"transformers serve": {needsEnd: true, stream: lines(
			`{"choices":[{"index":0,"delta":{"role":"assistant"}}]}`,
			`{"choices":[{"index":0,"delta":{"content":"Hello you"}}]}`,
			`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`)},
		"vLLM without usage": {estimated: true, stream: lines(
			`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`,
			`{"choices":[{"index":0,"delta":{"content":"Hello you"},"logprobs":null,"finish_reason":null}]}`,
			`{"choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null}]}`, `[DONE]`)},
		"comments, CRLF and no blank line at the end": {stream: ": hi\r\n\r\n" + strings.TrimRight(strings.ReplaceAll(openaiStream, "\n", "\r\n"), "\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			s := speaker{engine: newOpenAI, stream: c.stream}
			for _, framing := range []outcroptest.Framing{outcroptest.FramingChunked, outcroptest.FramingLength, outcroptest.FramingClose} {
				e, _ := s.start(t, s.answer(true, framing))
				var a outcrop.Answer
				r, err := e.Invoke(t.Context(), s.request("q", true), &a)
				if c.needsEnd && framing == outcroptest.FramingClose {
					if !errors.Is(err, outcrop.CodeModelStream) {
						t.Errorf("no end marker and no framing: %v", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if len(a.Content) != 1 || a.Content[0].Text.String() != "Hello you" || r.Estimated != c.estimated || r.Usage.Input == 0 || r.Usage.Output != 2 {
					t.Errorf("answer %+v, receipt %+v", a, r)
				}
			}
		})
	}
}

func TestAnEngineThatDoesNotStreamIsReadWhole(t *testing.T) {
	for _, s := range speakers[:2] {
		e, _ := s.start(t, s.answer(false, outcroptest.FramingLength))
		var g outcroptest.Grammar
		if _, err := e.Invoke(t.Context(), s.request("q", true), &g); err != nil || g.Ended() != nil || string(g.Text()) != s.text {
			t.Errorf("%s: %v, %v, %q", s.name, err, g.Ended(), g.Text())
		}
	}
}

func TestWhatTheEngineIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		start  func(t testing.TB, s upstream.Server) engine
		target string
		header http.Header
	}{
		"openai":             {"", newOpenAI, "/v1/chat/completions", http.Header{"Authorization": {"Bearer sk-1"}}},
		"openai with a path": {"/api/openai/", newOpenAI, "/api/openai/chat/completions", nil},
		"anthropic":          {"", newAnthropic, "/v1/messages", http.Header{"X-Api-Key": {"sk-1"}, "Anthropic-Version": {"2023-06-01"}}},
		"anthropic, path":    {"/anthropic", newAnthropic, "/anthropic/v1/messages", nil},
		"anthropic, v1":      {"/v1", newAnthropic, "/v1/messages", nil},
	} {
		t.Run(name, func(t *testing.T) {
			fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return outcroptest.Reply{Status: 500} })
			e := c.start(t, upstream.Server{URL: fake.URL + c.path, Headers: map[string]upstream.Secret{"X-Team": "a"}})
			_, _ = e.Invoke(t.Context(), speakers[0].request("q", true), new(outcroptest.Grammar))
			calls := fake.Calls()
			if len(calls) != 1 || calls[0].Method != "POST" || calls[0].Target != c.target {
				t.Fatalf("calls are %+v", calls)
			}
			want := http.Header{"Content-Type": {"application/json"}, "X-Team": {"a"}}
			for k, v := range c.header {
				want[k] = v
			}
			for k := range want {
				if calls[0].Header.Get(k) != want.Get(k) {
					t.Errorf("%s is %q, want %q", k, calls[0].Header.Get(k), want.Get(k))
				}
			}
		})
	}
}

func TestClaudeBetasBecomeAHeader(t *testing.T) {
	s := speaker{engine: newAnthropic, unary: anthropicUnary, native: &outcrop.Native{
		Dialect: outcrop.DialectAnthropic, Body: []byte(`{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a-1","b-2"],"messages":[]}`),
	}}
	e, fake := s.start(t, s.answer(false, outcroptest.FramingLength))
	if _, err := e.Invoke(t.Context(), s.request("q", false), new(outcroptest.Grammar)); err != nil {
		t.Fatal(err)
	}
	call := fake.Calls()[0]
	if call.Header.Get("anthropic-beta") != "a-1,b-2" || string(call.Body) != `{"model":"m","max_tokens":100,"messages":[]}` {
		t.Errorf("call is %s %s", call.Header, call.Body)
	}
}

// Invocations that are cancelled at any moment leave the others alone: no
// buffer and no connection is shared between two of them.
func TestCancelledNeighboursDoNotDisturb(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, s *speaker) {
		fake := outcroptest.NewEngine(t, func(c outcroptest.Call) outcroptest.Reply {
			r := s.answer(isStream(c), outcroptest.FramingChunked)
			r.Piece = 150
			return r
		})
		e := s.engine(t, upstream.Server{URL: fake.URL})
		var want outcroptest.Grammar
		if _, err := e.Invoke(t.Context(), s.request("q", true), &want); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for worker := range 6 {
			all.Go(func() {
				for i := range 25 {
					ctx, cancel := context.WithCancel(t.Context())
					n := 0
					var g outcroptest.Grammar
					_, err := e.Invoke(ctx, s.request("q", true), sinkFunc(func(ev outcrop.Event) error {
						if n++; worker%2 == 0 && n == i%9+1 {
							cancel()
						}
						return g.Send(ev)
					}))
					cancel()
					if worker%2 == 1 && (err != nil || !bytes.Equal(g.Text(), want.Text())) {
						t.Errorf("%v, %q", err, g.Text())
					}
					if err != nil && !errors.Is(err, context.Canceled) {
						t.Errorf("%v", err)
					}
				}
			})
		}
		all.Wait()
	})
}
