package openai

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop"
)

// broken returns an error about the answer at hand.
func (d *Decoder) broken(message string) error {
	return &outcrop.Error{Code: d.code, Message: message}
}

// fault returns the error that the engine told of in its answer.
func (d *Decoder) fault(data []byte) error {
	words := ErrorMessage(data)
	message := "The model reported an error."
	if words != "" {
		message = "The model reported an error: " + words
	}
	return &outcrop.Error{Code: d.code, Message: message, Status: errorStatus(data), Original: words}
}

// errorStatus returns the HTTP status that an error names as its code, or 0.
func errorStatus(body []byte) int {
	var e struct {
		Error struct {
			Code jsontext.Value `json:"code"`
		} `json:"error"`
		Code jsontext.Value `json:"code"`
	}
	if json.Unmarshal(body, &e, lax) != nil {
		return 0
	}
	status := 0
	for _, code := range []jsontext.Value{e.Code, e.Error.Code} {
		var n int
		if json.Unmarshal(code, &n) == nil && n >= 400 && n < 600 {
			status = n
		}
	}
	return status
}

const (
	maxErrorBody = 64 << 10 // of an engine's error that is looked at
	maxWords     = 1 << 10  // of it that is told
)

var lax = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// ErrorMessage returns the engine's own words in the body of an error answer:
// of {"error":{"message":..}}, {"error":".."}, {"message":..}, FastAPI's
// {"detail":..}, any of these in an array, an HTML page or plain text. It is
// one line of at most 1 KiB without control characters, and empty if the body
// says nothing. Of FastAPI's lists of mistakes it takes place and message and
// leaves the input out, which may be a prompt.
func ErrorMessage(body []byte) string {
	body = bytes.TrimSpace(body[:min(len(body), maxErrorBody)])
	if len(body) == 0 {
		return ""
	}
	switch body[0] {
	case '{', '[', '"':
		return oneLine(words(body, 4))
	}
	return oneLine(plain(string(body)))
}

// words finds the message in a JSON value, at most depth levels down.
func words(value jsontext.Value, depth int) string {
	if len(value) == 0 || depth == 0 {
		return ""
	}
	switch value[0] {
	case '"':
		var s string
		if json.Unmarshal(value, &s, lax) != nil {
			return ""
		}
		return s
	case '[':
		return wordsOfList(value, depth)
	case '{':
		return wordsOfObject(value, depth)
	}
	return ""
}

func wordsOfList(value jsontext.Value, depth int) string {
	var list []jsontext.Value
	if json.Unmarshal(value, &list, lax) != nil {
		return ""
	}
	var all []string
	for _, one := range list[:min(len(list), 8)] {
		if w := words(one, depth-1); w != "" {
			all = append(all, w)
		}
	}
	return strings.Join(all, "; ")
}

func wordsOfObject(value jsontext.Value, depth int) string {
	var e struct {
		Error   jsontext.Value   `json:"error"`
		Message jsontext.Value   `json:"message"`
		Detail  jsontext.Value   `json:"detail"`
		Msg     string           `json:"msg"`
		Loc     []jsontext.Value `json:"loc"`
	}
	if json.Unmarshal(value, &e, lax) != nil {
		return ""
	}
	if e.Msg != "" {
		return fieldPath(e.Loc) + e.Msg
	}
	for _, inner := range []jsontext.Value{e.Error, e.Message, e.Detail} {
		if w := words(inner, depth-1); w != "" {
			return w
		}
	}
	return ""
}

// fieldPath renders FastAPI's loc, for example body.messages.0.
func fieldPath(loc []jsontext.Value) string {
	if len(loc) == 0 {
		return ""
	}
	parts := make([]string, len(loc))
	for i, l := range loc {
		parts[i] = strings.Trim(string(l), `"`)
	}
	return strings.Join(parts, ".") + ": "
}

// plain takes the tags out of a page, and all of its head but the title.
func plain(page string) string {
	if !strings.HasPrefix(page, "<") {
		return page
	}
	if _, rest, ok := strings.Cut(page, "<title>"); ok {
		page, _, _ = strings.Cut(rest, "</title>")
		return page
	}
	var text strings.Builder
	for page != "" {
		before, rest, _ := strings.Cut(page, "<")
		text.WriteString(before)
		text.WriteByte(' ')
		_, page, _ = strings.Cut(rest, ">")
	}
	return text.String()
}

// oneLine bounds s and turns each run of white space and control characters
// into one space.
func oneLine(s string) string {
	var line strings.Builder
	gap := false
	for _, r := range s {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			gap = line.Len() > 0
			continue
		}
		if gap {
			line.WriteByte(' ')
			gap = false
		}
		if line.Len()+utf8.RuneLen(r) > maxWords {
			break
		}
		line.WriteRune(r)
	}
	return strings.TrimSuffix(line.String(), " ")
}
