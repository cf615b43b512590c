package bedrock

import (
	"errors"
	"fmt"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// Answer sends the events for the body of a unary Converse answer. A malformed
// body is an *outcrop.Error, and then nothing was sent.
func (d *Decoder) Answer(body []byte, out outcrop.Sink) error {
	if !jsonscan.Valid(body) {
		return malformedBody()
	}
	p := &d.piece
	content, ok := lookup(body, []string{"output", "message", "content"})
	if !ok || content[0] != '[' || !p.parse(body) || p.stop == "" {
		return malformedBody()
	}
	d.usage, d.tier, d.latency, d.stop, d.metered = p.usage, p.tier, p.latency, p.stop, true
	if err := send(out, outcrop.Event{Kind: outcrop.EventStart}); err != nil {
		return err
	}
	if err := d.blocks(content, out); err != nil {
		return err
	}
	return send(out, outcrop.Event{Kind: outcrop.EventStop, Detail: p.end()})
}

func malformedBody() error {
	return &outcrop.Error{Code: outcrop.CodeModelError, Message: "The model's answer is malformed."}
}

// blocks sends the events for the content of a message, which is valid JSON.
// Blocks that have no place here are left out.
func (d *Decoder) blocks(content []byte, out outcrop.Sink) error {
	s := jsonscan.Scanner{B: content}
	s.Eat('[')
	index := 0
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if !ok || !more {
			return nil
		}
		element, _ := s.Value()
		sent, err := answerBlock(element, index, out)
		if err != nil {
			return err
		}
		if sent {
			index++
		}
	}
}

// answerBlock sends the events for one block and tells whether there were any.
func answerBlock(element []byte, index int, out outcrop.Sink) (bool, error) {
	var d outcrop.Detail
	e := outcrop.Event{Block: outcrop.BlockText, Index: index}
	var text, signature, redacted outcrop.Text
	if inner, ok := lookup(element, []string{"reasoningContent"}); ok {
		e.Block = outcrop.BlockReasoning
		text, _ = textOf(inner, "reasoningText", "text")
		signature, _ = textOf(inner, "reasoningText", "signature")
		redacted, _ = textOf(inner, "redactedContent")
	} else if input, ok := lookup(element, []string{"toolUse", "input"}); ok {
		e.Block = outcrop.BlockToolUse
		e.Detail = &d
		d.ID, _ = textOf(element, "toolUse", "toolUseId")
		d.Name, _ = textOf(element, "toolUse", "name")
		text = outcrop.Quote(string(input))
	} else if text, ok = textOf(element, "text"); !ok {
		return false, nil
	}
	e.Kind = outcrop.EventBlockStart
	if err := send(out, e); err != nil {
		return true, err
	}
	e.Detail, e.Kind = nil, outcrop.EventDelta
	block := e.Block
	for _, part := range []struct {
		kind outcrop.BlockKind
		text outcrop.Text
	}{{block, text}, {outcrop.BlockSignature, signature}, {outcrop.BlockRedacted, redacted}} {
		if e.Block, e.Text = part.kind, part.text; len(e.Text) == 0 {
			continue
		}
		if err := send(out, e); err != nil {
			return true, err
		}
	}
	return true, send(out, outcrop.Event{Kind: outcrop.EventBlockStop, Block: block, Index: index})
}

// textOf returns the string that the keys lead to.
func textOf(v []byte, keys ...string) (outcrop.Text, bool) {
	v, ok := lookup(v, keys)
	if !ok || v[0] != '"' {
		return nil, false
	}
	return v[1 : len(v)-1], true
}

// Failure returns the error that an engine's HTTP answer tells of. errorType is
// its header x-amzn-ErrorType, which may be empty. A refusal of the gateway's
// own credentials is not the caller's business and becomes
// ServiceUnavailableException; the code is in the cause, and the engine's
// words, which can quote keys and prompts, are nowhere.
func Failure(status int, errorType string, body []byte) *outcrop.Error {
	var message string
	if jsonscan.Valid(body) {
		for _, name := range []string{"message", "Message"} {
			if text, ok := textOf(body, name); ok {
				message = text.String()
			}
		}
		for _, name := range []string{"__type", "code"} {
			if text, ok := textOf(body, name); ok && errorType == "" {
				errorType = text.String()
			}
		}
	}
	return failure(status, errorType, message)
}

func failure(status int, errorType, message string) *outcrop.Error {
	e := &outcrop.Error{Code: knownCode(errorType), Message: short(message), Status: status}
	switch {
	case e.Code == outcrop.CodeUnrecognizedClient, e.Code == outcrop.CodeInvalidSignature, e.Code == outcrop.CodeExpiredToken,
		e.Code == outcrop.CodeMissingToken, e.Code == outcrop.CodeIncompleteSignature, e.Code == outcrop.CodeAccessDenied,
		e.Code == "" && (status == 401 || status == 403):
		return &outcrop.Error{Code: outcrop.CodeUnavailable, Message: ServiceUnavailable, Status: status, Cause: refusedWith(e.Code)}
	case e.Code != "":
	case status == 429:
		e.Code = outcrop.CodeThrottling
	case status == 503:
		e.Code = outcrop.CodeUnavailable
	case status >= 400 && status < 500:
		e.Code = outcrop.CodeValidation
	default:
		e.Code = outcrop.CodeModelError
	}
	if e.Message == "" {
		e.Message = standard(e.Code)
	}
	return e
}

// refusedWith is the cause of a refusal of the gateway's own credentials.
func refusedWith(code outcrop.Code) error {
	if code == "" {
		return errors.New("the engine refuses the gateway's credentials")
	}
	return fmt.Errorf("the engine refuses the gateway's credentials: %w", code)
}

// knownCode reads an error type as servers spell it: after a namespace and
// '#', before ':', as an exception frame begins with a small letter. It
// returns "" for those that have no place here.
func knownCode(errorType string) outcrop.Code {
	errorType, _, _ = strings.Cut(errorType, ":")
	errorType = errorType[strings.LastIndexByte(errorType, '#')+1:]
	if errorType == "" {
		return ""
	}
	code := outcrop.Code(strings.ToUpper(errorType[:1]) + errorType[1:])
	if Status(code) == 500 && code != outcrop.CodeInternal {
		return ""
	}
	return code
}

// maxMessage is how much of an engine's message goes on to the caller.
const maxMessage = 1024

func short(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "")
}

// ParseCount reads the answer of CountTokens; ok is false if it is malformed.
func ParseCount(body []byte) (inputTokens int, ok bool) {
	v, ok := lookup(body, []string{"inputTokens"})
	if !ok || !jsonscan.Valid(body) {
		return 0, false
	}
	s := jsonscan.Scanner{B: v}
	return s.Int()
}
