package openai

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// maxHeld bounds the arguments that wait for the name of their tool.
const maxHeld = 1 << 20

// A call is the tool call that the engine is at. Engines send them one after
// the other, each in pieces: the first usually has id and name, all have the
// index; but some leave out the id or the index, and some repeat id and name
// in every piece.
type call struct {
	live   bool // there is a call
	opened bool // its name is known and its block was opened
	index  int
	id     []byte // as the engine sent it
	twin   bool   // the call before had the same id
	held   []byte // arguments that came before the name
}

// A piece is one element of the tool_calls of a delta.
type piece struct {
	index     int
	indexed   bool
	id, name  []byte
	arguments []byte // the inside of a string, unless bare
	bare      bool   // the arguments are a value and not a string
}

func (d *Decoder) callTools(calls []byte, out outcrop.Sink) error {
	s := jsonscan.Scanner{B: calls}
	s.Eat('[')
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if ok && !more {
			return nil
		}
		var p piece
		if !ok || !p.read(&s) {
			return d.broken("The model sent a malformed tool call.")
		}
		if err := d.callTool(&p, out); err != nil {
			return err
		}
	}
}

func (p *piece) read(s *jsonscan.Scanner) bool {
	if !s.Eat('{') {
		return false
	}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		switch string(key) {
		case "index":
			p.indexed = !s.At('n')
			p.index, ok = count(s)
		case "id":
			p.id, ok = readText(s)
		case "function":
			ok = p.readFunction(s)
		default:
			ok = s.Skip()
		}
		if !ok {
			return false
		}
	}
}

func (p *piece) readFunction(s *jsonscan.Scanner) bool {
	if !s.Eat('{') {
		return s.Skip()
	}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		switch string(key) {
		case "name":
			p.name, ok = readText(s)
		case "arguments":
			if p.bare = s.At('{'); p.bare {
				p.arguments, ok = s.Value()
			} else {
				p.arguments, ok = readText(s)
			}
		default:
			ok = s.Skip()
		}
		if !ok {
			return false
		}
	}
}

// callTool takes one piece of a tool call.
func (d *Decoder) callTool(p *piece, out outcrop.Sink) error {
	if p.bare {
		p.arguments = appendEscaped(nil, p.arguments)
	}
	if !d.call.goesOn(p) {
		if d.call.live && p.indexed && p.index < d.call.index && len(p.name) == 0 {
			return d.late(p)
		}
		if err := d.nextCall(p); err != nil {
			return err
		}
	}
	if !d.call.opened {
		return d.openCall(p, out)
	}
	if len(p.arguments) == 0 {
		return nil
	}
	if d.open != outcrop.BlockToolUse {
		return d.late(p)
	}
	return d.write(outcrop.BlockToolUse, p.arguments, out)
}

// goesOn reports whether the piece belongs to the call.
func (c *call) goesOn(p *piece) bool {
	if !c.live || p.indexed && p.index != c.index {
		return false
	}
	return len(p.id) == 0 || len(p.name) == 0 || bytes.Equal(p.id, c.id)
}

// late takes a piece of a call whose block is closed: it may hold nothing.
func (d *Decoder) late(p *piece) error {
	if len(p.arguments) == 0 {
		return nil
	}
	return d.broken("The model went on with a tool call that it had ended.")
}

func (d *Decoder) nextCall(p *piece) error {
	if d.call.live && !d.call.opened {
		return d.broken("The model called a tool without naming it.")
	}
	c := &d.call
	same := bytes.Equal(c.id, p.id)
	index := p.index
	if !p.indexed && c.live {
		index = c.index + 1
	}
	*c = call{live: true, index: index, twin: same, id: append(c.id[:0], p.id...), held: c.held[:0]}
	d.calls++
	return nil
}

// openCall opens the block of the call once its name is known.
func (d *Decoder) openCall(p *piece, out outcrop.Sink) error {
	c := &d.call
	if len(c.held)+len(p.arguments) > maxHeld {
		return d.broken("The model called a tool without naming it.")
	}
	c.held = append(c.held, p.arguments...)
	if len(p.name) == 0 {
		return nil
	}
	if len(c.id) == 0 {
		c.id = append(c.id, p.id...)
	}
	name, ok := clean(p.name)
	if !ok {
		return d.broken("The model sent a malformed tool call.")
	}
	var id outcrop.Text = c.id
	if c.twin || !validToolID(id) {
		id = madeID(d.request, d.calls)
	}
	c.opened = true
	if err := d.openBlock(outcrop.Event{Block: outcrop.BlockToolUse, Detail: &outcrop.Detail{ID: id, Name: name}}, out); err != nil {
		return err
	}
	return d.write(outcrop.BlockToolUse, c.held, out)
}

// validToolID reports whether Bedrock takes id as a toolUseId when the caller
// sends it back.
func validToolID(id []byte) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for _, c := range id {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '_' || c == '.' || c == ':' || c == '-') {
			return false
		}
	}
	return true
}

// madeID makes the id of the n-th tool call in the answer to the request, of
// the form that Bedrock's have.
func madeID(request string, n int) outcrop.Text {
	seed := binary.BigEndian.AppendUint64([]byte(request), uint64(n))
	sum := sha256.Sum256(seed)
	return base64.RawURLEncoding.AppendEncode(outcrop.Text("tooluse_"), sum[:16])
}
