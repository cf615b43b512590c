package h1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop/h1"
)

var limits = h1.Timeouts{Connect: 2 * time.Second, FirstByte: 30 * time.Second, Idle: 10 * time.Second}

// memoryHost is a Host whose connections end in script, without a network.
func memoryHost(t *testing.T, timeouts h1.Timeouts, script func(n int, c net.Conn, r *bufio.Reader)) *h1.Host {
	h := newHost(t, "http://engine", timeouts)
	n := 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	t.Cleanup(func() { h.CloseIdle(); wg.Wait() })
	h.Dial = func(context.Context, string, string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		n++
		near, far := net.Pipe()
		number := n
		wg.Go(func() {
			defer far.Close()
			script(number, far, bufio.NewReader(far))
		})
		return near, nil
	}
	return h
}

// wantAfter checks that err came exactly so long after begin.
func wantAfter(t *testing.T, begin time.Time, d time.Duration, err, want error) {
	t.Helper()
	if took := time.Since(begin); took != d || !errors.Is(err, want) {
		t.Errorf("%v after %v, want %v after %v", err, took, want, d)
	}
}

func TestTheFirstByteIsAwaitedExactlySoLong(t *testing.T) {
	for name, script := range map[string]func(int, net.Conn, *bufio.Reader){
		"never reads": func(_ int, c net.Conn, _ *bufio.Reader) { time.Sleep(time.Hour) },
		"never answers": func(_ int, c net.Conn, r *bufio.Reader) {
			readRequest(r)
			time.Sleep(time.Hour)
		},
		"stops in the head": func(_ int, c net.Conn, r *bufio.Reader) {
			readRequest(r)
			io.WriteString(c, "HTTP/1.1 200")
			time.Sleep(time.Hour)
		},
		"goes on with interim answers": func(_ int, c net.Conn, r *bufio.Reader) {
			readRequest(r)
			for range 10 {
				time.Sleep(4 * time.Second)
				io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := memoryHost(t, limits, script)
			begin := time.Now()
			_, _, err := ask(t.Context(), h, post)
			wantAfter(t, begin, limits.FirstByte, err, h1.ErrFirstByte)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v is no deadline", name, err)
			}
			wantNoLeak(t, h)
		})
	}
}

func TestIdleTimeBeginsWhenTheAnswerHasStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryHost(t, limits, func(_ int, c net.Conn, r *bufio.Reader) {
			readRequest(r)
			time.Sleep(5 * time.Second)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			time.Sleep(20 * time.Second) // longer than Idle, within FirstByte
			for range 20 {
				io.WriteString(c, "1\r\nx\r\n")
				time.Sleep(9 * time.Second)
			}
			time.Sleep(time.Hour)
		})
		r, err := h.Do(t.Context(), post)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p := make([]byte, 10)
		var last time.Time
		n := 0
		for ; err == nil; n++ {
			last = time.Now()
			_, err = r.Read(p)
			r.Started()
		}
		if n != 21 {
			t.Errorf("%d reads", n)
		}
		wantAfter(t, last, limits.Idle, err, h1.ErrIdle)
		if _, again := r.Read(p); again != err {
			t.Errorf("and then %v", again)
		}
		r.Close()
		wantNoLeak(t, h)
	})
}

func TestABodyWithoutStartCountsAsFirstByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryHost(t, limits, func(_ int, c net.Conn, r *bufio.Reader) {
			readRequest(r)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			for range 50 {
				time.Sleep(time.Second)
				io.WriteString(c, "x")
			}
		})
		begin := time.Now()
		_, body, err := ask(t.Context(), h, post)
		wantAfter(t, begin, limits.FirstByte, err, h1.ErrFirstByte)
		if len(body) < 28 {
			t.Errorf("got %d bytes", len(body))
		}
	})
}

func TestWithoutTimeoutsThereIsNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryHost(t, h1.Timeouts{}, func(_ int, c net.Conn, r *bufio.Reader) {
			readRequest(r)
			time.Sleep(24 * time.Hour)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
			time.Sleep(24 * time.Hour)
			io.WriteString(c, "hello")
			r.ReadByte()
		})
		if _, body, err := ask(t.Context(), h, post); body != "hello" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		wantNoLeak(t, h)
	})
}

func TestConnectingIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "http://engine", limits)
		h.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		begin := time.Now()
		_, _, err := ask(t.Context(), h, post)
		wantAfter(t, begin, limits.Connect, err, context.DeadlineExceeded)
		var dial *h1.DialError
		if !errors.As(err, &dial) || dial.Addr != "engine:80" {
			t.Errorf("got %v", err)
		}
		wantNoLeak(t, h)
	})
}

func TestASilentTLSHandshakeCountsAsConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "https://engine", limits)
		h.Dial = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				io.Copy(io.Discard, far)
				far.Close()
			}()
			return near, nil
		}
		begin := time.Now()
		_, _, err := ask(t.Context(), h, post)
		wantAfter(t, begin, limits.Connect, err, context.DeadlineExceeded)
		wantNoLeak(t, h)
	})
}

var errWhy = errors.New("the client went away")

func TestTheEndOfTheContextFreesTheEngineAtOnce(t *testing.T) {
	// The engine is at each stage for a second; the caller leaves at each.
	stages := []string{"", "HTTP/1.1 200 OK\r\nContent-", "Length: 6\r\n\r\n", "hel", "lo"}
	for leave := range len(stages) {
		for _, started := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var freed time.Time
				h := memoryHost(t, limits, func(_ int, c net.Conn, r *bufio.Reader) {
					readRequest(r)
					for _, s := range stages {
						io.WriteString(c, s)
						time.Sleep(time.Second)
					}
					r.ReadByte()
				})
				dial := h.Dial
				h.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := dial(ctx, network, addr)
					return &watched{Conn: c, closed: func() { freed = time.Now() }}, err
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				at := time.Now().Add(time.Duration(leave)*time.Second + time.Millisecond)
				time.AfterFunc(time.Until(at), func() { cancel(errWhy) })
				r, err := h.Do(ctx, post)
				if err == nil {
					if started {
						r.Started()
					}
					_, err = io.ReadAll(r)
				}
				if err != errWhy || !time.Now().Equal(at) || !freed.Equal(at) {
					t.Errorf("leaving at stage %d: %v after %v, freed after %v", leave, err, time.Since(at), freed.Sub(at))
				}
				if r != nil {
					r.Close()
				}
				wantNoLeak(t, h)
				synctest.Wait()
			})
		}
	}
}

type watched struct {
	net.Conn
	closed func()
}

func (w *watched) Close() error { w.closed(); return w.Conn.Close() }

func TestAnEngineIsFreedEvenWhileNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		freed := make(chan struct{})
		h := memoryHost(t, limits, func(_ int, c net.Conn, r *bufio.Reader) {
			readRequest(r)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhel")
			r.ReadByte()
			close(freed)
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		r, err := h.Do(ctx, post)
		if err != nil {
			t.Fatal(err)
		}
		cancel(errWhy)
		<-freed
		if h.Open() != 0 {
			t.Errorf("%d open", h.Open())
		}
		if b, err := io.ReadAll(r); err != errWhy || len(b) > 3 {
			t.Errorf("got %q, %v", b, err)
		}
		r.Close()
		wantNoLeak(t, h)
	})
}

func TestAConnectionCancelledAfterTheLastReadIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryHost(t, limits, always(ok5))
		ctx, cancel := context.WithCancel(t.Context())
		r, err := h.Do(ctx, post)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		cancel()
		r.Close()
		if h.Idle() != 0 {
			t.Error("kept")
		}
		wantNoLeak(t, h)
	})
}

func TestCancellingAfterCloseDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryHost(t, limits, always(ok5))
		ctx, cancel := context.WithCancel(t.Context())
		if _, _, err := ask(ctx, h, post); err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		if _, body, err := ask(t.Context(), h, post); body != "hello" || err != nil || h.Open() != 1 {
			t.Errorf("got %q, %v, %d open", body, err, h.Open())
		}
		wantNoLeak(t, h)
	})
}

func TestAContextThatHasEndedAsksNobody(t *testing.T) {
	h := newHost(t, "http://engine", limits)
	h.Dial = func(context.Context, string, string) (net.Conn, error) {
		t.Error("asked")
		return nil, errFault
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errWhy)
	if _, err := h.Do(ctx, post); err != errWhy {
		t.Errorf("got %v", err)
	}
}

func TestCancellingWhileConnectingTellsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "http://engine", limits)
		h.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errWhy) })
		if _, err := h.Do(ctx, post); err != errWhy {
			t.Errorf("got %v", err)
		}
	})
}

func TestIdleConnectionsAreClosedWhenTheyAreOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryHost(t, limits, func(n int, c net.Conn, r *bufio.Reader) {
			always(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n))(n, c, r)
		})
		ask(t.Context(), h, post)
		time.Sleep(54 * time.Second)
		if _, n, err := ask(t.Context(), h, post); n != "1" || err != nil {
			t.Errorf("after 54 s: connection %s, %v", n, err)
		}
		time.Sleep(55 * time.Second)
		if _, n, err := ask(t.Context(), h, post); n != "2" || err != nil {
			t.Errorf("after 55 s more: connection %s, %v", n, err)
		}
		time.Sleep(111 * time.Second) // nobody asks: the sweeper comes
		if h.Open() != 0 || h.Idle() != 0 {
			t.Errorf("%d open, %d idle", h.Open(), h.Idle())
		}
		if _, n, err := ask(t.Context(), h, post); n != "3" || err != nil {
			t.Errorf("at last: connection %s, %v", n, err)
		}
		wantNoLeak(t, h)
		synctest.Wait()
	})
}

// On a warm connection the deadline that is set can lie earlier than the time
// that is meant; the engine must get all of its time nevertheless, and no more
// if the deadline lies later.
func TestAWarmConnectionHasExactlyItsTime(t *testing.T) {
	for _, idle := range []time.Duration{time.Second, 10 * time.Second, time.Hour, 0} {
		for _, secure := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				script := func(n int, c net.Conn, r *bufio.Reader) {
					for range 2 {
						readRequest(r)
						io.WriteString(c, ok5[:len(ok5)-5])
						io.WriteString(c, ok5[len(ok5)-5:]) // this wait is armed with Idle
					}
					readRequest(r)
					r.ReadByte()
				}
				h := memoryHost(t, h1.Timeouts{FirstByte: 30 * time.Second, Idle: idle}, script)
				if secure {
					h = secureHost(t, h1.Timeouts{FirstByte: 30 * time.Second, Idle: idle}, script)
				}
				for range 2 {
					r, err := h.Do(t.Context(), post)
					if err != nil {
						t.Fatal(err)
					}
					r.Started()
					io.ReadAll(r)
					r.Close()
					time.Sleep(10 * time.Second)
				}
				begin := time.Now()
				_, _, err := ask(t.Context(), h, post)
				wantAfter(t, begin, 30*time.Second, err, h1.ErrFirstByte)
				wantNoLeak(t, h)
			})
		}
	}
}

// The engine takes the request only after the deadline of the one before has
// passed, but within the time for this one.
func TestASlowEngineGetsAllOfALongRequest(t *testing.T) {
	for _, secure := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			script := func(n int, c net.Conn, r *bufio.Reader) {
				readRequest(r)
				io.WriteString(c, ok5)
				r.ReadByte()
				r.UnreadByte()
				time.Sleep(25 * time.Second)
				body, _ := readRequest(r)
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n%6d", len(body))
				r.ReadByte()
			}
			h := memoryHost(t, limits, script)
			if secure {
				h = secureHost(t, limits, script)
			}
			ask(t.Context(), h, post)
			time.Sleep(10 * time.Second)
			_, body, err := ask(t.Context(), h, &h1.Request{Method: "POST", Path: "/", Body: make([]byte, 500_000)})
			if body != "500000" || err != nil {
				t.Errorf("TLS %v: the engine got %q, %v", secure, body, err)
			}
			wantNoLeak(t, h)
		})
	}
}
