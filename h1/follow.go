package h1

import (
	"syscall"
	"time"
)

// trust is the longest that a wait relies on the kernel's word that nothing
// was left. It tells of bytes and of an orderly end, but not of a reset that
// came along with the last bytes.
const trust = 2 * time.Second

// A follower is what a connection needs for Follow.
type follower struct {
	turn     func(fd uintptr) bool // for syscall.RawConn; nil if the system cannot tell what is left
	oob      [24]byte              // what it tells beside the bytes
	response *Response             // that is being followed; nil if none is
	step     func() (more bool)
	drained  bool // all that had come was read
	fresh    bool // something came since the last wait, or there was none
	over     bool // step wants no more
}

// Follow calls step until it returns false, each time when Read has something
// to tell: bytes of the body, its end or an error. Where that cannot be known
// beforehand, Read waits for it. It is for bodies that come in small pieces
// over a long time: each then costs one read less than by Read alone.
//
// A Read in step for which nothing is at hand returns 0 and no error. step
// must not call Close, Drain or Follow.
func (r *Response) Follow(step func() (more bool)) {
	if r.c != nil && r.c.turn != nil && !r.follow(step) {
		return
	}
	for step() {
	}
}

// follow follows the body on a connection that allows for it, and reports
// whether step is to be called again, to hear of an error.
func (r *Response) follow(step func() (more bool)) (more bool) {
	c := r.c
	c.response, c.step, c.drained, c.fresh, c.over = r, step, false, true, false
	defer func() { c.response, c.step = nil, nil }()
	for !c.over && r.err == nil {
		if err := c.port.Raw().Read(c.turn); err != nil && !c.early(err) {
			r.err = r.explain(err)
		}
	}
	return !c.over
}

// advance calls step for as long as there is something to tell, and reads what
// there is. It returns false to wait for the connection to become readable,
// as syscall.RawConn wants it. Its Read forgets only at its start that a
// connection became readable, so that nothing is missed in between.
func (r *Response) advance(fd uintptr) (over bool) {
	c := r.c
	for {
		for r.tells() {
			if !c.step() {
				c.over = true
				return true
			}
		}
		drained := c.drained
		c.drained = false
		if !drained {
			err := c.pull(fd)
			if err == nil {
				continue
			}
			if err != syscall.EAGAIN {
				r.err = r.cut(err)
				continue
			}
		}
		if err := r.patience(drained); err != nil {
			r.err = r.explain(err)
			continue
		}
		return false
	}
}

// tells reports whether Read returns at once.
func (r *Response) tells() bool {
	if r.err == nil {
		_, r.err = r.decode(nil)
	}
	return r.err != nil || r.c.r < r.c.w && r.frame.at == inData
}

// pull reads once into buf without waiting.
func (c *conn) pull(fd uintptr) error {
	if c.err != nil {
		return c.err
	}
	c.makeRoom()
	room := c.buf[c.w:]
	n, left, err := c.receiveNow(fd, room)
	if err != nil {
		return err
	}
	c.w += n
	c.heard, c.full = true, n == len(room)
	c.drained, c.fresh = !left, true
	return nil
}

// patience sets the deadline for a wait, and an early one if nothing but the
// kernel's word says that there is something to wait for. A wait that goes on
// has no more time than before.
func (r *Response) patience(onTrust bool) error {
	c, now := r.c, time.Now()
	more := c.fresh && r.started
	c.fresh = false
	if more {
		r.waited = now
		c.extend(now, c.host.timeouts.Idle)
	}
	switch {
	case onTrust:
		return c.glance(now, trust)
	case more:
		return c.arm(now, c.host.timeouts.Idle)
	}
	return nil
}
