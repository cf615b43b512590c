package gateway

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
)

// A boundedListener limits how many connections are open, in all and for each
// address. A connection over the limit of its address is closed at once; one
// over the limit in all waits to be accepted. It counts before TLS, so that
// handshakes count too.
type boundedListener struct {
	net.Listener
	perAddress int
	slots      chan struct{}
	closing    sync.Once
	closed     chan struct{}
	mu         sync.Mutex
	open       map[netip.Addr]int
}

// bound wraps l; total and perAddress must be positive.
func bound(l net.Listener, total, perAddress int) *boundedListener {
	return &boundedListener{Listener: l, perAddress: perAddress, slots: make(chan struct{}, total),
		closed: make(chan struct{}), open: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		from := addressOf(c)
		if l.enter(from) {
			return &boundedConn{Conn: c, leave: func() { l.leave(from) }}, nil
		}
		_ = c.Close()
		<-l.slots
	}
}

// Close implements net.Listener. It ends an Accept that waits for a slot, too.
func (l *boundedListener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *boundedListener) enter(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[a] >= l.perAddress {
		return false
	}
	l.open[a]++
	return true
}

func (l *boundedListener) leave(a netip.Addr) {
	l.mu.Lock()
	if l.open[a]--; l.open[a] <= 0 {
		delete(l.open, a)
	}
	l.mu.Unlock()
	<-l.slots
}

func addressOf(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// A boundedConn gives its slot back when it is closed.
type boundedConn struct {
	net.Conn
	once  sync.Once
	leave func()
}

// SyscallConn implements syscall.Conn, for connections that have it.
func (c *boundedConn) SyscallConn() (syscall.RawConn, error) {
	system, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return system.SyscallConn()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}

// shallow has another goroutine send the head of each streamed answer of h.
// net/http takes 4 KB of stack for that, which would stay with the request's
// goroutine for the life of the stream.
func shallow(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&shallowWriter{ResponseWriter: w}, r) })
}

// A shallowWriter is the ResponseWriter of shallow.
type shallowWriter struct {
	http.ResponseWriter
	flushed bool
}

// Unwrap is for http.ResponseController.
func (w *shallowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// FlushError is for http.ResponseController.
func (w *shallowWriter) FlushError() error {
	below := http.NewResponseController(w.ResponseWriter)
	if w.flushed {
		return below.Flush()
	}
	w.flushed = true
	sent := make(chan error)
	go func() { sent <- below.Flush() }()
	return <-sent
}
