package anthropic

import (
	"bytes"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// Answer takes the whole body of an answer that was not streamed and sends
// its events to out. Nothing is sent unless the body is whole and valid.
func (d *Decoder) Answer(body []byte, out outcrop.Sink) error {
	content, err := d.whole(body)
	if err != nil {
		return err
	}
	blocks, err := elements(content)
	if err != nil {
		return errAnswer()
	}
	for _, v := range blocks {
		if b, ok := parseBlock(v); !ok || b.kind == nil || kindOf(b.kind) == outcrop.BlockToolUse && (len(b.id) == 0 || len(b.name) == 0) {
			return errAnswer()
		}
	}
	if err := d.begin(out); err != nil {
		return err
	}
	for _, v := range blocks {
		b, _ := parseBlock(v)
		if err := d.openBlock(b, out); err != nil {
			return err
		}
		if err := d.blockStop(out); err != nil {
			return err
		}
	}
	return d.finish(out)
}

// whole reads the members of a whole answer and returns its content.
func (d *Decoder) whole(body []byte) (content []byte, err error) {
	s := jsonscan.Scanner{B: body}
	if !s.Eat('{') {
		return nil, errAnswer()
	}
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok {
			return nil, errAnswer()
		}
		if !more {
			break
		}
		v, ok := s.Value()
		if !ok || !d.member(k, v, &content) {
			return nil, errAnswer()
		}
	}
	if !s.End() || content == nil {
		return nil, errAnswer()
	}
	return content, nil
}

func (d *Decoder) member(k, v []byte, content *[]byte) bool {
	s := jsonscan.Scanner{B: v}
	switch string(k) {
	case "content":
		*content = v
		return v[0] == '['
	case "usage":
		return d.count(&s)
	case "stop_reason", "stop_sequence":
		return d.ending(&s, k)
	case "type":
		return string(v) == `"message"`
	}
	d.keep(k, v)
	return true
}

// NativeAnswer sends the body of an answer that was not streamed to out as it
// stands, once it is known to be a whole message, and counts its tokens.
func (d *Decoder) NativeAnswer(body []byte, out outcrop.Sink) error {
	if _, err := d.whole(body); err != nil {
		return err
	}
	d.started, d.tokens, d.done = true, true, true
	return out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: body, Final: true})
}

// NativeEvent sends the data of one server-sent event to out as it stands,
// and counts its tokens. Pings stay behind: Bedrock sends none.
func (d *Decoder) NativeEvent(data []byte, out outcrop.Sink) error {
	e, ok := parse(data)
	if !ok || !jsonscan.Valid(data) {
		return errAnswer()
	}
	switch string(e.kind) {
	case "error":
		return d.fault(e.fault)
	case "ping":
		return nil
	case "message_start":
		if err := d.nativeStart(e.message); err != nil {
			return err
		}
	case "content_block_delta":
		d.tokens = true
	case "message_delta":
		if err := d.messageDelta(e); err != nil {
			return err
		}
	case "message_stop":
		if d.done || !d.started {
			return errAnswer()
		}
		d.done = true
	}
	d.started = true
	return out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: bytes.TrimSpace(data), Final: d.done})
}

func (d *Decoder) nativeStart(message []byte) error {
	s := jsonscan.Scanner{B: message}
	if !s.Eat('{') {
		return errAnswer()
	}
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok {
			return errAnswer()
		}
		if !more {
			return nil
		}
		if string(k) == "usage" {
			ok = d.count(&s)
		} else {
			ok = s.Skip()
		}
		if !ok {
			return errAnswer()
		}
	}
}

// fault is the error that an error event stands for. Before the answer has
// begun it is what the same error would be as an HTTP status.
func (d *Decoder) fault(v []byte) error {
	kind, message := faultMembers(v)
	status := faultStatus(kind)
	if d.started {
		return &outcrop.Error{
			Code: outcrop.CodeModelStream, Message: "The model server ended its answer with an error.",
			Status: status, Original: message,
		}
	}
	e := &outcrop.Error{Code: outcrop.CodeModelError, Message: "The model server answered with an error.", Status: status, Original: message}
	switch status {
	case 400, 404, 413:
		e.Code, e.Message = outcrop.CodeValidation, message
	case 429:
		e.Code, e.Message = outcrop.CodeThrottling, "Too many requests, please wait before trying again."
	case 401, 403:
		e.Code, e.Message = outcrop.CodeUnavailable, "The model is not available."
	case 504:
		e.Code, e.Message = outcrop.CodeModelTimeout, "The model server took too long to answer."
	}
	return e
}

// faultStatus is the HTTP status that goes with a type of error [Messages API
// reference, Errors].
func faultStatus(kind string) int {
	switch kind {
	case "invalid_request_error":
		return 400
	case "authentication_error":
		return 401
	case "permission_error":
		return 403
	case "not_found_error":
		return 404
	case "request_too_large":
		return 413
	case "rate_limit_error":
		return 429
	case "timeout_error":
		return 504
	case "overloaded_error":
		return 529
	}
	return 500
}

func faultMembers(v []byte) (kind, message string) {
	f, err := object(v)
	if err != nil {
		return "", ""
	}
	k, _ := f.text("type")
	m, _ := f.text("message")
	return k.String(), bounded(m)
}

// maxWords bounds how much of an engine's own words is passed on, in bytes.
const maxWords = 1000

// bounded is t as plain text of one line and of at most maxWords.
func bounded(t outcrop.Text) string {
	if !jsonscan.Clean(t) {
		return ""
	}
	s := t.String()
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// ErrorMessage returns the engine's own words in the body of an error answer:
// one line, bounded, empty if there are none.
func ErrorMessage(body []byte) string {
	f, err := object(body)
	if err != nil {
		return ""
	}
	if v := f.get("error"); v != nil {
		_, message := faultMembers(v)
		return message
	}
	m, err := f.text("message")
	if err != nil {
		return ""
	}
	return bounded(m)
}

// InputTokens reads the answer of the token counting endpoint.
func InputTokens(body []byte) (int, bool) {
	s := jsonscan.Scanner{B: body}
	if !s.Eat('{') {
		return 0, false
	}
	total, found := 0, false
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok || !more {
			return total, ok && found && s.End()
		}
		if string(k) == "input_tokens" {
			total, ok = s.Int()
			found = true
		} else {
			ok = s.Skip()
		}
		if !ok {
			return 0, false
		}
	}
}
