// Package tokens estimates how many tokens a text has, and cuts a text into
// the pieces that it counts. It is the tokenizer of the simulated engine and
// the estimate wherever no real tokenizer is known: deterministic, the same
// for every model, and never the billed figure of a real engine.
//
// The rules, which give about 4.3 bytes a token on English prose: a piece is
// at most six bytes of letters, with the one space before them; at most three
// digits; at most four times the same punctuation mark; one ideograph,
// syllable or other symbol; or a run of white space.
package tokens

import (
	"iter"
	"unicode"
	"unicode/utf8"
)

// The longest pieces, by class.
const (
	maxLetters = 6  // bytes
	maxDigits  = 3  // digits
	maxMarks   = 4  // repetitions of one mark
	maxSpaces  = 16 // characters of white space
)

// Count returns the number of tokens of raw, which is the inside of a JSON
// string: an escape counts as the character that it stands for. What is not
// valid in a JSON string counts as it stands. Count allocates nothing.
func Count(raw []byte) int {
	n := 0
	for i := 0; i < len(raw); n++ {
		i += Next(raw[i:])
	}
	return n
}

// Next returns the length in bytes of the first piece of raw, which is the
// inside of a JSON string, and 0 only if raw is empty.
func Next(raw []byte) int {
	if n := word(raw); n > 0 {
		return n
	}
	var p piece
	i := 0
	for i < len(raw) {
		if c := raw[i]; c < utf8.RuneSelf && c != '\\' {
			if !p.takes(classes[c], rune(c), 1) {
				return i
			}
			i++
			continue
		}
		r, size := decode(raw[i:])
		if !p.takes(classOf(r), r, max(1, utf8.RuneLen(r))) {
			return i
		}
		i += size
	}
	return i
}

// word is Next, and first, where raw begins with a word in plain ASCII, and 0 elsewhere:
// the common case, in a tight loop.
func word[T string | []byte](raw T) int {
	i := 0
	if len(raw) > 0 && raw[0] == ' ' {
		i = 1
	}
	start, end := i, min(len(raw), i+maxLetters)
	for i < end && raw[i] < utf8.RuneSelf && classes[raw[i]] == letter {
		i++
	}
	if i == start || i < end && (raw[i] >= utf8.RuneSelf || raw[i] == '\\') {
		return 0
	}
	return i
}

// Pieces cuts text, which is plain and not escaped, into its tokens: joined
// they are text, and there are as many as Count says for text once quoted.
// The text must be valid UTF-8.
func Pieces(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for text != "" {
			n := first(text)
			if !yield(text[:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// Cut returns the beginning of the plain text that has at most n tokens, and
// how many it has.
func Cut(text string, n int) (head string, count int) {
	i := 0
	for i < len(text) && count < n {
		i += first(text[i:])
		count++
	}
	return text[:i], count
}

// first is Next for plain text.
func first(text string) int {
	if n := word(text); n > 0 {
		return n
	}
	var p piece
	for i, r := range text {
		if !p.takes(classOf(r), r, max(1, utf8.RuneLen(r))) {
			return i
		}
	}
	return len(text)
}

// A class is a kind of character.
type class uint8

const (
	symbol class = iota // a piece of its own
	letter
	digit
	mark  // punctuation
	blank // white space
)

// A piece is what is known of the piece under way.
type piece struct {
	kind  class
	n     int  // bytes of letters, or characters of the other classes
	last  rune // the last character
	begun bool
}

// takes reports whether the piece also holds r, of class c and size bytes in
// UTF-8, and if so adds it.
func (p *piece) takes(c class, r rune, size int) bool {
	unit := 1
	if c == letter {
		unit = size
	}
	switch {
	case !p.begun:
		p.begun = true
	case p.kind == blank && p.n == 1 && p.last == ' ' && c != blank:
		p.n = 0 // the one space belongs to what follows
	case p.kind != c || !p.room(r, unit):
		return false
	}
	p.kind, p.last = c, r
	p.n += unit
	return true
}

func (p *piece) room(r rune, unit int) bool {
	switch p.kind {
	case letter:
		return p.n+unit <= maxLetters
	case digit:
		return p.n < maxDigits
	case mark:
		return r == p.last && p.n < maxMarks
	case blank:
		return p.n < maxSpaces && (r == '\n') == (p.last == '\n')
	}
	return false
}

// classes holds the classes of ASCII.
var classes = func() (t [utf8.RuneSelf]class) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			t[c] = letter
		case c >= '0' && c <= '9':
			t[c] = digit
		case c <= ' ' || c == 0x7f:
			t[c] = blank
		default:
			t[c] = mark
		}
	}
	return t
}()

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		return classes[r]
	case ideograph(r):
		return symbol
	case unicode.IsLetter(r) || unicode.IsMark(r):
		return letter
	case unicode.IsDigit(r):
		return digit
	case unicode.IsSpace(r):
		return blank
	}
	return symbol
}

// ideograph reports whether r is of a script whose tokens are about one
// character each: Han, Kana, Hangul and their neighbours.
func ideograph(r rune) bool {
	return r >= 0x1100 && r <= 0x11ff || r >= 0x2e80 && r <= 0xa4cf ||
		r >= 0xac00 && r <= 0xd7af || r >= 0xf900 && r <= 0xfaff ||
		r >= 0xff00 && r <= 0xffef || r >= 0x20000 && r <= 0x3ffff
}

// decode returns the first character of raw, not empty, and how many bytes
// stand for it.
func decode(raw []byte) (rune, int) {
	if raw[0] != '\\' {
		return utf8.DecodeRune(raw)
	}
	if len(raw) < 2 {
		return '\\', 1
	}
	switch raw[1] {
	case '"', '\\', '/':
		return rune(raw[1]), 2
	case 'n':
		return '\n', 2
	case 't', 'r', 'b', 'f':
		return control[raw[1]], 2
	case 'u':
		return decodeHex(raw)
	}
	return '\\', 1
}

var control = [256]rune{'t': '\t', 'r': '\r', 'b': '\b', 'f': '\f'}

// decodeHex reads a \u escape, or two if they are a surrogate pair.
func decodeHex(raw []byte) (rune, int) {
	high, ok := hex4(raw[2:])
	if !ok {
		return '\\', 1
	}
	if high < 0xd800 || high > 0xdfff {
		return high, 6
	}
	if len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
		if low, ok := hex4(raw[8:]); ok && high < 0xdc00 && low >= 0xdc00 && low <= 0xdfff {
			return (high-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
