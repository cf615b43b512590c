//go:build !linux && !darwin

package h1

func (c *conn) watch() {}

// noInput cannot look at the connection here; a request that meets a closed
// one is sent again.
func (c *conn) noInput() bool { return true }
