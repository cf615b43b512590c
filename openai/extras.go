package openai

import (
	"bytes"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// Bounds on what is kept of an answer for the caller's response fields.
const (
	maxExtras     = 64
	maxExtraBytes = 1 << 18
)

// extras collects the members of an answer that the dictionary has no place
// for: those at the top, but for choices, and those of the first choice, but
// for its message. Of a stream it keeps the last value of each that is not
// null. It does nothing unless wanted.
type extras struct {
	wanted      bool
	size        int
	top, choice []extra
}

type extra struct{ name, value []byte }

// collect takes a chunk or an answer that chunk.read has taken.
func (x *extras) collect(data []byte) {
	if !x.wanted {
		return
	}
	s := jsonscan.Scanner{B: data}
	if !s.Eat('{') {
		return
	}
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return
		}
		if string(name) == "choices" && s.At('[') {
			ok = x.collectChoice(&s)
		} else {
			ok = x.keep(&x.top, name, &s)
		}
		if !ok {
			return
		}
	}
}

func (x *extras) collectChoice(s *jsonscan.Scanner) bool {
	all, ok := span(s)
	first := jsonscan.Scanner{B: all}
	if !ok || !first.Eat('[') || !first.Eat('{') {
		return ok
	}
	for n := 0; ; {
		name, more, ok := first.Key(&n)
		if !ok || !more {
			return true
		}
		switch string(name) {
		case "delta", "message":
			ok = first.Skip()
		default:
			ok = x.keep(&x.choice, name, &first)
		}
		if !ok {
			return true
		}
	}
}

// keep keeps the value at which s stands.
func (x *extras) keep(list *[]extra, name []byte, s *jsonscan.Scanner) bool {
	value, ok := s.Value()
	if !ok || !jsonscan.Clean(name) {
		return false
	}
	if string(value) == "null" || x.size+len(name)+len(value) > maxExtraBytes {
		return true
	}
	for i := range *list {
		if e := &(*list)[i]; bytes.Equal(e.name, name) {
			x.size += len(value) - len(e.value)
			e.value = bytes.Clone(value)
			return true
		}
	}
	if len(*list) < maxExtras {
		x.size += len(name) + len(value)
		*list = append(*list, extra{bytes.Clone(name), bytes.Clone(value)})
	}
	return true
}

// object returns what was kept, in the form of the engine's answer, so that
// JSON pointers into that answer find it; nil unless wanted.
func (x *extras) object() outcrop.JSON {
	if !x.wanted {
		return nil
	}
	dst := appendExtras(outcrop.JSON("{"), x.top)
	if len(x.choice) > 0 {
		if len(x.top) > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `"choices":[{`...)
		dst = append(appendExtras(dst, x.choice), "}]"...)
	}
	return append(dst, '}')
}

func appendExtras(dst []byte, list []extra) []byte {
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, e.name)
		dst = append(dst, ':')
		dst = append(dst, e.value...)
	}
	return dst
}
