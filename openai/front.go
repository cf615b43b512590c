package openai

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
	"github.com/outcrop/outcrop/jsonscan"
)

// DecodeRequest decodes the chat completion body of an InvokeModel call.
//
// System and developer messages become the system prompt; neighbouring
// messages of one role become one turn, tool messages being the user's, since
// the hub alternates and this dialect need not. tool_choice none leaves the
// tools out. The members model, stream and user and their like have no
// effect. err is an *outcrop.Error with a ValidationException in Bedrock's
// words; strict refuses members that the dialect does not have, which are
// otherwise ignored. The dialect has no member that is required beyond
// messages, so there are never hints. c keeps no reference to body.
func DecodeRequest(body []byte, strict bool) (c *outcrop.Conversation, hints []string, err error) {
	var b chatBody
	if err := jsonbody.Decode(body, &b, strict); err != nil {
		return nil, nil, err
	}
	c = &outcrop.Conversation{}
	for _, step := range []func(*outcrop.Conversation) error{
		b.messages, b.inference, b.tools, b.format, b.extra,
	} {
		if err := step(c); err != nil {
			return nil, nil, err
		}
	}
	return c, nil, nil
}

func (b *chatBody) inference(c *outcrop.Conversation) error {
	in := &c.Inference
	for _, limit := range []struct {
		key   string
		value *int
	}{{"max_tokens", b.MaxTokens}, {"max_completion_tokens", b.MaxCompletion}, {"n", b.N}} {
		if limit.value == nil {
			continue
		}
		if *limit.value < 1 {
			return jsonbody.Malformed(fmt.Sprintf("#/%s: %d is not greater or equal to 1", limit.key, *limit.value))
		}
		if limit.key != "n" {
			in.MaxTokens = *limit.value
		} else if *limit.value > 1 {
			return jsonbody.Malformed(fmt.Sprintf("#/n: %d is not less or equal to 1", *limit.value))
		}
	}
	in.Temperature = outcrop.Number(b.Temperature)
	in.TopP = outcrop.Number(b.TopP)
	in.TopK = outcrop.Number(b.TopK)
	for _, stop := range b.Stop {
		if len(stop) == 0 {
			return jsonbody.Malformed("#/stop: expected minLength: 1, actual: 0")
		}
		in.Stop = append(in.Stop, outcrop.Text(stop))
	}
	return checkRange(b)
}

// checkRange checks the numbers whose range the dialect tells.
func checkRange(b *chatBody) error {
	for _, n := range []struct {
		key   string
		value number
		most  float64
	}{{"temperature", b.Temperature, 2}, {"top_p", b.TopP, 1}} {
		if n.value == nil {
			continue
		}
		f, err := strconv.ParseFloat(string(n.value), 64)
		switch {
		case err != nil || f > n.most:
			return jsonbody.Malformed(fmt.Sprintf("#/%s: %s is not less or equal to %g", n.key, jsonbody.Shorten(string(n.value)), n.most))
		case f < 0:
			return jsonbody.Malformed(fmt.Sprintf("#/%s: %s is not greater or equal to 0", n.key, jsonbody.Shorten(string(n.value))))
		}
	}
	return nil
}

func (b *chatBody) tools(c *outcrop.Conversation) error {
	choice := outcrop.ToolChoice{}
	if b.ToolChoice != nil {
		switch string(b.ToolChoice.word) {
		case "none":
			return nil
		case "auto":
			choice.Kind = outcrop.ToolChoiceAuto
		case "required", "any": // the latter is Mistral's word
			choice.Kind = outcrop.ToolChoiceAny
		case "function":
			choice = outcrop.ToolChoice{Kind: outcrop.ToolChoiceTool, Name: outcrop.Text(b.ToolChoice.name)}
		default:
			return jsonbody.NotOneOf("#/tool_choice", outcrop.Text(b.ToolChoice.word))
		}
	}
	for i := range b.Tools {
		t := &b.Tools[i]
		at := fmt.Sprintf("#/tools/%d", i)
		if string(t.Type) != "function" {
			return jsonbody.NotOneOf(at+"/type", outcrop.Text(t.Type))
		}
		f := &t.Function
		if len(f.Name) == 0 {
			return jsonbody.Missing(at+"/function", "name")
		}
		schema, err := object(at+"/function/parameters", f.Parameters)
		if err != nil {
			return err
		}
		c.Tools = append(c.Tools, outcrop.Tool{
			Name: outcrop.Text(f.Name), Description: outcrop.Text(f.Description),
			Schema: schema, Strict: f.Strict != nil && *f.Strict,
		})
	}
	if choice.Kind != outcrop.ToolChoiceNone && len(c.Tools) == 0 {
		return jsonbody.Missing("#", "tools")
	}
	c.ToolChoice = choice
	return nil
}

// object checks that a value, if there is one, is a JSON object that the hub
// takes.
func object(at string, v jsontext.Value) (outcrop.JSON, error) {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil, nil
	}
	if v.Kind() != '{' {
		return nil, jsonbody.Malformed(at + ": " + (&jsonbody.Mismatch{Want: "JSONObject", Have: v.Kind()}).Error())
	}
	if !jsonscan.Valid(v) {
		return nil, jsonbody.Malformed(at + ": nested too deeply")
	}
	return outcrop.JSON(v), nil
}

func (b *chatBody) format(c *outcrop.Conversation) error {
	f := b.ResponseFormat
	if f == nil {
		return nil
	}
	switch string(f.Type) {
	case "text":
	case "json_object":
		c.Format = &outcrop.Format{Schema: outcrop.JSON(`{"type":"object"}`)}
	case "json_schema":
		if f.Schema == nil {
			return jsonbody.Missing("#/response_format", "json_schema")
		}
		schema, err := object("#/response_format/json_schema/schema", f.Schema.Schema)
		if err != nil {
			return err
		}
		if schema == nil {
			schema = outcrop.JSON(`{"type":"object"}`)
		}
		c.Format = &outcrop.Format{
			Name: outcrop.Text(f.Schema.Name), Description: outcrop.Text(f.Schema.Description), Schema: schema,
		}
	default:
		return jsonbody.NotOneOf("#/response_format/type", outcrop.Text(f.Type))
	}
	return nil
}

// extra gathers what goes to the engine as it is.
func (b *chatBody) extra(c *outcrop.Conversation) error {
	dst := outcrop.JSON("{")
	for _, m := range []struct {
		key   string
		value jsontext.Value
	}{
		{"reasoning_effort", b.ReasoningEffort}, {"seed", b.Seed},
		{"frequency_penalty", b.FrequencyPenalty}, {"presence_penalty", b.PresencePenalty},
		{"repetition_penalty", b.RepetitionPenalty}, {"min_p", b.MinP}, {"logit_bias", b.LogitBias},
		{"parallel_tool_calls", b.ParallelToolCalls}, {"chat_template_kwargs", b.ChatTemplateKwargs},
	} {
		if len(m.value) == 0 || m.value.Kind() == 'n' {
			continue
		}
		if !jsonscan.Valid(m.value) {
			return jsonbody.Malformed("#/" + m.key + ": nested too deeply")
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, outcrop.Text(m.key))
		dst = append(append(dst, ':'), m.value...)
	}
	if len(dst) > 1 {
		c.Extra = append(dst, '}')
	}
	return nil
}
