package bedrock

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// appendResponseFields appends the member additionalModelResponseFields with
// those of the asked-for fields that the answer has, or nothing. Each field
// stands where its pointer says, in objects; "/stop_sequence" is the sequence
// that ended the answer.
func appendResponseFields(dst []byte, req *outcrop.Request, e outcrop.Event) []byte {
	if req == nil || req.Conversation == nil || len(req.Conversation.ResponseFields) == 0 {
		return dst
	}
	var root field
	d := e.More()
	for _, p := range req.Conversation.ResponseFields {
		keys := splitPointer(p)
		v, ok := lookup(d.Extra, keys)
		if !ok && p == "/stop_sequence" && len(d.StopSequence) > 0 {
			v = append(append([]byte{'"'}, d.StopSequence...), '"')
			ok = true
		}
		if ok {
			root.put(keys, v)
		}
	}
	if len(root.parts) == 0 {
		return dst
	}
	return root.append(append(dst, `,"additionalModelResponseFields":`...))
}

// splitPointer returns the keys of a JSON pointer.
func splitPointer(p string) []string {
	keys := strings.Split(p, "/")[1:]
	for i, k := range keys {
		keys[i] = strings.ReplaceAll(strings.ReplaceAll(k, "~1", "/"), "~0", "~")
	}
	return keys
}

// lookup returns the value that the keys lead to in the valid JSON value v.
func lookup(v []byte, keys []string) ([]byte, bool) {
	for _, key := range keys {
		s := jsonscan.Scanner{B: v}
		var ok bool
		switch {
		case s.Eat('{'):
			v, ok = memberOf(&s, key)
		case s.Eat('['):
			v, ok = elementOf(&s, key)
		}
		if !ok {
			return nil, false
		}
	}
	return bytes.TrimSpace(v), len(v) > 0
}

// RequestMetadata returns the entry of requestMetadata with the key, of a
// Converse body that is not decoded because it passes untouched; ok is false if
// there is none. It looks no further if the key stands nowhere in the body, and
// does not see a key with escapes in it.
func RequestMetadata(body []byte, key string) (value string, ok bool) {
	if !bytes.Contains(body, []byte(key)) {
		return "", false
	}
	v, _ := lookup(body, []string{"requestMetadata", key})
	s := jsonscan.Scanner{B: v}
	text, ok := s.Text()
	return outcrop.Text(text).String(), ok
}

func memberOf(s *jsonscan.Scanner, key string) ([]byte, bool) {
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return nil, false
		}
		from := s.I
		if !s.Skip() {
			return nil, false
		}
		if outcrop.Text(name).String() == key {
			return s.B[from:s.I], true
		}
	}
}

func elementOf(s *jsonscan.Scanner, key string) ([]byte, bool) {
	want, err := strconv.Atoi(key)
	if err != nil || want < 0 || key != strconv.Itoa(want) {
		return nil, false
	}
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if !ok || !more {
			return nil, false
		}
		from := s.I
		if !s.Skip() {
			return nil, false
		}
		if n-1 == want {
			return s.B[from:s.I], true
		}
	}
}

// A field is a value, or an object of named fields in the order of asking.
type field struct {
	name  string
	value []byte
	parts []*field
}

func (f *field) put(keys []string, v []byte) {
	for _, key := range keys {
		f = f.part(key)
	}
	f.value = v
}

func (f *field) part(name string) *field {
	for _, p := range f.parts {
		if p.name == name {
			return p
		}
	}
	p := &field{name: name}
	f.parts = append(f.parts, p)
	return p
}

// append renders the field; a value as a whole goes before its parts.
func (f *field) append(dst []byte) []byte {
	if f.value != nil {
		return append(dst, f.value...)
	}
	for i, p := range f.parts {
		dst = append(dst, "{,"[min(i, 1)])
		dst = append(outcrop.AppendQuote(append(dst, '"'), p.name), `":`...)
		dst = p.append(dst)
	}
	return append(dst, '}')
}
