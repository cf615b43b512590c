//go:build !linux

package h1server

// An outgoing is nothing: no connection stays in the loop here.
type outgoing struct{}

func (c *conn) write(p []byte) error {
	_, err := c.stream.Write(p)
	return err
}
