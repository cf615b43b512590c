package h1

import (
	"bytes"
	"strconv"
)

const (
	maxHead     = 64 << 10 // bytes of status line and header
	maxFields   = 256
	maxInterims = 16 // 1xx answers before the answer
)

// An answer is what the head of a response says about it.
type answer struct {
	status  int
	keep    bool  // the connection may be used again after the body
	chunked bool  // the body comes in chunks
	length  int64 // of the body; -1 if absent
	fields  int   // offset of the first field in the head
}

// headEnd looks for the blank line that ends the head at the front of b. Lines
// before from were seen already. It returns the length of the head, or 0 and
// where to go on looking.
func headEnd(b []byte, from int) (end, next int, err error) {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			if len(b) > maxHead {
				return 0, 0, malformed("the head is too long")
			}
			return 0, from, nil
		}
		if i == 0 || b[from+i-1] != '\r' {
			return 0, 0, malformed("a line of the head does not end in CRLF")
		}
		from += i + 1
		if from > maxHead {
			return 0, 0, malformed("the head is too long")
		}
		if i == 1 {
			return from, from, nil
		}
	}
}

// parseHead parses a head found by headEnd.
func parseHead(b []byte) (answer, error) {
	a, err := parseStatus(b)
	if err != nil {
		return a, err
	}
	encodings := 0
	for n, rest := 0, b[a.fields:]; ; n++ {
		name, value, after, ok := nextField(rest)
		if !ok {
			return a, malformed("a field of the head is malformed")
		}
		if name == nil {
			break
		}
		if n == maxFields {
			return a, malformed("the head has too many fields")
		}
		rest = after
		switch {
		case is(name, "content-length"):
			if a.length >= 0 || !length(value, &a.length) {
				return a, malformed("the length is not one number")
			}
		case is(name, "transfer-encoding"):
			if encodings++; encodings > 1 || !is(value, "chunked") {
				return a, malformed("the transfer encoding is not chunked")
			}
			a.chunked = true
		case is(name, "connection"):
			a.keep = a.keep && !lists(value, "close")
		}
	}
	return a, a.frame(b[7] == '1')
}

// frame settles what counts if both a length and chunks are announced: the
// chunks (RFC 9112, 6.3), and that nothing after them is to be believed.
func (a *answer) frame(recent bool) error {
	if !a.chunked {
		return nil
	}
	if !recent {
		return malformed("chunks in HTTP/1.0")
	}
	if a.length >= 0 {
		a.keep, a.length = false, -1
	}
	return nil
}

// parseStatus parses the line "HTTP/1.1 200 OK", where the reason, and the
// space before it, may be absent.
func parseStatus(b []byte) (answer, error) {
	a := answer{length: -1}
	end := bytes.IndexByte(b, '\n') - 1
	if end < 12 || string(b[:7]) != "HTTP/1." || b[7]|1 != '1' || b[8] != ' ' {
		return a, malformed("no HTTP/1 status line")
	}
	for _, c := range b[9:12] {
		if c < '0' || c > '9' {
			return a, malformed("no HTTP/1 status line")
		}
		a.status = a.status*10 + int(c-'0')
	}
	switch {
	case end > 12 && b[12] != ' ' || !text(b[12:end]):
		return a, malformed("no HTTP/1 status line")
	case a.status < 100 || a.status > 599:
		return a, malformed("the status is out of range")
	case a.status == 101:
		return a, malformed("a switch of protocols that nobody asked for")
	}
	a.keep = b[7] == '1'
	a.fields = end + 2
	return a, nil
}

// nextField splits the first field off b, the rest of a head. At the blank
// line name is nil.
func nextField(b []byte) (name, value, rest []byte, ok bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 1 {
		return nil, nil, nil, false
	}
	line, rest := b[:end-1], b[end+1:]
	if len(line) == 0 {
		return nil, nil, rest, true
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || !token(line[:colon]) || !text(line[colon+1:]) {
		return nil, nil, nil, false
	}
	return line[:colon], bytes.Trim(line[colon+1:], " \t"), rest, true
}

func length(value []byte, n *int64) bool {
	if len(value) == 0 || len(value) > 15 {
		return false
	}
	*n = 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return false
		}
		*n = *n*10 + int64(c-'0')
	}
	return true
}

// is reports whether b is word but for case; word is in lower case.
func is(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// lists reports whether the comma-separated value names the word.
func lists(value []byte, word string) bool {
	for part := range bytes.SplitSeq(value, []byte{','}) {
		if is(bytes.Trim(part, " \t"), word) {
			return true
		}
	}
	return false
}

// token reports whether b is a token (RFC 9110, 5.6.2).
func token(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return true
}

// text reports whether b is free of control characters but tabs.
func text(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// visible reports whether s may stand in a request line or as a host.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// A Request is what Do sends. Do keeps no reference to it.
type Request struct {
	Method string // "POST", ...
	Path   string // begins with '/'; escaped, with query
	// Header holds complete lines "Name: value\r\n". Host and Content-Length
	// are added and must not be among them.
	Header []byte
	Body   []byte
}

func (r *Request) check() error {
	if r.Method == "" || r.Path != "" && r.Path[0] != '/' || !visible(r.Path) {
		return ErrRequest
	}
	for i := range len(r.Method) {
		if r.Method[i] < 'A' || r.Method[i] > 'Z' {
			return ErrRequest
		}
	}
	return r.checkHeader()
}

// checkHeader makes sure that the header neither ends the head nor smuggles a
// bare line feed in.
func (r *Request) checkHeader() error {
	for b := r.Header; len(b) > 0; {
		i := bytes.IndexByte(b, '\n')
		if i < 2 || bytes.IndexByte(b[:i], '\r') != i-1 || bytes.IndexByte(b[:i], ':') < 1 {
			return ErrRequest
		}
		b = b[i+1:]
	}
	return nil
}

// appendHead appends the head with which h is asked.
func (r *Request) appendHead(dst []byte, h *Host) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, h.base...)
	if dst = append(dst, r.Path...); h.base == "" && r.Path == "" {
		dst = append(dst, '/')
	}
	dst = append(dst, h.front...)
	dst = append(dst, r.Header...)
	if len(r.Body) > 0 || r.Method != "GET" && r.Method != "HEAD" {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(r.Body)), 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}
