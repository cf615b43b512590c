//go:build linux || darwin

package h1

import "syscall"

// watch prepares noInput.
func (c *conn) watch() {
	var b [1]byte
	c.peek = func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		c.silent = err == syscall.EAGAIN
	}
}

// noInput peeks, without blocking, whether the kernel has neither bytes nor an
// end for this connection. Where it cannot look it says yes: a request that
// meets a closed connection is sent again.
func (c *conn) noInput() bool {
	if c.peek == nil {
		return true
	}
	c.silent = false
	return c.port.Raw().Control(c.peek) == nil && c.silent
}
