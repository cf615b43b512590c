package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
)

// A scratch holds the buffers of one computation. Buffers are kept from one
// request to the next, so that a verification allocates nothing.
type scratch struct {
	buf     []byte
	payload []byte
	encoded []byte // the pieces of the query
	pairs   []pair
}

// A pair is one parameter of the query, encoded: name and value lie next to
// each other in scratch.encoded.
type pair struct{ start, middle, end int }

var scratches = sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, 2048)} }}

func getScratch() *scratch { return scratches.Get().(*scratch) }

// free gives the buffers back, unless a large request has blown them up.
func (w *scratch) free() {
	if cap(w.buf)+cap(w.encoded) <= 64<<10 {
		scratches.Put(w)
	}
}

// canonical writes the canonical request into w.buf. It returns false if a
// signed header is absent or holds control characters.
func (w *scratch) canonical(r *Request, form PathForm, signed string, payload []byte) bool {
	path, query, _ := strings.Cut(r.URI, "?")
	b := append(append(w.buf[:0], r.Method...), '\n')
	if form == PathAsSent {
		b = append(b, path...)
	} else {
		b = appendPath(b, path)
	}
	b = append(b, '\n')
	if query != "" {
		b = w.appendQuery(b, query)
	}
	b = append(b, '\n')
	b, ok := appendHeaders(b, r, signed)
	b = append(b, '\n')
	b = append(append(b, signed...), '\n')
	w.buf = append(b, payload...)
	return ok
}

// sign computes the signature of the canonical request in w.buf. The result
// lies in w.
func (w *scratch) sign(key *SigningKey, stamp, scope string) []byte {
	sum := sha256.Sum256(w.buf)
	b := append(w.buf[:0], Algorithm+"\n"...)
	b = append(append(b, stamp...), '\n')
	b = append(append(b, scope...), '\n')
	b = hex.AppendEncode(b, sum[:])
	n := len(b)
	w.buf = key.appendMAC(b, b)
	return w.buf[n:]
}

// appendPath appends the path without dot segments and empty segments,
// percent-encoded as if nothing in it were encoded yet.
func appendPath(dst []byte, path string) []byte {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return appendEncoded(dst, path, true)
	}
	start := len(dst)
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			dst = dst[:start+max(bytes.LastIndexByte(dst[start:], '/'), 0)]
		default:
			dst = appendEncoded(append(dst, '/'), segment, true)
		}
	}
	if len(dst) == start || path[len(path)-1] == '/' {
		dst = append(dst, '/')
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

func appendEncoded[S string | []byte](dst []byte, s S, slash bool) []byte {
	for i := range len(s) {
		dst = appendEscape(dst, s[i], slash)
	}
	return dst
}

func appendEscape(dst []byte, c byte, slash bool) []byte {
	if unreserved[c] || slash && c == '/' {
		return append(dst, c)
	}
	return append(dst, '%', upperHex[c>>4], upperHex[c&15])
}

// unreserved are the characters that are never encoded (RFC 3986).
var unreserved = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~") {
		set[c] = true
	}
	return set
}()

// appendQuery appends the parameters, each decoded and encoded anew, sorted
// by name and then by value. The signature itself is left out. The query was
// checked by readQuery.
func (w *scratch) appendQuery(dst []byte, query string) []byte {
	w.encoded, w.pairs = w.encoded[:0], w.pairs[:0]
	for piece := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(piece, "=")
		p := pair{start: len(w.encoded)}
		w.encoded = appendReencoded(w.encoded, name)
		p.middle = len(w.encoded)
		w.encoded = appendReencoded(w.encoded, value)
		p.end = len(w.encoded)
		if string(w.encoded[p.start:p.middle]) != querySignature {
			w.pairs = append(w.pairs, p)
		}
	}
	e := w.encoded
	slices.SortFunc(w.pairs, func(a, b pair) int {
		if c := bytes.Compare(e[a.start:a.middle], e[b.start:b.middle]); c != 0 {
			return c
		}
		return bytes.Compare(e[a.middle:a.end], e[b.middle:b.end])
	})
	for i, p := range w.pairs {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = append(append(dst, e[p.start:p.middle]...), '=')
		dst = append(dst, e[p.middle:p.end]...)
	}
	return dst
}

// appendReencoded decodes a piece of a query and encodes it in the one
// canonical way. As everywhere in queries, '+' means a blank.
func appendReencoded(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		dst = appendEscape(dst, c, false)
	}
	return dst
}

// escaped reports whether every percent sign in s begins an escape. A
// semicolon is refused: some parsers take it for a separator.
func escaped(s string) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ';':
			return false
		case s[i] != '%':
		case i+2 >= len(s) || unhex(s[i+1]) > 15 || unhex(s[i+2]) > 15:
			return false
		}
	}
	return true
}

// unescape decodes a piece of a query that escaped has accepted.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			b = append(b, ' ')
		case '%':
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// unhex returns the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// appendHeaders appends a line for each signed header.
func appendHeaders(dst []byte, r *Request, signed string) (b []byte, ok bool) {
	ok = true
	for name := range strings.SplitSeq(signed, ";") {
		dst = append(append(dst, name...), ':')
		if name == "host" || name == ":authority" {
			dst = appendValue(dst, r.Host)
			ok = ok && clean(r.Host)
		} else {
			found := false
			for i := range r.Fields {
				f := &r.Fields[i]
				if !sameName(f.Name, name) {
					continue
				}
				if found {
					dst = append(dst, ',')
				}
				found = true
				dst = appendValue(dst, f.Value)
				ok = ok && clean(f.Value)
			}
			ok = ok && found
		}
		dst = append(dst, '\n')
	}
	return dst, ok
}

// appendValue appends a header's value without the blanks around it, and with
// runs of blanks inside it as one.
func appendValue(dst []byte, v string) []byte {
	v = trim(v)
	if !strings.Contains(v, "  ") {
		return append(dst, v...)
	}
	for i := range len(v) {
		if v[i] != ' ' || v[i-1] != ' ' {
			dst = append(dst, v[i])
		}
	}
	return dst
}

// trim takes the blanks off both ends.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// sameName reports whether two headers have the same name. Only the case of
// ASCII letters does not count: strings.EqualFold would take a Kelvin sign
// for a k.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// clean reports whether a header's value is free of control characters, which
// could forge lines of the canonical request.
func clean(v string) bool {
	for i := range len(v) {
		if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
			return false
		}
	}
	return true
}
