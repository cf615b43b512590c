package h1server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outcrop/outcrop/h1server"
)

const takes = "POST /hot/"

func TestMain(m *testing.M) {
	if runtime.GOOS != "linux" {
		fmt.Println("skipped: the loop serves on Linux alone")
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")) // net/http lingers for half a second
}

// A house is a running server, whose Rest answers "rest".
type house struct {
	*h1server.Server
	addr string
	over chan error
}

// open starts a server with the handler; change may alter it before.
func open(t *testing.T, handler http.HandlerFunc, change func(*h1server.Server)) *house {
	t.Helper()
	h := prepare(handler, change)
	h.serve(t, func(c *net.TCPConn) net.Conn { return c })
	return h
}

// prepare makes a server that does not run yet.
func prepare(handler http.HandlerFunc, change func(*h1server.Server)) *house {
	rest := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "rest") })
	h := &house{over: make(chan error, 1), Server: &h1server.Server{
		Takes: takes, Handler: handler, MaxHead: 4 << 10, MaxBody: 1 << 20, HeadTimeout: time.Minute, IdleTimeout: time.Minute,
		Rest: &http.Server{Handler: rest, MaxHeaderBytes: 4 << 10, ErrorLog: log.New(io.Discard, "", 0)},
	}}
	if change != nil {
		change(h.Server)
	}
	return h
}

// serve runs the server until the test ends, or before; wrap sees each of its
// connections first.
func (h *house) serve(t *testing.T, wrap func(*net.TCPConn) net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	go func() { h.over <- h.Serve(wrapping{l, wrap}) }()
	t.Cleanup(func() {
		_ = h.Close()
		if err := <-h.over; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// A wrapping listener wraps its connections.
type wrapping struct {
	net.Listener
	wrap func(*net.TCPConn) net.Conn
}

func (w wrapping) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return w.wrap(c.(*net.TCPConn)), nil
}

// A caller is a connection to a house.
type caller struct {
	*net.TCPConn
	in *bufio.Reader
}

func (h *house) call(t *testing.T) *caller {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &caller{c.(*net.TCPConn), bufio.NewReader(c)}
}

func (c *caller) say(t *testing.T, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// hear returns the next answer and its body.
func (c *caller) hear(t *testing.T) (*http.Response, string) {
	t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return r, string(b)
}

// gone waits for the end of the connection, and fails if anything comes
// before.
func (c *caller) gone(t *testing.T) {
	t.Helper()
	if b, err := io.ReadAll(c.in); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q came, and then %v", b, err)
	}
}

// ask is a request that the loop takes.
func ask(path, body string) string {
	return fmt.Sprintf("POST /hot/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header()["Content-Length"] = []string{fmt.Sprint(len(b) + len(r.RequestURI))}
	_, _ = io.WriteString(w, r.RequestURI)
	_, _ = w.Write(b)
}

type request struct{ name, request string }

func taken() []request {
	return []request{
		{"least", ask("a", "")},
		{"with a body", ask("a", "body")},
		{"escaped", ask("arn%3Aaws%3A%2Fx/converse", "body")},
		{"keep-alive", "POST /hot/a HTTP/1.1\r\nHost: [::1]:80\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n"},
		{"an SDK's", "POST /hot/m/converse HTTP/1.1\r\nHost: x:1\r\nuser-agent:  a b \t\r\namz-sdk-request: attempt=1\r\n" +
			"X-Odd_name: \r\nAuthorization: AWS4-HMAC-SHA256 Credential=a/b\r\ncontent-length: 02\r\n\r\n{}"},
	}
}

func foreign() []request {
	with := func(fields string) string { return "POST /hot/a HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" }
	return []request{
		{"another method", "GET /hot/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"},
		{"another path", "POST /cold HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"},
		{"absolute form", "POST http://x/hot/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"},
		{"a query", "POST /hot/a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"},
		{"HTTP/1.0", "POST /hot/a HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n"},
		{"two spaces", "POST /hot/a  HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"},
		{"no length", with("")},
		{"two lengths", with("Content-Length: 0\r\nContent-Length: 0\r\n")},
		{"a list of lengths", with("Content-Length: 0, 0\r\n")},
		{"a signed length", with("Content-Length: +0\r\n")},
		{"no length at all", with("Content-Length: \r\n")},
		{"a huge length", with("Content-Length: 99999999999999999999\r\n")},
		{"a body over the limit", with("Content-Length: 1048577\r\n")},
		{"chunks", with("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
		{"chunks and a length", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n"},
		{"an expectation", with("Expect: 100-continue\r\nContent-Length: 0\r\n")},
		{"an upgrade", with("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n")},
		{"connection: close", with("Connection: close\r\nContent-Length: 0\r\n")},
		{"an encoded body", with("Content-Encoding: gzip\r\nContent-Length: 0\r\n")},
		{"no host", "POST /hot/a HTTP/1.1\r\nContent-Length: 0\r\n\r\n"},
		{"two hosts", with("Host: y\r\nContent-Length: 0\r\n")},
		{"an odd host", "POST /hot/a HTTP/1.1\r\nHost: x/y\r\nContent-Length: 0\r\n\r\n"},
		{"a field twice", with("A: 1\r\nA: 2\r\nContent-Length: 0\r\n")},
		{"a blank before the colon", with("A : 1\r\nContent-Length: 0\r\n")},
		{"a folded field", with("A: 1\r\n 2\r\nContent-Length: 0\r\n")},
		{"a bare line feed", "POST /hot/a HTTP/1.1\r\nHost: x\nContent-Length: 0\r\n\r\n"},
		{"a bare carriage return", with("A: 1\r2\r\nContent-Length: 0\r\n")},
		{"a control character", with("A: \x01\r\nContent-Length: 0\r\n")},
		{"bytes beyond ASCII", with("A: \xff\r\nContent-Length: 0\r\n")},
		{"many fields", with(manyFields() + "Content-Length: 0\r\n")},
		{"a long head", with("A: " + strings.Repeat("a", 5<<10) + "\r\nContent-Length: 0\r\n")},
	}
}

func manyFields() string {
	var b strings.Builder
	for i := range 64 {
		fmt.Fprintf(&b, "A%d: 1\r\n", i)
	}
	return b.String()
}

func TestTheKnownFormIsServedByTheLoop(t *testing.T) {
	h := open(t, echo, nil)
	for _, c := range taken() {
		caller := h.call(t)
		caller.say(t, c.request)
		if r, body := caller.hear(t); r.StatusCode != 200 || !strings.HasPrefix(body, "/hot/") {
			t.Errorf("%s: %d %q", c.name, r.StatusCode, body)
		}
	}
}

func TestEverythingElseIsLeftToNetHTTP(t *testing.T) {
	h := open(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("the loop took %s %v", r.RequestURI, r.Header) }, nil)
	for _, c := range foreign() {
		caller := h.call(t)
		caller.say(t, c.request)
		if r, body := caller.hear(t); r.StatusCode == 200 && body != "rest" {
			t.Errorf("%s: %d %q", c.name, r.StatusCode, body)
		}
	}
}

func TestABodyThatFollowsAForeignHeadArrivesWhole(t *testing.T) {
	h := open(t, echo, func(s *h1server.Server) { s.Rest.Handler = http.HandlerFunc(echo) })
	caller := h.call(t)
	body := strings.Repeat("b", 100_000)
	caller.say(t, fmt.Sprintf("POST /cold HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	if _, got := caller.hear(t); got != "/cold"+body {
		t.Errorf("%d bytes came back", len(got))
	}
}

func TestRequestsOfOneConnectionAreAnsweredInOrder(t *testing.T) {
	h := open(t, echo, nil)
	all := ask("1", "one") + ask("2", strings.Repeat("2", 20_000)) + ask("3", "") + "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	want := []string{"/hot/1one", "/hot/2" + strings.Repeat("2", 20_000), "/hot/3", "rest"}
	for name, step := range map[string]int{"at once": len(all), "in pieces": 1_000, "of one byte": 1} {
		if step == 1 {
			all = ask("1", "one") + ask("3", "")
			want = []string{"/hot/1one", "/hot/3"}
		}
		caller := h.call(t)
		go func() {
			for rest := all; rest != ""; rest = rest[min(step, len(rest)):] {
				if _, err := io.WriteString(caller, rest[:min(step, len(rest))]); err != nil {
					return
				}
			}
		}()
		for i := range want {
			if _, body := caller.hear(t); body != want[i] {
				t.Errorf("%s: answer %d has %d bytes: %.40q", name, i, len(body), body)
			}
		}
	}
}

func TestAnAnswerIsRenderedAsItWasGiven(t *testing.T) {
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Length"], w.Header()["B"], w.Header()["A"] = []string{"2"}, []string{"two\r\nlines"}, []string{"1"}
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "{}")
	}, nil)
	caller := h.call(t)
	caller.say(t, ask("a", ""))
	head := ""
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := caller.in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		head += line
	}
	before, date, _ := strings.Cut(head, "Date: ")
	if want := "HTTP/1.1 429 Too Many Requests\r\nA: 1\r\nB: two  lines\r\nContent-Length: 2\r\n"; before != want {
		t.Errorf("got %q\nwant %q", before, want)
	}
	if _, err := time.Parse(http.TimeFormat, strings.TrimSpace(date)); err != nil {
		t.Error(err)
	}
}

// Whatever the sizes of the writes, gathered or not, the answer is the same.
func TestAnAnswerIsWhatWasWritten(t *testing.T) {
	parts := []string{"a", strings.Repeat("b", 40_000), "", "c", strings.Repeat("d", 32<<10), strings.Repeat("e", 200_000), "f"}
	whole := strings.Join(parts, "")
	for _, length := range []string{"", fmt.Sprint(len(whole))} {
		h := open(t, func(w http.ResponseWriter, r *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			for _, part := range parts {
				if n, err := io.WriteString(w, part); n != len(part) || err != nil {
					t.Errorf("wrote %d of %d, %v", n, len(part), err)
				}
			}
		}, nil)
		caller := h.call(t)
		for range 2 {
			caller.say(t, ask("a", ""))
			if _, body := caller.hear(t); body != whole {
				t.Errorf("length %q: %d bytes came, not %d", length, len(body), len(whole))
			}
		}
	}
}

// What one request left behind is not seen by the next.
func TestARequestKnowsNothingOfTheLast(t *testing.T) {
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		_, _ = io.WriteString(w, r.Form.Encode()+r.PathValue("name")+r.Pattern)
		r.SetPathValue("name", "value")
		r.Pattern = "pattern"
		r.Header.Set("Content-Type", "changed")
		r.URL.RawQuery = "c=3"
	}, nil)
	caller := h.call(t)
	for _, form := range []string{"a=1", "b=2"} {
		caller.say(t, fmt.Sprintf("POST /hot/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form))
		if _, body := caller.hear(t); body != form {
			t.Errorf("got %q, want %q", body, form)
		}
	}
}

func TestAStreamLeavesWithEachFlush(t *testing.T) {
	next := make(chan string)
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		for s := range next {
			_, _ = io.WriteString(w, s)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}
	}, nil)
	caller := h.call(t)
	caller.say(t, ask("a", ""))
	go func() { next <- "first" }()
	r, err := http.ReadResponse(caller.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"first", strings.Repeat("s", 100_000), "third"} {
		if s != "first" {
			next <- s
		}
		b := make([]byte, len(s))
		if _, err := io.ReadFull(r.Body, b); err != nil || string(b) != s {
			t.Fatalf("%.20q, %v", b, err)
		}
	}
	close(next)
	if b, err := io.ReadAll(r.Body); len(b) > 0 || err != nil {
		t.Errorf("%q, %v at the end", b, err)
	}
	caller.say(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, body := caller.hear(t); body != "rest" {
		t.Errorf("after the stream: %q", body)
	}
}
