package h1server

import "net/http"

// Parsed is what the loop makes of the front of b, from which it takes what
// begins with takes.
type Parsed struct {
	Size                 int
	Foreign              bool
	Method, Target, Host string
	Length               int64
	Header               http.Header
}

// Parse parses the head of a request, whose first from bytes were looked at
// before.
func Parse(b []byte, takes string, from int) Parsed {
	h := head{header: http.Header{}}
	size, v := h.parse(b, takes, from)
	return Parsed{size, v == foreign, h.method, h.target, h.host, h.length, h.header}
}
