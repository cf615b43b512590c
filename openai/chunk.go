package openai

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// A chunk is what matters in one chunk of a stream or in a whole answer. Its
// slices are borrowed and unchecked.
type chunk struct {
	choice  choice
	answers bool // it holds a choice with the index 0
	choices int
	usage   outcrop.Usage
	metered bool // it holds a usage
	fault   bool // it holds an error
}

// A choice is the first of the answers that an engine was asked for; a delta
// of it in a stream.
type choice struct {
	text, refusal []byte
	parts         []byte // the content, where it is an array
	// reasoning goes by two names, and some engines send both.
	reasoning, reasoningContent []byte
	calls                       []byte // the array of tool calls
	finish                      []byte
	stopped                     []byte // the stop sequence that was met
}

// read scans a chunk or an answer; ok is false if it is malformed.
func (c *chunk) read(s *jsonscan.Scanner) (ok bool) {
	if !s.Eat('{') {
		return false
	}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok || !more {
			return ok && s.End()
		}
		switch string(key) {
		case "choices":
			ok = c.readChoices(s)
		case "usage":
			ok = c.readUsage(s)
		case "error":
			c.fault = !s.At('n')
			ok = s.Skip()
		case "object":
			var kind []byte
			kind, ok = readText(s)
			c.fault = c.fault || string(kind) == "error"
		default:
			ok = s.Skip()
		}
		if !ok {
			return false
		}
	}
}

// readText returns the inside of a string; another value is passed over and gives
// nil.
func readText(s *jsonscan.Scanner) ([]byte, bool) {
	if s.At('"') {
		return s.Raw()
	}
	return nil, s.Skip()
}

func (c *chunk) readChoices(s *jsonscan.Scanner) bool {
	if !s.Eat('[') {
		return s.Skip()
	}
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if !ok || !more {
			return ok
		}
		c.choices++
		var one choice
		index, ok := one.read(s)
		if !ok {
			return false
		}
		if index == 0 && !c.answers {
			c.choice, c.answers = one, true
		}
	}
}

func (c *choice) read(s *jsonscan.Scanner) (index int, ok bool) {
	if !s.Eat('{') {
		return 0, false
	}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok || !more {
			return index, ok
		}
		switch string(key) {
		case "index":
			index, ok = count(s)
		case "delta", "message":
			ok = c.readMessage(s)
		case "finish_reason":
			c.finish, ok = readText(s)
		case "stop_reason", "matched_stop": // vLLM, SGLang; a number is a token's
			if c.stopped == nil {
				c.stopped, ok = readText(s)
			} else {
				ok = s.Skip()
			}
		default:
			ok = s.Skip()
		}
		if !ok {
			return 0, false
		}
	}
}

func (c *choice) readMessage(s *jsonscan.Scanner) bool {
	if !s.Eat('{') {
		return s.Skip()
	}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		switch string(key) {
		case "content":
			if s.At('[') {
				c.parts, ok = span(s)
			} else {
				c.text, ok = readText(s)
			}
		case "reasoning_content":
			c.reasoningContent, ok = readText(s)
		case "reasoning":
			c.reasoning, ok = readText(s)
		case "refusal":
			c.refusal, ok = readText(s)
		case "tool_calls":
			if s.At('[') {
				c.calls, ok = span(s)
			} else {
				ok = s.Skip()
			}
		default:
			ok = s.Skip()
		}
		if !ok {
			return false
		}
	}
}

// span returns the bytes of any value, unchecked.
func span(s *jsonscan.Scanner) ([]byte, bool) {
	s.Space()
	from := s.I
	ok := s.Skip()
	return s.B[from:s.I], ok
}

// count returns a number of things; what is none, or beyond reason, is passed
// over and gives 0.
func count(s *jsonscan.Scanner) (int, bool) {
	const reason = 1 << 40
	if s.I >= len(s.B) || s.B[s.I]-'0' > 9 {
		return 0, s.Skip()
	}
	raw, ok := s.Number()
	if !ok {
		return 0, false
	}
	n := 0
	for _, digit := range raw {
		if digit -= '0'; digit > 9 || n > reason {
			return 0, true
		}
		n = n*10 + int(digit)
	}
	return n, true
}

// readUsage reads a usage. What the engine read from its prefix cache is part
// of its prompt_tokens, but not of Usage.Input.
func (c *chunk) readUsage(s *jsonscan.Scanner) bool {
	if !s.Eat('{') {
		return s.Skip()
	}
	var u outcrop.Usage
	hit := 0
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok {
			return false
		}
		if !more {
			break
		}
		switch string(key) {
		case "prompt_tokens":
			u.Input, ok = count(s)
		case "completion_tokens":
			u.Output, ok = count(s)
		case "prompt_cache_hit_tokens": // DeepSeek
			hit, ok = count(s)
		case "prompt_tokens_details":
			u.CacheRead, ok = cached(s)
		default:
			ok = s.Skip()
		}
		if !ok {
			return false
		}
	}
	if u.CacheRead == 0 {
		u.CacheRead = hit
	}
	u.CacheRead = min(u.CacheRead, u.Input)
	u.Input -= u.CacheRead
	c.usage, c.metered = u, true
	return true
}

func cached(s *jsonscan.Scanner) (tokens int, ok bool) {
	if !s.Eat('{') {
		return 0, s.Skip()
	}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok || !more {
			return tokens, ok
		}
		if string(key) == "cached_tokens" {
			tokens, ok = count(s)
		} else {
			ok = s.Skip()
		}
		if !ok {
			return 0, false
		}
	}
}
