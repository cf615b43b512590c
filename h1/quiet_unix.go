//go:build linux || darwin

package h1

import "syscall"

// watch prepares quiet.
func (c *conn) watch() {
	fd, err := c.tcp.SyscallConn()
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

// quiet peeks without blocking whether the idle connection is as it should be:
// open, and with nothing to read. What an engine sent without being asked must
// never become the answer to the next request.
func (c *conn) quiet() bool {
	if c.fd == nil {
		return true
	}
	c.silent = false
	return c.fd.Control(c.peek) == nil && c.silent
}
