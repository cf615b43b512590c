package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// A Client sends requests of their own, each with a ConverseStream answer, and
// keeps its connections. It opens as many as there are requests under way. It
// is safe for concurrent use.
type Client struct {
	addr string
	mu   sync.Mutex
	idle []kept
}

// A kept connection is one without a request under way.
type kept struct {
	conn  *conn
	since time.Time
}

// keepIdle is how long a connection is kept without a request: well below the
// time after which a server closes it.
const keepIdle = 20 * time.Second

// NewClient returns a client of the server at addr, host:port.
func NewClient(addr string) *Client { return &Client{addr: addr} }

// A Request is one request.
type Request struct {
	Path   string // as it stands in the request line
	Bearer string // API key, if any
	Body   []byte
	// FirstBy is when the answer must have begun, and Rest what it may take
	// from then on.
	FirstBy time.Time
	Rest    time.Duration
}

// A Seen is what was seen of an answer, also of one that broke off.
type Seen struct {
	Status      int       // 0 if there was none
	First, Last time.Time // first content, zero if there was none, and end
	Events      int       // with content: one for each token of a simulated engine
}

// Send sends the request and blocks until its answer has ended, time is up, or
// ctx ends, which also ends the connection. An answer that is not a whole
// stream is an error.
func (c *Client) Send(ctx context.Context, r Request) (Seen, error) {
	cn := c.take(time.Until(r.FirstBy))
	if err := cn.dial(); err != nil {
		return Seen{}, err
	}
	nc := cn.c
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	seen, err := cn.exchange(c.addr, r)
	if !stop() || err != nil {
		cn.close()
		return seen, errors.Join(err, ctx.Err())
	}
	c.put(cn)
	return seen, nil
}

// Close closes the connections that no request uses.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.idle {
		k.conn.close()
	}
	c.idle = nil
}

// take returns the connection that was used last, or a new one.
func (c *Client) take(timeout time.Duration) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.idle) > 0 {
		last := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if time.Since(last.since) < keepIdle {
			return last.conn
		}
		last.conn.close()
	}
	return &conn{addr: c.addr, timeout: timeout}
}

func (c *Client) put(cn *conn) {
	if cn.c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, kept{cn, time.Now()})
}

// exchange is one request and its answer on the open connection.
func (c *conn) exchange(host string, r Request) (seen Seen, err error) {
	c.c.SetDeadline(r.FirstBy)
	if _, err := c.c.Write(head(host, r)); err != nil {
		return seen, err
	}
	status, b, err := readHead(c.r)
	if err != nil {
		return seen, err
	}
	c.c.SetDeadline(time.Now().Add(r.Rest))
	a := answer{worker: &worker{options: &Options{Protocol: Converse, Stream: true, WantBytes: -1, WantEvents: -1}}}
	err = c.answer(status, b, &a)
	seen = Seen{Status: status, First: a.contentAt, Last: time.Now(), Events: a.events}
	if err != nil {
		return seen, err
	}
	if b.closes {
		c.close()
	}
	return seen, a.check()
}

// head is the whole request.
func head(host string, r Request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nUser-Agent: load\r\n", r.Path, host)
	if r.Bearer != "" {
		b.WriteString("Authorization: Bearer " + r.Bearer + "\r\n")
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(r.Body)) + "\r\n\r\n")
	b.Write(r.Body)
	return b.Bytes()
}
