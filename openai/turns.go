package openai

import (
	"fmt"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
	"github.com/outcrop/outcrop/jsonscan"
)

func (b *chatBody) messages(c *outcrop.Conversation) error {
	if b.Messages == nil {
		return jsonbody.Missing("#", "messages")
	}
	if len(b.Messages) == 0 {
		return jsonbody.Malformed("#/messages: minimum item count: 1, found: 0")
	}
	for i := range b.Messages {
		if err := b.Messages[i].turn(c, fmt.Sprintf("#/messages/%d", i)); err != nil {
			return err
		}
	}
	return nil
}

// turn adds the message to the conversation.
func (m *message) turn(c *outcrop.Conversation, at string) error {
	switch string(m.Role) {
	case "system", "developer":
		blocks, err := m.Content.blocks(at + "/content")
		c.System = append(c.System, blocks...)
		return err
	case "user":
		blocks, err := m.Content.blocks(at + "/content")
		say(c, outcrop.RoleUser, blocks)
		return err
	case "assistant":
		blocks, err := m.assistant(at)
		say(c, outcrop.RoleAssistant, blocks)
		return err
	case "tool":
		blocks, err := m.result(at)
		say(c, outcrop.RoleUser, blocks)
		return err
	case "":
		return jsonbody.Missing(at, "role")
	}
	return jsonbody.NotOneOf(at+"/role", outcrop.Text(m.Role))
}

// say adds blocks to the turn that is at hand, or begins the other's.
func say(c *outcrop.Conversation, role outcrop.Role, blocks []outcrop.Block) {
	if len(blocks) == 0 {
		return
	}
	if n := len(c.Messages); n > 0 && c.Messages[n-1].Role == role {
		c.Messages[n-1].Content = append(c.Messages[n-1].Content, blocks...)
		return
	}
	c.Messages = append(c.Messages, outcrop.Message{Role: role, Content: blocks})
}

func (m *message) assistant(at string) ([]outcrop.Block, error) {
	var blocks []outcrop.Block
	reasoning := m.ReasoningContent
	if len(reasoning) == 0 {
		reasoning = m.Reasoning
	}
	if len(reasoning) > 0 {
		blocks = append(blocks, outcrop.Block{Kind: outcrop.BlockReasoning, Text: outcrop.Text(reasoning)})
	}
	content, err := m.Content.blocks(at + "/content")
	if err != nil {
		return nil, err
	}
	blocks = append(blocks, content...)
	if len(m.Refusal) > 0 {
		blocks = append(blocks, outcrop.Block{Kind: outcrop.BlockText, Text: outcrop.Text(m.Refusal)})
	}
	for i := range m.ToolCalls {
		use, err := m.ToolCalls[i].use(fmt.Sprintf("%s/tool_calls/%d", at, i))
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, outcrop.Block{Kind: outcrop.BlockToolUse, Use: use})
	}
	return blocks, nil
}

func (t *toolCall) use(at string) (*outcrop.ToolUse, error) {
	if len(t.ID) == 0 {
		return nil, jsonbody.Missing(at, "id")
	}
	if len(t.Function.Name) == 0 {
		return nil, jsonbody.Missing(at+"/function", "name")
	}
	input := outcrop.JSON(outcrop.Text(t.Function.Arguments).String())
	if len(input) == 0 {
		input = outcrop.JSON("{}")
	}
	if !jsonscan.Valid(input) {
		return nil, jsonbody.Malformed(at + "/function/arguments: not a valid JSON text")
	}
	return &outcrop.ToolUse{ID: outcrop.Text(t.ID), Name: outcrop.Text(t.Function.Name), Input: input}, nil
}

func (m *message) result(at string) ([]outcrop.Block, error) {
	if len(m.ToolCallID) == 0 {
		return nil, jsonbody.Missing(at, "tool_call_id")
	}
	content, err := m.Content.blocks(at + "/content")
	if err != nil {
		return nil, err
	}
	result := &outcrop.ToolResult{ID: outcrop.Text(m.ToolCallID), Content: content}
	return []outcrop.Block{{Kind: outcrop.BlockToolResult, Result: result}}, nil
}

// blocks returns the content as blocks; empty texts are left out.
func (c *content) blocks(at string) ([]outcrop.Block, error) {
	if !c.array {
		return appendTextBlock(nil, c.text), nil
	}
	var blocks []outcrop.Block
	for i := range c.parts {
		p, at := &c.parts[i], fmt.Sprintf("%s/%d", at, i)
		switch string(p.Type) {
		case "text":
			blocks = appendTextBlock(blocks, p.Text)
		case "refusal":
			blocks = appendTextBlock(blocks, p.Refusal)
		case "image_url":
			media, err := p.Image.media(at + "/image_url/url")
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, outcrop.Block{Kind: outcrop.BlockImage, Media: media})
		case "file":
			media, err := p.document(at + "/file")
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, outcrop.Block{Kind: outcrop.BlockDocument, Media: media})
		default:
			return nil, jsonbody.NotOneOf(at+"/type", outcrop.Text(p.Type))
		}
	}
	return blocks, nil
}

func appendTextBlock(blocks []outcrop.Block, t text) []outcrop.Block {
	if len(t) == 0 {
		return blocks
	}
	return append(blocks, outcrop.Block{Kind: outcrop.BlockText, Text: outcrop.Text(t)})
}

var imageFormats = map[string]string{
	"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp",
}

func (i *image) media(at string) (*outcrop.Media, error) {
	kind, data, ok := dataURL(outcrop.Text(i.url).String())
	if !ok {
		return nil, jsonbody.Malformed(at + ": only data: URLs with valid base64 are permitted")
	}
	format, ok := imageFormats[kind]
	if !ok {
		return nil, jsonbody.Malformed(at + ": " + jsonbody.Shorten(kind) + " is not a valid enum value")
	}
	return &outcrop.Media{Format: format, Base64: outcrop.Text(data)}, nil
}

var documentFormats = map[string]string{
	"application/pdf": "pdf", "text/plain": "txt", "text/markdown": "md", "text/html": "html", "text/csv": "csv",
	"application/msword": "doc",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
	"application/vnd.ms-excel": "xls",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}

func (p *contentPart) document(at string) (*outcrop.Media, error) {
	if p.File == nil || len(p.File.Data) == 0 {
		return nil, jsonbody.Missing(at, "file_data")
	}
	kind, data, ok := dataURL(outcrop.Text(p.File.Data).String())
	if !ok {
		return nil, jsonbody.Malformed(at + "/file_data: only data: URLs with valid base64 are permitted")
	}
	format, ok := documentFormats[kind]
	if !ok {
		return nil, jsonbody.Malformed(at + "/file_data: " + jsonbody.Shorten(kind) + " is not a valid enum value")
	}
	name := outcrop.Text(p.File.Name)
	if len(name) == 0 {
		name = outcrop.Text("document")
	}
	return &outcrop.Media{Format: format, Name: name, Base64: outcrop.Text(data)}, nil
}

// dataURL takes apart data:KIND[;PARAMETERS];base64,DATA and checks the data.
func dataURL(url string) (kind, data string, ok bool) {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return "", "", false
	}
	head, data, ok := strings.Cut(rest, ",")
	if !ok || !strings.HasSuffix(head, ";base64") || !isBase64(data) {
		return "", "", false
	}
	kind, _, _ = strings.Cut(head, ";")
	return strings.ToLower(kind), data, true
}

// isBase64 reports whether s is not empty, of the standard alphabet and
// padded.
func isBase64(s string) bool {
	digits := strings.TrimRight(s, "=")
	if len(s) == 0 || len(s)%4 != 0 || len(s)-len(digits) > 2 {
		return false
	}
	for i := range len(digits) {
		c := digits[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/') {
			return false
		}
	}
	return true
}
