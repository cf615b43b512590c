package openai

import (
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"github.com/outcrop/outcrop"
)

func appendMessages(dst []byte, c *outcrop.Conversation, o Options) ([]byte, error) {
	dst = append(dst, `,"messages":[`...)
	dst = appendSystem(dst, c.System)
	for i := range c.Messages {
		m := &c.Messages[i]
		if m.Role == outcrop.RoleAssistant {
			dst = appendAssistant(dst, m, o)
			continue
		}
		var err error
		if dst, err = appendUser(dst, m, i); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// next appends the comma that parts a message from the one before.
func next(dst []byte) []byte {
	if dst[len(dst)-1] == '[' {
		return dst
	}
	return append(dst, ',')
}

func appendSystem(dst []byte, system []outcrop.Block) []byte {
	if !has(system, outcrop.BlockText) {
		return dst
	}
	dst = append(dst, `{"role":"system","content":`...)
	dst = appendJoined(dst, system, outcrop.BlockText)
	return append(dst, '}')
}

// appendJoined appends the texts of the blocks of the kind as one string.
func appendJoined(dst []byte, blocks []outcrop.Block, kind outcrop.BlockKind) []byte {
	dst = append(dst, '"')
	first := true
	for i := range blocks {
		if blocks[i].Kind != kind {
			continue
		}
		if !first {
			dst = append(dst, `\n`...)
		}
		first = false
		dst = append(dst, blocks[i].Text...)
	}
	return append(dst, '"')
}

func has(blocks []outcrop.Block, kind outcrop.BlockKind) bool {
	for i := range blocks {
		if blocks[i].Kind == kind {
			return true
		}
	}
	return false
}

func appendAssistant(dst []byte, m *outcrop.Message, o Options) []byte {
	dst = append(next(dst), `{"role":"assistant","content":`...)
	calls := has(m.Content, outcrop.BlockToolUse)
	if calls && !has(m.Content, outcrop.BlockText) {
		dst = append(dst, "null"...)
	} else {
		dst = appendJoined(dst, m.Content, outcrop.BlockText)
	}
	if o.KeepReasoning && has(m.Content, outcrop.BlockReasoning) {
		dst = append(dst, `,"reasoning_content":`...)
		dst = appendJoined(dst, m.Content, outcrop.BlockReasoning)
	}
	if calls {
		dst = appendToolCalls(dst, m.Content)
	}
	return append(dst, '}')
}

func appendToolCalls(dst []byte, blocks []outcrop.Block) []byte {
	dst = append(dst, `,"tool_calls":[`...)
	for i := range blocks {
		if blocks[i].Kind != outcrop.BlockToolUse {
			continue
		}
		dst = append(next(dst), `{"id":`...)
		dst = appendToolCall(dst, blocks[i].Use)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendToolCall appends what follows "id": in a tool call.
func appendToolCall(dst []byte, u *outcrop.ToolUse) []byte {
	dst = appendString(dst, u.ID)
	dst = append(dst, `,"type":"function","function":{"name":`...)
	dst = appendString(dst, u.Name)
	dst = append(dst, `,"arguments":"`...)
	dst = appendEscaped(dst, u.Input)
	return append(dst, `"}`...)
}

// appendEscaped appends JSON as the inside of a JSON string.
func appendEscaped(dst []byte, json outcrop.JSON) []byte {
	const hex = "0123456789abcdef"
	for _, c := range json {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// A place names a block of a message in errors; inner counts in the content
// of a tool result and is negative outside of one.
type place struct{ message, block, inner int }

func (p place) refuse(member, why string) error {
	at := fmt.Sprintf("messages.%d.content.%d.", p.message, p.block)
	if p.inner >= 0 {
		at += fmt.Sprintf("toolResult.content.%d.", p.inner)
	}
	return outcrop.Invalid("The value at " + at + member + " is not supported by this model: " + why)
}

func appendUser(dst []byte, m *outcrop.Message, at int) ([]byte, error) {
	rest, images := false, false
	for i := range m.Content {
		b := &m.Content[i]
		switch b.Kind {
		case outcrop.BlockToolResult:
			var err error
			if dst, err = appendToolResult(dst, b.Result, place{at, i, -1}); err != nil {
				return dst, err
			}
			images = images || has(b.Result.Content, outcrop.BlockImage)
		case outcrop.BlockImage:
			images = true
		case outcrop.BlockText, outcrop.BlockDocument:
			rest = true
		}
	}
	if !rest && !images {
		return dst, nil
	}
	dst = append(next(dst), `{"role":"user","content":`...)
	var err error
	if images {
		dst, err = appendParts(dst, m.Content, at)
	} else {
		dst, err = appendTexts(dst, m.Content, place{at, 0, -1})
	}
	return append(dst, '}'), err
}

// appendToolResult appends a tool message with the texts of the result.
func appendToolResult(dst []byte, r *outcrop.ToolResult, at place) ([]byte, error) {
	dst = append(next(dst), `{"role":"tool","tool_call_id":`...)
	dst = appendString(dst, r.ID)
	dst = append(dst, `,"content":`...)
	from := len(dst)
	at.inner = 0
	dst, err := appendTexts(dst, r.Content, at)
	if r.Error {
		const mark = `Error: `
		dst = append(dst, mark...)
		copy(dst[from+1+len(mark):], dst[from+1:])
		copy(dst[from+1:], mark)
	}
	return append(dst, '}'), err
}

// appendTexts appends texts and documents as one string. The blocks are
// counted in the innermost index of at.
func appendTexts(dst []byte, blocks []outcrop.Block, at place) ([]byte, error) {
	dst = append(dst, '"')
	first := true
	for i := range blocks {
		b := &blocks[i]
		if b.Kind != outcrop.BlockText && b.Kind != outcrop.BlockDocument {
			continue
		}
		if !first {
			dst = append(dst, `\n`...)
		}
		first = false
		var err error
		if dst, err = appendText(dst, b, at.index(i)); err != nil {
			return dst, err
		}
	}
	return append(dst, '"'), nil
}

func (p place) index(i int) place {
	if p.inner >= 0 {
		p.inner = i
	} else {
		p.block = i
	}
	return p
}

// appendText appends a text, or a document as text, without quotes.
func appendText(dst []byte, b *outcrop.Block, at place) ([]byte, error) {
	if b.Kind == outcrop.BlockText {
		return append(dst, b.Text...), nil
	}
	text := b.Media.Text
	if len(text) == 0 {
		var ok bool
		if text, ok = documentText(b.Media); !ok {
			return dst, at.refuse("document", "it takes documents as text only, and a document of the format "+
				b.Media.Format+" has none at hand.")
		}
	}
	dst = append(dst, `Document `...)
	dst = append(dst, b.Media.Name...)
	dst = append(dst, `:\n`...)
	return append(dst, text...), nil
}

// documentText reads the bytes of a document whose format is itself text.
func documentText(m *outcrop.Media) (outcrop.Text, bool) {
	switch m.Format {
	case "txt", "md", "csv", "html":
	default:
		return nil, false
	}
	plain, err := base64.StdEncoding.DecodeString(m.Base64.String())
	if err != nil || !utf8.Valid(plain) {
		return nil, false
	}
	return outcrop.Quote(string(plain)), true
}

// appendParts appends the content of a message with images as an array. The
// images of tool results come first, each under a line that tells whose they
// are.
func appendParts(dst []byte, blocks []outcrop.Block, at int) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i := range blocks {
		if blocks[i].Kind != outcrop.BlockToolResult {
			continue
		}
		if dst, err = appendResultImages(dst, blocks[i].Result, place{at, i, 0}); err != nil {
			return dst, err
		}
	}
	for i := range blocks {
		if dst, err = appendPart(dst, &blocks[i], place{at, i, -1}); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendResultImages(dst []byte, r *outcrop.ToolResult, at place) ([]byte, error) {
	if !has(r.Content, outcrop.BlockImage) {
		return dst, nil
	}
	dst = append(next(dst), `{"type":"text","text":"Images in the result of tool call `...)
	dst = append(dst, r.ID...)
	dst = append(dst, `:"}`...)
	for i := range r.Content {
		if r.Content[i].Kind != outcrop.BlockImage {
			continue
		}
		var err error
		if dst, err = appendPart(dst, &r.Content[i], at.index(i)); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendPart(dst []byte, b *outcrop.Block, at place) ([]byte, error) {
	switch b.Kind {
	case outcrop.BlockText, outcrop.BlockDocument:
		dst, err := appendText(append(next(dst), `{"type":"text","text":"`...), b, at)
		return append(dst, `"}`...), err
	case outcrop.BlockImage:
		if len(b.Media.Base64) == 0 {
			return dst, at.refuse("image", "it takes images as bytes only.")
		}
		dst = append(next(dst), `{"type":"image_url","image_url":{"url":"data:image/`...)
		dst = append(dst, b.Media.Format...)
		dst = append(dst, `;base64,`...)
		dst = append(dst, b.Media.Base64...)
		return append(dst, `"}}`...), nil
	}
	return dst, nil
}
