package jsonscan

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Clean reports whether raw is the inside of a valid JSON string: no control
// characters, no quote that is not escaped, only escapes that exist, valid
// UTF-8, and no surrogate, escaped or not, without its partner.
func Clean(raw []byte) bool { return cleanRaw(raw) && !bareQuote(raw) }

// cleanRaw is Clean for what Raw returned, which ends before the first quote
// that is not escaped.
func cleanRaw(raw []byte) bool {
	control, wide, slash := classes(raw)
	if control || wide && !utf8.Valid(raw) {
		return false
	}
	return !slash || escapes(raw)
}

// bareQuote reports whether there is a quote in b that is not escaped.
func bareQuote(b []byte) bool {
	for i := bytes.IndexByte(b, '"'); i >= 0; i = bytes.IndexByte(b, '"') {
		if !escaped(b[:i]) {
			return true
		}
		b = b[i+1:]
	}
	return false
}

// classes tells, eight bytes at a time, what kinds of bytes are in b: control
// characters, bytes outside of ASCII, and backslashes.
//
// In a word w, (w - 0x01..01*n) &^ w & 0x80..80 is not 0 exactly if some byte
// of w is below n (for n <= 0x80); w ^ 0x01..01*c turns "equal to c" into
// "below 1".
func classes(b []byte) (control, wide, slash bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	var below, high, found uint64
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		b = b[8:]
		x := w ^ ones*'\\'
		below |= (w - ones*0x20) &^ w
		found |= (x - ones) &^ x
		high |= w
	}
	control, wide, slash = below&tops != 0, high&tops != 0, found&tops != 0
	for _, c := range b {
		control = control || c < 0x20
		wide = wide || c >= utf8.RuneSelf
		slash = slash || c == '\\'
	}
	return control, wide, slash
}

// escapes reports whether all escapes in b exist and surrogates come in pairs.
func escapes(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return true
		}
		n := escape(b[i:])
		if n == 0 {
			return false
		}
		b = b[i+n:]
	}
}

// escape returns the length of the escape, or pair of escapes, with which b
// begins, and 0 if there is no such escape.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	}
	switch u, ok := unit(b); {
	case !ok || u >= 0xdc00 && u < 0xe000:
		return 0
	case u < 0xd800 || u >= 0xe000:
		return 6
	}
	if low, ok := unit(b[6:]); !ok || low < 0xdc00 || low >= 0xe000 {
		return 0
	}
	return 12
}

// unit returns the UTF-16 code unit of the \uXXXX with which b begins.
func unit(b []byte) (u uint16, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		u = u<<4 | uint16(c)
	}
	return u, true
}
