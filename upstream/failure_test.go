package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/upstream"
)

// A stream that was cut anywhere, in any framing, never reads as a clean end.
func TestACutAnywhereIsNeverACleanEnd(t *testing.T) {
	framings := map[string]outcroptest.Framing{
		"length": outcroptest.FramingLength, "chunked": outcroptest.FramingChunked, "close": outcroptest.FramingClose,
	}
	eachSpeaker(t, func(t *testing.T, s *speaker) {
		for name, framing := range framings {
			t.Run(name, func(t *testing.T) {
				whole := s.answer(true, framing)
				var reply atomic.Pointer[outcroptest.Reply]
				fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return *reply.Load() })
				e := s.engine(t, upstream.Server{URL: fake.URL})
				// Behind the end marker nothing is missing any more.
				for n := range len(strings.TrimRight(s.stream, "\r\n")) {
					cut := whole.CutAt(n)
					reply.Store(&cut)
					var g outcroptest.Grammar
					_, err := e.Invoke(t.Context(), s.request("q", true), &g)
					checkCut(t, n, &g, err)
				}
			})
		}
	})
}

func checkCut(t *testing.T, n int, g *outcroptest.Grammar, err error) {
	t.Helper()
	want := outcrop.CodeModelStream
	if g.Events() == 0 {
		want = outcrop.CodeModelError
	}
	switch {
	case err == nil:
		t.Errorf("cut after %d bytes: a clean end", n)
	case g.Ended() == nil:
		t.Errorf("cut after %d bytes: the events end cleanly", n)
	case !errors.Is(err, want):
		t.Errorf("cut after %d bytes and %d events: %v, want %s", n, g.Events(), err, want)
	}
}

func TestACutUnaryAnswerSendsNothing(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, s *speaker) {
		for _, framing := range []outcroptest.Framing{outcroptest.FramingLength, outcroptest.FramingChunked, outcroptest.FramingClose} {
			whole := s.answer(false, framing)
			var reply atomic.Pointer[outcroptest.Reply]
			fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return *reply.Load() })
			e := s.engine(t, upstream.Server{URL: fake.URL})
			for n := range len(s.unary) {
				cut := whole.CutAt(n)
				reply.Store(&cut)
				var g outcroptest.Grammar
				_, err := e.Invoke(t.Context(), s.request("q", false), &g)
				if !errors.Is(err, outcrop.CodeModelError) || g.Events() > 0 {
					t.Errorf("cut after %d bytes: %v after %d events", n, err, g.Events())
				}
			}
		}
	})
}

// failing fails the k-th read or write of a connection.
type failing struct {
	net.Conn
	left *int
}

var errFault = errors.New("injected")

func (c failing) tick() error {
	if *c.left--; *c.left == 0 {
		c.Conn.Close()
		return errFault
	}
	return nil
}

func (c failing) Read(p []byte) (int, error) {
	if err := c.tick(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c failing) Write(p []byte) (int, error) {
	if err := c.tick(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Every read, write and dial of an invocation fails once.
func TestTheKthCallFails(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, s *speaker) {
		for _, streaming := range []bool{true, false} {
			reply := s.answer(streaming, outcroptest.FramingChunked)
			reply.Piece = 90
			fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return reply })
			for k := 1; ; k++ {
				left := k
				e := s.engine(t, upstream.Server{URL: fake.URL, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					if left--; left == 0 {
						return nil, errFault
					}
					var d net.Dialer
					c, err := d.DialContext(ctx, network, addr)
					return failing{c, &left}, err
				}})
				var g outcroptest.Grammar
				_, err := e.Invoke(t.Context(), s.request("q", streaming), &g)
				if left > 0 || err == nil {
					if err != nil || g.Ended() != nil {
						t.Errorf("call %d did not happen: %v, %v", k, err, g.Ended())
					}
					break
				}
				var told *outcrop.Error
				if !errors.As(err, &told) || g.Ended() == nil {
					t.Errorf("call %d failed: %v, %v", k, err, g.Ended())
				}
			}
		}
	})
}

func TestErrorsOfTheEngine(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for name, c := range map[string]struct {
		reply outcroptest.Reply
		code  outcrop.Code
		says  string
		after time.Duration
	}{
		"400":            {outcroptest.Reply{Status: 400, Body: []byte(`{"error":{"message":"max_tokens is too large"}}`)}, outcrop.CodeValidation, "The model returned the following errors: max_tokens is too large", 0},
		"400 no words":   {outcroptest.Reply{Status: 400}, outcrop.CodeValidation, "status 400", 0},
		"400 long words": {outcroptest.Reply{Status: 400, Body: []byte(`{"error":{"message":"` + long + `"}}`)}, outcrop.CodeValidation, "xxx", 0},
		"401":            {outcroptest.Reply{Status: 401, Body: []byte(`{"error":{"message":"bad key sk-1"}}`)}, outcrop.CodeUnavailable, "currently unavailable", 0},
		"403":            {outcroptest.Reply{Status: 403}, outcrop.CodeUnavailable, "", 0},
		"404":            {outcroptest.Reply{Status: 404, Body: []byte(`{"error":{"message":"no such model"}}`)}, outcrop.CodeValidation, "no such model", 0},
		"408":            {outcroptest.Reply{Status: 408}, outcrop.CodeModelTimeout, "", 0},
		"413":            {outcroptest.Reply{Status: 413}, outcrop.CodeValidation, "", 0},
		"429 seconds":    {outcroptest.Reply{Status: 429, Header: http.Header{"Retry-After": {"7"}}}, outcrop.CodeThrottling, "Too many requests, please wait before trying again.", 7 * time.Second},
		"429 millis":     {outcroptest.Reply{Status: 429, Header: http.Header{"Retry-After": {"1"}, "Retry-After-Ms": {"250"}}}, outcrop.CodeThrottling, "", 250 * time.Millisecond},
		"429 past":       {outcroptest.Reply{Status: 429, Header: http.Header{"Retry-After": {"Wed, 21 Oct 2015 07:28:00 GMT"}}}, outcrop.CodeThrottling, "", 0},
		"429 nonsense":   {outcroptest.Reply{Status: 429, Header: http.Header{"Retry-After": {"-1e300"}}}, outcrop.CodeThrottling, "", 0},
		"500":            {outcroptest.Reply{Status: 500, Body: []byte(`{"error":{"message":"stack trace"}}`)}, outcrop.CodeModelError, "could not process", 0},
		"503":            {outcroptest.Reply{Status: 503, Header: http.Header{"Retry-After": {"3"}}}, outcrop.CodeModelError, "", 3 * time.Second},
		"529":            {outcroptest.Reply{Status: 529}, outcrop.CodeModelError, "", 0},
		"302":            {outcroptest.Reply{Status: 302, Header: http.Header{"Location": {"http://127.0.0.1:1/"}}}, outcrop.CodeUnavailable, "", 0},
		"204":            {outcroptest.Reply{Status: 204}, outcrop.CodeUnavailable, "", 0},
		"not HTTP":       {outcroptest.Reply{Raw: []byte("SSH-2.0-OpenSSH_9\r\n")}, outcrop.CodeModelError, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachSpeaker(t, func(t *testing.T, s *speaker) {
				e, _ := s.start(t, c.reply)
				for _, streaming := range []bool{true, false} {
					r, err := e.Invoke(t.Context(), s.request("q", streaming), new(outcroptest.Grammar))
					var told *outcrop.Error
					if !errors.As(err, &told) || told.Code != c.code || !strings.Contains(told.Message, c.says) || told.RetryAfter != c.after {
						t.Fatalf("got %#v (%v), want %s %q after %v", told, err, c.code, c.says, c.after)
					}
					if len(told.Message) > 2000 || strings.Contains(told.Message, "sk-1") {
						t.Errorf("the message is %q", told.Message)
					}
					if c.reply.Status > 0 && told.Status != c.reply.Status {
						t.Errorf("the status is %d", told.Status)
					}
					if r.Engine != "" || r.Usage != (outcrop.Usage{}) || r.Attempts != 1 {
						t.Errorf("receipt is %+v", r)
					}
				}
			})
		})
	}
}

// TestWhatAnEngineQuotesStaysOutOfTheLog has an engine that refuses the
// operator's key quote the key and the prompt. All of err is for the log.
func TestWhatAnEngineQuotesStaysOutOfTheLog(t *testing.T) {
	for _, status := range []int{401, 403, 302, 429, 500, 503} {
		eachSpeaker(t, func(t *testing.T, s *speaker) {
			e, _ := s.start(t, outcroptest.Reply{Status: status, Body: []byte(`{"error":{"message":"bad key sk-canary for canary prompt"}}`)})
			_, err := e.Invoke(t.Context(), s.request("canary prompt", true), new(outcroptest.Grammar))
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("status %d: %v", status, err)
			}
		})
	}
}

func TestRefusedAndUnreachableEnginesAreUnavailable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	blackhole := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	for name, server := range map[string]upstream.Server{
		"refused":         {URL: "http://" + ln.Addr().String()},
		"no such name":    {URL: "http://outcrop-test.invalid", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no such host") }},
		"connect timeout": {URL: "http://10.0.0.1", Dial: blackhole, Timeouts: upstream.Timeouts{Connect: 20 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newOpenAI(t, server).Invoke(t.Context(), speakers[0].request("q", true), new(outcroptest.Grammar))
			var told *outcrop.Error
			if !errors.As(err, &told) || told.Code != outcrop.CodeUnavailable || told.Cause == nil || strings.Contains(told.Message, "127.0.0.1") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, s *speaker) {
		for name, c := range map[string]struct {
			reply     outcroptest.Reply
			streaming bool
			want      outcrop.Code
		}{
			"no answer":          {outcroptest.Reply{Silent: true}, true, outcrop.CodeModelTimeout},
			"no unary answer":    {outcroptest.Reply{Silent: true}, false, outcrop.CodeModelTimeout},
			"head alone":         {hold(s.answer(true, outcroptest.FramingChunked)).CutAt(0), true, outcrop.CodeModelTimeout},
			"half an answer":     {hold(s.answer(false, outcroptest.FramingLength)).CutAt(20), false, outcrop.CodeModelTimeout},
			"half a stream":      {hold(s.answer(true, outcroptest.FramingChunked)).CutAt(len(s.stream) * 2 / 3), true, outcrop.CodeModelStream},
			"all but the marker": {hold(s.answer(true, outcroptest.FramingClose)).CutAt(len(s.stream) - 5), true, outcrop.CodeModelStream},
		} {
			t.Run(name, func(t *testing.T) {
				fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return c.reply })
				limits := upstream.Timeouts{FirstToken: short, Answer: short}
				if c.want == outcrop.CodeModelStream || name == "half an answer" {
					limits = upstream.Timeouts{Idle: short}
				}
				e := s.engine(t, upstream.Server{URL: fake.URL, Timeouts: limits})
				_, err := e.Invoke(t.Context(), s.request("q", c.streaming), new(outcroptest.Grammar))
				if !errors.Is(err, c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
			})
		}
	})
}

func hold(r outcroptest.Reply) outcroptest.Reply {
	r.Hold = true
	return r
}

// A pause after the first token is measured against the idle time alone.
func TestTheFirstTokenTimeEndsWithTheFirstToken(t *testing.T) {
	s := &speakers[0]
	reply := s.answer(true, outcroptest.FramingChunked)
	reply.Piece, reply.Pause = 100, 60*time.Millisecond
	fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return reply })
	e := s.engine(t, upstream.Server{URL: fake.URL, Timeouts: upstream.Timeouts{FirstToken: 300 * time.Millisecond, Idle: 20 * time.Second}})
	var first time.Duration
	began := time.Now()
	r, err := e.Invoke(t.Context(), s.request("q", true), sinkFunc(func(ev outcrop.Event) error {
		if ev.Kind == outcrop.EventDelta && first == 0 {
			first = time.Since(began)
		}
		return nil
	}))
	if first == 0 && err != nil {
		t.Skip("the machine was too busy for the first token")
	}
	if err != nil || r.FirstToken <= 0 || r.FirstToken > first {
		t.Errorf("%v, first token after %v, seen after %v", err, r.FirstToken, first)
	}
}

func TestTokensOfABrokenAnswerAreCounted(t *testing.T) {
	eachSpeaker(t, func(t *testing.T, s *speaker) {
		e, _ := s.start(t, s.answer(true, outcroptest.FramingChunked).CutAt(s.half()+30))
		r, err := e.Invoke(t.Context(), s.request("a question of some length", true), new(outcroptest.Grammar))
		if err == nil || r.Usage.Input == 0 || r.Usage.Output == 0 || !r.Estimated || r.Stop != "" || r.Engine != "fake" {
			t.Errorf("receipt is %+v (%v)", r, err)
		}
	})
}

func TestErrorEventsInAStream(t *testing.T) {
	for name, c := range map[string]struct {
		s      speaker
		events string
		want   outcrop.Code
	}{
		"openai at once":     {speakers[0], "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n", outcrop.CodeModelError},
		"openai later":       {speakers[0], openaiStream[:400] + "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n", outcrop.CodeModelStream},
		"anthropic at once":  {speakers[1], "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}}\n\n", outcrop.CodeThrottling},
		"anthropic later":    {speakers[1], anthropicStream[:strings.Index(anthropicStream, "event: content_block_stop")] + "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n", outcrop.CodeModelStream},
		"an endless event":   {speakers[0], "data: " + strings.Repeat("x", 2<<20), outcrop.CodeModelError},
		"a page of HTML":     {speakers[0], "<html></html>", outcrop.CodeModelError},
		"openai finish late": {speakers[0], strings.Replace(openaiStream, `"finish_reason":"stop"`, `"finish_reason":null`, 1), outcrop.CodeModelStream},
	} {
		t.Run(name, func(t *testing.T) {
			c.s.stream = c.events
			if name == "openai later" {
				c.s.stream = openaiStream[:strings.Index(openaiStream, "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},")] + c.events[400:]
			}
			e, _ := c.s.start(t, c.s.answer(true, outcroptest.FramingChunked))
			_, err := e.Invoke(t.Context(), c.s.request("q", true), new(outcroptest.Grammar))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestAnAnswerWithoutEndIsBounded(t *testing.T) {
	s := &speakers[0]
	huge := []byte(`{"choices":[{"message":{"content":"` + strings.Repeat("x", 33<<20) + `"}}]}`)
	e, _ := s.start(t, outcroptest.Reply{Body: huge, Framing: outcroptest.FramingChunked, Piece: 1 << 20})
	_, err := e.Invoke(t.Context(), s.request("q", false), new(outcroptest.Grammar))
	if !errors.Is(err, outcrop.CodeModelError) || !strings.Contains(fmt.Sprint(err), "32 MiB") {
		t.Errorf("got %.300v", err)
	}
}

func TestABodyOfAnotherDialectIsAnInternalError(t *testing.T) {
	for _, s := range speakers[:2] {
		e, fake := s.start(t, s.answer(false, outcroptest.FramingLength))
		req := s.request("q", false)
		req.Conversation, req.Native = nil, &outcrop.Native{Dialect: outcrop.DialectTitan, Body: []byte(`{}`)}
		_, err := e.Invoke(t.Context(), req, new(outcroptest.Grammar))
		var told *outcrop.Error
		if err == nil || errors.As(err, &told) || len(fake.Calls()) > 0 {
			t.Errorf("got %v", err)
		}
	}
}
