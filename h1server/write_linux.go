package h1server

import (
	"syscall"
	"time"
)

// An outgoing is a write that is under way.
type outgoing struct {
	turn  func(fd uintptr) (done bool) // for syscall.RawConn
	rest  []byte
	err   error
	armed bool // a deadline is set
}

// write writes all of p, within the server's WriteTimeout. The clock is looked
// at only if the caller does not take it at once.
func (c *conn) write(p []byte) error {
	o := &c.outgoing
	if o.turn == nil {
		o.turn = c.push
	}
	o.rest, o.err = p, nil
	err := c.raw.Write(o.turn)
	if o.armed {
		o.armed = false
		_ = c.stream.SetWriteDeadline(time.Time{}) // fails only if the connection is closed
	}
	o.rest = nil
	if err != nil {
		return err
	}
	return o.err
}

// push writes what the system takes, and returns false to be called again
// when it takes more.
func (c *conn) push(fd uintptr) (done bool) {
	o := &c.outgoing
	for len(o.rest) > 0 {
		n, err := syscall.Write(int(fd), o.rest)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			o.err = c.armWrite()
			return o.err != nil
		case err != nil:
			o.err = err
			return true
		default:
			o.rest = o.rest[n:]
		}
	}
	return true
}

// armWrite bounds the write that is under way.
func (c *conn) armWrite() error {
	if c.outgoing.armed || c.server.WriteTimeout <= 0 {
		return nil
	}
	c.outgoing.armed = true
	return c.stream.SetWriteDeadline(time.Now().Add(c.server.WriteTimeout))
}
