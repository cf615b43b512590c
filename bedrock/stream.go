package bedrock

import (
	"encoding/base64"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/eventstream"
	"github.com/outcrop/outcrop/jsonscan"
)

// A Decoder reads what an engine that speaks Converse answers, streamed or
// not, as events. It is reusable by Reset and used by one goroutine at a time.
// A sink may be nil; then only what the methods of the Decoder tell is read.
type Decoder struct {
	usage   outcrop.Usage
	tier    outcrop.ServiceTier
	latency outcrop.Latency
	stop    outcrop.StopReason
	open    outcrop.BlockKind // of the open block; 0 if none is open
	metered bool
	piece   piece // scratch
}

// Reset makes d ready for another answer.
func (d *Decoder) Reset() { *d = Decoder{} }

// Done reports whether the answer has ended as Bedrock ends one: with a stop
// reason and the usage. A stream that ends before was cut.
func (d *Decoder) Done() bool { return d.stop != "" && d.metered }

// Usage returns what the engine counted, as far as it has told.
func (d *Decoder) Usage() outcrop.Usage { return d.usage }

// Stop returns the stop reason; empty if there was none yet.
func (d *Decoder) Stop() outcrop.StopReason { return d.stop }

// Served returns the tier and the latency that the engine says it served;
// empty if it says nothing.
func (d *Decoder) Served() (outcrop.ServiceTier, outcrop.Latency) { return d.tier, d.latency }

// malformedAnswer is the error for what no Converse engine sends.
func malformedAnswer() error {
	return &outcrop.Error{Code: outcrop.CodeModelStream, Message: "The model's answer is malformed."}
}

// Event sends the events for one frame of a ConverseStream. An exception
// frame, or an unmodelled error, comes back as *outcrop.Error; so does a
// malformed payload. Frames of unknown types are ignored.
func (d *Decoder) Event(m eventstream.Message, out outcrop.Sink) error {
	if m.MessageType == "exception" || m.MessageType == "error" {
		return exception(m)
	}
	p := &d.piece
	if !p.parse(m.Payload) {
		return malformedAnswer()
	}
	switch m.EventType {
	case "messageStart":
		return send(out, outcrop.Event{Kind: outcrop.EventStart})
	case "contentBlockStart":
		return d.blockStart(p, out)
	case "contentBlockDelta":
		return d.delta(p, out)
	case "contentBlockStop":
		return d.blockStop(p, out)
	case "messageStop":
		return d.messageStop(p, out)
	case "metadata":
		d.usage, d.tier, d.latency, d.metered = p.usage, p.tier, p.latency, true
	}
	return nil
}

func send(out outcrop.Sink, e outcrop.Event) error {
	if out == nil {
		return nil
	}
	return out.Send(e)
}

func (d *Decoder) blockStart(p *piece, out outcrop.Sink) error {
	if !p.tool {
		return nil // an image or the like: nothing follows that has a place here
	}
	d.open = outcrop.BlockToolUse
	return send(out, outcrop.Event{Kind: outcrop.EventBlockStart, Block: d.open, Index: p.index, Detail: &outcrop.Detail{ID: p.id, Name: p.name}})
}

// delta opens the block if no frame did: only tool uses have one.
func (d *Decoder) delta(p *piece, out outcrop.Sink) error {
	if p.kind == 0 {
		return nil
	}
	if d.open == 0 {
		d.open = p.kind
		if p.kind == outcrop.BlockSignature || p.kind == outcrop.BlockRedacted {
			d.open = outcrop.BlockReasoning
		}
		if err := send(out, outcrop.Event{Kind: outcrop.EventBlockStart, Block: d.open, Index: p.index}); err != nil {
			return err
		}
	}
	return send(out, outcrop.Event{Kind: outcrop.EventDelta, Block: p.kind, Index: p.index, Text: p.text})
}

func (d *Decoder) blockStop(p *piece, out outcrop.Sink) error {
	if d.open == 0 {
		return nil
	}
	block := d.open
	d.open = 0
	return send(out, outcrop.Event{Kind: outcrop.EventBlockStop, Block: block, Index: p.index})
}

func (d *Decoder) messageStop(p *piece, out outcrop.Sink) error {
	if d.stop = p.stop; d.stop == "" {
		return malformedAnswer()
	}
	return send(out, outcrop.Event{Kind: outcrop.EventStop, Detail: p.end()})
}

// exception turns an exception frame into the error that it is.
func exception(m eventstream.Message) error {
	if m.MessageType == "error" {
		return failure(0, m.ErrorCode, m.ErrorMessage)
	}
	var p piece
	p.parse(m.Payload)
	e := failure(p.status, m.ExceptionType, p.message.String())
	e.Original = short(p.original.String())
	return e
}

// ChunkBytes appends the native chunk in the payload of a chunk event of
// InvokeModelWithResponseStream to dst. It may rewrite payload.
func ChunkBytes(dst, payload []byte) ([]byte, error) {
	v, ok := lookup(payload, []string{"bytes"})
	s := jsonscan.Scanner{B: v}
	raw, isText := s.Text()
	if !jsonscan.Valid(payload) || !ok || !isText {
		return dst, malformedAnswer()
	}
	dst, err := base64.StdEncoding.AppendDecode(dst, raw[:unescape(raw)])
	if err != nil {
		return dst, malformedAnswer()
	}
	return dst, nil
}

// InvocationMetrics returns the usage in the member
// amazon-bedrock-invocationMetrics of a native chunk; ok is false if it has
// none.
func InvocationMetrics(chunk []byte) (u outcrop.Usage, ok bool) {
	v, ok := lookup(chunk, []string{"amazon-bedrock-invocationMetrics"})
	if !ok {
		return u, false
	}
	for name, dst := range map[string]*int{
		"inputTokenCount": &u.Input, "outputTokenCount": &u.Output,
		"cacheReadInputTokenCount": &u.CacheRead, "cacheWriteInputTokenCount": &u.CacheWrite,
	} {
		n, _ := lookup(v, []string{name})
		s := jsonscan.Scanner{B: n}
		*dst, _ = s.Int()
	}
	return u, true
}
