package h1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outcrop/outcrop/h1"
)

func TestConnectionsAreReusedLastInFirstOut(t *testing.T) {
	gate, arrived := make(chan struct{}), make(chan struct{})
	e := newEngine(t, func(n int, c net.Conn, r *bufio.Reader) {
		for {
			if body, ok := readRequest(r); !ok {
				return
			} else if body == "wait" {
				arrived <- struct{}{}
				<-gate
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
		}
	})
	h := newHost(t, e.url, generous)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { ask(t.Context(), h, &h1.Request{Method: "POST", Path: "/", Body: []byte("wait")}) })
		<-arrived
	}
	close(gate)
	wg.Wait()
	if h.Open() != 3 || h.Idle() != 3 {
		t.Fatalf("%d open, %d idle", h.Open(), h.Idle())
	}
	_, first, _ := ask(t.Context(), h, post)
	for range 5 {
		if _, again, err := ask(t.Context(), h, post); again != first || err != nil {
			t.Errorf("connection %s after %s, %v", again, first, err)
		}
	}
	wantNoLeak(t, h)
}

func TestNoMoreThanMaxIdleAreKept(t *testing.T) {
	e := newEngine(t, always(ok5))
	h := newHost(t, e.url, generous)
	h.MaxIdle = 2
	var open []*h1.Response
	for range 5 {
		r, err := h.Do(t.Context(), post)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, r)
	}
	for _, r := range open {
		io.ReadAll(r)
		r.Close()
		r.Close() // must not count twice
	}
	if h.Open() != 2 || h.Idle() != 2 {
		t.Errorf("%d open, %d idle", h.Open(), h.Idle())
	}
	wantNoLeak(t, h)
}

func TestAClosedHostKeepsNothing(t *testing.T) {
	e := newEngine(t, always(ok5))
	h := newHost(t, e.url, generous)
	under, err := h.Do(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	if b, err := io.ReadAll(under); string(b) != "hello" || err != nil {
		t.Errorf("the request under way got %q, %v", b, err)
	}
	under.Close()
	if _, body, err := ask(t.Context(), h, post); body != "hello" || err != nil {
		t.Errorf("a new one got %q, %v", body, err)
	}
	if h.Open() != 0 {
		t.Errorf("%d open", h.Open())
	}
}

func TestABodyThatWasNotReadClosesTheConnection(t *testing.T) {
	e := newEngine(t, func(n int, c net.Conn, r *bufio.Reader) {
		readRequest(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
		io.WriteString(c, "56789")
		readRequest(r)
	})
	h := newHost(t, e.url, generous)
	for read := range 10 {
		r, err := h.Do(t.Context(), post)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, read)); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if h.Open() != 0 {
			t.Fatalf("kept after %d of 10 bytes", read)
		}
		if _, err := r.Read(make([]byte, 1)); err != net.ErrClosed {
			t.Errorf("Read after Close: %v", err)
		}
		if r.Header("content-length") != "" {
			t.Error("a header after Close")
		}
	}
}

func TestALargeReadStopsAtTheEndOfTheBody(t *testing.T) {
	gate := make(chan struct{})
	e := newEngine(t, func(_ int, c net.Conn, r *bufio.Reader) {
		for {
			if _, ok := readRequest(r); !ok {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
			<-gate // until the head was read
			io.WriteString(c, "hello"+"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
		}
	})
	h := newHost(t, e.url, generous)
	for range 3 {
		r, err := h.Do(t.Context(), post)
		if err != nil {
			t.Fatal(err)
		}
		gate <- struct{}{}
		if body, err := readAll(r, 16<<10); body != "hello" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		r.Close()
	}
}

func TestTheEndAtHandIsTakenOnClose(t *testing.T) {
	e := newEngine(t, always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	h := newHost(t, e.url, generous)
	r, err := h.Do(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if h.Idle() != 1 {
		t.Error("not kept")
	}
	wantNoLeak(t, h)
}

func TestDrainSavesTheConnection(t *testing.T) {
	for _, c := range []struct {
		rest string
		want bool
	}{{"0\r\n\r\n", true}, {"3\r\nabc\r\n0\r\n\r\n", true}, {"", false}, {"8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n0\r\n\r\n", false}, {"nonsense\r\n", false}} {
		known := make(chan struct{})
		e := newEngine(t, func(n int, conn net.Conn, r *bufio.Reader) {
			readRequest(r)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			<-known
			io.WriteString(conn, c.rest)
			r.ReadByte()
		})
		h := newHost(t, e.url, generous)
		r, err := h.Do(t.Context(), post)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(r, make([]byte, 5))
		close(known)
		if got := r.Drain(100 * time.Millisecond); got != c.want {
			t.Errorf("%.20q: drained %v", c.rest, got)
		}
		r.Close()
		if kept := h.Idle() == 1; kept != c.want {
			t.Errorf("%.20q: kept %v", c.rest, kept)
		}
		wantNoLeak(t, h)
	}
}

func TestAWarmPoolOutlivesARestartOfTheEngine(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "hello")
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := &http.Server{Handler: answer}
	go first.Serve(l)
	h := newHost(t, "http://"+l.Addr().String(), generous)
	for range 3 {
		warm, err := h.Do(t.Context(), post)
		if err != nil {
			t.Fatal(err)
		}
		defer warm.Close()
		io.ReadAll(warm)
	}
	if _, _, err := ask(t.Context(), h, post); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if _, _, err := ask(t.Context(), h, post); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while the engine is down: %v", err)
	}
	var dial *h1.DialError
	if _, _, err := ask(t.Context(), h, post); !errors.As(err, &dial) {
		t.Errorf("and again: %v", err)
	}
	l, err = net.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	second := &http.Server{Handler: answer}
	go second.Serve(l)
	defer second.Close()
	if status, body, err := ask(t.Context(), h, post); status != 200 || body != "hello" || err != nil {
		t.Errorf("after the restart: %d %q %v", status, body, err)
	}
}

// A connection that dies between the look at it and the request is the only
// reason to send a request again, and only once.
func TestARequestIsRepeatedOnlyOnAStaleConnection(t *testing.T) {
	for _, c := range []struct {
		name     string
		last     string // what the engine says instead of a second answer
		requests int
		err      error
	}{
		{"closed without a word", "", 3, nil},
		{"closed after one byte", "H", 2, io.ErrUnexpectedEOF},
		{"closed after an interim answer", "HTTP/1.1 100 Continue\r\n\r\n", 2, io.ErrUnexpectedEOF},
		{"answered with nonsense", "nonsense\r\n\r\n", 2, h1.ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			requests := 0
			e := newEngine(t, func(n int, conn net.Conn, r *bufio.Reader) {
				for i := 0; ; i++ {
					if _, ok := readRequest(r); !ok {
						return
					}
					mu.Lock()
					requests++
					mu.Unlock()
					if n == 1 && i == 1 {
						io.WriteString(conn, c.last)
						return
					}
					io.WriteString(conn, ok5)
				}
			})
			h := newHost(t, e.url, generous)
			ask(t.Context(), h, post)
			_, _, err := ask(t.Context(), h, post)
			if !errors.Is(err, c.err) || requests != c.requests {
				t.Errorf("%v after %d requests", err, requests)
			}
			wantNoLeak(t, h)
		})
	}
}

func TestAFreshConnectionThatFailsIsNotTriedAgain(t *testing.T) {
	e := newEngine(t, once(""))
	h := newHost(t, e.url, generous)
	if _, _, err := ask(t.Context(), h, post); !errors.Is(err, io.ErrUnexpectedEOF) || e.connections.Load() != 1 {
		t.Errorf("%v after %d connections", err, e.connections.Load())
	}
	wantNoLeak(t, h)
}

func TestAnEngineThatAnswersBeforeItHasReadTheRequestIsHeard(t *testing.T) {
	e := newEngine(t, func(n int, c net.Conn, r *bufio.Reader) {
		r.ReadString('\n')
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, r)
	})
	h := newHost(t, e.url, generous)
	status, body, err := ask(t.Context(), h, &h1.Request{Method: "POST", Path: "/", Body: make([]byte, 8<<20)})
	if status != 413 || body != "large" || err != nil {
		t.Errorf("got %d %q %v", status, body, err)
	}
}

func TestManyAskAtOnceAndEachGetsItsOwn(t *testing.T) {
	e := newEngine(t, func(n int, c net.Conn, r *bufio.Reader) {
		for i := 0; ; i++ {
			body, ok := readRequest(r)
			switch {
			case !ok:
				return
			case i%7 == 6:
				return // closes without an answer
			case i%3 == 0:
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
			default:
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			}
		}
	})
	h := newHost(t, e.url, generous)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 100 {
				body := fmt.Sprintf("%d of %d, %s", i, g, strings.Repeat("x", i*37%9000))
				ctx, cancel := context.WithCancel(t.Context())
				if i%11 == 0 {
					time.AfterFunc(time.Duration(i)*10*time.Microsecond, cancel)
				}
				_, got, err := ask(ctx, h, &h1.Request{Method: "POST", Path: "/", Body: []byte(body)})
				if err == nil && got != body || err != nil && i%11 != 0 {
					t.Errorf("asked %.20q, got %.20q, %v", body, got, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	wantNoLeak(t, h)
}
