package bedrock

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// scan reads the common request in one pass: messages and system of text
// blocks alone, and inferenceConfig. It reports false, having filled c with
// anything, as soon as it meets something else: another member, a member
// twice, an escaped name, a null, or whatever may be an error. It never tells
// what is wrong; the typed decoder does.
func (c *Converse) scan(body []byte) bool {
	s := jsonscan.Scanner{B: body}
	if !s.Eat('{') {
		return false
	}
	var messages, system, config once
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok {
			return false
		}
		if !more {
			return s.End() && bool(messages)
		}
		switch string(name) {
		case "messages":
			ok = messages.first() && c.scanMessages(&s)
		case "system":
			ok = system.first() && c.scanSystem(&s)
		case "inferenceConfig":
			ok = config.first() && c.scanInference(&s)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
}

// once tells whether a member was seen.
type once bool

func (o *once) first() bool {
	seen := *o
	*o = true
	return !bool(seen)
}

// scanMessages demands what Bedrock does: a user's message first, the roles in
// turns, no message empty.
func (c *Converse) scanMessages(s *jsonscan.Scanner) bool {
	if !s.Eat('[') {
		return false
	}
	k := &c.Conversation
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if !ok {
			return false
		}
		if !more {
			return len(k.Messages) > 0
		}
		if c.parts() >= maxParts {
			return false
		}
		m, ok := c.scanMessage(s)
		if !ok || m.Role != turn(len(k.Messages)) {
			return false
		}
		k.Messages = append(k.Messages, m)
	}
}

// turn is the role of the i-th message.
func turn(i int) outcrop.Role {
	if i%2 == 0 {
		return outcrop.RoleUser
	}
	return outcrop.RoleAssistant
}

func (c *Converse) scanMessage(s *jsonscan.Scanner) (m outcrop.Message, ok bool) {
	if !s.Eat('{') {
		return m, false
	}
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok {
			return m, false
		}
		if !more {
			return m, m.Role != 0 && len(m.Content) > 0
		}
		switch {
		case string(name) == "role" && m.Role == 0:
			m.Role, ok = scanRole(s)
		case string(name) == "content" && len(m.Content) == 0:
			from := len(c.blocks)
			c.blocks, ok = scanTexts(s, c.blocks, maxParts-c.parts()-1)
			m.Content = c.blocks[from:len(c.blocks):len(c.blocks)]
			ok = ok && len(m.Content) > 0
		default:
			ok = false
		}
		if !ok {
			return m, false
		}
	}
}

func scanRole(s *jsonscan.Scanner) (outcrop.Role, bool) {
	raw, ok := s.Raw()
	if !ok {
		return 0, false
	}
	switch string(raw) {
	case "user":
		return outcrop.RoleUser, true
	case "assistant":
		return outcrop.RoleAssistant, true
	}
	return 0, false
}

func (c *Converse) scanSystem(s *jsonscan.Scanner) (ok bool) {
	c.Conversation.System, ok = scanTexts(s, c.Conversation.System, maxParts-c.parts())
	return ok
}

// scanTexts appends an array of at most room text blocks, none of them blank.
func scanTexts(s *jsonscan.Scanner, dst []outcrop.Block, room int) ([]outcrop.Block, bool) {
	if !s.Eat('[') {
		return dst, false
	}
	room += len(dst)
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if !ok || !more {
			return dst, ok
		}
		if len(dst) >= room || !s.Eat('{') {
			return dst, false
		}
		in := 0
		name, more, ok := s.Key(&in)
		if !ok || !more || string(name) != "text" {
			return dst, false
		}
		text, ok := s.Text()
		if !ok || outcrop.Text(text).Blank() || !s.Eat('}') {
			return dst, false
		}
		dst = append(dst, outcrop.Block{Kind: outcrop.BlockText, Text: text})
	}
}

func (c *Converse) scanInference(s *jsonscan.Scanner) bool {
	if !s.Eat('{') {
		return false
	}
	f := &c.Conversation.Inference
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		switch {
		case string(name) == "maxTokens" && f.MaxTokens == 0:
			f.MaxTokens, ok = s.Int()
			ok = ok && f.MaxTokens >= 1 && f.MaxTokens <= maxInt32
		case string(name) == "temperature" && f.Temperature == nil:
			f.Temperature, ok = scanShare(s)
		case string(name) == "topP" && f.TopP == nil:
			f.TopP, ok = scanShare(s)
		case string(name) == "stopSequences" && len(f.Stop) == 0:
			ok = c.scanStop(s)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
}

const maxInt32 = 1<<31 - 1

// scanShare reads a number from 0 to 1 in plain notation.
func scanShare(s *jsonscan.Scanner) (outcrop.Number, bool) {
	v, ok := s.Number()
	if !ok || len(v) > 20 {
		return nil, false
	}
	switch {
	case len(v) == 1:
		return v, v[0] == '0' || v[0] == '1'
	case v[0] != '0' || v[1] != '.':
		return nil, false
	}
	for _, digit := range v[2:] {
		if digit < '0' || digit > '9' {
			return nil, false
		}
	}
	return v, true
}

const maxStopSequences = 2500

// scanStop demands at least one sequence: with none, a second member of the
// same name would go unseen.
func (c *Converse) scanStop(s *jsonscan.Scanner) bool {
	if !s.Eat('[') {
		return false
	}
	f := &c.Conversation.Inference
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if !ok {
			return false
		}
		if !more {
			return len(f.Stop) > 0 && len(f.Stop) <= maxStopSequences
		}
		text, ok := s.Text()
		if !ok || len(text) == 0 {
			return false
		}
		f.Stop = append(f.Stop, text)
	}
}
