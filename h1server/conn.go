package h1server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop/socket"
)

// readSize is what is read at once while no body is being read; a longer head
// makes the buffer grow.
const readSize = 4 << 10

// maxKept is the largest buffer of an answer that is used again.
const maxKept = 64 << 10

// The memory of connections that read, and of those that write. A connection
// that waits for its handler has none. What an answer has made large must not
// lie with a connection that waits for its next request, so the two are apart.
var (
	reading = buffers{most: readSize}
	writing = buffers{most: maxKept}
)

// A buffers is a pool of buffers that have at most a size.
type buffers struct {
	pool sync.Pool
	most int
}

func (s *buffers) lend() *[]byte {
	if b, ok := s.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, readSize)
	return &b
}

func (s *buffers) giveBack(b *[]byte) {
	if b != nil && cap(*b) <= s.most {
		*b = (*b)[:0]
		s.pool.Put(b)
	}
}

// A conn is one connection in the loop. Its goroutine owns it; cancel, wake
// and cut may be called by others.
type conn struct {
	server *Server
	stream net.Conn
	port   *socket.Port // of stream
	number int32        // with the watcher
	cancel context.CancelFunc
	idle   atomic.Bool // waits for a request, of which nothing has come

	in        *[]byte // what was read, from unread on not used; nil if that is nothing
	unread    int
	watched   bool
	handed    bool
	head      head
	blank     *http.Request // what is the same in every request
	request   *http.Request
	target    url.URL
	left      int64 // of the body
	response  response
	readArmed time.Time // the deadline that is set
	readDue   time.Time // the one that is wanted
}

func newConn(s *Server, stream net.Conn, port *socket.Port) *conn {
	ctx, cancel := context.WithCancel(context.Background())
	c := &conn{server: s, stream: stream, port: port, cancel: cancel, request: new(http.Request)}
	c.blank = (&http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: stream.RemoteAddr().String()}).WithContext(ctx)
	c.head.header, c.response.header = http.Header{}, http.Header{}
	c.response.c = c
	return c
}

// serve reads and serves one request after the other.
func (c *conn) serve() {
	defer c.end()
	for c.wait() {
		switch c.readHead() {
		case broken:
			return
		case foreign:
			c.handOver()
			return
		}
		if !c.answer() || c.server.draining.Load() {
			return
		}
	}
}

// end closes the connection, unless it was handed over.
func (c *conn) end() {
	c.cancel()
	if c.watched {
		c.server.watcher.forget(c)
	}
	if !c.handed {
		_ = c.stream.Close()
	}
	reading.giveBack(c.in)
	writing.giveBack(c.response.out)
	c.in, c.response.out = nil, nil
	c.server.left(c)
}

// handOver gives the connection, with what was read of it, to net/http.
func (c *conn) handOver() {
	c.handed = true
	if c.watched {
		c.server.watcher.release(c)
	}
	_ = c.stream.SetDeadline(time.Time{}) // if this fails the connection is broken, as net/http will see
	c.server.rest.give(&replayed{Conn: c.stream, front: bytes.Clone(c.pending())})
}

// wake makes an idle connection look around; the server is being shut down.
func (c *conn) wake() {
	if c.idle.Load() {
		_ = c.stream.SetReadDeadline(time.Unix(1, 0)) // fails only if the connection is closed
	}
}

// cut ends the connection whatever it does.
func (c *conn) cut() {
	c.cancel()
	_ = c.stream.Close() // a second time at worst
}

// pending is what was read and not used.
func (c *conn) pending() []byte {
	if c.in == nil {
		return nil
	}
	return (*c.in)[c.unread:]
}

// used takes n bytes off pending.
func (c *conn) used(n int) {
	if c.unread += n; c.in != nil && c.unread == len(*c.in) {
		reading.giveBack(c.in)
		c.in, c.unread = nil, 0
	}
}

// more reads once, behind what is pending.
func (c *conn) more() error {
	if c.in == nil {
		c.in, c.unread = reading.lend(), 0
	}
	b := *c.in
	if len(b) == cap(b) {
		grown := make([]byte, len(b)-c.unread, max(2*(len(b)-c.unread), readSize))
		copy(grown, b[c.unread:])
		reading.giveBack(c.in)
		b, c.unread, c.in = grown, 0, &grown
	}
	n, err := c.read(b[len(b):cap(b)])
	*c.in = b[:len(b)+n]
	if n > 0 {
		return nil
	}
	return err
}

// read reads once, by the time that is wanted.
func (c *conn) read(p []byte) (int, error) {
	if !c.onTime(c.readArmed, c.readDue) {
		c.readArmed = c.readDue
		if err := c.stream.SetReadDeadline(c.readDue); err != nil {
			return 0, err
		}
	}
	return c.port.Read(p)
}

// write writes all of p, within the server's WriteTimeout. The clock is looked
// at only if the caller does not take it at once.
func (c *conn) write(p []byte) error {
	n, err := c.port.TryWrite(p)
	if err != nil || n == len(p) {
		return err
	}
	if c.server.WriteTimeout > 0 {
		if err := c.stream.SetWriteDeadline(time.Now().Add(c.server.WriteTimeout)); err != nil {
			return err
		}
		defer func() { _ = c.stream.SetWriteDeadline(time.Time{}) }() // fails only if the connection is closed
	}
	_, err = c.stream.Write(p[n:])
	return err
}

// onTime reports whether a deadline that is set will do for the one that is
// wanted.
func (c *conn) onTime(armed, due time.Time) bool {
	if armed.Equal(due) {
		return true
	}
	if armed.IsZero() || due.IsZero() {
		return false
	}
	slack := time.Until(due) / 8
	return armed.Sub(due).Abs() <= slack
}

// wait waits for the first byte of a request and reports whether there is one.
func (c *conn) wait() bool {
	if len(c.pending()) > 0 {
		return true
	}
	if !c.armIdle(time.Now()) {
		return false
	}
	// Whoever drains looks at idle and then wakes; so the deadline is set
	// before, and draining looked at after.
	c.idle.Store(true)
	defer c.idle.Store(false)
	if c.server.draining.Load() {
		return false
	}
	return c.more() == nil
}

// armIdle sets the deadline for the first byte of a request. One who has yet
// to send his first request gets no more time for that than for the rest of
// its head.
func (c *conn) armIdle(now time.Time) bool {
	least := c.server.IdleTimeout
	if !c.watched {
		least = c.server.HeadTimeout
	}
	c.readDue = idleDeadline(c.readArmed, now, least)
	if c.readDue.Equal(c.readArmed) {
		return true
	}
	c.readArmed = c.readDue
	return c.stream.SetReadDeadline(c.readDue) == nil
}

// idleDeadline returns armed if that is a deadline for waiting from now on, at
// least for the time given and at most for a quarter more, or else one that
// is. It moves once in a while, and not with each request.
func idleDeadline(armed, now time.Time, least time.Duration) time.Time {
	most := least + least/4
	if left := armed.Sub(now); left >= least && left <= most {
		return armed
	}
	return now.Add(most)
}

// A verdict says what is to be done with a connection.
type verdict int

const (
	taken   verdict = iota // a request is there for the loop to serve
	foreign                // what has come is for net/http
	broken
)

// readHead reads until the head of a request is complete.
func (c *conn) readHead() verdict {
	var due time.Time
	for from := 0; ; {
		size, v := c.head.parse(c.pending(), c.server.Takes, from)
		switch {
		case v == foreign:
			return foreign
		case size > 0:
			return c.take(size)
		case len(c.pending()) > c.server.MaxHead:
			return foreign
		}
		if from = len(c.pending()); due.IsZero() {
			due = time.Now().Add(c.server.HeadTimeout)
		}
		c.readDue = due
		if c.more() != nil {
			return broken
		}
	}
}

// take begins the request whose head has the size.
func (c *conn) take(size int) verdict {
	if size > c.server.MaxHead || c.head.length > c.server.MaxBody {
		return foreign
	}
	if !c.watched {
		if !c.server.watcher.add(c) {
			return foreign
		}
		c.watched = true
	}
	h, r := &c.head, c.request
	*r, c.target = *c.blank, url.URL{Path: h.target}
	r.Method, r.URL, r.RequestURI = h.method, &c.target, h.target
	r.Header, r.Host, r.ContentLength, r.Body = h.header, h.host, h.length, http.NoBody
	if h.length > 0 {
		r.Body = (*body)(c)
	}
	c.left = h.length
	c.used(size)
	return taken
}

// answer has the handler answer, and reports whether the connection can take
// another request.
func (c *conn) answer() (keep bool) {
	c.readDue = time.Time{}
	c.response.reset()
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		keep = false
		if fault != http.ErrAbortHandler {
			c.server.report("h1server: panic serving %s: %v\n%s", c.blank.RemoteAddr, fault, debug.Stack())
		}
	}()
	c.server.Handler.ServeHTTP(&c.response, c.request)
	gone := c.blank.Context().Err() != nil
	if gone && !c.response.began {
		return false // there is no answer, and one who only closed his half must not see one
	}
	return c.response.finish() && c.left == 0 && !gone
}

// A body is the connection as the body of its request.
type body conn

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	c := (*conn)(b)
	if c.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.left)]
	n := copy(p, c.pending())
	if n > 0 {
		c.used(n)
		c.left -= int64(n)
		return n, nil
	}
	n, err := c.read(p)
	if c.left -= int64(n); n > 0 || err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.cancel()
	}
	return 0, err
}

// Close implements io.Closer; what is left of the body then ends the
// connection.
func (b *body) Close() error { return nil }
