package native

import (
	"errors"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop"
)

// decode decodes a caller's body. Names are case-sensitive and stand once;
// strict refuses members that are not known. Errors are ValidationExceptions
// in the words of Bedrock, which validates native bodies by JSON schema.
func decode(body []byte, into any, strict bool) error {
	err := json.Unmarshal(body, into, json.RejectUnknownMembers(strict))
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return extraneous(string(syntax.JSONPointer), "duplicate key [", "]")
		}
		return errBody()
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return errBody()
	}
	pointer := string(semantic.JSONPointer)
	if errors.Is(err, json.ErrUnknownName) {
		return extraneous(pointer, "extraneous key [", "] is not permitted")
	}
	var wrong *mismatch
	if errors.As(err, &wrong) {
		return malformed("#" + pointer + ": " + wrong.Error())
	}
	wrong = &mismatch{expected(semantic.GoType), semantic.JSONKind}
	return malformed("#" + pointer + ": " + wrong.Error())
}

// malformed returns the ValidationException that says what is wrong.
func malformed(what string) error {
	return outcrop.Invalid("Malformed input request: " + what + ", please reformat your input and try again.")
}

// errBody is for a body that is no JSON object at all.
func errBody() error {
	return outcrop.Invalid("Malformed input request, please reformat your input and try again.")
}

// extraneous names the last part of the pointer as a key of the rest.
func extraneous(pointer, before, after string) error {
	i := strings.LastIndexByte(pointer, '/')
	if i < 0 {
		return errBody()
	}
	key := strings.NewReplacer("~1", "/", "~0", "~").Replace(pointer[i+1:])
	return malformed("#" + pointer[:i] + ": " + before + shorten(key) + after)
}

// shorten bounds a name that the caller chose.
func shorten(s string) string {
	const most = 100
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// A mismatch is a value of the wrong kind.
type mismatch struct {
	want string
	have jsontext.Kind
}

func (m *mismatch) Error() string {
	return "expected type: " + m.want + ", found: " + found(m.have)
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

// missing returns the error for a member that must be there.
func missing(at, key string) error {
	return malformed(at + ": required key [" + key + "] not found")
}

// notOneOf returns the error for a word that is not in its enumeration.
func notOneOf(at string, word text) error {
	return malformed(at + ": " + shorten(outcrop.Text(word).String()) + " is not a valid enum value")
}
