// Package h1server serves the requests that make up nearly all of the load
// with an HTTP/1.1 loop of its own, and hands every connection that brings
// anything else to net/http, with the bytes that were read put back in front.
//
// It takes one exact form of request: a known method and path, HTTP/1.1, one
// Host, one Content-Length, no other framing, nothing to negotiate. What it
// takes means the same to every HTTP parser; what net/http would refuse is
// left to net/http to refuse. A connection that was handed over does not come
// back.
//
// The loop has one goroutine for each connection, which reads, serves and
// writes. While it serves, it holds no buffers, and nobody reads: that the
// caller has gone is heard from the kernel (watch_linux.go). Where that is not
// to be had, every connection is handed over.
package h1server

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop/socket"
)

// A Server serves connections. Its exported fields must not change after
// Serve was called.
type Server struct {
	// Takes is how a request begins that the loop may serve: method, a space,
	// and the front of a path, such as "POST /model/".
	Takes string
	// Handler serves these requests. It must not keep the request, its header
	// or the ResponseWriter once it has returned. The request's context ends
	// when the caller goes away, and not when the handler returns. To the
	// ResponseWriter, http.ResponseController offers Flush and the deadline of
	// the reads that follow, which may come late, or early by an eighth.
	Handler http.Handler
	// Rest serves all other connections.
	Rest *http.Server
	// MaxHead is how long a request head may be that the loop takes; MaxBody
	// the same of a body.
	MaxHead int
	MaxBody int64
	// HeadTimeout bounds how long a request head may take from its first byte
	// on, and the wait for the first byte of all. IdleTimeout is how long a
	// connection is kept between two requests. Both waits may last longer by a
	// quarter. Both times must be positive.
	HeadTimeout, IdleTimeout time.Duration
	// WriteTimeout is how long a caller may take for one write: of what has
	// gathered, or of one large piece of the Handler's. 0 is without end.
	WriteTimeout time.Duration

	draining atomic.Bool
	date     atomic.Pointer[dateLine]
	watcher  watcher
	watching sync.Once

	mu       sync.Mutex
	listener net.Listener
	rest     *handover
	conns    map[*conn]struct{}
	empty    chan struct{} // closed once a drained server has no connections
}

// Serve takes connections from l until Shutdown or Close is called, and then
// returns http.ErrServerClosed, as it does if that was done before. It is
// called once.
func (s *Server) Serve(l net.Listener) error {
	if !s.open(l) {
		_ = l.Close()
		return http.ErrServerClosed
	}
	over := make(chan error, 1)
	go func() { over <- s.Rest.Serve(s.rest) }()
	err := s.accept(l)
	s.rest.end()
	<-over // it ends with its listener
	return err
}

// open prepares for connections from l, and reports whether there may be any.
func (s *Server) open(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listener, s.rest, s.conns = l, newHandover(l.Addr()), map[*conn]struct{}{}
	return true
}

func (s *Server) accept(l net.Listener) error {
	var pause time.Duration
	for {
		c, err := l.Accept()
		switch {
		case s.draining.Load():
			if err == nil {
				_ = c.Close()
			}
			return http.ErrServerClosed
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // such as too many open files
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
			continue
		}
		pause = 0
		s.begin(c)
	}
}

// begin has c served: by the loop if the system can tell of its end.
func (s *Server) begin(c net.Conn) {
	port := socket.Of(c)
	if port == nil || !s.watches() {
		s.rest.give(c)
		return
	}
	own := newConn(s, c, port)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		_ = c.Close()
		return
	}
	s.conns[own] = struct{}{}
	go own.serve()
}

// watches reports whether the watcher runs, having started it before the first
// connection. Nothing starts that Close would not see.
func (s *Server) watches() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining.Load() {
		s.watching.Do(s.watcher.start)
	}
	return s.watcher.runs()
}

// left is called when c was closed or handed over.
func (s *Server) left(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.empty != nil && len(s.conns) == 0 {
		close(s.empty)
		s.empty = nil
	}
}

// Shutdown takes no more connections, closes those that are idle, and waits
// for the others to finish the request that they are in. It returns nil then,
// or the context's error once that has ended.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	empty := s.drain()
	rest := make(chan error, 1)
	go func() { rest <- s.Rest.Shutdown(ctx) }()
	var err error
	select {
	case <-empty:
	case <-ctx.Done():
		err = ctx.Err()
	}
	err = errors.Join(err, <-rest)
	if err == nil {
		s.watcher.stop()
	}
	return err
}

// drain closes what is idle and returns a channel that is closed when the
// last connection has left.
func (s *Server) drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty // of every Shutdown that waits
	if len(s.conns) == 0 {
		close(empty)
		s.empty = nil
	}
	for c := range s.conns {
		c.wake()
	}
	return empty
}

// Close closes the listener and all connections at once. The contexts of
// requests in flight end.
func (s *Server) Close() error {
	s.draining.Store(true)
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close()
	}
	for c := range s.conns {
		c.cut()
	}
	s.mu.Unlock()
	err := s.Rest.Close()
	s.watcher.stop()
	return err
}

// report says what went wrong where net/http would say it.
func (s *Server) report(format string, args ...any) {
	if s.Rest.ErrorLog != nil {
		s.Rest.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// A dateLine is the Date field of one second.
type dateLine struct {
	second int64
	text   string
}

// appendDate appends the Date field.
func (s *Server) appendDate(b []byte, now time.Time) []byte {
	line := s.date.Load()
	if second := now.Unix(); line == nil || line.second != second {
		line = &dateLine{second, "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
		s.date.Store(line)
	}
	return append(b, line.text...)
}
