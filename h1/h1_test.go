package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outcrop/outcrop/h1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var generous = h1.Timeouts{Connect: 10 * time.Second, FirstByte: 10 * time.Second, Idle: 10 * time.Second}

var post = &h1.Request{Method: "POST", Path: "/v1/chat", Header: []byte("Content-Type: application/json\r\n"), Body: []byte(`{"a":1}`)}

func newHost(t testing.TB, base string, timeouts h1.Timeouts) *h1.Host {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	h, err := h1.NewHost(u, timeouts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.CloseIdle)
	return h
}

// An engine is a server on a real socket that plays one script per connection.
type engine struct {
	url         string
	listener    net.Listener
	connections atomic.Int64
	wg          sync.WaitGroup
}

func newEngine(t testing.TB, script func(n int, c net.Conn, r *bufio.Reader)) *engine {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{url: "http://" + l.Addr().String(), listener: l}
	e.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(e.connections.Add(1))
			e.wg.Go(func() {
				defer c.Close()
				script(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); e.wg.Wait() })
	return e
}

// readRequest reads one request and returns its body; "" and false at the end.
func readRequest(r *bufio.Reader) (string, bool) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return "", false
	}
	body, err := io.ReadAll(req.Body)
	return string(body), err == nil
}

// always answers every request with the same bytes.
func always(answer string) func(int, net.Conn, *bufio.Reader) {
	return func(_ int, c net.Conn, r *bufio.Reader) {
		for {
			if _, ok := readRequest(r); !ok {
				return
			}
			io.WriteString(c, answer)
		}
	}
}

// once answers the first request of a connection and closes it.
func once(answer string) func(int, net.Conn, *bufio.Reader) {
	return func(_ int, c net.Conn, r *bufio.Reader) {
		readRequest(r)
		io.WriteString(c, answer)
	}
}

// ask sends req and reads the whole answer.
func ask(ctx context.Context, h *h1.Host, req *h1.Request) (status int, body string, err error) {
	r, err := h.Do(ctx, req)
	if err != nil {
		return 0, "", err
	}
	defer r.Close()
	body, err = readAll(r, 16<<10)
	return r.Status, body, err
}

// readAll reads to the end with a buffer of size.
func readAll(r io.Reader, size int) (string, error) {
	var all []byte
	for p := make([]byte, size); ; {
		n, err := r.Read(p)
		all = append(all, p[:n]...)
		if err == io.EOF {
			return string(all), nil
		}
		if err != nil {
			return string(all), err
		}
	}
}

const ok5 = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func wantNoLeak(t *testing.T, h *h1.Host) {
	t.Helper()
	if h.Open() != h.Idle() {
		t.Errorf("%d connections open, %d idle", h.Open(), h.Idle())
	}
	h.CloseIdle()
	if h.Open() != 0 || h.Idle() != 0 {
		t.Errorf("after CloseIdle: %d open, %d idle", h.Open(), h.Idle())
	}
}

func TestRequestsArriveAsTheyWereMeant(t *testing.T) {
	type seen struct{ line, host, header, body string }
	got := make(chan seen, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- seen{r.Method + " " + r.RequestURI, r.Host, fmt.Sprint(r.Header), string(b)}
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(201)
		io.WriteString(w, "done")
	}))
	defer s.Close()
	h := newHost(t, s.URL+"/base/", generous)
	for _, body := range []string{"", "{}", strings.Repeat("x", 300_000)} {
		r, err := h.Do(t.Context(), &h1.Request{Method: "POST", Path: "/a%2Fb?c=d", Header: []byte("X-One: 1\r\nX-Two: 2\r\n"), Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || r.Status != 201 || string(b) != "done" || r.Header("x-answer") != "yes" || r.Header("x-other") != "" || !r.Delimited() || r.Length() != 4 {
			t.Errorf("got %d %q %v", r.Status, b, err)
		}
		r.Close()
		want := seen{"POST /base/a%2Fb?c=d", h.Authority(), fmt.Sprintf("map[Content-Length:[%d] X-One:[1] X-Two:[2]]", len(body)), body}
		if s := <-got; s != want {
			t.Errorf("the engine saw %.200v", s)
		}
	}
	if h.Open() != 1 || h.Target("/x") != "/base/x" {
		t.Errorf("%d connections, target %s", h.Open(), h.Target("/x"))
	}
	wantNoLeak(t, h)
}

func TestTLSHostsAreVerifiedAndReused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	h := newHost(t, s.URL, generous)
	h.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig
	for _, size := range []int{5, 20_000, 500_000} {
		body := strings.Repeat("x", size)
		if _, got, err := ask(t.Context(), h, &h1.Request{Method: "POST", Path: "/", Body: []byte(body)}); err != nil || got != body {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
	}
	if h.Open() != 1 {
		t.Errorf("%d connections", h.Open())
	}
	wantNoLeak(t, h)
	strange := newHost(t, s.URL, generous) // does not know the certificate
	var dial *h1.DialError
	var cert *tls.CertificateVerificationError
	if _, _, err := ask(t.Context(), strange, post); !errors.As(err, &dial) || !errors.As(err, &cert) {
		t.Errorf("got %v", err)
	}
	wantNoLeak(t, strange)
}

func TestUnusableURLsAreRefused(t *testing.T) {
	for _, s := range []string{"ftp://a", "http://", "http://u:p@a", "http://a?b", "http://a?", "http://a#b", "/a", "a:80", "http://\u00e9"} {
		u, err := url.Parse(s)
		if err != nil {
			continue
		}
		if _, err := h1.NewHost(u, generous); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestRequestsThatWouldBreakTheFramingAreRefused(t *testing.T) {
	h := newHost(t, "http://127.0.0.1:1", generous)
	for _, r := range []h1.Request{
		{Method: "", Path: "/"}, {Method: "GET /x HTTP/1.1\r\n", Path: "/"}, {Method: "get", Path: "/"}, {Method: "GET", Path: "a"}, {Method: "GET", Path: "/a b"},
		{Method: "GET", Path: "/a\r\nX: y"}, {Method: "GET", Path: "/\u00e9"}, {Method: "GET", Path: "/", Header: []byte("A: b")}, {Method: "GET", Path: "/", Header: []byte("A: b\n")},
		{Method: "GET", Path: "/", Header: []byte("\r\n")}, {Method: "GET", Path: "/", Header: []byte("A: b\r\n\r\nGET / HTTP/1.1\r\n")},
		{Method: "GET", Path: "/", Header: []byte("A: b\rC: d\r\n")}, {Method: "GET", Path: "/", Header: []byte("nonsense\r\n")},
	} {
		if _, err := h.Do(t.Context(), &r); !errors.Is(err, h1.ErrRequest) {
			t.Errorf("%q: %v", r, err)
		}
	}
}

// An exchange is one answer, and what must come of it.
type exchange struct {
	name, answer string
	method       string // POST if empty
	status       int
	body         string
	err          error // nil if all is well
	kept         bool  // the connection may be used again
}

var exchanges = []exchange{
	{name: "length", answer: ok5, status: 200, body: "hello", kept: true},
	{name: "no reason", answer: "HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello", status: 200, body: "hello", kept: true},
	{name: "empty", answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", status: 200, kept: true},
	{name: "chunks", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", status: 200, body: "hello", kept: true},
	{name: "chunk extensions", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nhel\r\n02; c=\"d\"\r\nlo\r\n000;x\r\n\r\n", status: 200, body: "hello", kept: true},
	{name: "upper case and padded sizes", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA  \r\n0123456789\r\n0\r\n\r\n", status: 200, body: "0123456789", kept: true},
	{name: "many tiny chunks", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 20_000) + "0\r\n\r\n", status: 200, body: strings.Repeat("x", 20_000), kept: true},
	{name: "long head", answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 8100) + "\r\nTransfer-Encoding: chunked\r\n\r\n2000;" + strings.Repeat("a", 1000) + "\r\n" + strings.Repeat("x", 0x2000) + "\r\n0\r\n\r\n", status: 200, body: strings.Repeat("x", 0x2000), kept: true},
	{name: "trailers", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n", status: 200, body: "hello", kept: true},
	{name: "no content", answer: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, kept: true},
	{name: "not modified", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304, kept: true},
	{name: "HEAD", method: "HEAD", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", status: 200, kept: true},
	{name: "error status", answer: "HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\nRetry-After: 1\r\n\r\n{}", status: 429, body: "{}", kept: true},
	{name: "interim answers", answer: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok5, status: 200, body: "hello", kept: true},
	{name: "tab and high bytes in a value", answer: "HTTP/1.1 200 OK\r\nX-Name:\t\xe9\t\r\nContent-Length: 5 \r\n\r\nhello", status: 200, body: "hello", kept: true},

	{name: "connection close", answer: "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello"},
	{name: "connection list", answer: "HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 5\r\n\r\nhello", status: 200, body: "hello"},
	{name: "HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", status: 200, body: "hello"},
	{name: "to the end of the connection", answer: "HTTP/1.1 200 OK\r\n\r\nhello", status: 200, body: "hello"},
	{name: "chunks and length", answer: "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", status: 200, body: "hello"},
	{name: "bytes after the body", answer: ok5 + "!", status: 200, body: "hello"},
	{name: "a second answer", answer: ok5 + ok5, status: 200, body: "hello"},
	{name: "bytes after the chunks", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\r\n", status: 200, body: "hello"},
	{name: "a body where none can be", answer: "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", status: 204},

	{name: "nothing", answer: "", err: io.ErrUnexpectedEOF},
	{name: "half a head", answer: "HTTP/1.1 200 OK\r\nContent-", err: io.ErrUnexpectedEOF},
	{name: "body cut", answer: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", status: 200, body: "hello", err: io.ErrUnexpectedEOF},
	{name: "chunk cut", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", status: 200, body: "hello", err: io.ErrUnexpectedEOF},
	{name: "last chunk missing", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", status: 200, body: "hello", err: io.ErrUnexpectedEOF},
	{name: "last line missing", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", status: 200, body: "hello", err: io.ErrUnexpectedEOF},

	{name: "no HTTP", answer: "SSH-2.0-OpenSSH_9\r\n\r\n", err: h1.ErrProtocol},
	{name: "HTTP/2", answer: "HTTP/2.0 200 OK\r\n\r\n", err: h1.ErrProtocol},
	{name: "HTTP/1.2", answer: "HTTP/1.2 200 OK\r\n\r\n", err: h1.ErrProtocol},
	{name: "status of two digits", answer: "HTTP/1.1 20 OK\r\n\r\n", err: h1.ErrProtocol},
	{name: "status of four digits", answer: "HTTP/1.1 2000 OK\r\n\r\n", err: h1.ErrProtocol},
	{name: "status too low", answer: "HTTP/1.1 099 OK\r\n\r\n", err: h1.ErrProtocol},
	{name: "status too high", answer: "HTTP/1.1 600 OK\r\n\r\n", err: h1.ErrProtocol},
	{name: "switching protocols", answer: "HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n", err: h1.ErrProtocol},
	{name: "two lengths", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "two lengths that differ", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "list of lengths", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "negative length", answer: "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "signed length", answer: "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "empty length", answer: "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "huge length", answer: "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "other encoding", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", err: h1.ErrProtocol},
	{name: "identity", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "chunked twice", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", err: h1.ErrProtocol},
	{name: "chunks in HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", err: h1.ErrProtocol},
	{name: "folded line", answer: "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "space before the colon", answer: "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "no colon", answer: "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n", err: h1.ErrProtocol},
	{name: "no name", answer: "HTTP/1.1 200 OK\r\n: 5\r\n\r\n", err: h1.ErrProtocol},
	{name: "bare line feeds", answer: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", err: h1.ErrProtocol},
	{name: "one bare line feed", answer: "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "bare carriage return", answer: "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "zero byte", answer: "HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 5\r\n\r\nhello", err: h1.ErrProtocol},
	{name: "head without end", answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 70_000), err: h1.ErrProtocol},
	{name: "head too long", answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 70) + "\r\n", err: h1.ErrProtocol},
	{name: "too many fields", answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: a\r\n", 300) + "\r\n", err: h1.ErrProtocol},
	{name: "too many interim answers", answer: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20) + ok5, err: h1.ErrProtocol},

	{name: "chunk size missing", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", status: 200, err: h1.ErrProtocol},
	{name: "chunk size no number", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", status: 200, err: h1.ErrProtocol},
	{name: "chunk size negative", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", status: 200, err: h1.ErrProtocol},
	{name: "chunk size indented", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n", status: 200, err: h1.ErrProtocol},
	{name: "chunk size too large", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000005\r\nhello\r\n0\r\n\r\n", status: 200, err: h1.ErrProtocol},
	{name: "chunk size with bare line feed", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", status: 200, err: h1.ErrProtocol},
	{name: "chunk longer than its size", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n", status: 200, body: "hell", err: h1.ErrProtocol},
	{name: "chunk line without end", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("a", 5000), status: 200, err: h1.ErrProtocol},
	{name: "extensions without end", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 100), status: 200, body: strings.Repeat("x", 16), err: h1.ErrProtocol},
	{name: "trailer malformed", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n", status: 200, body: "hello", err: h1.ErrProtocol},
	{name: "trailers without end", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + strings.Repeat("X: a\r\n", 100), status: 200, body: "hello", err: h1.ErrProtocol},
}

func (x exchange) request() *h1.Request {
	if x.method == "" {
		return post
	}
	return &h1.Request{Method: x.method, Path: "/"}
}

// script plays the answer, in pieces of size, to the first request, and then
// keeps the connection open or not.
func (x exchange) script(size int, open bool) func(int, net.Conn, *bufio.Reader) {
	return func(_ int, c net.Conn, r *bufio.Reader) {
		readRequest(r)
		for b := []byte(x.answer); len(b) > 0; b = b[min(size, len(b)):] {
			if _, err := c.Write(b[:min(size, len(b))]); err != nil {
				return
			}
		}
		if open {
			r.ReadByte()
		}
	}
}

func TestAnswersAreReadStrictly(t *testing.T) {
	for _, x := range exchanges {
		for _, size := range []int{1 << 20, 1, 7} {
			if size < 7 && len(x.answer) > 10_000 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", x.name, size), func(t *testing.T) {
				t.Parallel()
				e := newEngine(t, x.script(size, x.kept))
				h := newHost(t, e.url, generous)
				status, body, err := ask(t.Context(), h, x.request())
				if status != x.status || body != x.body || !errors.Is(err, x.err) {
					t.Errorf("got %d %.100q %v, want %d %.100q %v", status, body, err, x.status, x.body, x.err)
				}
				if kept := h.Idle() == 1; kept != x.kept && size == 1<<20 {
					t.Errorf("kept %v, want %v", kept, x.kept)
				}
				wantNoLeak(t, h)
			})
		}
	}
}

func TestOnlyDelimitedBodiesSaySo(t *testing.T) {
	for answer, want := range map[string]bool{
		ok5: true, "HTTP/1.1 200 OK\r\n\r\nhello": false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": true, "HTTP/1.1 204 No\r\n\r\n": true,
	} {
		e := newEngine(t, once(answer))
		r, err := newHost(t, e.url, generous).Do(t.Context(), post)
		if err != nil {
			t.Fatal(err)
		}
		if r.Delimited() != want {
			t.Errorf("%q: %v", answer, !want)
		}
		r.Close()
	}
}

func TestErrorTextsHoldNothingFromTheWire(t *testing.T) {
	for _, answer := range []string{"s3cret 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ns3cret\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: s3cret\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ns3cret\r\n"} {
		e := newEngine(t, once(answer))
		if _, _, err := ask(t.Context(), newHost(t, e.url, generous), post); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestReadsReturnWhatIsAtHand(t *testing.T) {
	step := make(chan string)
	e := newEngine(t, func(_ int, c net.Conn, r *bufio.Reader) {
		readRequest(r)
		for s := range step {
			io.WriteString(c, s)
		}
	})
	h := newHost(t, e.url, generous)
	step2 := func(s string) { step <- s }
	go step2("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n4\r\nfg")
	r, err := h.Do(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	p := make([]byte, 100)
	for got.Len() < 7 {
		n, err := r.Read(p) // must not wait for the rest of the third chunk
		if err != nil {
			t.Fatal(err)
		}
		got.Write(p[:n])
	}
	step <- "hi\r\n0\r\n\r\n"
	rest, err := io.ReadAll(r)
	if got.String()+string(rest) != "abcdefghi" || err != nil {
		t.Errorf("got %q %q %v", got.String(), rest, err)
	}
	close(step)
}
