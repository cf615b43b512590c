package native

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
	"github.com/outcrop/outcrop/jsonscan"
)

// A text is the raw inside of a JSON string.
type text []byte

// A number is a JSON number.
type number []byte

func (t *text) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if v.Kind() != '"' {
		return &jsonbody.Mismatch{Want: "String", Have: v.Kind()}
	}
	*t = append(text{}, v[1:len(v)-1]...)
	return nil
}

func (n *number) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if v.Kind() != '0' {
		return &jsonbody.Mismatch{Want: "Number", Have: v.Kind()}
	}
	*n = bytes.Clone(v)
	return nil
}

// within checks that a number, if there is one, is between least and most.
func (n number) within(at string, least, most float64) (outcrop.Number, error) {
	if n == nil {
		return nil, nil
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil || f > most {
		return nil, jsonbody.Malformed(fmt.Sprintf("%s: %s is not less or equal to %g", at, jsonbody.Shorten(string(n)), most))
	}
	if f < least {
		return nil, jsonbody.Malformed(fmt.Sprintf("%s: %s is not greater or equal to %g", at, jsonbody.Shorten(string(n)), least))
	}
	return outcrop.Number(n), nil
}

// limit returns the limit of tokens that a body sets, or otherwise the one
// that Bedrock documents for its dialect.
func limit(at string, n *int, otherwise int) (int, error) {
	if n == nil {
		return otherwise, nil
	}
	if *n < 1 {
		return 0, jsonbody.Malformed(fmt.Sprintf("%s: %d is not greater or equal to 1", at, *n))
	}
	return *n, nil
}

func stopSequences(at string, stops []text) ([]outcrop.Text, error) {
	var all []outcrop.Text
	for i, s := range stops {
		if len(s) == 0 {
			return nil, jsonbody.Malformed(fmt.Sprintf("%s/%d: expected minLength: 1, actual: 0", at, i))
		}
		all = append(all, outcrop.Text(s))
	}
	return all, nil
}

// document checks that a value is one that the hub takes; a nil value is nil.
func document(at string, v jsontext.Value) (outcrop.JSON, error) {
	if len(v) == 0 {
		return nil, nil
	}
	if !jsonscan.Valid(v) {
		return nil, jsonbody.Malformed(at + ": nested too deeply")
	}
	return outcrop.JSON(v), nil
}

// base64Text returns base64 as Text: without escapes, of the standard
// alphabet, padded and not empty.
func base64Text(t text) (outcrop.Text, bool) {
	s := outcrop.Text(t).String()
	digits := strings.TrimRight(s, "=")
	if len(s) == 0 || len(s)%4 != 0 || len(s)-len(digits) > 2 {
		return nil, false
	}
	for i := range len(digits) {
		c := digits[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/') {
			return nil, false
		}
	}
	return outcrop.Text(s), true
}

func appendString(dst []byte, t outcrop.Text) []byte {
	dst = append(dst, '"')
	dst = append(dst, t...)
	return append(dst, '"')
}

// appendAllText appends the texts of an answer as one string.
func appendAllText(dst []byte, a *outcrop.Answer) []byte {
	dst = append(dst, '"')
	for i := range a.Content {
		if a.Content[i].Kind == outcrop.BlockText {
			dst = append(dst, a.Content[i].Text...)
		}
	}
	return append(dst, '"')
}

// prompted counts all tokens of the prompt, cached or not.
func prompted(u outcrop.Usage) int64 { return int64(u.Input + u.CacheRead + u.CacheWrite) }

func appendCount(dst []byte, key string, n int64) []byte {
	dst = append(dst, key...)
	return strconv.AppendInt(dst, n, 10)
}

// IsChat reports whether body is a JSON object with the member messages:
// Mistral's and Llama's newer models take OpenAI's chat completions besides
// their own prompts.
func IsChat(body []byte) bool {
	s := jsonscan.Scanner{B: body}
	if !s.Eat('{') {
		return false
	}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok || !more {
			return false
		}
		if string(key) == "messages" {
			return true
		}
		if !s.Skip() {
			return false
		}
	}
}
