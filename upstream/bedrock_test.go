package upstream_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/eventstream"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/sigv4"
	"github.com/outcrop/outcrop/upstream"
)

// bedrockSpeakers are those whose engine is Bedrock.
func bedrockSpeakers() []speaker {
	var all []speaker
	for _, s := range speakers {
		if strings.HasPrefix(s.name, "bedrock") {
			all = append(all, s)
		}
	}
	return all
}

func TestRequestsToBedrockAreSigned(t *testing.T) {
	for _, s := range bedrockSpeakers() {
		for _, streaming := range []bool{true, false} {
			fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return s.answer(streaming, outcroptest.FramingChunked) })
			e, err := upstream.NewBedrock(upstream.BedrockConfig{
				Server: upstream.Server{URL: fake.URL + "/prefix"}, Region: "eu-west-1",
				AccessKey: "AKID", SecretKey: "secret", SessionToken: "token", Model: "us.anthropic.claude-v1:0",
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.Close)
			if _, err := e.Invoke(t.Context(), s.request("q", streaming), new(outcroptest.Grammar)); err != nil {
				t.Fatal(err)
			}
			if _, err := e.CountTokens(t.Context(), s.request("q", streaming)); err == nil {
				t.Error("an answer of Converse passed for one of CountTokens")
			}
			for _, call := range fake.Calls() {
				verify(t, call, strings.TrimPrefix(fake.URL, "http://"))
			}
			if target := fake.Calls()[0].Target; !strings.HasPrefix(target, "/prefix/model/us.anthropic.claude-v1%3A0/") {
				t.Errorf("the target is %s", target)
			}
		}
	}
}

func verify(t *testing.T, call outcroptest.Call, host string) {
	t.Helper()
	r := sigv4.Request{Method: call.Method, URI: call.Target, Host: host, Fields: sigv4.AppendFields(nil, call.Header)}
	got, err := sigv4.Parse(&r, sigv4.Rules{Region: "eu-west-1", Service: "bedrock", Skew: time.Hour}, time.Now())
	if err != nil {
		t.Fatalf("%v in %s %v", err, call.Target, call.Header)
	}
	if got.KeyID != "AKID" || got.Token != "token" || !got.Verify(sigv4.Derive("secret", got.Scope), sha256.Sum256(call.Body)) {
		t.Errorf("the signature of %s is wrong: %v", call.Target, call.Header)
	}
}

func TestABearerTokenStandsForASignature(t *testing.T) {
	s := bedrockSpeakers()[0]
	fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return s.answer(false, outcroptest.FramingLength) })
	e, err := upstream.NewBedrock(upstream.BedrockConfig{Server: upstream.Server{URL: fake.URL}, Region: "us-east-1", Bearer: "bedrock-key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	if _, err := e.Invoke(t.Context(), s.request("q", false), new(outcroptest.Grammar)); err != nil {
		t.Fatal(err)
	}
	call := fake.Calls()[0]
	if call.Header.Get("Authorization") != "Bearer bedrock-key" || call.Target != "/model/x.y/converse" {
		t.Errorf("call is %s %v", call.Target, call.Header)
	}
}

func TestWrongBedrockConfigurationIsRefused(t *testing.T) {
	for name, c := range map[string]upstream.BedrockConfig{
		"no region":     {},
		"odd region":    {Region: "evil.example/"},
		"half a key":    {Region: "us-east-1", AccessKey: "AKID"},
		"two kinds":     {Region: "us-east-1", AccessKey: "AKID", SecretKey: "s", Bearer: "b"},
		"malformed URL": {Region: "us-east-1", Server: upstream.Server{URL: "http://x?y"}},
	} {
		if _, err := upstream.NewBedrock(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if e, err := upstream.NewBedrock(upstream.BedrockConfig{Region: "us-east-1", AccessKey: "AKID", SecretKey: "s"}); err != nil || e.Name() != "bedrock-runtime.us-east-1.amazonaws.com" {
		t.Errorf("the default: %v", err)
	}
}

// Pain 2 of the rivals: native bodies were changed or lost on the way.
func TestNativeBodiesAndFramesPassByteForByte(t *testing.T) {
	native := func(d outcrop.Dialect, body string) *outcrop.Request {
		s := speakers[0]
		r := s.request("q", false)
		r.Conversation, r.Native = nil, &outcrop.Native{Dialect: d, ContentType: "application/json; x=y", Accept: "*/*", Body: []byte(body)}
		r.Tier, r.Latency = outcrop.TierFlex, outcrop.LatencyOptimized
		return r
	}
	const odd = `{ "inputText":"\u00e4", "unknown" : [1.0,1e3 ] }`
	for name, c := range map[string]struct {
		req    *outcrop.Request
		stream bool
		answer string
		target string
	}{
		"InvokeModel":    {native(outcrop.DialectTitan, odd), false, `{ "results" : [] }`, "/invoke"},
		"Converse":       {native(outcrop.DialectConverse, odd), false, strings.Replace(bedrockUnary, ",", " , ", 1), "/converse"},
		"ConverseStream": {native(outcrop.DialectConverse, odd), true, bedrockStream, "/converse-stream"},
		"InvokeStream":   {native(outcrop.DialectAnthropic, odd), true, invokeStream, "/invoke-with-response-stream"},
	} {
		t.Run(name, func(t *testing.T) {
			s := speaker{engine: newBedrock, stream: c.answer, unary: c.answer}
			e, fake := s.start(t, s.answer(c.stream, outcroptest.FramingChunked))
			c.req.Streaming = c.stream
			var got []byte
			if _, err := e.Invoke(t.Context(), c.req, sinkFunc(func(ev outcrop.Event) error {
				switch {
				case ev.Kind != outcrop.EventNative:
				case len(ev.More().Name) > 0:
					got = bedrock.AppendEvent(got, string(ev.More().Name), ev.Text)
				default:
					got = append(got, ev.Text...)
				}
				return nil
			})); err != nil {
				t.Fatal(err)
			}
			want := c.answer
			if name == "InvokeStream" {
				want = string(joined(t, c.answer))
			}
			if string(got) != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			call := fake.Calls()[0]
			if string(call.Body) != odd || !strings.HasSuffix(call.Target, c.target) {
				t.Errorf("%s became %s", call.Target, call.Body)
			}
			if strings.HasPrefix(c.target, "/invoke") && (call.Header.Get("X-Amzn-Bedrock-Service-Tier") != "flex" || call.Header.Get("Content-Type") != "application/json; x=y") {
				t.Errorf("header %v", call.Header)
			}
		})
	}
}

// joined returns the native chunks of a stream, one behind the other.
func joined(t *testing.T, stream string) (all []byte) {
	t.Helper()
	for b := []byte(stream); len(b) > 0; {
		m, n, err := eventstream.Decode(b)
		if err != nil || n == 0 {
			t.Fatal(err)
		}
		if all, err = bedrock.ChunkBytes(all, m.Payload); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	return all
}

func TestWhatBedrockServedIsInTheReceipt(t *testing.T) {
	for _, s := range bedrockSpeakers() {
		for _, streaming := range []bool{true, false} {
			reply := s.answer(streaming, outcroptest.FramingChunked)
			for k, v := range s.header {
				reply.Header[k] = v
			}
			e, _ := s.start(t, reply)
			r, err := e.Invoke(t.Context(), s.request("q", streaming), new(outcroptest.Grammar))
			if err != nil || r.Tier != outcrop.TierFlex || r.Usage != counted {
				t.Errorf("%s, streaming %v: receipt is %+v (%v)", s.name, streaming, r, err)
			}
		}
	}
}

func TestExceptionsOfBedrock(t *testing.T) {
	throttled := string(bedrock.AppendException(nil, &outcrop.Error{Code: outcrop.CodeThrottling, Message: "slow down"}, ""))
	for _, s := range bedrockSpeakers() {
		for name, c := range map[string]struct {
			stream string
			want   outcrop.Code
		}{
			"at once": {throttled, outcrop.CodeThrottling},
			"later":   {s.stream[:frameEnd(t, s.stream, 2)] + throttled, outcrop.CodeThrottling},
			"unknown": {string(eventstream.Seal(eventstream.Begin(nil, eventstream.ErrorHead("Strange", "x")), 0)), outcrop.CodeModelError},
			"bad CRC": {s.stream[:len(s.stream)-1] + "x", outcrop.CodeModelStream},
		} {
			s.stream = c.stream
			e, _ := s.start(t, s.answer(true, outcroptest.FramingChunked))
			if _, err := e.Invoke(t.Context(), s.request("q", true), new(outcroptest.Grammar)); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: got %v, want %s", s.name, name, err, c.want)
			}
			s = speakers[index(s.name)]
		}
		for name, c := range map[string]struct {
			reply outcroptest.Reply
			want  outcrop.Code
		}{
			"typed": {outcroptest.Reply{Status: 429, Body: []byte(`{"message":"m"}`), Header: http.Header{
				"X-Amzn-Errortype": {"ModelNotReadyException:http://x/"}, "X-Amz-Retry-After": {"1500"},
			}}, outcrop.CodeModelNotReady},
			"our key": {outcroptest.Reply{Status: 403, Body: []byte(`{"__type":"UnrecognizedClientException","message":"The security token is invalid."}`)}, outcrop.CodeUnavailable},
		} {
			e, _ := s.start(t, c.reply)
			_, err := e.Invoke(t.Context(), s.request("q", false), new(outcroptest.Grammar))
			var told *outcrop.Error
			if !errors.As(err, &told) || told.Code != c.want || c.want == outcrop.CodeModelNotReady && told.RetryAfter != 1500*time.Millisecond {
				t.Errorf("%s, %s: got %#v", s.name, name, err)
			}
		}
	}
}

func index(name string) int {
	for i := range speakers {
		if speakers[i].name == name {
			return i
		}
	}
	return -1
}

// frameEnd is where the n-th frame ends.
func frameEnd(t *testing.T, stream string, n int) (end int) {
	t.Helper()
	for range n {
		_, size, err := eventstream.Decode([]byte(stream[end:]))
		if err != nil || size == 0 {
			t.Fatal(err)
		}
		end += size
	}
	return end
}

// An engine that breaks the order of events is put right or refused, and what
// comes out always obeys it.
func TestDisorderOfACompatibleEngine(t *testing.T) {
	start, stop := []string{"messageStart", `{"role":"assistant"}`}, []string{"messageStop", `{"stopReason":"end_turn"}`, "metadata", `{"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}`}
	delta := func(i string) []string {
		return []string{"contentBlockDelta", `{"contentBlockIndex":` + i + `,"delta":{"text":"x"}}`}
	}
	closed := func(i string) []string { return []string{"contentBlockStop", `{"contentBlockIndex":` + i + `}`} }
	tool := []string{"contentBlockStart", `{"contentBlockIndex":7,"start":{"toolUse":{"toolUseId":"a","name":"n"}}}`}
	for name, c := range map[string]struct {
		events [][]string
		ok     bool
	}{
		"numbers with gaps":  {[][]string{start, delta("3"), closed("3"), tool, closed("7"), stop}, true},
		"blocks left open":   {[][]string{start, delta("0"), tool, stop}, true},
		"no start":           {[][]string{delta("0"), closed("0"), stop}, false},
		"two starts":         {[][]string{start, start, stop}, false},
		"a foreign block":    {[][]string{start, delta("0"), delta("1"), stop}, false},
		"content after stop": {[][]string{start, stop[:2], delta("0"), stop[2:]}, false},
		"nothing":            {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			var all []string
			for _, e := range c.events {
				all = append(all, e...)
			}
			s := speaker{engine: newBedrock, stream: frames(all...)}
			e, _ := s.start(t, s.answer(true, outcroptest.FramingChunked))
			var g outcroptest.Grammar
			_, err := e.Invoke(t.Context(), s.request("q", true), &g)
			if c.ok != (err == nil) || c.ok != (g.Ended() == nil) {
				t.Errorf("%v, %v", err, g.Ended())
			}
			if strings.Contains(fmt.Sprint(err), "event ") {
				t.Errorf("the grammar was broken: %v", err)
			}
		})
	}
}

func TestCountTokensOfBedrock(t *testing.T) {
	for name, want := range map[string]string{
		"bedrock":        `{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"q"}]}]}}}`,
		"bedrock native": `{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"q"}]}]}}}`,
		"bedrock invoke": `{"input":{"invokeModel":{"body":"eyJhbnRocm9waWNfdmVyc2lvbiI6ImJlZHJvY2stMjAyMy0wNS0zMSIsIm1heF90b2tlbnMiOjUsIm1lc3NhZ2VzIjpbeyJyb2xlIjoidXNlciIsImNvbnRlbnQiOiJxIn1dfQ=="}}}`,
	} {
		s := speakers[index(name)]
		e, fake := s.start(t, outcroptest.Reply{Body: []byte(`{"inputTokens":17}`)})
		n, err := e.CountTokens(t.Context(), s.request("q", false))
		call := fake.Calls()[0]
		if err != nil || n != 17 || string(call.Body) != want || !strings.HasSuffix(call.Target, "/count-tokens") {
			t.Errorf("%s: %d, %v; %s %s", name, n, err, call.Target, call.Body)
		}
	}
}
