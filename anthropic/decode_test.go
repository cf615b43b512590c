package anthropic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/anthropic"
)

const head = `"anthropic_version":"bedrock-2023-05-31","max_tokens":9,`

func user(blocks string) string {
	return `{` + head + `"messages":[{"role":"user","content":` + blocks + `}]}`
}

func TestDecodeRefusesWithTheWordsOfTheService(t *testing.T) {
	const toolUse = `{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"n","input":{}}]}`
	for name, c := range map[string]struct{ body, want string }{
		"cut":               {`{"messages":[`, "Malformed input request"},
		"not an object":     {`[]`, "Malformed input request"},
		"lone surrogate":    {user(`"\ud800"`), "Malformed input request"},
		"member twice":      {`{"messages":[],"messages":[]}`, "Malformed input request"},
		"too deep":          {user(strings.Repeat("[", 70) + strings.Repeat("]", 70)), "Malformed input request"},
		"no messages":       {`{` + head + `"system":"s"}`, "messages: Field required"},
		"empty messages":    {`{` + head + `"messages":[]}`, "messages: at least one message is required"},
		"assistant first":   {`{` + head + `"messages":[{"role":"assistant","content":"x"}]}`, `messages: first message must use the "user" role`},
		"system role":       {`{` + head + `"messages":[{"role":"system","content":"x"}]}`, `messages.0.role: Unexpected role "system"`},
		"other role":        {`{` + head + `"messages":[{"role":"tool","content":"x"}]}`, "messages.0.role: Input should be 'user' or 'assistant'"},
		"no content":        {`{` + head + `"messages":[{"role":"user"}]}`, "messages.0.content: Field required"},
		"empty content":     {user(`""`), "messages.0: all messages must have non-empty content"},
		"blank content":     {user(`" \n"`), "text content blocks must contain non-whitespace text"},
		"empty block":       {user(`[{"type":"text","text":""}]`), "messages.0.content.0.text: text content blocks must be non-empty"},
		"blank block":       {user(`[{"type":"text","text":"\t"}]`), "messages.0.content.0.text: text content blocks must contain non-whitespace text"},
		"text no string":    {user(`[{"type":"text","text":1}]`), "messages.0.content.0.text.text: Input should be a valid string"},
		"block no type":     {user(`[{"text":"x"}]`), "messages.0.content.0.type: Field required"},
		"unknown type":      {user(`[{"type":"video"}]`), "messages.0.content.0: Input tag 'video' found"},
		"bad base64":        {user(`[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"A"}}]`), "messages.0.content.0.image.source.base64: invalid base64 data"},
		"bad media type":    {user(`[{"type":"image","source":{"type":"base64","media_type":"image/tiff","data":"AAAA"}}]`), "messages.0.content.0.image.source.base64.media_type: Input should be"},
		"image by url":      {user(`[{"type":"image","source":{"type":"url","url":"http://x/"}}]`), "messages.0.content.0.image.source: Input tag 'url'"},
		"document format":   {user(`[{"type":"document","source":{"type":"base64","media_type":"text/csv","data":"AAAA"}}]`), "messages.0.content.0.document.source.base64.media_type: Input should be 'application/pdf'"},
		"cache control":     {user(`[{"type":"text","text":"x","cache_control":{"type":"forever"}}]`), "messages.0.content.0.text.cache_control.type: Input should be 'ephemeral'"},
		"cache ttl":         {user(`[{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"2h"}}]`), "messages.0.content.0.text.cache_control.ttl"},
		"zero max_tokens":   {`{"max_tokens":0,"messages":[]}`, "max_tokens: must be greater than or equal to 1"},
		"text max_tokens":   {`{"max_tokens":"9","messages":[]}`, "max_tokens: Input should be a valid integer"},
		"temperature":       {`{"temperature":1.5,"messages":[]}`, "temperature: range: 0..1"},
		"top_p":             {`{"top_p":-1,"messages":[]}`, "top_p: range: 0..1"},
		"top_k":             {`{"top_k":1.5,"messages":[]}`, "top_k: Input should be a valid integer"},
		"stop no list":      {`{"stop_sequences":"x","messages":[]}`, "stop_sequences: Input should be a valid list"},
		"stop no string":    {`{"stop_sequences":["x",3],"messages":[]}`, "stop_sequences.1: Input should be a valid string"},
		"blank stop":        {`{"stop_sequences":["\n"],"messages":[]}`, "stop_sequences: each stop sequence must contain non-whitespace"},
		"system image":      {`{"system":[{"type":"image"}],"messages":[]}`, "system.0.type: Input should be 'text'"},
		"tool no name":      {`{"tools":[{"input_schema":{}}],"messages":[{"role":"user","content":"x"}]}`, "tools.0.custom.name: Field required"},
		"tool no schema":    {`{"tools":[{"name":"n"}],"messages":[{"role":"user","content":"x"}]}`, "tools.0.custom.input_schema: Field required"},
		"server tool":       {`{"tools":[{"type":"bash_20250124","name":"bash"}],"messages":[{"role":"user","content":"x"}]}`, "tools.0.type: Input should be 'custom'"},
		"choice, no tools":  {`{"tool_choice":{"type":"any"},"messages":[{"role":"user","content":"x"}]}`, "tool_choice: may only be specified while providing tools"},
		"choice of unknown": {`{"tools":[{"name":"n","input_schema":{}}],"tool_choice":{"type":"tool","name":"m"},"messages":[{"role":"user","content":"x"}]}`, "Tool 'm' not found in provided tools"},
		"use unanswered":    {`{"messages":[` + toolUse + `,{"role":"user","content":"x"}]}`, "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a."},
		"result of nothing": {user(`[{"type":"tool_result","tool_use_id":"z"}]`), "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: z."},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := anthropic.DecodeRequest([]byte(c.body), false)
			var e *outcrop.Error
			if !errors.As(err, &e) || e.Code != outcrop.CodeValidation {
				t.Fatalf("got %v, want a ValidationException", err)
			}
			if !strings.Contains(e.Message, c.want) {
				t.Errorf("got  %s\nwant %s", e.Message, c.want)
			}
		})
	}
}

// TestArraysOfMoreElementsThanTheServiceTakesAreRefused keeps a body of empty
// elements from costing many times its size.
func TestArraysOfMoreElementsThanTheServiceTakesAreRefused(t *testing.T) {
	many := strings.Repeat("{},", 100_000) + "{}"
	for _, body := range []string{
		`{"max_tokens":1,"messages":[` + many + `]}`,
		`{"max_tokens":1,"messages":[{"role":"user","content":[` + many + `]}]}`,
		`{"max_tokens":1,"messages":[{"role":"user","content":"x"}],"tools":[` + many + `]}`,
	} {
		_, _, err := anthropic.DecodeRequest([]byte(body), false)
		if !errors.Is(err, outcrop.CodeValidation) || !strings.Contains(err.Error(), "at most 100000 items") {
			t.Errorf("%.70s: %v", body, err)
		}
	}
}

func TestWhatBedrockRequiresIsDefaultedWithAHintUnlessStrict(t *testing.T) {
	body := []byte(`{"messages":[{"role":"user","content":"x"}],"stream":true}`)
	c, hints, err := anthropic.DecodeRequest(body, false)
	if err != nil {
		t.Fatal(err)
	}
	if c.Inference.MaxTokens != 0 {
		t.Errorf("MaxTokens is %d, want 0 for the door to fill", c.Inference.MaxTokens)
	}
	got := strings.Join(hints, "\n")
	for _, want := range []string{"anthropic_version was absent", "max_tokens was absent", "stream was ignored"} {
		if !strings.Contains(got, want) {
			t.Errorf("no hint %q in %q", want, got)
		}
	}
	for body, want := range map[string]string{
		string(body): "anthropic_version: Field required",
		`{"anthropic_version":"bedrock-2023-05-31","messages":[{"role":"user","content":"x"}]}`:                "max_tokens: Field required",
		`{` + head + `"model":"m","messages":[{"role":"user","content":"x"}]}`:                                 "model: Extra inputs are not permitted",
		`{` + head + `"messages":[{"role":"user","name":"u","content":"x"}]}`:                                  "messages.0.name: Extra inputs are not permitted",
		`{` + head + `"messages":[{"role":"user","content":[{"type":"text","text":"x","foo":1}]}]}`:            "messages.0.content.0.text.foo: Extra inputs are not permitted",
		`{"anthropic_version":"2023-06-01","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`:         "anthropic_version: Input should be 'bedrock-2023-05-31'",
		`{` + head + `"messages":[{"role":"user","content":[{"type":"text","text":"x","\u0074ype":"text"}]}]}`: "messages.0.content.0.text.?: Extra inputs are not permitted",
	} {
		_, _, err := anthropic.DecodeRequest([]byte(body), true)
		var e *outcrop.Error
		if !errors.As(err, &e) || e.Message != want {
			t.Errorf("%s\ngot  %v\nwant %s", body, err, want)
		}
	}
}

func TestToolChoiceNoneTakesTheToolsAway(t *testing.T) {
	c, _, err := anthropic.DecodeRequest([]byte(`{"tools":[{"name":"n","input_schema":{}}],"tool_choice":{"type":"none"},"messages":[{"role":"user","content":"x"}]}`), false)
	if err != nil || len(c.Tools) != 0 {
		t.Fatalf("tools %v, error %v", c, err)
	}
}

// Pain 22 of the rivals: cache markers were lost, or moved.
func TestCachePointsKeepTheirPlaceAndOrder(t *testing.T) {
	body := `{` + head + `"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"b"}],` +
		`"messages":[{"role":"user","content":[{"type":"text","text":"c"},{"type":"text","text":"d","cache_control":{"type":"ephemeral","ttl":"5m"}},{"type":"text","text":"e"}]},` +
		`{"role":"assistant","content":[{"type":"tool_use","id":"i","name":"n","input":{},"cache_control":{"type":"ephemeral"}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":[{"type":"text","text":"f","cache_control":{"type":"ephemeral"}}]}]}]}`
	c, _, err := anthropic.DecodeRequest([]byte(body), true)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := anthropic.AppendRequest(nil, c, anthropic.Options{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"b"}`,
		`{"type":"text","text":"c"},{"type":"text","text":"d","cache_control":{"type":"ephemeral","ttl":"5m"}},{"type":"text","text":"e"}`,
		`"name":"n","input":{},"cache_control":{"type":"ephemeral"}}`,
		`"content":"f","cache_control":{"type":"ephemeral"}}`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s\nlacks %s", out, want)
		}
	}
}
