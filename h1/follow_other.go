//go:build !linux

package h1

import "syscall"

func (c *conn) prepareFollow() {}

func (c *conn) receiveNow(uintptr, []byte) (n int, left bool, err error) {
	return 0, false, syscall.EAGAIN
}
