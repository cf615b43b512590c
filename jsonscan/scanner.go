// Package jsonscan walks JSON where it lies, without decoding and without
// allocating. Strings come out raw, escapes and all, because they go into
// JSON again.
package jsonscan

import (
	"bytes"
	"math"
)

// MaxDepth is how deep arrays and objects may nest.
const MaxDepth = 64

// A Scanner is a cursor over JSON bytes. Its methods skip white space before
// what they read, and move I behind it. After a method has said no, I is
// anywhere and the Scanner must not be used further. Results are slices of B.
// A Scanner is used by one goroutine at a time; the zero Scanner stands at
// the start of an empty document.
type Scanner struct {
	B []byte
	I int // the next byte
}

// Space moves over white space.
func (s *Scanner) Space() {
	for s.I < len(s.B) {
		switch s.B[s.I] {
		case ' ', '\n', '\r', '\t':
			s.I++
		default:
			return
		}
	}
}

// Peek returns the byte with which the next token begins, or 0 at the end.
func (s *Scanner) Peek() byte {
	s.Space()
	if s.I < len(s.B) {
		return s.B[s.I]
	}
	return 0
}

// At reports whether the next token begins with c.
func (s *Scanner) At(c byte) bool {
	s.Space()
	return s.I < len(s.B) && s.B[s.I] == c
}

// Eat moves over c and reports whether it was there; if not, the Scanner may
// still be used.
func (s *Scanner) Eat(c byte) bool {
	if !s.At(c) {
		return false
	}
	s.I++
	return true
}

// End reports whether only white space is left.
func (s *Scanner) End() bool {
	s.Space()
	return s.I == len(s.B)
}

// Raw returns the inside of a string without checking it: it may hold control
// characters, escapes that do not exist and invalid UTF-8. It must not be
// passed on without Clean.
func (s *Scanner) Raw() ([]byte, bool) {
	if !s.Eat('"') {
		return nil, false
	}
	from := s.I
	for {
		n := bytes.IndexByte(s.B[s.I:], '"')
		if n < 0 {
			return nil, false
		}
		quote := s.I + n
		s.I = quote + 1
		if !escaped(s.B[from:quote]) {
			return s.B[from:quote], true
		}
	}
}

// escaped reports whether what follows before is escaped: whether before ends
// in an odd number of backslashes.
func escaped(before []byte) bool {
	n := len(before)
	for n > 0 && before[n-1] == '\\' {
		n--
	}
	return (len(before)-n)&1 == 1
}

// Text returns the inside of a string for which Clean holds.
func (s *Scanner) Text() ([]byte, bool) {
	raw, ok := s.Raw()
	if !ok || !cleanRaw(raw) {
		return nil, false
	}
	return raw, true
}

// Key returns the next name of an object whose '{' is behind the Scanner, and
// moves over the ':'; more is false once the '}' is behind it. The name is
// raw: it is unchecked, and "\u0061" is not "a". Names may repeat. n counts
// the members and is 0 at first.
func (s *Scanner) Key(n *int) (name []byte, more, ok bool) {
	if s.Eat('}') {
		return nil, false, true
	}
	if *n > 0 && !s.Eat(',') {
		return nil, false, false
	}
	*n++
	if name, ok = s.Raw(); !ok || !s.Eat(':') {
		return nil, false, false
	}
	s.Space()
	return name, true, true
}

// Elem moves to the next element of an array whose '[' is behind the Scanner;
// more is false once the ']' is behind it. n counts the elements and is 0 at
// first.
func (s *Scanner) Elem(n *int) (more, ok bool) {
	if s.Eat(']') {
		return false, true
	}
	if *n > 0 && !s.Eat(',') {
		return false, false
	}
	*n++
	s.Space()
	return true, true
}

// Number returns a number of any length and size.
func (s *Scanner) Number() ([]byte, bool) {
	s.Space()
	from := s.I
	s.sign("-")
	if !s.next('0') && !s.digits() {
		return nil, false
	}
	if s.next('.') && !s.digits() {
		return nil, false
	}
	if s.next('e') || s.next('E') {
		s.sign("+-")
		if !s.digits() {
			return nil, false
		}
	}
	return s.B[from:s.I], true
}

// next moves over c if it comes at once.
func (s *Scanner) next(c byte) bool {
	if s.I < len(s.B) && s.B[s.I] == c {
		s.I++
		return true
	}
	return false
}

func (s *Scanner) sign(signs string) {
	for i := range len(signs) {
		if s.next(signs[i]) {
			return
		}
	}
}

func (s *Scanner) digits() bool {
	from := s.I
	for s.I < len(s.B) && s.B[s.I]-'0' <= 9 {
		s.I++
	}
	return s.I > from
}

// Int returns an integer whose size fits an int, written without fraction or
// exponent.
func (s *Scanner) Int() (int, bool) {
	v, ok := s.Number()
	if !ok {
		return 0, false
	}
	digits, negative := bytes.CutPrefix(v, []byte{'-'})
	n := 0
	for _, c := range digits {
		d := int(c - '0')
		if d > 9 || n > (math.MaxInt-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		n = -n
	}
	return n, true
}

// Bool returns true or false.
func (s *Scanner) Bool() (v, ok bool) {
	if s.word("true") {
		return true, true
	}
	return false, s.word("false")
}

// Null moves over null and reports whether it was there; if not, the Scanner
// may still be used.
func (s *Scanner) Null() bool { return s.word("null") }

func (s *Scanner) word(w string) bool {
	s.Space()
	if len(s.B)-s.I < len(w) || string(s.B[s.I:s.I+len(w)]) != w {
		return false
	}
	s.I += len(w)
	return true
}
