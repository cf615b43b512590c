package bedrock

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape resolves, in place, the escapes of the inside of a valid JSON
// string, and returns how many bytes are left. No escape is shorter than what
// it stands for.
func unescape(b []byte) int {
	r := bytes.IndexByte(b, '\\')
	if r < 0 {
		return len(b)
	}
	w := r
	for r < len(b) {
		if b[r] != '\\' || r+1 >= len(b) {
			b[w] = b[r]
			w, r = w+1, r+1
			continue
		}
		if b[r+1] != 'u' || len(b)-r < 6 {
			b[w] = single(b[r+1])
			w, r = w+1, r+2
			continue
		}
		c := unit(b[r:])
		r += 6
		if utf16.IsSurrogate(c) && len(b)-r >= 6 {
			c = utf16.DecodeRune(c, unit(b[r:]))
			r += 6
		}
		w += utf8.EncodeRune(b[w:r], c)
	}
	return w
}

// single is what \c stands for.
func single(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// unit reads the four digits of the escape \uXXXX with which b begins.
func unit(b []byte) (c rune) {
	for _, digit := range b[2:6] {
		c <<= 4
		switch {
		case digit <= '9':
			c |= rune(digit - '0')
		default:
			c |= rune(digit|32-'a') + 10
		}
	}
	return c
}
