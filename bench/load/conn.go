package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A conn is one keep-alive HTTP/1.1 connection; it dials when it has to.
type conn struct {
	addr    string
	timeout time.Duration
	c       net.Conn
	r       *bufio.Reader
	events  *bufio.Reader // over the body of a stream
	buf     []byte
}

func (c *conn) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

func (c *conn) dial() error {
	if c.c != nil {
		return nil
	}
	nc, err := net.DialTimeout("tcp", c.addr, c.timeout)
	if err != nil {
		return err
	}
	c.c = nc
	if c.r == nil {
		c.r, c.events = bufio.NewReaderSize(nc, 32<<10), bufio.NewReaderSize(nil, 64<<10)
	}
	c.r.Reset(nc)
	return nil
}

// roundTrip sends the request and reads the whole answer into a.
func (c *conn) roundTrip(request []byte, a *answer) error {
	if err := c.dial(); err != nil {
		return err
	}
	c.c.SetDeadline(time.Now().Add(c.timeout))
	if _, err := c.c.Write(request); err != nil {
		return err
	}
	status, b, err := readHead(c.r)
	if err != nil {
		return err
	}
	if err := c.answer(status, b, a); err != nil {
		return err
	}
	if b.closes {
		c.close()
	}
	return nil
}

func (c *conn) answer(status int, b *body, a *answer) (err error) {
	if status == 200 && a.worker.options.Stream {
		c.events.Reset(b)
		c.buf, err = a.stream(c.events, c.buf)
		return err
	}
	if c.buf, err = readAll(b, c.buf[:0]); err != nil {
		return err
	}
	if status != 200 {
		return statusError{status, string(c.buf)}
	}
	a.unary(c.buf)
	return nil
}

// A statusError is an answer that is not a 200.
type statusError struct {
	status int
	body   string
}

// Error returns the status and the beginning of the body.
func (e statusError) Error() string { return fmt.Sprintf("status %d: %.160s", e.status, e.body) }

// kind is an error's class, for counting.
func kind(err error) string {
	var n net.Error
	switch {
	case errors.As(err, &n) && n.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed early"
	}
	return fmt.Sprintf("%.180s", err.Error())
}

// A body reads a response body by its length, its chunks, or to the end.
type body struct {
	r       *bufio.Reader
	left    int // of the length or of the chunk
	chunked bool
	toEnd   bool
	started bool
	over    bool
	closes  bool
}

func readHead(r *bufio.Reader) (status int, b *body, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, nil, errors.New("not HTTP")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	b = &body{r: r, toEnd: true}
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		b.field(name, bytes.TrimSpace(value))
	}
	b.closes = b.closes || b.toEnd
	return status, b, nil
}

func (b *body) field(name, value []byte) {
	is := func(s string) bool { return len(name) == len(s) && bytes.EqualFold(name, []byte(s)) }
	switch {
	case is("Content-Length"):
		b.left, _ = strconv.Atoi(string(value))
		b.toEnd = false
	case is("Transfer-Encoding"):
		b.chunked, b.toEnd = true, false
	case is("Connection"):
		b.closes = bytes.EqualFold(value, []byte("close"))
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.toEnd {
		return b.r.Read(p)
	}
	if b.left == 0 {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// nextChunk reads the head of the next chunk; io.EOF is the end of the body.
func (b *body) nextChunk() error {
	if !b.chunked || b.over {
		return io.EOF
	}
	if b.started {
		if _, err := b.r.Discard(2); err != nil {
			return io.ErrUnexpectedEOF
		}
	}
	b.started = true
	line, err := b.r.ReadSlice('\n')
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
	if err != nil {
		return err
	}
	if n == 0 {
		b.over = true
		if _, err := b.r.ReadSlice('\n'); err != nil {
			return io.ErrUnexpectedEOF
		}
		return io.EOF
	}
	b.left = int(n)
	return nil
}

func readAll(r io.Reader, buf []byte) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}
