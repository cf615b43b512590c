// Package jsonbody decodes the JSON bodies that callers send in models' own
// formats, strictly, and tells what is wrong with them in the words of
// Bedrock, which validates such bodies by JSON schema.
package jsonbody

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop"
)

// maxValues bounds how many values a body may hold. Decoded, an empty one takes
// up to some hundred times its bytes. It is as many as the Messages API takes
// messages.
const maxValues = 100_000

// Decode decodes a caller's body. Names are case-sensitive and stand once;
// strict refuses members that are not known. Errors are *outcrop.Error of code
// ValidationException.
func Decode(body []byte, into any, strict bool) error {
	if crowded(body) {
		return Malformed("#: expected maxValues: " + strconv.Itoa(maxValues))
	}
	err := json.Unmarshal(body, into, json.RejectUnknownMembers(strict))
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return extraneous(string(syntax.JSONPointer), "duplicate key [", "]")
		}
		return NoObject()
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return NoObject()
	}
	pointer := string(semantic.JSONPointer)
	if errors.Is(err, json.ErrUnknownName) {
		return extraneous(pointer, "extraneous key [", "] is not permitted")
	}
	var wrong *Mismatch
	if errors.As(err, &wrong) {
		return Malformed("#" + pointer + ": " + wrong.Error())
	}
	wrong = &Mismatch{expected(semantic.GoType), semantic.JSONKind}
	return Malformed("#" + pointer + ": " + wrong.Error())
}

// crowded reports whether the body holds more than maxValues values. Each has
// an opening bracket or a comma of its own.
func crowded(body []byte) bool {
	if len(body) <= maxValues {
		return false
	}
	n, quoted := 0, false
	for i := 0; i < len(body) && n <= maxValues; i++ {
		switch body[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++
		case ',', '{', '[':
			if !quoted {
				n++
			}
		}
	}
	return n > maxValues
}

// Malformed returns the ValidationException that says what is wrong.
func Malformed(what string) error {
	return outcrop.Invalid("Malformed input request: " + what + ", please reformat your input and try again.")
}

// NoObject is the ValidationException for a body that is no JSON object at
// all.
func NoObject() error {
	return outcrop.Invalid("Malformed input request, please reformat your input and try again.")
}

// extraneous names the last part of the pointer as a key of the rest.
func extraneous(pointer, before, after string) error {
	i := strings.LastIndexByte(pointer, '/')
	if i < 0 {
		return NoObject()
	}
	key := strings.NewReplacer("~1", "/", "~0", "~").Replace(pointer[i+1:])
	return Malformed("#" + pointer[:i] + ": " + before + Shorten(key) + after)
}

// Shorten bounds a name that the caller chose, for use in a message.
func Shorten(s string) string {
	const most = 100
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// A Mismatch is a value of the wrong kind. A type that decodes itself returns
// one, and Decode says where it stands.
type Mismatch struct {
	Want string // "String", "Number", "JSONObject", ...
	Have jsontext.Kind
}

// Error says what was wanted and what was found.
func (m *Mismatch) Error() string {
	return "expected type: " + m.Want + ", found: " + found(m.Have)
}

func found(k jsontext.Kind) string {
	switch k {
	case '"':
		return "String"
	case '0':
		return "Number"
	case '{':
		return "JSONObject"
	case '[':
		return "JSONArray"
	case 'n':
		return "Null"
	}
	return "Boolean"
}

func expected(t reflect.Type) string {
	if t == nil {
		return "JSONObject"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "JSONArray"
	case reflect.Bool:
		return "Boolean"
	case reflect.Int:
		return "Integer"
	}
	return "JSONObject"
}

// Missing returns the ValidationException for a member that must be there; at
// is the JSON pointer of its object.
func Missing(at, key string) error {
	return Malformed(at + ": required key [" + key + "] not found")
}

// NotOneOf returns the ValidationException for a word that is not in its
// enumeration; at is the word's JSON pointer.
func NotOneOf(at string, word outcrop.Text) error {
	return Malformed(at + ": " + Shorten(word.String()) + " is not a valid enum value")
}
