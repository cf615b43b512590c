package anthropic

import (
	"bytes"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// errAnswer is the error of an answer that is not one of the Messages API.
func errAnswer() error {
	return &outcrop.Error{Code: outcrop.CodeModelError, Message: "The model server's answer is malformed."}
}

// A Decoder turns the answer of a Messages API server into events. The zero
// value is ready after Reset; it is reusable and not safe for concurrent use.
type Decoder struct {
	extra   bool // the request asks for response fields
	started bool
	done    bool
	tokens  bool
	open    bool // block index is open towards the sink
	skipped bool // the engine's current block has no kind here
	kind    outcrop.BlockKind
	index   int
	usage   outcrop.Usage
	stop    outcrop.StopReason
	seq     []byte         // stop sequence, kept
	detail  outcrop.Detail // of the end
	members []byte         // members of the answer for response fields, kept
	quoted  []byte
}

// Reset makes d ready for the answer to req.
func (d *Decoder) Reset(req *outcrop.Request) {
	*d = Decoder{seq: d.seq[:0], members: d.members[:0], quoted: d.quoted[:0]}
	d.extra = req.Conversation != nil && len(req.Conversation.ResponseFields) > 0
}

// Done reports whether the end marker, message_stop, was seen. A stream that
// ends without it was cut.
func (d *Decoder) Done() bool { return d.done }

// Usage returns the tokens counted until now.
func (d *Decoder) Usage() outcrop.Usage { return d.usage }

// Stop returns the stop reason, empty if none came yet.
func (d *Decoder) Stop() outcrop.StopReason { return d.stop }

// Began reports whether a token of the answer has come.
func (d *Decoder) Began() bool { return d.tokens }

// maxTokens is more than any answer can count; an engine that says more is
// not believed.
const maxTokens = 1 << 40

// event is what matters in one event of a stream; it borrows from the data.
type event struct {
	kind, message, block, delta, usage, fault []byte
}

// textHead is how a text delta begins on the wire; the index follows.
const textHead = `{"type":"content_block_delta","index":`

// textBody is what stands between the index and the text of a text delta.
const textBody = `,"delta":{"type":"text_delta","text":"`

// Event takes the data of one server-sent event and sends what it means to
// out. Errors of out come back unchanged; others are *outcrop.Error.
func (d *Decoder) Event(data []byte, out outcrop.Sink) error {
	if t, ok := textDelta(data); ok && d.open && d.kind == outcrop.BlockText {
		return d.send(outcrop.BlockText, t, out)
	}
	e, ok := parse(data)
	if !ok {
		return errAnswer()
	}
	switch string(e.kind) {
	case "content_block_delta":
		return d.delta(e.delta, out)
	case "content_block_start":
		return d.blockStart(e.block, out)
	case "content_block_stop":
		return d.blockStop(out)
	case "message_start":
		return d.start(e.message, out)
	case "message_delta":
		return d.messageDelta(e)
	case "message_stop":
		return d.finish(out)
	case "error":
		return d.fault(e.fault)
	}
	return nil // ping, and events that are not known yet
}

// textDelta is the hot path: one exact form of text delta, else ok is false.
func textDelta(data []byte) (t []byte, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(textHead))
	if !ok {
		return nil, false
	}
	for len(rest) > 0 && rest[0]-'0' <= 9 {
		rest = rest[1:]
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(textBody)); !ok {
		return nil, false
	}
	s := jsonscan.Scanner{B: data, I: len(data) - len(rest) - 1}
	if t, ok = s.Text(); !ok {
		return nil, false
	}
	closed := s.Eat('}')
	return t, closed && s.Eat('}') && s.End()
}

func parse(data []byte) (e event, ok bool) {
	s := jsonscan.Scanner{B: data}
	if !s.Eat('{') {
		return e, false
	}
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok {
			return e, false
		}
		if !more {
			return e, s.End()
		}
		var v []byte
		if s.At('"') {
			v, ok = s.Text()
		} else {
			v, ok = raw(&s)
		}
		if !ok {
			return e, false
		}
		e.set(k, v)
	}
}

func (e *event) set(k, v []byte) {
	switch string(k) {
	case "type":
		e.kind = v
	case "message":
		e.message = v
	case "content_block":
		e.block = v
	case "delta":
		e.delta = v
	case "usage":
		e.usage = v
	case "error":
		e.fault = v
	}
}

func (d *Decoder) send(kind outcrop.BlockKind, t []byte, out outcrop.Sink) error {
	if len(t) == 0 {
		return nil
	}
	d.tokens = true
	return out.Send(outcrop.Event{Kind: outcrop.EventDelta, Block: kind, Index: d.index, Text: t})
}

// begin sends the Start that opens an answer, once.
func (d *Decoder) begin(out outcrop.Sink) error {
	if d.started {
		return nil
	}
	d.started = true
	return out.Send(outcrop.Event{Kind: outcrop.EventStart})
}

func (d *Decoder) start(message []byte, out outcrop.Sink) error {
	s := jsonscan.Scanner{B: message}
	if d.started || !s.Eat('{') {
		return errAnswer()
	}
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok {
			return errAnswer()
		}
		if !more {
			return d.begin(out)
		}
		if string(k) == "usage" && s.At('{') {
			if ok = d.count(&s); !ok {
				return errAnswer()
			}
			continue
		}
		v, ok := d.value(&s, k)
		if !ok {
			return errAnswer()
		}
		d.keep(k, v)
	}
}

// value returns the value at the cursor, in full checked where it is kept.
func (d *Decoder) value(s *jsonscan.Scanner, k []byte) ([]byte, bool) {
	if d.keeps(k) {
		return s.Value()
	}
	return raw(s)
}

// keeps reports whether the member k of the answer is for response fields.
// What the answer's own form carries, and what is not known at its start, is
// not.
func (d *Decoder) keeps(k []byte) bool {
	return d.extra && !oneOf(string(k), "content", "usage", "stop_reason", "stop_sequence")
}

func (d *Decoder) keep(k, v []byte) {
	if !d.keeps(k) || len(d.members)+len(v) > 64<<10 || !jsonscan.Clean(k) {
		return
	}
	d.members = append(d.members, '"')
	d.members = append(d.members, k...)
	d.members = append(d.members, '"', ':')
	d.members = append(d.members, v...)
	d.members = append(d.members, ',')
}

// count reads the usage object at the cursor. The counts of an answer are
// cumulative: each replaces the one before.
func (d *Decoder) count(s *jsonscan.Scanner) bool {
	if !s.Eat('{') {
		return s.Skip()
	}
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		to := d.counter(k)
		if to == nil || s.At('n') {
			ok = s.Skip()
		} else {
			*to, ok = s.Int()
			ok = ok && *to >= 0 && *to <= maxTokens
		}
		if !ok {
			return false
		}
	}
}

func (d *Decoder) counter(k []byte) *int {
	switch string(k) {
	case "input_tokens":
		return &d.usage.Input
	case "output_tokens":
		return &d.usage.Output
	case "cache_read_input_tokens":
		return &d.usage.CacheRead
	case "cache_creation_input_tokens":
		return &d.usage.CacheWrite
	}
	return nil
}

// block is what matters in a content block; it borrows.
type block struct {
	kind, text, id, name, signature, input []byte
}

// parseBlock reads a content block or a delta.
func parseBlock(v []byte) (b block, ok bool) {
	s := jsonscan.Scanner{B: v}
	if !s.Eat('{') {
		return b, false
	}
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok || !more {
			return b, ok
		}
		to := b.member(k)
		switch {
		case to == nil || s.At('n'):
			ok = s.Skip()
		case to == &b.input:
			*to, ok = s.Value()
		default:
			*to, ok = s.Text()
		}
		if !ok {
			return b, false
		}
	}
}

func (b *block) member(k []byte) *[]byte {
	switch string(k) {
	case "type":
		return &b.kind
	case "text", "thinking", "data", "partial_json":
		return &b.text
	case "id":
		return &b.id
	case "name":
		return &b.name
	case "signature":
		return &b.signature
	case "input":
		return &b.input
	}
	return nil
}

func (d *Decoder) blockStart(v []byte, out outcrop.Sink) error {
	b, ok := parseBlock(v)
	if !ok {
		return errAnswer()
	}
	if err := d.begin(out); err != nil {
		return err
	}
	if err := d.blockStop(out); err != nil {
		return err
	}
	return d.openBlock(b, out)
}

// openBlock opens b and sends what it already holds.
func (d *Decoder) openBlock(b block, out outcrop.Sink) error {
	d.kind = kindOf(b.kind)
	d.skipped = d.kind == 0
	if d.skipped {
		return nil
	}
	e := outcrop.Event{Kind: outcrop.EventBlockStart, Block: d.kind, Index: d.index}
	if d.kind == outcrop.BlockToolUse {
		if len(b.id) == 0 || len(b.name) == 0 {
			return errAnswer()
		}
		e.Detail = &outcrop.Detail{ID: b.id, Name: b.name}
		d.tokens = true
	}
	if err := out.Send(e); err != nil {
		return err
	}
	d.open = true
	if len(b.input) > 0 && string(b.input) != "{}" {
		d.quoted = appendEscaped(d.quoted[:0], b.input)
		b.text = d.quoted
	}
	if err := d.send(d.kind, b.text, out); err != nil {
		return err
	}
	return d.send(outcrop.BlockSignature, b.signature, out)
}

func kindOf(t []byte) outcrop.BlockKind {
	switch string(t) {
	case "text":
		return outcrop.BlockText
	case "tool_use":
		return outcrop.BlockToolUse
	case "thinking":
		return outcrop.BlockReasoning
	case "redacted_thinking":
		return outcrop.BlockRedacted
	}
	return 0
}

func (d *Decoder) delta(v []byte, out outcrop.Sink) error {
	b, ok := parseBlock(v)
	if !ok {
		return errAnswer()
	}
	if d.skipped {
		return nil
	}
	if !d.open {
		return errAnswer()
	}
	switch string(b.kind) {
	case "text_delta", "thinking_delta", "input_json_delta":
		return d.send(d.kind, b.text, out)
	case "signature_delta":
		return d.send(outcrop.BlockSignature, b.signature, out)
	}
	return nil
}

func (d *Decoder) blockStop(out outcrop.Sink) error {
	d.skipped = false
	if !d.open {
		return nil
	}
	d.open = false
	e := outcrop.Event{Kind: outcrop.EventBlockStop, Block: d.kind, Index: d.index}
	d.index++
	return out.Send(e)
}

func (d *Decoder) messageDelta(e event) error {
	if len(e.usage) > 0 {
		s := jsonscan.Scanner{B: e.usage}
		if !d.count(&s) {
			return errAnswer()
		}
	}
	if len(e.delta) == 0 {
		return nil
	}
	s := jsonscan.Scanner{B: e.delta}
	if !s.Eat('{') {
		return errAnswer()
	}
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok {
			return errAnswer()
		}
		if !more {
			return nil
		}
		if !d.ending(&s, k) {
			return errAnswer()
		}
	}
}

// ending reads a member that tells why the answer ended.
func (d *Decoder) ending(s *jsonscan.Scanner, k []byte) bool {
	if !s.At('"') || string(k) != "stop_reason" && string(k) != "stop_sequence" {
		return s.Skip()
	}
	v, ok := s.Text()
	if string(k) == "stop_reason" {
		d.stop = stopReason(v)
	} else {
		d.seq = append(d.seq[:0], v...)
	}
	return ok
}

func stopReason(v []byte) outcrop.StopReason {
	switch string(v) {
	case "max_tokens":
		return outcrop.StopMaxTokens
	case "stop_sequence":
		return outcrop.StopSequence
	case "tool_use":
		return outcrop.StopToolUse
	case "refusal":
		return outcrop.StopContentFiltered
	case "model_context_window_exceeded":
		return outcrop.StopContextExceeded
	}
	return outcrop.StopEndTurn // end_turn, pause_turn
}

func (d *Decoder) finish(out outcrop.Sink) error {
	if d.done || !d.started {
		return errAnswer()
	}
	if err := d.blockStop(out); err != nil {
		return err
	}
	d.done = true
	if d.stop == "" {
		d.stop = outcrop.StopEndTurn
	}
	d.detail = outcrop.Detail{Stop: d.stop, StopSequence: d.seq}
	if d.extra {
		d.detail.Extra = d.responseFields()
	}
	return out.Send(outcrop.Event{Kind: outcrop.EventStop, Detail: &d.detail})
}

func (d *Decoder) responseFields() outcrop.JSON {
	b := append(d.quoted[:0], '{')
	b = append(b, d.members...)
	b = append(b, `"stop_sequence":`...)
	if len(d.seq) == 0 {
		b = append(b, "null}"...)
	} else {
		b = append(b, '"')
		b = append(b, d.seq...)
		b = append(b, '"', '}')
	}
	d.quoted = b
	return b
}

// appendEscaped appends JSON text as the inside of a JSON string.
func appendEscaped(dst, v []byte) []byte {
	for _, c := range v {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default: // valid JSON has no other control characters
			dst = append(dst, c)
		}
	}
	return dst
}
