package openai

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop/jsonbody"
)

// A chatBody is a chat completion request as a caller of InvokeModel writes it.
type chatBody struct {
	Messages       []message     `json:"messages"`
	MaxTokens      *int          `json:"max_tokens"`
	MaxCompletion  *int          `json:"max_completion_tokens"`
	Temperature    number        `json:"temperature"`
	TopP           number        `json:"top_p"`
	TopK           number        `json:"top_k"`
	N              *int          `json:"n"`
	Stop           stops         `json:"stop"`
	Tools          []tool        `json:"tools"`
	ToolChoice     *toolChoice   `json:"tool_choice"`
	ResponseFormat *responseForm `json:"response_format"`

	// These go to the engine as they are.
	ReasoningEffort    jsontext.Value `json:"reasoning_effort"`
	Seed               jsontext.Value `json:"seed"`
	FrequencyPenalty   jsontext.Value `json:"frequency_penalty"`
	PresencePenalty    jsontext.Value `json:"presence_penalty"`
	RepetitionPenalty  jsontext.Value `json:"repetition_penalty"`
	MinP               jsontext.Value `json:"min_p"`
	LogitBias          jsontext.Value `json:"logit_bias"`
	ParallelToolCalls  jsontext.Value `json:"parallel_tool_calls"`
	ChatTemplateKwargs jsontext.Value `json:"chat_template_kwargs"`

	// These are part of the dialect, but decided elsewhere or without effect
	// here.
	Model            jsontext.Value `json:"model"`
	Stream           jsontext.Value `json:"stream"`
	StreamOptions    jsontext.Value `json:"stream_options"`
	Logprobs         jsontext.Value `json:"logprobs"`
	TopLogprobs      jsontext.Value `json:"top_logprobs"`
	User             jsontext.Value `json:"user"`
	Metadata         jsontext.Value `json:"metadata"`
	Store            jsontext.Value `json:"store"`
	ServiceTier      jsontext.Value `json:"service_tier"`
	SafetyIdentifier jsontext.Value `json:"safety_identifier"`
	PromptCacheKey   jsontext.Value `json:"prompt_cache_key"`
}

type message struct {
	Role             text           `json:"role"`
	Content          content        `json:"content"`
	ToolCalls        []toolCall     `json:"tool_calls"`
	ToolCallID       text           `json:"tool_call_id"`
	Reasoning        text           `json:"reasoning"`
	ReasoningContent text           `json:"reasoning_content"`
	Refusal          text           `json:"refusal"`
	Name             jsontext.Value `json:"name"`
	Annotations      jsontext.Value `json:"annotations"`
	Audio            jsontext.Value `json:"audio"`
	FunctionCall     jsontext.Value `json:"function_call"`
}

type toolCall struct {
	ID       text           `json:"id"`
	Type     text           `json:"type"`
	Index    jsontext.Value `json:"index"`
	Function struct {
		Name      text `json:"name"`
		Arguments text `json:"arguments"`
	} `json:"function"`
}

type contentPart struct {
	Type    text  `json:"type"`
	Text    text  `json:"text"`
	Refusal text  `json:"refusal"`
	Image   image `json:"image_url"`
	File    *struct {
		Data text           `json:"file_data"`
		Name text           `json:"filename"`
		ID   jsontext.Value `json:"file_id"`
	} `json:"file"`
}

type tool struct {
	Type     text `json:"type"`
	Function struct {
		Name        text           `json:"name"`
		Description text           `json:"description"`
		Parameters  jsontext.Value `json:"parameters"`
		Strict      *bool          `json:"strict"`
	} `json:"function"`
}

type responseForm struct {
	Type   text `json:"type"`
	Schema *struct {
		Name        text           `json:"name"`
		Description text           `json:"description"`
		Schema      jsontext.Value `json:"schema"`
		Strict      *bool          `json:"strict"`
	} `json:"json_schema"`
}

// A text is the raw inside of a JSON string; nil for null.
type text []byte

// A number is a JSON number; nil for null.
type number []byte

// A content is a string or an array of parts.
type content struct {
	text  text
	parts []contentPart
	array bool
}

// An image is an object with a url, or the url.
type image struct{ url text }

// A toolChoice is a word, or an object that names a function.
type toolChoice struct{ word, name text }

// A stops is one stop sequence or an array of them.
type stops []text

func (t *text) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch v.Kind() {
	case 'n':
		*t = nil
	case '"':
		*t = append(text{}, v[1:len(v)-1]...)
	default:
		return &jsonbody.Mismatch{Want: "String", Have: v.Kind()}
	}
	return nil
}

func (n *number) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch v.Kind() {
	case 'n':
		*n = nil
	case '0':
		*n = bytes.Clone(v)
	default:
		return &jsonbody.Mismatch{Want: "Number", Have: v.Kind()}
	}
	return nil
}

func (c *content) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if c.array = dec.PeekKind() == '['; c.array {
		return json.UnmarshalDecode(dec, &c.parts)
	}
	return c.text.UnmarshalJSONFrom(dec)
}

func (i *image) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '{' {
		return i.url.UnmarshalJSONFrom(dec)
	}
	var object struct {
		URL    text           `json:"url"`
		Detail jsontext.Value `json:"detail"`
	}
	err := json.UnmarshalDecode(dec, &object)
	i.url = object.URL
	return err
}

func (c *toolChoice) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '{' {
		return c.word.UnmarshalJSONFrom(dec)
	}
	var object struct {
		Type     text `json:"type"`
		Function struct {
			Name text `json:"name"`
		} `json:"function"`
	}
	err := json.UnmarshalDecode(dec, &object)
	c.word, c.name = object.Type, object.Function.Name
	return err
}

func (s *stops) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '[' {
		return json.UnmarshalDecode(dec, (*[]text)(s))
	}
	var one text
	err := one.UnmarshalJSONFrom(dec)
	if one != nil {
		*s = stops{one}
	}
	return err
}
