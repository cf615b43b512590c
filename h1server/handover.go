package h1server

import (
	"net"
	"sync"
)

// A handover is the listener from which net/http gets the connections that
// the loop does not serve.
type handover struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func newHandover(addr net.Addr) *handover {
	return &handover{addr: addr, conns: make(chan net.Conn), over: make(chan struct{})}
}

// give hands c over, or closes it if nobody takes it any more.
func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.over:
		_ = c.Close()
	}
}

func (h *handover) end() { h.once.Do(func() { close(h.over) }) }

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error { h.end(); return nil }

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }

// A replayed connection is read from its start, although some of it was read
// before.
type replayed struct {
	net.Conn
	front []byte
}

// Read implements net.Conn.
func (r *replayed) Read(p []byte) (int, error) {
	if len(r.front) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.front)
	if r.front = r.front[n:]; len(r.front) == 0 {
		r.front = nil
	}
	return n, nil
}
