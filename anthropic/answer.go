package anthropic

import (
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// AppendAnswer appends the unary InvokeModel body of the answer to dst.
func AppendAnswer(dst []byte, req *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte {
	dst = appendMessageHead(dst, req)
	dst = append(dst, `"content":[`...)
	for i := range a.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBlock(dst, &a.Content[i])
	}
	dst = append(dst, ']', ',')
	dst = appendStop(dst, a.Stop, a.StopSequence)
	dst = append(dst, ',')
	dst = appendUsage(dst, r.Usage)
	return append(dst, '}')
}

func appendMessageHead(dst []byte, req *outcrop.Request) []byte {
	dst = append(dst, `{"model":"`...)
	dst = outcrop.AppendQuote(dst, modelName(req.Card.ID))
	dst = append(dst, `","id":"`...)
	dst = appendMessageID(dst, req.ID)
	return append(dst, `","type":"message","role":"assistant",`...)
}

// modelName is how Claude calls itself: the card's id without provider and
// version, "claude-3-haiku-20240307".
func modelName(id string) string {
	if _, after, found := strings.Cut(id, "anthropic."); found {
		id = after
	}
	id, _, _ = strings.Cut(id, ":")
	if i := strings.LastIndex(id, "-v"); i > 0 && strings.Trim(id[i+2:], "0123456789") == "" {
		id = id[:i]
	}
	return id
}

// appendMessageID appends msg_bdrk_01 and 22 characters that follow from the
// request id, so that both can be found from either.
func appendMessageID(dst []byte, requestID string) []byte {
	dst = append(dst, "msg_bdrk_01"...)
	n := 0
	for i := 0; i < len(requestID) && n < 22; i++ {
		c := requestID[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			dst = append(dst, c)
			n++
		}
	}
	for ; n < 22; n++ {
		dst = append(dst, '0')
	}
	return dst
}

func appendQuoted(dst []byte, head string, t []byte) []byte {
	dst = append(dst, head...)
	dst = append(dst, '"')
	dst = append(dst, t...)
	return append(dst, '"')
}

func appendBlock(dst []byte, b *outcrop.Block) []byte {
	switch b.Kind {
	case outcrop.BlockToolUse:
		dst = appendQuoted(dst, `{"type":"tool_use","id":`, b.Use.ID)
		dst = appendQuoted(dst, `,"name":`, b.Use.Name)
		dst = append(dst, `,"input":`...)
		dst = appendInput(dst, b.Use.Input)
	case outcrop.BlockReasoning:
		dst = appendQuoted(dst, `{"type":"thinking","thinking":`, b.Text)
		dst = appendQuoted(dst, `,"signature":`, b.Signature)
	case outcrop.BlockRedacted:
		dst = appendQuoted(dst, `{"type":"redacted_thinking","data":`, b.Text)
	default:
		dst = appendQuoted(dst, `{"type":"text","text":`, b.Text)
	}
	return append(dst, '}')
}

// appendInput appends a tool's input. A model may write something that is no
// JSON; it then goes, as a string, into the member that the Messages API
// documents for this.
func appendInput(dst []byte, input outcrop.JSON) []byte {
	if jsonscan.Valid(input) {
		return append(dst, input...)
	}
	dst = append(dst, `{"INVALID_JSON":"`...)
	dst = outcrop.AppendQuote(dst, string(input))
	return append(dst, '"', '}')
}

func appendStop(dst []byte, stop outcrop.StopReason, sequence outcrop.Text) []byte {
	dst = append(dst, `"stop_reason":"`...)
	dst = append(dst, stopName(stop)...)
	if stop != outcrop.StopSequence {
		return append(dst, `","stop_sequence":null`...)
	}
	return appendQuoted(dst, `","stop_sequence":`, sequence)
}

func stopName(stop outcrop.StopReason) string {
	switch stop {
	case outcrop.StopContentFiltered:
		return "refusal"
	case outcrop.StopMalformedOutput, outcrop.StopMalformedToolUse, "":
		return "end_turn"
	}
	return string(stop)
}

func appendUsage(dst []byte, u outcrop.Usage) []byte {
	dst = append(dst, `"usage":{"input_tokens":`...)
	dst = strconv.AppendInt(dst, int64(u.Input), 10)
	dst = append(dst, `,"cache_creation_input_tokens":`...)
	dst = strconv.AppendInt(dst, int64(u.CacheWrite), 10)
	dst = append(dst, `,"cache_read_input_tokens":`...)
	dst = strconv.AppendInt(dst, int64(u.CacheRead), 10)
	dst = append(dst, `,"output_tokens":`...)
	dst = strconv.AppendInt(dst, int64(u.Output), 10)
	return append(dst, '}')
}

// Chunks writes a stream in chunks of Claude's form. It is for one answer and
// not safe for concurrent use.
type Chunks struct {
	req     *outcrop.Request
	b       []byte
	stop    outcrop.StopReason
	seq     []byte
	waiting bool // a reasoning block is open, and not yet known to be redacted
}

// NewChunks returns the Chunks for the answer to req.
func NewChunks(req *outcrop.Request) *Chunks { return &Chunks{req: req} }

// Encode calls emit for each chunk that the event stands for. A chunk is
// borrowed until emit returns.
func (c *Chunks) Encode(e outcrop.Event, emit func(chunk []byte)) {
	switch e.Kind {
	case outcrop.EventStart:
		c.start(emit)
	case outcrop.EventBlockStart:
		c.blockStart(e, emit)
	case outcrop.EventDelta:
		c.delta(e, emit)
	case outcrop.EventBlockStop:
		if c.waiting {
			c.open(e.Index, `"thinking","thinking":"","signature":""`, emit)
		}
		c.head(`{"type":"content_block_stop","index":`, e.Index)
		c.emit("}", emit)
	case outcrop.EventStop:
		d := e.More()
		c.stop = d.Stop
		c.seq = append(c.seq[:0], d.StopSequence...)
	case outcrop.EventNative:
		emit(e.Text)
	}
}

// End calls emit for the chunks that close the stream and need the usage.
// The very last chunk is message_stop.
func (c *Chunks) End(r outcrop.Receipt, emit func(chunk []byte)) {
	c.b = append(c.b[:0], `{"type":"message_delta","delta":{`...)
	c.b = appendStop(c.b, c.stop, c.seq)
	c.b = append(c.b, '}', ',')
	c.b = appendUsage(c.b, r.Usage)
	c.emit("}", emit)
	emit([]byte(`{"type":"message_stop"}`))
}

func (c *Chunks) head(s string, index int) {
	c.b = strconv.AppendInt(append(c.b[:0], s...), int64(index), 10)
}

func (c *Chunks) emit(tail string, emit func(chunk []byte)) {
	c.b = append(c.b, tail...)
	emit(c.b)
}

// start opens the message. How long the prompt is becomes known at the end
// only: the counts here are zero and those of message_delta are true.
func (c *Chunks) start(emit func([]byte)) {
	c.b = append(c.b[:0], `{"type":"message_start","message":`...)
	c.b = appendMessageHead(c.b, c.req)
	c.b = append(c.b, `"content":[],"stop_reason":null,"stop_sequence":null,`...)
	c.b = appendUsage(c.b, outcrop.Usage{})
	c.emit("}}", emit)
}

func (c *Chunks) open(index int, block string, emit func([]byte)) {
	c.waiting = false
	c.head(`{"type":"content_block_start","index":`, index)
	c.b = append(c.b, `,"content_block":{"type":`...)
	c.b = append(c.b, block...)
	c.emit("}}", emit)
}

func (c *Chunks) blockStart(e outcrop.Event, emit func([]byte)) {
	switch e.Block {
	case outcrop.BlockToolUse:
		c.head(`{"type":"content_block_start","index":`, e.Index)
		c.b = appendQuoted(c.b, `,"content_block":{"type":"tool_use","id":`, e.More().ID)
		c.b = appendQuoted(c.b, `,"name":`, e.More().Name)
		c.emit(`,"input":{}}}`, emit)
	case outcrop.BlockReasoning, outcrop.BlockRedacted:
		c.waiting = true
	default:
		c.open(e.Index, `"text","text":""`, emit)
	}
}

func (c *Chunks) delta(e outcrop.Event, emit func([]byte)) {
	if e.Block == outcrop.BlockRedacted {
		c.waiting = false
		c.head(`{"type":"content_block_start","index":`, e.Index)
		c.b = appendQuoted(c.b, `,"content_block":{"type":"redacted_thinking","data":`, e.Text)
		c.emit("}}", emit)
		return
	}
	if c.waiting {
		c.open(e.Index, `"thinking","thinking":"","signature":""`, emit)
	}
	kind := `,"delta":{"type":"text_delta","text":`
	switch e.Block {
	case outcrop.BlockToolUse:
		kind = `,"delta":{"type":"input_json_delta","partial_json":`
	case outcrop.BlockReasoning:
		kind = `,"delta":{"type":"thinking_delta","thinking":`
	case outcrop.BlockSignature:
		kind = `,"delta":{"type":"signature_delta","signature":`
	}
	c.head(`{"type":"content_block_delta","index":`, e.Index)
	c.b = appendQuoted(c.b, kind, e.Text)
	c.emit("}}", emit)
}
