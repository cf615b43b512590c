package h1

import (
	"encoding/binary"
	"syscall"

	"github.com/outcrop/outcrop/socket"
)

// tcpInq is TCP_INQ and TCP_CM_INQ of linux/tcp.h (since Linux 4.18), which
// package syscall does not know.
const tcpInq = 36

// prepareFollow makes the kernel tell with each receive what is left.
func (c *conn) prepareFollow() {
	told := false
	err := c.port.Raw().Control(func(fd uintptr) {
		told = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpInq, 1) == nil
	})
	if err == nil && told {
		c.turn = func(fd uintptr) bool { return c.response.advance(fd) }
	}
}

// receiveNow reads once, without waiting: the error is then EAGAIN. left is
// false if neither bytes nor the end of the stream were left.
func (c *conn) receiveNow(fd uintptr, p []byte) (n int, left bool, err error) {
	n, told, err := socket.Receive(fd, p, c.oob[:])
	return n, inQueue(c.oob[:told]) != 0, err
}

// inQueue is the number of bytes left, as one control message tells it; an
// end counts as one, and so does what cannot be read.
func inQueue(oob []byte) uint32 {
	const at = syscall.SizeofCmsghdr
	if len(oob) < at+4 {
		return 1
	}
	level, kind := binary.NativeEndian.Uint32(oob[at-8:]), binary.NativeEndian.Uint32(oob[at-4:])
	if level != syscall.IPPROTO_TCP || kind != tcpInq {
		return 1
	}
	return binary.NativeEndian.Uint32(oob[at:])
}
