package h1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop/h1"
)

// follow reads a body with Follow, in reads of size, and calls seen with all
// that has come, after each.
func follow(r *h1.Response, size int, seen func(all string)) (string, error) {
	var all []byte
	var end error
	p := make([]byte, size)
	r.Follow(func() bool {
		n, err := r.Read(p)
		all, end = append(all, p[:n]...), err
		if seen != nil {
			seen(string(all))
		}
		return err == nil
	})
	if end == io.EOF {
		end = nil
	}
	return string(all), end
}

const trickle = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=\"" + "xxxxxxxxxx" + "\"\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nTrailer: value\r\n\r\n"

// bodies are answers with "hello world" in all framings.
var bodies = map[string]string{
	"chunked": trickle,
	"length":  "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
	"open":    "HTTP/1.1 200 OK\r\n\r\nhello world",
}

func TestFollowingTakesWhatComesByteByByte(t *testing.T) {
	for name, answer := range bodies {
		e := newEngine(t, func(_ int, c net.Conn, r *bufio.Reader) {
			for {
				if _, ok := readRequest(r); !ok {
					return
				}
				for i := range len(answer) {
					io.WriteString(c, answer[i:i+1])
				}
				if name == "open" {
					return
				}
			}
		})
		h := newHost(t, e.url, generous)
		for _, size := range []int{1, 3, 100} {
			r, err := h.Do(t.Context(), post)
			if err != nil {
				t.Fatal(err)
			}
			r.Started()
			if body, err := follow(r, size, nil); body != "hello world" || err != nil {
				t.Errorf("%s, reads of %d: %q, %v", name, size, body, err)
			}
			r.Close()
			if kept := name != "open"; (h.Idle() == 1) != kept {
				t.Errorf("%s: %d connections kept", name, h.Idle())
			}
		}
		wantNoLeak(t, h)
	}
}

// The engine goes on only when a piece was seen, so that none can be held back.
func TestFollowingHoldsNothingBack(t *testing.T) {
	next := make(chan int)
	e := newEngine(t, func(_ int, c net.Conn, r *bufio.Reader) {
		readRequest(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for size := range next {
			fmt.Fprintf(c, "%x\r\n%s\r\n", size, strings.Repeat("x", size))
		}
		io.WriteString(c, "0\r\n\r\n")
	})
	h := newHost(t, e.url, generous)
	r, err := h.Do(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sizes := []int{1, 100, 4 << 10, 1, 30 << 10, 2, 16 << 10, 3}
	want, at := sizes[0], 1
	next <- sizes[0]
	body, err := follow(r, 4<<10, func(all string) {
		switch {
		case len(all) < want || at > len(sizes):
		case at == len(sizes):
			close(next)
			at++
		default:
			next <- sizes[at]
			want += sizes[at]
			at++
		}
	})
	if len(body) != want || err != nil {
		t.Errorf("%d bytes of %d, %v", len(body), want, err)
	}
}

// The end of the connection comes together with the last bytes, while the
// ones before are still looked at: nothing else will tell of it.
func TestAnEndThatComesWithTheLastBytesIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		head string
		last func(c net.Conn)
		want error
	}{
		"an orderly end":       {"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", closed, io.ErrUnexpectedEOF},
		"a reset":              {"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", reset, nil},
		"the end of a body":    {"\r\nhello", closed, nil},
		"less than was said":   {"Content-Length: 20\r\n\r\nhello", closed, io.ErrUnexpectedEOF},
		"no line behind it":    {"Transfer-Encoding: chunked\r\n\r\n5\r\nhello", closed, io.ErrUnexpectedEOF},
		"reset instead of end": {"\r\nhello", reset, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			looking, gone := make(chan struct{}), make(chan struct{})
			e := newEngine(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				readRequest(r)
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+c.head)
				<-looking
				c.last(conn)
				close(gone)
			})
			h := newHost(t, e.url, h1.Timeouts{})
			r, err := h.Do(t.Context(), post)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			r.Started()
			first := true
			body, err := follow(r, 100, func(string) {
				if first {
					close(looking)
					<-gone
				}
				first = false
			})
			if !strings.HasPrefix(body, "hello") || c.want != nil && err != c.want || strings.Contains(name, "reset") && err == nil {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

// closed sends nothing more but the end.
func closed(c net.Conn) { c.Close() }

// reset sends the end in a way that loses what was not read.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func TestABodyCutAnywhereWhileFollowedIsNeverTakenForWhole(t *testing.T) {
	for name, answer := range bodies {
		if name == "open" {
			continue
		}
		body := strings.Index(answer, "\r\n\r\n") + 4
		for cut := body; cut < len(answer); cut++ {
			e := newEngine(t, once(answer[:cut]))
			h := newHost(t, e.url, generous)
			r, err := h.Do(t.Context(), post)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := follow(r, 100, nil); err != io.ErrUnexpectedEOF {
				t.Errorf("%s, cut at %d: %q, %v", name, cut, body, err)
			}
			r.Close()
			wantNoLeak(t, h)
		}
	}
}

// silent is an engine that stops in its answer until it is left.
func silent(left chan<- struct{}) func(int, net.Conn, *bufio.Reader) {
	return func(_ int, c net.Conn, r *bufio.Reader) {
		readRequest(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		r.ReadByte()
		close(left)
	}
}

// The longest time is longer than a wait that is not looked into.
func TestFollowingWaitsExactlyTheIdleTime(t *testing.T) {
	for _, idle := range []time.Duration{20 * time.Millisecond, 2500 * time.Millisecond} {
		for _, started := range []bool{true, false} {
			t.Run(fmt.Sprint(idle, started), func(t *testing.T) {
				t.Parallel()
				left := make(chan struct{})
				e := newEngine(t, silent(left))
				limits, want := h1.Timeouts{FirstByte: time.Hour, Idle: idle}, h1.ErrIdle
				if !started {
					limits, want = h1.Timeouts{FirstByte: idle + time.Second, Idle: time.Nanosecond}, h1.ErrFirstByte
				}
				h := newHost(t, e.url, limits)
				r, err := h.Do(t.Context(), post)
				if err != nil {
					t.Fatal(err)
				}
				if started {
					r.Started()
				}
				began := time.Now()
				body, err := follow(r, 100, nil)
				if took := time.Since(began); body != "hello" || err != want || took < idle {
					t.Errorf("%q, %v after %v", body, err, took)
				}
				r.Close()
				<-left
				wantNoLeak(t, h)
			})
		}
	}
}

func TestACallerThatLeavesWhileFollowingFreesTheEngine(t *testing.T) {
	for _, framing := range []string{"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "\r\nhello", "Content-Length: 100\r\n\r\nhello"} {
		for _, busy := range []bool{true, false} {
			left := make(chan struct{})
			e := newEngine(t, func(_ int, c net.Conn, r *bufio.Reader) {
				readRequest(r)
				io.WriteString(c, "HTTP/1.1 200 OK\r\n"+framing)
				r.ReadByte()
				close(left)
			})
			h := newHost(t, e.url, h1.Timeouts{})
			ctx, cancel := context.WithCancelCause(t.Context())
			r, err := h.Do(ctx, post)
			if err != nil {
				t.Fatal(err)
			}
			body, err := follow(r, 100, func(string) {
				cancel(errWhy)
				if busy {
					<-left // although nobody looks at the connection
				}
			})
			if body != "hello" || err != errWhy {
				t.Errorf("busy %v: %q, %v", busy, body, err)
			}
			<-left
			r.Close()
			wantClosed(t, h)
		}
	}
}

// wantClosed waits until no connection is open: another goroutine closes it.
func wantClosed(t *testing.T, h *h1.Host) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); h.Open() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d connections open", h.Open())
		}
	}
}

// A read for more than is at hand does not wait in a step; a fault in a step
// leaves a connection that can be closed.
func TestStepsDoNotWaitAndMayFail(t *testing.T) {
	left := make(chan struct{})
	e := newEngine(t, silent(left))
	h := newHost(t, e.url, generous)
	r, err := h.Do(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() != "a fault" {
				t.Error("the fault is lost")
			}
		}()
		r.Follow(func() bool {
			p := make([]byte, 100)
			n, err := r.Read(p)
			if string(p[:n]) != "hello" || err != nil {
				t.Errorf("%q, %v", p[:n], err)
			}
			if n, err = r.Read(p); n != 0 || err != nil {
				t.Errorf("a second read: %d, %v", n, err)
			}
			panic("a fault")
		})
	}()
	r.Close()
	<-left
	wantNoLeak(t, h)
}

func TestFollowingStopsWhenItIsTold(t *testing.T) {
	e := newEngine(t, always(trickle))
	h := newHost(t, e.url, generous)
	for range 3 {
		r, err := h.Do(t.Context(), post)
		if err != nil {
			t.Fatal(err)
		}
		steps := 0
		r.Follow(func() bool {
			steps++
			_, err := r.Read(make([]byte, 5))
			return err == nil && steps < 2
		})
		rest, err := readAll(r, 100)
		if steps != 2 || !strings.HasSuffix("hello world", rest) || err != nil {
			t.Errorf("%d steps, then %q, %v", steps, rest, err)
		}
		r.Close()
		if n := e.connections.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	}
	r, err := h.Do(t.Context(), post)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	r.Follow(func() bool {
		_, err = r.Read(make([]byte, 5))
		return err == nil
	})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestFollowingAllocatesNothing(t *testing.T) {
	e := newEngine(t, quick(events(2000)))
	h := newHost(t, e.url, generous)
	p := make([]byte, 100)
	var r *h1.Response
	step := func() bool {
		_, err := r.Read(p)
		return err == nil
	}
	if n := testing.AllocsPerRun(20, func() {
		var err error
		if r, err = h.Do(context.Background(), post); err != nil {
			t.Fatal(err)
		}
		r.Follow(step)
		r.Close()
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
