//go:build !linux && !darwin

package h1

import "net"

func (c *conn) watch(*net.TCPConn) {}

// noInput cannot look at the connection here; a request that meets a closed
// one is sent again.
func (c *conn) noInput() bool { return true }
