package native

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
)

type novaMessage struct {
	Role    text        `json:"role"`
	Content []novaBlock `json:"content"`
}

// A novaBlock is a union: exactly one of its members is set.
type novaBlock struct {
	Text       *text           `json:"text"`
	Image      *novaMedia      `json:"image"`
	Document   *novaMedia      `json:"document"`
	Video      *novaMedia      `json:"video"`
	Use        *novaUse        `json:"toolUse"`
	Result     *novaResult     `json:"toolResult"`
	JSON       jsontext.Value  `json:"json"` // in tool results
	CachePoint *novaCachePoint `json:"cachePoint"`
	Reasoning  *novaReasoning  `json:"reasoningContent"`
}

type novaMedia struct {
	Format text `json:"format"`
	Name   text `json:"name"`
	Source struct {
		Bytes text           `json:"bytes"`
		Text  text           `json:"text"`
		S3    jsontext.Value `json:"s3Location"`
	} `json:"source"`
}

type novaUse struct {
	ID    text           `json:"toolUseId"`
	Name  text           `json:"name"`
	Input jsontext.Value `json:"input"`
}

type novaResult struct {
	ID      text        `json:"toolUseId"`
	Content []novaBlock `json:"content"`
	Status  *text       `json:"status"`
}

type novaCachePoint struct {
	Type text `json:"type"`
	TTL  text `json:"ttl"`
}

type novaReasoning struct {
	Text *struct {
		Text      text `json:"text"`
		Signature text `json:"signature"`
	} `json:"reasoningText"`
	Redacted text `json:"redactedContent"`
}

func (b *novaBody) messages(c *outcrop.Conversation) error {
	if b.Messages == nil {
		return jsonbody.Missing("#", "messages")
	}
	if len(b.Messages) == 0 {
		return jsonbody.Malformed("#/messages: minimum item count: 1, found: 0")
	}
	last := outcrop.RoleAssistant
	for i := range b.Messages {
		m, err := b.Messages[i].message(fmt.Sprintf("#/messages/%d", i))
		if err != nil {
			return err
		}
		if m.Role == last {
			return alternation(i)
		}
		last = m.Role
		c.Messages = append(c.Messages, m)
	}
	return nil
}

// alternation returns Bedrock's error for the i-th message being of the wrong
// role.
func alternation(i int) error {
	if i == 0 {
		return outcrop.Invalid("A conversation must start with a user message. Try again with a conversation that starts with a user message.")
	}
	return outcrop.Invalid("A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.")
}

func (m *novaMessage) message(at string) (outcrop.Message, error) {
	var to outcrop.Message
	switch string(m.Role) {
	case "user":
		to.Role = outcrop.RoleUser
	case "assistant":
		to.Role = outcrop.RoleAssistant
	case "":
		return to, jsonbody.Missing(at, "role")
	default:
		return to, jsonbody.NotOneOf(at+"/role", outcrop.Text(m.Role))
	}
	if len(m.Content) == 0 {
		return to, jsonbody.Malformed(at + "/content: minimum item count: 1, found: 0")
	}
	var err error
	to.Content, err = blocks(at+"/content", m.Content, to.Role)
	return to, err
}

// blocks decodes the content of a message of the role, or of a tool result,
// which has none.
func blocks(at string, from []novaBlock, role outcrop.Role) ([]outcrop.Block, error) {
	to := make([]outcrop.Block, 0, len(from))
	for i := range from {
		at := fmt.Sprintf("%s/%d", at, i)
		block, err := from[i].block(at)
		if err != nil {
			return nil, err
		}
		if !belongs(block.Kind, role) || from[i].JSON != nil && role != 0 {
			return nil, jsonbody.Malformed(at + ": the content is not permitted here")
		}
		to = append(to, block)
	}
	return to, nil
}

// belongs reports whether a block may stand in a message of the role; the
// role 0 stands for tool results.
func belongs(kind outcrop.BlockKind, role outcrop.Role) bool {
	switch kind {
	case outcrop.BlockText:
		return true
	case outcrop.BlockImage, outcrop.BlockDocument:
		return role != outcrop.RoleAssistant
	case outcrop.BlockToolUse, outcrop.BlockReasoning, outcrop.BlockRedacted:
		return role == outcrop.RoleAssistant
	case outcrop.BlockToolResult:
		return role == outcrop.RoleUser
	}
	return role != 0
}

func (b *novaBlock) block(at string) (outcrop.Block, error) {
	if set := b.set(); set != 1 {
		return outcrop.Block{}, oneKey(at, set)
	}
	switch {
	case b.Text != nil && len(*b.Text) == 0:
		return outcrop.Block{}, jsonbody.Malformed(at + "/text: expected minLength: 1, actual: 0")
	case b.Text != nil:
		return outcrop.Block{Kind: outcrop.BlockText, Text: outcrop.Text(*b.Text)}, nil
	case b.JSON != nil:
		value, err := document(at+"/json", b.JSON)
		return outcrop.Block{Kind: outcrop.BlockText, Text: outcrop.Quote(string(value))}, err
	case b.Image != nil:
		return b.Image.image(at + "/image")
	case b.Document != nil:
		return b.Document.document(at + "/document")
	case b.Use != nil:
		return b.Use.block(at + "/toolUse")
	case b.Result != nil:
		return b.Result.block(at + "/toolResult")
	case b.CachePoint != nil:
		return outcrop.Block{Kind: outcrop.BlockCachePoint, Text: outcrop.Text(b.CachePoint.TTL)}, nil
	case b.Reasoning != nil:
		return b.Reasoning.block(at + "/reasoningContent")
	}
	return outcrop.Block{}, jsonbody.Malformed(at + ": video is not supported")
}

// set counts the members that are there.
func (b *novaBlock) set() int {
	n := 0
	for _, there := range [...]bool{
		b.Text != nil, b.Image != nil, b.Document != nil, b.Video != nil, b.Use != nil,
		b.Result != nil, b.JSON != nil, b.CachePoint != nil, b.Reasoning != nil,
	} {
		if there {
			n++
		}
	}
	return n
}

func (m *novaMedia) image(at string) (outcrop.Block, error) {
	switch string(m.Format) {
	case "png", "jpeg", "gif", "webp":
	case "":
		return outcrop.Block{}, jsonbody.Missing(at, "format")
	default:
		return outcrop.Block{}, jsonbody.NotOneOf(at+"/format", outcrop.Text(m.Format))
	}
	data, err := m.bytes(at)
	media := &outcrop.Media{Format: string(m.Format), Base64: data}
	return outcrop.Block{Kind: outcrop.BlockImage, Media: media}, err
}

func (m *novaMedia) bytes(at string) (outcrop.Text, error) {
	switch {
	case m.Source.S3 != nil:
		return nil, jsonbody.Malformed(at + "/source/s3Location: S3 locations are not supported, send bytes")
	case m.Source.Bytes == nil:
		return nil, jsonbody.Missing(at+"/source", "bytes")
	}
	data, ok := base64Text(m.Source.Bytes)
	if !ok {
		return nil, jsonbody.Malformed(at + "/source/bytes: not valid base64")
	}
	return data, nil
}

func (m *novaMedia) document(at string) (outcrop.Block, error) {
	switch string(m.Format) {
	case "pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md":
	case "":
		return outcrop.Block{}, jsonbody.Missing(at, "format")
	default:
		return outcrop.Block{}, jsonbody.NotOneOf(at+"/format", outcrop.Text(m.Format))
	}
	if len(m.Name) == 0 {
		return outcrop.Block{}, jsonbody.Missing(at, "name")
	}
	media := &outcrop.Media{Format: string(m.Format), Name: outcrop.Text(m.Name)}
	block := outcrop.Block{Kind: outcrop.BlockDocument, Media: media}
	if len(m.Source.Text) > 0 {
		media.Text = outcrop.Text(m.Source.Text)
		return block, nil
	}
	var err error
	media.Base64, err = m.bytes(at)
	return block, err
}

func (u *novaUse) block(at string) (outcrop.Block, error) {
	switch {
	case len(u.ID) == 0:
		return outcrop.Block{}, jsonbody.Missing(at, "toolUseId")
	case len(u.Name) == 0:
		return outcrop.Block{}, jsonbody.Missing(at, "name")
	case u.Input == nil:
		return outcrop.Block{}, jsonbody.Missing(at, "input")
	}
	input, err := document(at+"/input", u.Input)
	use := &outcrop.ToolUse{ID: outcrop.Text(u.ID), Name: outcrop.Text(u.Name), Input: input}
	return outcrop.Block{Kind: outcrop.BlockToolUse, Use: use}, err
}

func (r *novaResult) block(at string) (outcrop.Block, error) {
	if len(r.ID) == 0 {
		return outcrop.Block{}, jsonbody.Missing(at, "toolUseId")
	}
	result := &outcrop.ToolResult{ID: outcrop.Text(r.ID)}
	if r.Status != nil {
		switch string(*r.Status) {
		case "success":
		case "error":
			result.Error = true
		default:
			return outcrop.Block{}, jsonbody.NotOneOf(at+"/status", outcrop.Text(*r.Status))
		}
	}
	var err error
	result.Content, err = blocks(at+"/content", r.Content, 0)
	return outcrop.Block{Kind: outcrop.BlockToolResult, Result: result}, err
}

func (r *novaReasoning) block(at string) (outcrop.Block, error) {
	switch {
	case r.Text != nil && r.Redacted != nil:
		return outcrop.Block{}, oneKey(at, 2)
	case r.Text != nil:
		return outcrop.Block{
			Kind: outcrop.BlockReasoning, Text: outcrop.Text(r.Text.Text), Signature: outcrop.Text(r.Text.Signature),
		}, nil
	}
	data, ok := base64Text(r.Redacted)
	if !ok {
		return outcrop.Block{}, jsonbody.Malformed(at + "/redactedContent: not valid base64")
	}
	return outcrop.Block{Kind: outcrop.BlockRedacted, Text: data}, nil
}
