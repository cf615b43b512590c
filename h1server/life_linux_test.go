package h1server_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop/h1server"
)

// A connection is kept for as long as is promised, and not much longer.
func TestIdleDeadlines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "least"))
		now, armed := time.Unix(0, 0), time.Time{}
		for range 20 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*least)).Draw(t, "after")))
			armed = h1server.IdleDeadline(armed, now, least)
			if left := armed.Sub(now); left < least || left > least+least/4 {
				t.Fatalf("kept for %v, not %v", left, least)
			}
			if again := h1server.IdleDeadline(armed, now, least); again != armed {
				t.Fatalf("moved from %v to %v at the same time", armed, again)
			}
		}
	})
}

// A hesitant connection waits before its first deadline is set.
type hesitant struct {
	*net.TCPConn
	once sync.Once
	wait func()
}

func (h *hesitant) SetReadDeadline(t time.Time) error {
	if t.After(time.Now()) {
		h.once.Do(h.wait)
	}
	return h.TCPConn.SetReadDeadline(t)
}

func TestShutdownFindsOneWhoIsAboutToBeIdle(t *testing.T) {
	arming, drained := make(chan struct{}), make(chan struct{})
	h := prepare(echo, func(s *h1server.Server) { s.Rest.RegisterOnShutdown(func() { close(drained) }) })
	h.serve(t, func(c *net.TCPConn) net.Conn {
		return &hesitant{TCPConn: c, wait: func() { close(arming); <-drained }}
	})
	caller := h.call(t)
	<-arming
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	caller.gone(t)
}

// A strange connection has a descriptor that cannot be watched.
type strange struct {
	*net.TCPConn
	file *os.File
}

func (s strange) SyscallConn() (syscall.RawConn, error) {
	raw, err := s.TCPConn.SyscallConn()
	return unwatched{raw, s.file}, err
}

// An unwatched is controlled by the descriptor of a file.
type unwatched struct {
	syscall.RawConn
	file *os.File
}

func (u unwatched) Control(f func(fd uintptr)) error {
	raw, err := u.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(f)
}

func TestWhatCannotBeWatchedIsLeftToNetHTTP(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	h := prepare(echo, nil)
	h.serve(t, func(c *net.TCPConn) net.Conn { return strange{c, file} })
	caller := h.call(t)
	caller.say(t, ask("a", ""))
	if _, body := caller.hear(t); body != "rest" {
		t.Error(body)
	}
	if n := h1server.Watched(h.Server); n != 0 {
		t.Errorf("%d connections are kept by the watcher", n)
	}
}

// An idle connection has not the memory of its last answer.
func TestIdleConnectionsHoldLittle(t *testing.T) {
	const many, most = 100, 30_000 // both ends of a connection
	part := strings.Repeat("a", 30_000)
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(2*len(part)))
		_, _ = w.Write([]byte(part))
		_, _ = w.Write([]byte(part))
	}, nil)
	callers := make([]*caller, many)
	before := heap()
	for i := range callers {
		callers[i] = h.call(t)
		callers[i].say(t, ask("a", ""))
		callers[i].hear(t)
	}
	if each := (heap() - before) / many; each > most {
		t.Errorf("%d bytes for each", each)
	}
	runtime.KeepAlive(callers)
}

// heap is what lives, without what the pools hold.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
