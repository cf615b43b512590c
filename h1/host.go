// Package h1 is an HTTP/1.1 client for engines. The goroutine that asks owns
// the connection for as long as the answer lasts: it writes the request and
// reads the answer itself, and there is no other goroutine. There are no
// redirects, no proxies, no cookies and no compression.
//
// A connection is used again only if the request was sent in full, the answer
// was read to its end, and nothing is left over. What cannot be understood
// makes the connection unusable, never the answer wrong.
package h1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultMaxIdle = 512
	maxIdleTime    = 55 * time.Second // most servers keep connections for 60 s or longer
	maxSpare       = 64               // buffers for requests that are kept
	spareSize      = 8 << 10          // of the largest of them
)

// Timeouts limit how long an engine may take. 0 means no limit.
type Timeouts struct {
	// Connect is for name look-up, TCP and TLS together.
	Connect time.Duration
	// FirstByte is from the sending of the request until Response.Started is
	// called.
	FirstByte time.Duration
	// Idle is for each wait for more of the answer after that.
	Idle time.Duration
}

// A Host is one server and the connections to it. It is safe for concurrent
// use; its exported fields must not change after the first Do.
type Host struct {
	// Dial opens a TCP connection; nil means net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is the configuration for https; nil means the defaults.
	TLS *tls.Config
	// MaxIdle is how many connections are kept for later; 0 means 512.
	MaxIdle int

	timeouts  Timeouts
	secure    bool
	name      string // without port
	addr      string // host:port
	authority string
	base      string // path before that of each request
	front     string // of a request head, after the target
	sessions  tls.ClientSessionCache

	opened atomic.Int64 // connections that are open

	mu      sync.Mutex
	idle    []*conn  // the one used last at the end
	spare   [][]byte // for heads of requests, with small bodies
	sweeper *time.Timer
	closed  bool
}

// NewHost returns the Host of base, an http or https URL. Its path stands
// before the path of each request. It must not hold user information, a query
// or a fragment.
func NewHost(base *url.URL, t Timeouts) (*Host, error) {
	port, ok := map[string]string{"http": "80", "https": "443"}[base.Scheme]
	switch {
	case !ok:
		return nil, errors.New("h1: the scheme must be http or https")
	case base.Hostname() == "" || !visible(base.Host):
		return nil, errors.New("h1: the URL has no usable host")
	case base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, errors.New("h1: the URL must have no user, query or fragment")
	}
	if p := base.Port(); p != "" {
		port = p
	}
	h := &Host{
		timeouts:  t,
		secure:    base.Scheme == "https",
		name:      base.Hostname(),
		addr:      net.JoinHostPort(base.Hostname(), port),
		authority: base.Host,
		base:      strings.TrimRight(base.EscapedPath(), "/"),
		front:     " HTTP/1.1\r\nHost: " + base.Host + "\r\n",
	}
	if h.secure {
		h.sessions = tls.NewLRUClientSessionCache(0)
	}
	return h, nil
}

// Authority returns the value of the Host header.
func (h *Host) Authority() string { return h.authority }

// Target returns what the request line says for a request with the path.
func (h *Host) Target(path string) string {
	if h.base == "" && path == "" {
		return "/"
	}
	return h.base + path
}

// Open returns how many connections are open, idle ones included.
func (h *Host) Open() int { return int(h.opened.Load()) }

// Idle returns how many connections wait for use.
func (h *Host) Idle() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.idle)
}

// CloseIdle closes the connections that wait for use.
func (h *Host) CloseIdle() {
	h.mu.Lock()
	idle := h.idle
	h.idle = nil
	if h.sweeper != nil {
		h.sweeper.Stop()
		h.sweeper = nil
	}
	h.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// Close closes the connections that wait for use and lets the Host keep none
// from now on. Requests under way go on, and new ones are possible.
func (h *Host) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.CloseIdle()
}

// take returns the connection used last that still stands, or nil.
func (h *Host) take(now time.Time) *conn {
	for {
		c := h.pop()
		if c == nil {
			return nil
		}
		if now.Sub(c.since) < maxIdleTime && c.quiet() {
			return c
		}
		c.close()
	}
}

func (h *Host) pop() *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.idle)
	if n == 0 {
		return nil
	}
	c := h.idle[n-1]
	h.idle[n-1] = nil
	h.idle = h.idle[:n-1]
	return c
}

// put keeps c for later, or closes it if there are enough.
func (h *Host) put(c *conn, now time.Time) {
	c.since = now
	if !h.push(c) {
		c.close()
	}
}

func (h *Host) push(c *conn) bool {
	limit := h.MaxIdle
	if limit <= 0 {
		limit = defaultMaxIdle
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.idle) >= limit {
		return false
	}
	h.idle = append(h.idle, c)
	if h.sweeper == nil {
		h.sweeper = time.AfterFunc(maxIdleTime, h.sweep)
	}
	return true
}

// sweep closes what nobody used for maxIdleTime. It runs once in that time as
// long as there are idle connections.
func (h *Host) sweep() {
	now := time.Now()
	h.mu.Lock()
	n := 0
	for n < len(h.idle) && now.Sub(h.idle[n].since) >= maxIdleTime {
		n++
	}
	old := append([]*conn(nil), h.idle[:n]...)
	rest := copy(h.idle, h.idle[n:])
	clear(h.idle[rest:])
	h.idle = h.idle[:rest]
	switch {
	case rest == 0:
		h.sweeper = nil
	case h.sweeper != nil:
		h.sweeper.Reset(maxIdleTime)
	}
	h.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

// lend returns an empty buffer for a request.
func (h *Host) lend() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.spare)
	if n == 0 {
		return nil
	}
	b := h.spare[n-1]
	h.spare[n-1] = nil
	h.spare = h.spare[:n-1]
	return b
}

// giveBack takes a buffer that was lent, or has grown from one.
func (h *Host) giveBack(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cap(b) <= spareSize && len(h.spare) < maxSpare {
		h.spare = append(h.spare, b[:0])
	}
}

// connect opens a connection within the time for it. Another goroutine does
// it, which ends with it: the stack that this takes would stay with the
// caller's for the life of a stream.
func (h *Host) connect(ctx context.Context) (c *conn, err error) {
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		c, err = h.open(ctx)
	}()
	<-opened // the open keeps to the context
	return c, err
}

func (h *Host) open(ctx context.Context) (*conn, error) {
	if h.timeouts.Connect > 0 {
		limited, cancel := context.WithTimeout(ctx, h.timeouts.Connect)
		defer cancel()
		ctx = limited
	}
	dial := h.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	raw, err := dial(ctx, "tcp", h.addr)
	if err != nil {
		return nil, &DialError{Addr: h.addr, Err: err}
	}
	stream := raw
	if h.secure {
		if stream, err = h.handshake(ctx, raw); err != nil {
			raw.Close()
			return nil, &DialError{Addr: h.addr, Err: err}
		}
	}
	h.opened.Add(1)
	return newConn(h, stream, raw), nil
}

func (h *Host) handshake(ctx context.Context, raw net.Conn) (net.Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if h.TLS != nil {
		config = h.TLS.Clone()
	}
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		config.ServerName = h.name
	}
	if config.ClientSessionCache == nil {
		config.ClientSessionCache = h.sessions
	}
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return c, nil
}
