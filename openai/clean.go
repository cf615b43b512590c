package openai

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// clean makes Text of the unchecked inside of a string. Engines that cut text
// at token boundaries now and then send half a character; it becomes U+FFFD
// and the answer goes on. ok is false for what is no JSON string at all.
func clean(raw []byte) (text outcrop.Text, ok bool) {
	if jsonscan.Clean(raw) {
		return raw, true
	}
	quoted := make([]byte, 0, len(raw)+2)
	quoted = append(append(append(quoted, '"'), raw...), '"')
	var s string
	if json.Unmarshal(quoted, &s, jsontext.AllowInvalidUTF8(true)) != nil {
		return nil, false
	}
	return outcrop.Quote(s), true
}

// A part is a text in content that is an array.
type part struct {
	thinking bool
	text     []byte
}

var errParts = errors.New("content is not an array of parts")

// readParts reads content that is an array of {"type":"text","text":..} and
// {"type":"thinking","thinking":[{"type":"text","text":..}]}.
func readParts(raw []byte) ([]part, error) {
	var wire []struct {
		Text     jsontext.Value `json:"text"`
		Thinking jsontext.Value `json:"thinking"`
	}
	if json.Unmarshal(raw, &wire, lax) != nil {
		return nil, errParts
	}
	var parts []part
	for _, w := range wire {
		if t, ok := inside(w.Text); ok {
			parts = append(parts, part{text: t})
		}
		if t, ok := inside(w.Thinking); ok {
			parts = append(parts, part{thinking: true, text: t})
			continue
		}
		var thoughts []struct {
			Text jsontext.Value `json:"text"`
		}
		if len(w.Thinking) == 0 || json.Unmarshal(w.Thinking, &thoughts, lax) != nil {
			continue
		}
		for _, thought := range thoughts {
			if t, ok := inside(thought.Text); ok {
				parts = append(parts, part{thinking: true, text: t})
			}
		}
	}
	return parts, nil
}

// inside returns the inside of a value that is a string.
func inside(v jsontext.Value) ([]byte, bool) {
	v = bytes.TrimSpace(v)
	if len(v) < 2 || v[0] != '"' {
		return nil, false
	}
	return v[1 : len(v)-1], true
}
