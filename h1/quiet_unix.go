//go:build linux || darwin

package h1

import (
	"net"
	"syscall"
)

// watch prepares noInput.
func (c *conn) watch(tcp *net.TCPConn) {
	fd, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	var b [1]byte
	c.fd = fd
	c.peek = func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		c.silent = err == syscall.EAGAIN
	}
}

// noInput peeks, without blocking, whether the kernel has neither bytes nor an
// end for this connection. Where it cannot look it says yes: a request that
// meets a closed connection is sent again.
func (c *conn) noInput() bool {
	if c.fd == nil {
		return true
	}
	c.silent = false
	return c.fd.Control(c.peek) == nil && c.silent
}
