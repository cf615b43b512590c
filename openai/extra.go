package openai

import (
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// appendExtra appends the members of additionalModelRequestFields. A member
// that the request has already is refused and not silently preferred or
// dropped: two members of one name mean different things to different
// parsers.
func appendExtra(dst []byte, c *outcrop.Conversation, o Options) ([]byte, error) {
	if len(c.Extra) == 0 || string(c.Extra) == "null" {
		return dst, nil
	}
	s := jsonscan.Scanner{B: c.Extra}
	if !s.Eat('{') {
		return dst, outcrop.Invalid("The value at additionalModelRequestFields must be a JSON object.")
	}
	seen := map[string]bool{}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok {
			return dst, errExtra()
		}
		if !more {
			return dst, nil
		}
		name := folded(outcrop.Text(key).String())
		if seen[name] || !jsonscan.Clean(key) {
			return dst, errExtra()
		}
		seen[name] = true
		if taken(name, c) || o.Priorities && name == "priority" {
			return dst, outcrop.Invalid("The additional field " + name + " conflicts with a field of the request. Remove it and try again.")
		}
		value, ok := s.Value()
		if !ok {
			return dst, errExtra()
		}
		dst = append(dst, ',')
		dst = appendString(dst, key)
		dst = append(dst, ':')
		dst = append(dst, value...)
	}
}

// folded is the one spelling of all names that engines with a decoder that
// does not regard case, such as Go's, take for the same.
func folded(name string) string { return strings.ToLower(strings.ToUpper(name)) }

func errExtra() error {
	return outcrop.Invalid("The value at additionalModelRequestFields is not a valid JSON object, or has a member twice.")
}

// taken reports whether the request for c has the member already, or must not
// have it from the caller.
func taken(name string, c *outcrop.Conversation) bool {
	switch name {
	case "model", "messages", "stream", "stream_options":
		return true
	case "max_tokens", "max_completion_tokens":
		return c.Inference.MaxTokens > 0
	case "temperature":
		return c.Inference.Temperature != nil
	case "top_p":
		return c.Inference.TopP != nil
	case "top_k":
		return c.Inference.TopK != nil
	case "stop":
		return len(c.Inference.Stop) > 0
	case "tools":
		return hasTools(c.Tools)
	case "tool_choice":
		return c.ToolChoice.Kind != outcrop.ToolChoiceNone
	case "response_format":
		return c.Format != nil
	}
	return false
}
