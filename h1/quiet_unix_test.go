//go:build linux || darwin

package h1_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
)

// awaitBytes waits until there is something to read, and leaves it there.
func awaitBytes(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return err != syscall.EAGAIN
	}); err != nil {
		t.Fatal(err)
	}
}

// What an engine sends when it was not asked must not answer the next request.
func TestUnaskedBytesNeverAnswerTheNextRequest(t *testing.T) {
	for _, late := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", "HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n", "x"} {
		release, sent := make(chan struct{}), make(chan struct{})
		e := newEngine(t, func(n int, c net.Conn, r *bufio.Reader) {
			for {
				if _, ok := readRequest(r); !ok {
					return
				}
				io.WriteString(c, ok5)
				if n == 1 {
					<-release
					io.WriteString(c, late)
					close(sent)
				}
			}
		})
		h := newHost(t, e.url, generous)
		var kept *net.TCPConn
		h.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if kept == nil && err == nil {
				kept = c.(*net.TCPConn)
			}
			return c, err
		}
		if _, _, err := ask(t.Context(), h, post); err != nil || h.Idle() != 1 {
			t.Fatalf("%v, %d idle", err, h.Idle())
		}
		close(release)
		<-sent
		awaitBytes(t, kept)
		if status, body, err := ask(t.Context(), h, post); status != 200 || body != "hello" || err != nil {
			t.Errorf("%q: got %d %q %v", late, status, body, err)
		}
		if n := e.connections.Load(); n != 2 {
			t.Errorf("%d connections", n)
		}
	}
}

// A held connection keeps what is written to it until it is let go.
type held struct {
	net.Conn
	bytes []byte
	hold  bool
}

func (h *held) Write(b []byte) (int, error) {
	h.bytes = append(h.bytes, b...)
	if h.hold {
		return len(b), nil
	}
	_, err := h.Conn.Write(h.bytes)
	h.bytes = nil
	return len(b), err
}

// TLS reads ahead: when the first answer has been read, a second one can be in
// its buffers.
func TestUnaskedBytesInTLSNeverAnswerTheNextRequest(t *testing.T) {
	e := newEngine(t, func(_ int, c net.Conn, _ *bufio.Reader) {
		raw := &held{Conn: c}
		s := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{certificate}})
		for r := bufio.NewReader(s); ; {
			if _, ok := readRequest(r); !ok {
				return
			}
			raw.hold = true
			io.WriteString(s, ok5)
			raw.hold = false
			io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong") // a record of its own
		}
	})
	h := newHost(t, "https"+e.url[len("http"):], generous)
	h.TLS = &tls.Config{InsecureSkipVerify: true}
	for range 4 {
		if _, body, err := ask(t.Context(), h, post); body != "hello" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	}
	wantNoLeak(t, h)
}
