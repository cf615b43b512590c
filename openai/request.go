package openai

import (
	"strconv"

	"github.com/outcrop/outcrop"
)

// Options say to which engine a request goes, and what is peculiar to it. The
// zero value of each quirk suits vLLM, SGLang, llama.cpp, Ollama and TGI.
type Options struct {
	// Model is the name under which the engine knows the model.
	Model string
	// Stream asks for server-sent events.
	Stream bool
	// MaxCompletionTokens sends the limit of tokens as max_completion_tokens,
	// which newer OpenAI models insist on, and not as max_tokens.
	MaxCompletionTokens bool
	// KeepReasoning sends the reasoning of earlier turns back to the engine as
	// reasoning_content; otherwise it is left out.
	KeepReasoning bool
	// NoStreamOptions leaves out stream_options, to which some servers
	// (transformers serve) answer 422. Usage may then be missing.
	NoStreamOptions bool
	// NoStrict leaves out the member strict of tools and response formats.
	NoStrict bool
	// Priorities sends Priority, as vLLM takes it with its scheduling policy
	// "priority": the lower is served first. Others answer 400 or 422 to the
	// member. The caller cannot choose it then.
	Priorities bool
	Priority   int
}

// AppendRequest appends the chat completion request for c to dst.
//
// Text blocks of one message that stand together are joined by a line feed.
// The system prompt becomes the first message; a document becomes the text
// "Document NAME:" and its text on the next line; tool results become tool
// messages ahead of the rest of their turn, a failed one beginning with
// "Error: ", and their images follow in the user message, since tool messages
// hold text only. Cache points have no counterpart and are left out. The
// order of tools and messages is kept as it is, so that equal prefixes stay
// equal for the engine's prefix cache.
//
// What the dialect cannot express is refused with a ValidationException that
// names the member; dst then comes back at its old length. A conversation of
// nothing but text allocates nothing, provided dst has room.
func AppendRequest(dst []byte, c *outcrop.Conversation, o Options) ([]byte, error) {
	start := len(dst)
	dst = append(dst, `{"model":"`...)
	dst = outcrop.AppendQuote(dst, o.Model)
	dst = append(dst, '"')
	dst = appendOptions(dst, o)
	dst = appendInference(dst, &c.Inference, o)
	dst, err := appendMessages(dst, c, o)
	if err != nil {
		return dst[:start], err
	}
	dst = appendTools(dst, c, o)
	dst = appendFormat(dst, c.Format, o)
	dst, err = appendExtra(dst, c, o)
	if err != nil {
		return dst[:start], err
	}
	return append(dst, '}'), nil
}

// appendOptions appends the members that are ours to choose, whatever the
// caller's body says.
func appendOptions(dst []byte, o Options) []byte {
	if o.Stream {
		dst = append(dst, `,"stream":true`...)
	}
	if o.Stream && !o.NoStreamOptions {
		dst = append(dst, `,"stream_options":{"include_usage":true}`...)
	}
	if o.Priorities {
		dst = append(dst, `,"priority":`...)
		dst = strconv.AppendInt(dst, int64(o.Priority), 10)
	}
	return dst
}

func appendInference(dst []byte, in *outcrop.Inference, o Options) []byte {
	if in.MaxTokens > 0 {
		if o.MaxCompletionTokens {
			dst = append(dst, `,"max_completion_tokens":`...)
		} else {
			dst = append(dst, `,"max_tokens":`...)
		}
		dst = strconv.AppendInt(dst, int64(in.MaxTokens), 10)
	}
	dst = appendNumber(dst, `,"temperature":`, in.Temperature)
	dst = appendNumber(dst, `,"top_p":`, in.TopP)
	dst = appendNumber(dst, `,"top_k":`, in.TopK)
	if len(in.Stop) == 0 {
		return dst
	}
	dst = append(dst, `,"stop":[`...)
	for i, s := range in.Stop {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

func appendNumber(dst []byte, key string, n outcrop.Number) []byte {
	if n == nil {
		return dst
	}
	dst = append(dst, key...)
	return append(dst, n...)
}

func appendString(dst []byte, t outcrop.Text) []byte {
	dst = append(dst, '"')
	dst = append(dst, t...)
	return append(dst, '"')
}

func appendTools(dst []byte, c *outcrop.Conversation, o Options) []byte {
	if !hasTools(c.Tools) {
		return dst
	}
	dst = append(dst, `,"tools":[`...)
	first := true
	for i := range c.Tools {
		if c.Tools[i].CachePoint {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendTool(dst, &c.Tools[i], o)
	}
	dst = append(dst, ']')
	return appendToolChoice(dst, c.ToolChoice)
}

func hasTools(tools []outcrop.Tool) bool {
	for i := range tools {
		if !tools[i].CachePoint {
			return true
		}
	}
	return false
}

func appendTool(dst []byte, t *outcrop.Tool, o Options) []byte {
	dst = append(dst, `{"type":"function","function":{"name":`...)
	dst = appendString(dst, t.Name)
	if len(t.Description) > 0 {
		dst = append(dst, `,"description":`...)
		dst = appendString(dst, t.Description)
	}
	dst = append(dst, `,"parameters":`...)
	if len(t.Schema) > 0 {
		dst = append(dst, t.Schema...)
	} else {
		dst = append(dst, `{"type":"object","properties":{}}`...)
	}
	if t.Strict && !o.NoStrict {
		dst = append(dst, `,"strict":true`...)
	}
	return append(dst, "}}"...)
}

func appendToolChoice(dst []byte, c outcrop.ToolChoice) []byte {
	switch c.Kind {
	case outcrop.ToolChoiceAuto:
		return append(dst, `,"tool_choice":"auto"`...)
	case outcrop.ToolChoiceAny:
		return append(dst, `,"tool_choice":"required"`...)
	case outcrop.ToolChoiceTool:
		dst = append(dst, `,"tool_choice":{"type":"function","function":{"name":`...)
		dst = appendString(dst, c.Name)
		return append(dst, "}}"...)
	}
	return dst
}

func appendFormat(dst []byte, f *outcrop.Format, o Options) []byte {
	if f == nil {
		return dst
	}
	dst = append(dst, `,"response_format":{"type":"json_schema","json_schema":{"name":`...)
	if len(f.Name) > 0 {
		dst = appendString(dst, f.Name)
	} else {
		dst = append(dst, `"answer"`...) // the dialect requires a name
	}
	if len(f.Description) > 0 {
		dst = append(dst, `,"description":`...)
		dst = appendString(dst, f.Description)
	}
	dst = append(dst, `,"schema":`...)
	dst = append(dst, f.Schema...)
	if !o.NoStrict {
		dst = append(dst, `,"strict":true`...)
	}
	return append(dst, "}}"...)
}
