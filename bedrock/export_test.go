package bedrock

// Scan is the fast decoder alone.
func (c *Converse) Scan(body []byte) bool {
	c.Reset()
	return c.scan(body)
}

// Typed is the typed decoder alone.
func (c *Converse) Typed(body []byte) error {
	c.Reset()
	return c.decode(body)
}

// Unescape resolves the escapes in b.
func Unescape(b []byte) []byte { return b[:unescape(b)] }
