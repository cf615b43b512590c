package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// A Response is an answer that has begun. It must be closed. It is used by one
// goroutine at a time.
type Response struct {
	Status int // 200 to 599

	c       *conn // nil once closed
	ctx     context.Context
	stop    func() bool // ends the watch over ctx; nil if there is none
	frame   frame
	fields  int   // offset of the header in c.buf
	length  int64 // of the body; -1 if that was not told
	keep    bool  // the connection may be used again
	started bool
	waited  time.Time
	err     error // of the body; told again by each Read
}

// Do sends req and reads the head of the answer. If a kept connection turns
// out to be closed before the first byte of the answer, the request is sent
// once more on a new one; the engine had most probably closed it while it was
// idle.
//
// When ctx ends, now or while the body is read, the connection is closed at
// once. Errors are a *DialError, ErrRequest, ErrFirstByte, ErrProtocol,
// context.Cause(ctx), io.ErrUnexpectedEOF if the engine closed the connection,
// or what the network said.
func (h *Host) Do(ctx context.Context, req *Request) (*Response, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	now := time.Now()
	if c := h.take(now); c != nil {
		r, err := c.exchange(ctx, req, now)
		if err == nil || !c.stale(err) || ctx.Err() != nil {
			return r, err
		}
	}
	c, err := h.connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return c.exchange(ctx, req, time.Now())
}

// stale reports whether err can mean that the connection was closed while it
// was idle: it was kept, and the engine did not answer a byte, and not because
// its time was up.
func (c *conn) stale(err error) bool { return c.used && !c.heard && err != ErrFirstByte }

// exchange sends req and reads the head of the answer. On an error the
// connection is closed.
func (c *conn) exchange(ctx context.Context, req *Request, now time.Time) (*Response, error) {
	r := &Response{c: c, ctx: ctx}
	if ctx.Done() != nil {
		r.stop = context.AfterFunc(ctx, c.kill)
	}
	if err := r.begin(req, now); err != nil {
		err = r.explain(err)
		r.discard()
		return nil, err
	}
	return r, nil
}

func (r *Response) begin(req *Request, now time.Time) error {
	c := r.c
	c.heard = false
	if err := c.arm(now, c.host.timeouts.FirstByte); err != nil {
		return err
	}
	unsent := c.send(req)
	if unsent != nil && c.hurry() != nil {
		return unsent
	}
	a, err := c.receive()
	switch {
	case unsent != nil && err != nil:
		return unsent
	case err != nil:
		return err
	}
	r.Status, r.fields, r.length = a.status, a.fields, a.length
	r.keep = a.keep && unsent == nil
	r.frame = newFrame(a, req.Method)
	return nil
}

// hurry leaves an engine that stopped to listen a short time for what it may
// have said before: often that the request is too large.
func (c *conn) hurry() error {
	soon := time.Now().Add(lastWords)
	if c.due.IsZero() || soon.Before(c.due) {
		c.due = soon
	}
	return c.set(c.due)
}

// explain turns an error of the connection into one that tells the reason.
func (r *Response) explain(err error) error {
	switch {
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case r.started:
		return ErrIdle
	}
	return ErrFirstByte
}

// Header returns the value of the first header field with the name, which is
// given in lower case; "" if there is none, and after Close.
func (r *Response) Header(name string) string {
	if r.c == nil {
		return ""
	}
	for b := r.c.buf[r.fields:r.c.body]; ; {
		key, value, rest, ok := nextField(b)
		if !ok || key == nil {
			return ""
		}
		if is(key, name) {
			return string(value)
		}
		b = rest
	}
}

// Length returns how long the body is, as announced, or -1 if that was not
// told. It is a hint and can be as large as the engine likes.
func (r *Response) Length() int64 { return r.length }

// Delimited reports whether the body has an end of its own. If not, it ends
// with the connection, and io.EOF may as well mean that it was cut.
func (r *Response) Delimited() bool { return !r.frame.open }

// Started says that the answer has begun in earnest: from now on each wait is
// limited by Timeouts.Idle, and no longer all of it by Timeouts.FirstByte.
func (r *Response) Started() { r.started = true }

// Waited returns when the last wait for the engine began, of those that were
// for more than it had sent before, after Started; zero before the first.
func (r *Response) Waited() time.Time { return r.waited }

// Read reads the body. It blocks only if nothing is at hand. At the end it
// returns io.EOF; a body that was cut gives io.ErrUnexpectedEOF or what the
// network said, and other errors are those of Do and ErrIdle.
func (r *Response) Read(p []byte) (int, error) {
	if r.c == nil {
		return 0, net.ErrClosed
	}
	for r.err == nil {
		n, err := r.decode(p)
		r.err = err
		if n > 0 || len(p) == 0 && err == nil {
			return n, nil
		}
		if err != nil {
			break
		}
		if r.c.response != nil {
			return 0, nil
		}
		if n, r.err = r.wait(p); n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// decode takes from the buffer what is at hand of the body.
func (r *Response) decode(p []byte) (int, error) {
	c := r.c
	n, used, err := r.frame.decode(p, c.buf[c.r:c.w])
	c.r += used
	if err == nil && n == 0 && r.frame.at == atEnd {
		err = io.EOF
	}
	return n, err
}

// wait reads once from the connection: into the buffer, or right into p if
// that is larger and can only get bytes of this body.
func (r *Response) wait(p []byte) (n int, err error) {
	c := r.c
	if r.started {
		r.waited = time.Now()
		err = c.arm(r.waited, c.host.timeouts.Idle)
	}
	if err == nil && r.direct(len(p)) {
		if r.frame.left >= 0 {
			p = p[:min(int64(len(p)), r.frame.left)]
		}
		n, err = c.read(p)
		r.frame.got(n)
	} else if err == nil {
		err = c.fill()
	}
	if err != nil {
		err = r.cut(err)
	}
	return n, err
}

// cut is the error of a body that ends with err of the connection. An end
// that comes with the context's may be of our own making.
func (r *Response) cut(err error) error {
	if err == io.EOF && r.frame.open && r.ctx.Err() == nil {
		r.frame.at = atEnd
		return io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return r.explain(err)
}

// direct reports whether a read may go right into the caller's buffer. It
// stops at the end of the body, so what the engine sent beyond that must show
// in quiet.
func (r *Response) direct(room int) bool {
	c := r.c
	return room >= directSize && c.bare() && c.peek != nil && c.r == c.w && r.frame.at == inData && !r.frame.chunked
}

// Ready reports whether bytes of the body are at hand, so that the next Read
// does not wait. It may miss bytes behind framing that is still to be read.
func (r *Response) Ready() bool {
	return r.c != nil && r.err == nil && r.c.r < r.c.w && r.frame.at == inData && r.frame.left != 0
}

// Ended reports whether the body has been read to its end, as far as can be
// told without waiting.
func (r *Response) Ended() bool {
	if r.c != nil && r.err == nil {
		_, r.err = r.decode(nil)
	}
	return r.err == io.EOF
}

// Drain reads and drops the rest of the body, at most 4 KiB of it and for at
// most d, and reports whether the end was reached. A caller that knows from
// the content that the answer is complete can thus save the connection.
func (r *Response) Drain(d time.Duration) bool {
	if r.c == nil {
		return false
	}
	var scrap [512]byte
	r.started = true
	until := time.Now().Add(d)
	for range 8 {
		if r.err != nil {
			break
		}
		if n, err := r.decode(scrap[:]); n > 0 || err != nil {
			r.err = err
			continue
		}
		if r.err = r.c.arm(time.Now(), max(1, time.Until(until))); r.err == nil {
			r.err = r.c.fill()
		}
	}
	return r.frame.at == atEnd
}

// Close ends the use of the Response. The connection is kept for later if the
// body was read to its end, or what is missing of it is at hand and empty;
// otherwise it is closed. Close may be called more than once; its error is
// always nil.
func (r *Response) Close() error {
	c := r.c
	if c == nil {
		return nil
	}
	if r.err == nil {
		_, r.err = r.decode(nil)
	}
	if r.err != io.EOF || !r.keep || r.frame.open || c.r != c.w || c.err != nil || !r.release() {
		r.discard()
		return nil
	}
	r.c = nil
	c.used = true
	c.trim()
	c.host.put(c, time.Now())
	return nil
}

// discard closes the connection.
func (r *Response) discard() {
	r.release()
	r.c.close()
	r.c = nil
}

// release ends the watch over the context and reports whether it was still
// quiet: if not, kill has run or will, and the connection must not be used
// again.
func (r *Response) release() bool {
	if r.stop == nil {
		return true
	}
	quiet := r.stop()
	r.stop = nil
	return quiet
}
