package bedrock

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// A piece is what the payload of one frame of ConverseStream can hold. Its
// bytes are borrowed from the payload.
type piece struct {
	index    int
	kind     outcrop.BlockKind // of the delta
	text     outcrop.Text
	tool     bool // the block that starts is a tool use
	id, name outcrop.Text
	stop     outcrop.StopReason
	fields   outcrop.JSON // additionalModelResponseFields
	usage    outcrop.Usage
	tier     outcrop.ServiceTier
	latency  outcrop.Latency

	// Of exceptions.
	message, original outcrop.Text
	status            int
}

// parse reads the payload of any frame; false means that it is malformed.
func (p *piece) parse(payload []byte) bool {
	*p = piece{}
	s := jsonscan.Scanner{B: payload}
	if !s.Eat('{') {
		return false
	}
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return ok && s.End()
		}
		if !s.Null() && !p.member(&s, name) {
			return false
		}
	}
}

func (p *piece) member(s *jsonscan.Scanner, name []byte) (ok bool) {
	switch string(name) {
	case "contentBlockIndex":
		p.index, ok = s.Int()
	case "delta":
		ok = p.delta(s)
	case "start":
		ok = p.start(s)
	case "stopReason":
		var text []byte
		text, ok = s.Text()
		p.stop = stopReason(text)
	case "additionalModelResponseFields":
		p.fields, ok = s.Value()
	case "usage":
		ok = parseUsage(s, &p.usage)
	case "serviceTier":
		ok = word(s, "type", (*string)(&p.tier))
	case "performanceConfig":
		ok = word(s, "latency", (*string)(&p.latency))
	case "message":
		ok = texts(s, &p.message)
	case "originalMessage":
		ok = texts(s, &p.original)
	case "originalStatusCode":
		p.status, ok = s.Int()
	default:
		ok = s.Skip()
	}
	return ok
}

// texts reads a string into dst.
func texts(s *jsonscan.Scanner, dst *outcrop.Text) (ok bool) {
	*dst, ok = s.Text()
	return ok
}

// delta reads the union of deltas. A kind that has no place here stays 0.
func (p *piece) delta(s *jsonscan.Scanner) bool {
	if !s.Eat('{') {
		return false
	}
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		switch string(name) {
		case "text":
			p.kind, ok = outcrop.BlockText, texts(s, &p.text)
		case "toolUse":
			p.kind, ok = outcrop.BlockToolUse, p.object(s)
		case "reasoningContent":
			ok = p.object(s)
		default:
			ok = s.Skip()
		}
		if !ok {
			return false
		}
	}
}

// object reads the strings inside of a delta or a start.
func (p *piece) object(s *jsonscan.Scanner) bool {
	if !s.Eat('{') {
		return false
	}
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		switch string(name) {
		case "input":
			ok = texts(s, &p.text)
		case "text":
			p.kind, ok = outcrop.BlockReasoning, texts(s, &p.text)
		case "signature":
			p.kind, ok = outcrop.BlockSignature, texts(s, &p.text)
		case "redactedContent":
			p.kind, ok = outcrop.BlockRedacted, texts(s, &p.text)
		case "toolUseId":
			ok = texts(s, &p.id)
		case "name":
			ok = texts(s, &p.name)
		default:
			ok = s.Skip()
		}
		if !ok {
			return false
		}
	}
}

func (p *piece) start(s *jsonscan.Scanner) bool {
	if !s.Eat('{') {
		return false
	}
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		if p.tool = string(name) == "toolUse"; p.tool {
			ok = p.object(s)
		} else {
			ok = s.Skip()
		}
		if !ok {
			return false
		}
	}
}

// sequence is the stop sequence among the response fields, if it was asked
// for.
// end is what the end of an answer tells.
func (p *piece) end() *outcrop.Detail {
	return &outcrop.Detail{Stop: p.stop, StopSequence: p.sequence(), Extra: p.fields}
}

func (p *piece) sequence() outcrop.Text {
	v, ok := lookup(p.fields, []string{"stop_sequence"})
	if !ok || v[0] != '"' {
		return nil
	}
	return v[1 : len(v)-1]
}

func parseUsage(s *jsonscan.Scanner, u *outcrop.Usage) bool {
	if !s.Eat('{') {
		return false
	}
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		switch string(name) {
		case "inputTokens":
			u.Input, ok = s.Int()
		case "outputTokens":
			u.Output, ok = s.Int()
		case "cacheReadInputTokens":
			u.CacheRead, ok = s.Int()
		case "cacheWriteInputTokens":
			u.CacheWrite, ok = s.Int()
		default:
			ok = s.Skip()
		}
		if !ok {
			return false
		}
	}
}

// word reads the string member of an object.
func word(s *jsonscan.Scanner, member string, dst *string) bool {
	if !s.Eat('{') {
		return false
	}
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		if string(name) != member {
			if !s.Skip() {
				return false
			}
			continue
		}
		raw, ok := s.Text()
		if !ok {
			return false
		}
		*dst = outcrop.Text(raw).String()
	}
}

// stopReason spells the known reasons without allocating.
func stopReason(text outcrop.Text) outcrop.StopReason {
	switch r := outcrop.StopReason(text); r {
	case outcrop.StopEndTurn:
		return outcrop.StopEndTurn
	case outcrop.StopToolUse:
		return outcrop.StopToolUse
	case outcrop.StopMaxTokens:
		return outcrop.StopMaxTokens
	case outcrop.StopSequence:
		return outcrop.StopSequence
	}
	return outcrop.StopReason(text.String())
}
