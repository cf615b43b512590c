// Package anthropic speaks the Anthropic Messages dialect on both sides of
// the hub. On the front side are the InvokeModel bodies of Claude models on
// Bedrock; on the engine side are requests to, and answers from, a server of
// the Messages API.
package anthropic

import (
	"errors"
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// Version is the anthropic_version of Claude bodies on Bedrock.
const Version = "bedrock-2023-05-31"

const malformed = "Malformed input request, please reformat your input and try again."

// Hints of DecodeRequest for members that Bedrock requires.
const (
	hintVersion   = "anthropic_version was absent: " + Version + " assumed"
	hintMaxTokens = "max_tokens was absent: the model's maximum assumed"
)

// DecodeRequest reads an InvokeModel body of a Claude model. With strict it
// refuses what Bedrock refuses; else it fills in the obvious default, ignores
// unknown members, and returns a hint for each. MaxTokens stays 0 where it
// was absent. An error is an *outcrop.Error of code ValidationException. The
// conversation borrows from body.
func DecodeRequest(body []byte, strict bool) (*outcrop.Conversation, []string, error) {
	if !jsonscan.Valid(body) {
		return nil, nil, outcrop.Invalid(malformed)
	}
	d := decoder{strict: strict, c: new(outcrop.Conversation)}
	err := d.request(body)
	if f := fault(""); errors.As(err, &f) {
		return nil, nil, outcrop.Invalid(string(f))
	}
	if err != nil {
		return nil, nil, err
	}
	return d.c, d.hints, nil
}

// decoder builds one conversation.
type decoder struct {
	strict bool
	c      *outcrop.Conversation
	hints  []string
}

func (d *decoder) hint(h string) { d.hints = append(d.hints, h) }

func (d *decoder) request(body []byte) error {
	f, err := object(body)
	if err != nil {
		return outcrop.Invalid(malformed)
	}
	steps := []func(fields) error{
		d.version, d.known, d.inference, d.system, d.messages, d.tools, d.toolChoice, d.format, d.extra,
	}
	for _, step := range steps {
		if err := step(f); err != nil {
			return err
		}
	}
	return pairing(d.c.Messages)
}

func (d *decoder) version(f fields) error {
	v := f.get("anthropic_version")
	switch {
	case v == nil && d.strict:
		return fault("anthropic_version: Field required")
	case v == nil:
		d.hint(hintVersion)
	case string(v) != `"`+Version+`"` && d.strict:
		return fault("anthropic_version: Input should be '" + Version + "'")
	}
	return nil
}

// topLevel are the members that Claude bodies may have on Bedrock.
var topLevel = []string{
	"anthropic_version", "anthropic_beta", "max_tokens", "messages", "system", "temperature", "top_p", "top_k",
	"stop_sequences", "tools", "tool_choice", "thinking", "metadata", "output_config", "output_format",
}

func (d *decoder) known(f fields) error {
	for i := range f {
		err := f[i : i+1].only(topLevel...)
		if err == nil {
			continue
		}
		if d.strict {
			return fault(err.Error()[1:])
		}
		d.hint(printable(f[i].k) + " was ignored: Claude bodies on Bedrock have no such member")
	}
	return nil
}

func (d *decoder) inference(f fields) error {
	inf := &d.c.Inference
	var err error
	switch v := f.get("max_tokens"); {
	case v == nil && d.strict:
		return fault("max_tokens: Field required")
	case v == nil:
		d.hint(hintMaxTokens)
	default:
		if inf.MaxTokens, err = integer(v); err != nil {
			return in("max_tokens", err)
		}
		if inf.MaxTokens < 1 {
			return fault("max_tokens: must be greater than or equal to 1")
		}
	}
	if inf.Temperature, err = number(f.get("temperature"), 1); err != nil {
		return in("temperature", err)
	}
	if inf.TopP, err = number(f.get("top_p"), 1); err != nil {
		return in("top_p", err)
	}
	if v := f.get("top_k"); v != nil {
		if _, err := integer(v); err != nil {
			return in("top_k", err)
		}
		inf.TopK = outcrop.Number(v)
	}
	return in("stop_sequences", d.stop(f.get("stop_sequences")))
}

func (d *decoder) stop(v []byte) error {
	if v == nil {
		return nil
	}
	all, err := elements(v)
	if err != nil {
		return err
	}
	for i, e := range all {
		if e[0] != '"' {
			return fault(at("", i) + ": Input should be a valid string")
		}
		t := outcrop.Text(e[1 : len(e)-1])
		if t.Blank() {
			return fault(": each stop sequence must contain non-whitespace")
		}
		d.c.Inference.Stop = append(d.c.Inference.Stop, t)
	}
	return nil
}

func integer(v []byte) (int, error) {
	n, err := strconv.ParseInt(string(v), 10, 32)
	if err != nil || n < 0 {
		return 0, fault(": Input should be a valid integer")
	}
	return int(n), nil
}

// number is v if it is a number between 0 and limit, and nil if v is absent.
func number(v []byte, limit float64) (outcrop.Number, error) {
	if v == nil {
		return nil, nil
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return nil, fault(": Input should be a valid number")
	}
	if x < 0 || x > limit {
		return nil, fault(": range: 0..1")
	}
	return outcrop.Number(v), nil
}

func (d *decoder) system(f fields) error {
	v := f.get("system")
	if v == nil {
		return nil
	}
	if v[0] == '"' {
		if len(v) > 2 {
			d.c.System = []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text(v[1 : len(v)-1])}}
		}
		return nil
	}
	all, err := elements(v)
	if err != nil {
		return in("system", err)
	}
	for i, e := range all {
		if d.c.System, err = d.block(d.c.System, e, "text"); err != nil {
			return in(at("system", i), err)
		}
	}
	return nil
}

func (d *decoder) messages(f fields) error {
	v := f.get("messages")
	if v == nil {
		return fault("messages: Field required")
	}
	all, err := elements(v)
	if err != nil {
		return in("messages", err)
	}
	if len(all) == 0 {
		return fault("messages: at least one message is required")
	}
	for i, e := range all {
		if err := d.message(e, i == len(all)-1); err != nil {
			return in(at("messages", i), err)
		}
	}
	if d.c.Messages[0].Role != outcrop.RoleUser {
		return fault(`messages: first message must use the "user" role`)
	}
	return nil
}

// message adds one turn. Turns of the same role that follow each other are
// one turn, as the Messages API has it.
func (d *decoder) message(v []byte, last bool) error {
	f, err := object(v)
	if err != nil {
		return err
	}
	if err := f.only("role", "content"); err != nil && d.strict {
		return err
	}
	r, err := f.text("role")
	if err != nil {
		return err
	}
	role, err := roleOf(r)
	if err != nil {
		return err
	}
	if n := len(d.c.Messages); n == 0 || d.c.Messages[n-1].Role != role {
		d.c.Messages = append(d.c.Messages, outcrop.Message{Role: role})
	}
	m := &d.c.Messages[len(d.c.Messages)-1]
	before := len(m.Content)
	if m.Content, err = d.content(m.Content, f.get("content")); err != nil {
		return err
	}
	if len(m.Content) == before && (!last || role == outcrop.RoleUser) {
		return fault(": all messages must have non-empty content except for the optional final assistant message")
	}
	if len(m.Content) == 0 {
		d.c.Messages = d.c.Messages[:len(d.c.Messages)-1]
	}
	return nil
}

func roleOf(r outcrop.Text) (outcrop.Role, error) {
	switch string(r) {
	case "user":
		return outcrop.RoleUser, nil
	case "assistant":
		return outcrop.RoleAssistant, nil
	case "system":
		return 0, fault(".role: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.")
	}
	return 0, fault(".role: Input should be 'user' or 'assistant'")
}

// content appends what a content member holds: a string or blocks.
func (d *decoder) content(to []outcrop.Block, v []byte) ([]outcrop.Block, error) {
	if v == nil {
		return to, fault(".content: Field required")
	}
	if v[0] == '"' {
		t := outcrop.Text(v[1 : len(v)-1])
		if len(t) == 0 {
			return to, nil
		}
		if t.Blank() {
			return to, fault(".content: text content blocks must contain non-whitespace text")
		}
		return append(to, outcrop.Block{Kind: outcrop.BlockText, Text: t}), nil
	}
	all, err := elements(v)
	if err != nil {
		return to, in(".content", err)
	}
	for i, e := range all {
		if to, err = d.block(to, e, ""); err != nil {
			return to, in(at(".content", i), err)
		}
	}
	return to, nil
}

// extra keeps the members that have no place in a Conversation and mean
// something to Claude.
func (d *decoder) extra(f fields) error {
	var b []byte
	for _, name := range []string{"thinking", "anthropic_beta", "output_config"} {
		v := f.get(name)
		if v == nil || name == "output_config" && d.c.Format != nil {
			continue
		}
		b = append(b, ',', '"')
		b = append(append(append(b, name...), '"', ':'), v...)
	}
	if b != nil {
		b[0] = '{'
		d.c.Extra = outcrop.JSON(append(b, '}'))
	}
	return nil
}

// pairing checks that each tool use is answered by the turn that follows it,
// and nothing else is.
func pairing(turns []outcrop.Message) error {
	for i := range turns {
		for j := range turns[i].Content {
			b := &turns[i].Content[j]
			if b.Kind == outcrop.BlockToolResult && (i == 0 || !uses(turns[i-1].Content, b.Result.ID)) {
				return fault(at(at("messages", i)+".content", j) + ": unexpected `tool_use_id` found in `tool_result` blocks: " +
					printable(b.Result.ID) + ". Each `tool_result` block must have a corresponding `tool_use` block in the previous message.")
			}
			if b.Kind == outcrop.BlockToolUse && i+1 < len(turns) && !answers(turns[i+1].Content, b.Use.ID) {
				return fault(at("messages", i) + ": `tool_use` ids were found without `tool_result` blocks immediately after: " +
					printable(b.Use.ID) + ". Each `tool_use` block must have a corresponding `tool_result` block in the next message.")
			}
		}
	}
	return nil
}

func uses(blocks []outcrop.Block, id outcrop.Text) bool {
	for i := range blocks {
		if blocks[i].Kind == outcrop.BlockToolUse && string(blocks[i].Use.ID) == string(id) {
			return true
		}
	}
	return false
}

func answers(blocks []outcrop.Block, id outcrop.Text) bool {
	for i := range blocks {
		if blocks[i].Kind == outcrop.BlockToolResult && string(blocks[i].Result.ID) == string(id) {
			return true
		}
	}
	return false
}
