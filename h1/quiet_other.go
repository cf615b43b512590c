//go:build !linux && !darwin

package h1

func (c *conn) watch() {}

// quiet cannot look at the connection here; a request that meets a closed one
// is sent again.
func (c *conn) quiet() bool { return true }
