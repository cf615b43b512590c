package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop/socket"
)

const (
	bufferSize = 2 << 10  // to begin with: a stream that trickles needs no more
	fullSize   = 16 << 10 // after two reads that filled the buffer
	directSize = 8 << 10  // least room of a caller that is read into directly
	bodyRoom   = 1 << 10  // least room for the body behind the head
	copySize   = 4 << 10  // bodies up to this are copied behind the head: that is cheaper than writev
	joinSize   = 16 << 10 // bodies up to this are copied behind the head where writev is not to be had
	lastWords  = time.Second
)

// A conn is a connection to a Host. The goroutine that took it owns it; only
// kill may be called by another one.
type conn struct {
	host   *Host
	stream net.Conn         // plain or TLS
	raw    net.Conn         // below stream
	plain  bool             // there is no TLS: stream is raw
	port   *socket.Port     // of raw; nil if it has none
	peek   func(fd uintptr) // sets silent
	silent bool
	since  time.Time // idle since
	used   bool      // it has carried an answer before
	kill   func()    // ends the connection; for context.AfterFunc
	gone   atomic.Bool
	follower

	// buf[:body] is the head of the answer, buf[r:w] what was read of the
	// body and not used.
	buf        []byte
	body, r, w int
	heard      bool  // something was read since the request
	err        error // came with bytes; for the next read

	pieces  [2][]byte // of the request
	buffers net.Buffers
	full    bool // the last read filled the buffer

	// due is when the engine's time is over; armed is the deadline that is
	// set, at due or before it. Moving due thus costs nothing most of the
	// time, and a deadline that comes early is set anew.
	due, armed time.Time
}

func newConn(h *Host, stream, raw net.Conn) *conn {
	c := &conn{host: h, stream: stream, raw: raw, plain: stream == raw}
	c.kill = c.close
	if c.port = socket.Of(raw); c.port != nil {
		c.watch()
	}
	if c.bare() {
		c.prepareFollow()
	}
	if c.turn != nil {
		c.kill = c.cutOff
	}
	return c
}

// bare reports whether bytes pass between the caller and the socket as they
// are: there is no TLS, and a port. Head and body of a request then go out from
// where they lie.
func (c *conn) bare() bool { return c.plain && c.port != nil }

// cutOff ends the connection even while it is being followed: close alone
// would then wait until the owner looks at the connection again.
func (c *conn) cutOff() {
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.CloseRead() // fails only if the connection is closed already
		_ = tcp.CloseWrite()
	}
	c.close()
}

// close closes the connection at once, without TLS's farewell, which could
// block. It may be called more than once and by any goroutine.
func (c *conn) close() {
	if c.gone.CompareAndSwap(false, true) {
		c.raw.Close()
		c.host.opened.Add(-1)
	}
}

// arm gives the engine d from now on, without limit if d is 0.
func (c *conn) arm(now time.Time, d time.Duration) error {
	c.extend(now, d)
	if d <= 0 && c.armed.IsZero() || d > 0 && !c.armed.After(c.due) && c.armed.Sub(now) >= d/2 {
		return nil
	}
	return c.set(c.due)
}

// extend moves the end of the engine's time alone.
func (c *conn) extend(now time.Time, d time.Duration) {
	if c.due = now.Add(d); d <= 0 {
		c.due = time.Time{}
	}
}

// glance arms for a wait that is to be looked into after d, or when the
// engine's time is over. That is no later than due, and the half of d earlier
// at most.
func (c *conn) glance(now time.Time, d time.Duration) error {
	at := now.Add(d)
	if !c.due.IsZero() && c.due.Before(at) {
		at = c.due
	}
	if !c.armed.IsZero() && !c.armed.After(at) && at.Sub(c.armed) <= d/2 {
		return nil
	}
	return c.set(at)
}

func (c *conn) set(deadline time.Time) error {
	c.armed = deadline
	return c.stream.SetDeadline(deadline)
}

// early reports whether err is a deadline that came before its time; if so,
// the right one is set.
func (c *conn) early(err error) bool {
	late := !c.due.IsZero() && !c.armed.Before(c.due)
	return errors.Is(err, os.ErrDeadlineExceeded) && !late && c.set(c.due) == nil
}

// send writes the request, head and body together. The memory for that is the
// host's: sending takes a short time beside that of an answer.
func (c *conn) send(req *Request) error {
	out := req.appendHead(c.host.lend(), c.host)
	defer func() { c.host.giveBack(out) }()
	if len(req.Body) <= copySize || !c.bare() && len(req.Body) <= joinSize {
		out = append(out, req.Body...)
		return c.write(out)
	}
	c.pieces = [2][]byte{out, req.Body}
	c.buffers = c.pieces[:]
	_, err := c.buffers.WriteTo(c.stream)
	for err != nil && c.early(err) {
		_, err = c.buffers.WriteTo(c.stream)
	}
	c.pieces, c.buffers = [2][]byte{}, nil
	return err
}

func (c *conn) write(b []byte) error {
	n, err := c.put(b)
	for err != nil && c.early(err) {
		b = b[n:]
		n, err = c.put(b)
	}
	return err
}

// put writes b, or what of it can be written until the deadline.
func (c *conn) put(b []byte) (n int, err error) {
	if c.bare() {
		if n, err = c.port.TryWrite(b); err != nil || n == len(b) {
			return n, err
		}
	}
	more, err := c.stream.Write(b[n:])
	return n + more, err
}

// receive reads the head of the answer.
func (c *conn) receive() (answer, error) {
	c.body, c.r, c.w = 0, 0, 0
	for n := 0; n <= maxInterims; n++ {
		end, err := c.findHead()
		if err != nil {
			return answer{}, err
		}
		a, err := parseHead(c.buf[c.r:end])
		if err != nil || a.status >= 200 {
			a.fields += c.r
			c.r, c.body = end, end
			return a, err
		}
		c.r = end
	}
	return answer{}, malformed("too many interim answers")
}

// findHead reads until buf[r:end] is a whole head.
func (c *conn) findHead() (end int, err error) {
	from := 0
	for {
		if end, from, err = headEnd(c.buf[c.r:c.w], from); err != nil || end > 0 {
			return c.r + end, err
		}
		if err = c.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
}

// fill reads once into buf, behind what is there.
func (c *conn) fill() error {
	c.makeRoom()
	room := c.buf[c.w:]
	n, err := c.read(room)
	c.w += n
	c.full = n == len(room)
	return err
}

// makeRoom moves what was not used to the front, behind the head, and lets
// buf grow where that is not enough. What is not used is a head or a line of
// framing that is not complete, whose parsers limit it.
func (c *conn) makeRoom() {
	if c.r > c.body && (c.r == c.w || c.w == len(c.buf)) {
		c.w = c.body + copy(c.buf[c.body:], c.buf[c.r:c.w])
		c.r = c.body
	}
	more := c.full && len(c.buf) < fullSize
	if c.w < len(c.buf) && len(c.buf)-c.body >= bodyRoom && !more {
		return
	}
	size := max(bufferSize, 2*len(c.buf), c.body+bufferSize)
	if more {
		size = max(size, min(4*len(c.buf), fullSize))
	}
	grown := make([]byte, size)
	copy(grown, c.buf[:c.w])
	c.buf = grown
}

// read reads once. Bytes are never lost to an error that comes with them.
func (c *conn) read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	for {
		n, err := c.take(p)
		if n > 0 {
			c.heard, c.err = true, err
			return n, nil
		}
		if err != nil && !c.early(err) {
			return 0, err
		}
	}
}

func (c *conn) take(p []byte) (int, error) {
	if c.bare() {
		return c.port.Read(p)
	}
	return c.stream.Read(p)
}

var past = time.Unix(1, 0)

// quiet reports whether the idle connection is as it should be: open, and with
// nothing to read. What an engine sent without being asked must never become
// the answer to the next request.
func (c *conn) quiet() bool {
	if !c.noInput() {
		return false
	}
	if c.plain {
		return true
	}
	// This also makes arm set a deadline of its own, which TLS needs: it
	// cannot go on after a write that ran out of time too early.
	if c.set(past) != nil {
		return false
	}
	var b [1]byte // of what TLS has read ahead, for it can read no more
	n, err := c.stream.Read(b[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// trim lets go of what a connection need not hold while it is idle.
func (c *conn) trim() {
	c.body, c.r, c.w = 0, 0, 0
	if len(c.buf) > fullSize {
		c.buf = nil
	}
}
