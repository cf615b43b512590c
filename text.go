package outcrop

import (
	"encoding/json"
	"unicode/utf8"
)

// A Text is the inside of a JSON string: escaped as it stood on the wire,
// without the quotes, valid in JSON and in UTF-8. Every dialect is JSON, so a
// Text goes from one to the other by copying bytes.
//
// A Text is usually borrowed from a request body or an engine's read buffer;
// Clone keeps it.
type Text []byte

// A JSON is one valid JSON value, as it stood on the wire. Like Text it is
// usually borrowed.
type JSON []byte

// A Number is a JSON number as it stood on the wire; nil means absent.
type Number []byte

// Quote returns s as Text. Invalid UTF-8 becomes U+FFFD.
func Quote(s string) Text { return AppendQuote(nil, s) }

// AppendQuote appends s, escaped as the inside of a JSON string, to dst.
// Invalid UTF-8 becomes U+FFFD.
func AppendQuote(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

// String returns what t stands for, with the escapes resolved.
func (t Text) String() string {
	plain := true
	for _, c := range t {
		if c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return string(t)
	}
	quoted := make([]byte, 0, len(t)+2)
	quoted = append(append(append(quoted, '"'), t...), '"')
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(t)
	}
	return s
}

// Clone returns a copy of t that the caller owns.
func (t Text) Clone() Text { return append(Text(nil), t...) }

// Blank reports whether t is empty or holds nothing but ASCII white space,
// escaped or not. Bedrock refuses such a text.
func (t Text) Blank() bool {
	for len(t) > 0 {
		n := blankPrefix(t)
		if n == 0 {
			return false
		}
		t = t[n:]
	}
	return true
}

// blankPrefix is the length of the white space character, escaped or not,
// with which t begins; 0 if it begins with anything else.
func blankPrefix(t Text) int {
	switch {
	case t[0] == ' ' || t[0] >= '\t' && t[0] <= '\r':
		return 1
	case t[0] != '\\' || len(t) < 2:
		return 0
	case t[1] == 'n' || t[1] == 't' || t[1] == 'r' || t[1] == 'f':
		return 2
	case t[1] != 'u' || len(t) < 6:
		return 0
	}
	switch string(t[2:6]) {
	case "0020", "0009", "000a", "000A", "000b", "000B", "000c", "000C", "000d", "000D":
		return 6
	}
	return 0
}
