package anthropic

import (
	"bytes"
	"strings"

	"github.com/outcrop/outcrop"
)

// block appends the content block v to to, and behind it a cache point if it
// carries a cache_control. If kind is not empty, v must be of that type.
func (d *decoder) block(to []outcrop.Block, v []byte, kind string) ([]outcrop.Block, error) {
	f, err := object(v)
	if err != nil {
		return to, err
	}
	t, err := f.text("type")
	if err != nil {
		return to, err
	}
	if kind != "" && string(t) != kind {
		return to, fault(".type: Input should be '" + kind + "'")
	}
	b, err := d.kind(string(t), f)
	if err != nil {
		return to, err
	}
	to = append(to, b)
	if mark, ok, err := cachePoint(f); err != nil {
		return to, in("."+string(t), err)
	} else if ok {
		return append(to, mark), nil
	}
	if b.Kind == outcrop.BlockToolResult {
		return hoist(to, f), nil
	}
	return to, nil
}

// members of each type of block, beside type and cache_control.
var members = map[string][]string{
	"text":              {"text", "citations"},
	"image":             {"source"},
	"document":          {"source", "title", "context", "citations"},
	"tool_use":          {"id", "name", "input", "caller"},
	"tool_result":       {"tool_use_id", "content", "is_error"},
	"thinking":          {"thinking", "signature"},
	"redacted_thinking": {"data"},
}

func (d *decoder) kind(t string, f fields) (b outcrop.Block, err error) {
	names, known := members[t]
	if !known {
		return b, fault(": Input tag '" + printable([]byte(t)) + "' found using 'type' does not match any of the expected tags: " +
			"'document', 'image', 'redacted_thinking', 'text', 'thinking', 'tool_result', 'tool_use'")
	}
	if err := f.only(append([]string{"type", "cache_control"}, names...)...); err != nil && d.strict {
		return b, in("."+t, err)
	}
	switch t {
	case "text":
		b, err = textBlock(f)
	case "image":
		b, err = image(f)
	case "document":
		b, err = document(f)
	case "tool_use":
		b, err = toolUse(f)
	case "tool_result":
		b, err = d.toolResult(f)
	case "thinking":
		b.Kind = outcrop.BlockReasoning
		if b.Text, err = f.text("thinking"); err == nil && (d.strict || f.get("signature") != nil) {
			b.Signature, err = f.text("signature")
		}
	case "redacted_thinking":
		b.Kind = outcrop.BlockRedacted
		b.Text, err = f.text("data")
	}
	return b, in("."+t, err)
}

func textBlock(f fields) (b outcrop.Block, err error) {
	b.Kind = outcrop.BlockText
	if b.Text, err = f.text("text"); err != nil {
		return b, err
	}
	if len(b.Text) == 0 {
		return b, fault(": text content blocks must be non-empty")
	}
	if b.Text.Blank() {
		return b, fault(": text content blocks must contain non-whitespace text")
	}
	return b, nil
}

// cachePoint is the cache point that a cache_control member stands for.
func cachePoint(f fields) (b outcrop.Block, ok bool, err error) {
	v := f.get("cache_control")
	if v == nil {
		return b, false, nil
	}
	c, err := object(v)
	if err != nil {
		return b, false, in(".cache_control", err)
	}
	if t, err := c.text("type"); err != nil || string(t) != "ephemeral" {
		return b, false, fault(".cache_control.type: Input should be 'ephemeral'")
	}
	b.Kind = outcrop.BlockCachePoint
	if c.get("ttl") == nil {
		return b, true, nil
	}
	if b.Text, err = c.text("ttl"); err != nil || string(b.Text) != "5m" && string(b.Text) != "1h" {
		return b, false, fault(".cache_control.ttl: Input should be '5m' or '1h'")
	}
	return b, true, nil
}

// hoist puts the cache point of a block inside a tool result behind the tool
// result: a Conversation has none inside.
func hoist(to []outcrop.Block, f fields) []outcrop.Block {
	v := f.get("content")
	if v == nil || v[0] != '[' {
		return to
	}
	all, _ := elements(v)
	for _, e := range all {
		inner, err := object(e)
		if err != nil {
			continue
		}
		if mark, ok, _ := cachePoint(inner); ok {
			return append(to, mark)
		}
	}
	return to
}

// source reads the source member: its type, media type and data.
func source(f fields) (kind, media string, data outcrop.Text, err error) {
	v := f.get("source")
	if v == nil {
		return "", "", nil, fault(".source: Field required")
	}
	s, err := object(v)
	if err != nil {
		return "", "", nil, in(".source", err)
	}
	t, err := s.text("type")
	if err != nil {
		return "", "", nil, in(".source", err)
	}
	if string(t) != "base64" && string(t) != "text" {
		return "", "", nil, fault(".source: Input tag '" + printable(t) + "' found using 'type' does not match any of the expected tags: 'base64', 'text'")
	}
	m, err := s.text("media_type")
	if err != nil {
		return "", "", nil, in(".source."+string(t), err)
	}
	data, err = s.text("data")
	return string(t), string(outcrop.Text(m).String()), data, in(".source."+string(t), err)
}

func image(f fields) (outcrop.Block, error) {
	kind, media, data, err := source(f)
	if err != nil {
		return outcrop.Block{}, err
	}
	format, found := strings.CutPrefix(media, "image/")
	if kind != "base64" || !found || !oneOf(format, "jpeg", "png", "gif", "webp") {
		return outcrop.Block{}, fault(".source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'")
	}
	if !isBase64(data) {
		return outcrop.Block{}, fault(".source.base64: invalid base64 data")
	}
	return outcrop.Block{Kind: outcrop.BlockImage, Media: &outcrop.Media{Format: format, Base64: data}}, nil
}

func document(f fields) (outcrop.Block, error) {
	b := outcrop.Block{Kind: outcrop.BlockDocument}
	kind, media, data, err := source(f)
	if err != nil {
		return b, err
	}
	m := &outcrop.Media{Name: outcrop.Text("document")}
	switch {
	case kind == "base64" && media == "application/pdf":
		m.Format, m.Base64 = "pdf", data
		if !isBase64(data) {
			return b, fault(".source.base64: invalid base64 data")
		}
	case kind == "text" && media == "text/plain":
		m.Format, m.Text = "txt", data
		if len(data) == 0 {
			return b, fault(".source.text.data: Input should have at least 1 character")
		}
	case kind == "base64":
		return b, fault(".source.base64.media_type: Input should be 'application/pdf'")
	default:
		return b, fault(".source.text.media_type: Input should be 'text/plain'")
	}
	if f.get("title") != nil {
		if m.Name, err = f.text("title"); err != nil {
			return b, err
		}
	}
	b.Media = m
	return b, nil
}

func toolUse(f fields) (outcrop.Block, error) {
	b := outcrop.Block{Kind: outcrop.BlockToolUse, Use: new(outcrop.ToolUse)}
	var err error
	if b.Use.ID, err = f.text("id"); err != nil {
		return b, err
	}
	if b.Use.Name, err = f.text("name"); err != nil {
		return b, err
	}
	v := f.get("input")
	if v == nil {
		return b, fault(".input: Field required")
	}
	if v[0] != '{' {
		return b, fault(".input: Input should be a valid dictionary")
	}
	b.Use.Input = outcrop.JSON(v)
	return b, nil
}

func (d *decoder) toolResult(f fields) (outcrop.Block, error) {
	r := new(outcrop.ToolResult)
	b := outcrop.Block{Kind: outcrop.BlockToolResult, Result: r}
	var err error
	if r.ID, err = f.text("tool_use_id"); err != nil {
		return b, err
	}
	switch string(f.get("is_error")) {
	case "", "false":
	case "true":
		r.Error = true
	default:
		return b, fault(".is_error: Input should be a valid boolean")
	}
	v := f.get("content")
	if v == nil || string(v) == `""` {
		return b, nil
	}
	if v[0] == '"' {
		r.Content = []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text(v[1 : len(v)-1])}}
		return b, nil
	}
	all, err := elements(v)
	if err != nil {
		return b, in(".content", err)
	}
	for i, e := range all {
		if r.Content, err = d.resultBlock(r.Content, e); err != nil {
			return b, in(at(".content", i), err)
		}
	}
	return b, nil
}

// resultBlock appends a block of a tool's result: text, image or document.
func (d *decoder) resultBlock(to []outcrop.Block, v []byte) ([]outcrop.Block, error) {
	f, err := object(v)
	if err != nil {
		return to, err
	}
	t, err := f.text("type")
	if err != nil {
		return to, err
	}
	if !oneOf(string(t), "text", "image", "document") {
		return to, fault(".type: Input should be 'text', 'image' or 'document'")
	}
	if string(t) == "text" && string(f.get("text")) == `""` {
		return to, nil
	}
	b, err := d.kind(string(t), f)
	if err != nil {
		return to, err
	}
	return append(to, b), nil
}

func oneOf(s string, all ...string) bool {
	for _, a := range all {
		if s == a {
			return true
		}
	}
	return false
}

// isBase64 reports whether t is the base64 of at least one byte.
func isBase64(t outcrop.Text) bool {
	if bytes.IndexByte(t, '\\') >= 0 {
		t = outcrop.Text(t.String()) // "\/" is how some write a slash
	}
	if len(t) == 0 || len(t)%4 != 0 {
		return false
	}
	end := bytes.TrimRight(t, "=")
	if len(t)-len(end) > 2 {
		return false
	}
	for _, c := range end {
		if !base64Byte(c) {
			return false
		}
	}
	return true
}

func base64Byte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}
