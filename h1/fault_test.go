package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop/h1"
)

var errFault = errors.New("injected")

// faults lets the k-th call on any connection fail.
type faults struct {
	mu    sync.Mutex
	calls int
	k     int
	err   error
	short bool // a Read or Write that fails has done half of its work
}

func (f *faults) next() (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls++; f.calls == f.k {
		return f.err
	}
	return nil
}

// A frail is a connection on which calls fail.
type frail struct {
	net.Conn
	f *faults
}

func (c frail) Read(p []byte) (int, error) {
	err := c.f.next()
	if err == nil || c.f.short {
		n, end := c.Conn.Read(p[:max(1, len(p)/2)])
		if err == nil {
			err = end
		}
		return n, err
	}
	return 0, err
}

func (c frail) Write(p []byte) (int, error) {
	err := c.f.next()
	if err == nil {
		return c.Conn.Write(p)
	}
	if c.f.short {
		n, _ := c.Conn.Write(p[:len(p)/2])
		return n, err
	}
	return 0, err
}

func (c frail) SetDeadline(t time.Time) error {
	if err := c.f.next(); err != nil {
		return err
	}
	return c.Conn.SetDeadline(t)
}

// echo answers each request with its own body, in one framing or the other.
func echo(n int, c net.Conn, r *bufio.Reader) {
	for i := 0; ; i++ {
		body, ok := readRequest(r)
		if !ok {
			return
		}
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if (n+i)%2 == 0 {
			answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// askThrice asks three different things and checks that whoever gets an answer
// gets his own. It returns how many failed.
func askThrice(t *testing.T, h *h1.Host) (failed int) {
	t.Helper()
	for i := range 3 {
		want := strings.Repeat(fmt.Sprintf("tenant %d, ", i), 20)
		status, body, err := ask(t.Context(), h, &h1.Request{Method: "POST", Path: "/", Body: []byte(want)})
		switch {
		case err != nil:
			failed++
			if !strings.HasPrefix(want, body) {
				t.Errorf("tenant %d got part of another answer: %q", i, body)
			}
		case status != 200 || body != want:
			t.Errorf("tenant %d got %d %q", i, status, body)
		}
	}
	return failed
}

func TestWhateverCallFailsNoAnswerIsWrongAndNoConnectionLeaks(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for name, f := range map[string]*faults{
			"error": {err: errFault}, "timeout": {err: os.ErrDeadlineExceeded}, "end": {err: io.EOF},
			"error after half": {err: errFault, short: true}, "timeout after half": {err: os.ErrDeadlineExceeded, short: true}, "end after half": {err: io.EOF, short: true},
		} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, secure), func(t *testing.T) {
				for k := 1; ; k++ {
					run := &faults{k: k, err: f.err, short: f.short}
					if !failsAt(t, run, secure) {
						break
					}
					if k > 200 {
						t.Fatal("there is no end to the calls")
					}
				}
			})
		}
	}
}

// failsAt runs the scenario with one fault and reports whether it came to it.
func failsAt(t *testing.T, f *faults, secure bool) (reached bool) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryHost(t, limits, echo)
		if secure {
			h = secureHost(t, limits, echo)
		}
		dial := h.Dial
		h.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if err := f.next(); err != nil {
				return nil, err
			}
			c, err := dial(ctx, network, addr)
			return frail{c, f}, err
		}
		failed := askThrice(t, h)
		reached = f.calls >= f.k
		if failed > 1 || !reached && failed > 0 {
			t.Errorf("one fault at call %d, %d requests failed", f.k, failed)
		}
		wantNoLeak(t, h)
	})
	return reached
}

// secureHost is a memoryHost with TLS around the script.
func secureHost(t *testing.T, timeouts h1.Timeouts, script func(n int, c net.Conn, r *bufio.Reader)) *h1.Host {
	plain := memoryHost(t, timeouts, func(n int, c net.Conn, _ *bufio.Reader) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
		script(n, s, bufio.NewReader(s))
	})
	h := newHost(t, "https://engine", timeouts)
	h.Dial = plain.Dial
	h.TLS = &tls.Config{InsecureSkipVerify: true}
	t.Cleanup(h.CloseIdle)
	return h
}

// certificate is the one of httptest.
var certificate = func() tls.Certificate {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.TLS.Certificates[0]
}()

func TestAnAnswerCutAnywhereIsNeverTakenForWhole(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: u\r\n\r\n",
	} {
		for cut := range len(answer) + 1 {
			synctest.Test(t, func(t *testing.T) {
				h := memoryHost(t, limits, once(answer[:cut]))
				_, body, err := ask(t.Context(), h, post)
				whole := cut == len(answer)
				if whole && (err != nil || body != "hello") || !whole && err != io.ErrUnexpectedEOF || !strings.HasPrefix("hello", body) {
					t.Errorf("cut at %d of %d: %q, %v", cut, len(answer), body, err)
				}
				h.CloseIdle()
				wantNoLeak(t, h)
			})
		}
	}
}

// partial takes half of the second write, and no more.
type partial struct {
	net.Conn
	writes int
}

func (p *partial) Write(b []byte) (int, error) {
	if p.writes++; p.writes < 2 {
		return p.Conn.Write(b)
	}
	n, _ := p.Conn.Write(b[:len(b)/2])
	return n, errFault
}

// partialHost is a memoryHost whose connections fail in the middle of a long
// request.
func partialHost(t *testing.T, timeouts h1.Timeouts, script func(n int, c net.Conn, r *bufio.Reader)) *h1.Host {
	h := memoryHost(t, timeouts, script)
	dial := h.Dial
	h.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return &partial{Conn: c}, err
	}
	return h
}

var long = &h1.Request{Method: "POST", Path: "/", Body: make([]byte, 100_000)}

func TestAConnectionThatTookHalfARequestIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := partialHost(t, limits, func(_ int, c net.Conn, r *bufio.Reader) {
			if req, err := http.ReadRequest(r); err == nil {
				io.CopyN(io.Discard, req.Body, int64(len(long.Body)/2))
			}
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
			io.Copy(io.Discard, r)
		})
		if status, body, err := ask(t.Context(), h, long); status != 413 || body != "large" || err != nil {
			t.Errorf("got %d %q %v", status, body, err)
		}
		if h.Idle() != 0 {
			t.Error("kept")
		}
		wantNoLeak(t, h)
	})
}

func TestAnEngineThatTookHalfARequestAndIsSilentIsLeftSoon(t *testing.T) {
	for _, first := range []time.Duration{0, 500 * time.Millisecond, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			h := partialHost(t, h1.Timeouts{FirstByte: first}, func(_ int, _ net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
			begin, want := time.Now(), time.Second
			if first > 0 {
				want = min(want, first)
			}
			_, _, err := ask(t.Context(), h, long)
			wantAfter(t, begin, want, err, errFault)
			wantNoLeak(t, h)
		})
	}
}

func TestAConnectionThatEndsWithTheBodyIsNotKept(t *testing.T) {
	h := newHost(t, "http://engine", limits)
	h.Dial = func(context.Context, string, string) (net.Conn, error) {
		return &played{answer: []byte(ok5), eager: true}, nil
	}
	for range 2 {
		if _, body, err := ask(t.Context(), h, post); body != "hello" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		if h.Idle() != 0 {
			t.Error("kept")
		}
	}
	wantNoLeak(t, h)
}

// A played is a connection that plays bytes, in pieces, and takes any request.
type played struct {
	net.Conn // nil
	answer   []byte
	cuts     []byte
	eager    bool // tells the end with the last bytes
}

func (p *played) Read(b []byte) (int, error) {
	if len(p.answer) == 0 {
		return 0, io.EOF
	}
	if len(p.cuts) > 0 {
		b = b[:min(len(b), 1+int(p.cuts[0]))]
		p.cuts = p.cuts[1:]
	}
	n := copy(b, p.answer)
	if p.answer = p.answer[n:]; p.eager && len(p.answer) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (p *played) Write(b []byte) (int, error) { return len(b), nil }
func (p *played) Close() error                { return nil }
func (p *played) SetDeadline(time.Time) error { return nil }

// play lets the answer come in pieces, reads it with a buffer of size, and
// returns what came of it.
func play(t *testing.T, answer, cuts []byte, size int) (status int, body string, err error) {
	h := newHost(t, "http://engine", h1.Timeouts{})
	h.Dial = func(context.Context, string, string) (net.Conn, error) {
		return &played{answer: answer, cuts: cuts}, nil
	}
	defer wantNoLeak(t, h)
	r, err := h.Do(context.Background(), post)
	if err != nil {
		return 0, "", err
	}
	defer r.Close()
	body, err = readAll(r, size)
	return r.Status, body, err
}

// FuzzAnswer checks that what h1 takes, net/http takes for the same, and that
// it does not matter in which pieces an answer comes.
func FuzzAnswer(f *testing.F) {
	for _, x := range exchanges {
		if x.method == "" && len(x.answer) < 10_000 {
			f.Add([]byte(x.answer), []byte{0, 10, 3})
		}
	}
	f.Fuzz(func(t *testing.T, answer, cuts []byte) {
		status, body, err := play(t, answer, nil, 512)
		s, b, e := play(t, answer, cuts, 16<<10)
		o, p, g := play(t, answer, make([]byte, len(answer)), 3)
		if s != status || b != body || !same(e, err) || o != status || p != body || !same(g, err) {
			t.Fatalf("%q: at once %d %q %v, in pieces %d %q %v, byte by byte %d %q %v", answer, status, body, err, s, b, e, o, p, g)
		}
		if err != nil {
			if !errors.Is(err, h1.ErrProtocol) && err != io.ErrUnexpectedEOF {
				t.Fatalf("%q: %v", answer, err)
			}
			return
		}
		if s, b, err := standard(answer); s != status || b != body || err != nil {
			t.Fatalf("%q: got %d %q, net/http %d %q %v", answer, status, body, s, b, err)
		}
	})
}

func same(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// standard reads an answer with net/http.
func standard(answer []byte) (status int, body string, err error) {
	r := bufio.NewReader(bytes.NewReader(answer))
	req, _ := http.NewRequest("POST", "/", nil)
	for {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return 0, "", err
		}
		if resp.StatusCode >= 200 {
			b, err := io.ReadAll(resp.Body)
			return resp.StatusCode, string(b), err
		}
	}
}
