package openai

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// A Decoder turns an engine's answer into events: a stream chunk by chunk
// with Event and End, or a whole answer with Answer. Reset comes first. It
// sends no Flush events: when to flush is known to who reads. Once a method
// has returned an error, the Decoder is of no use until the next Reset. It is
// used by one goroutine at a time and keeps its buffers from one answer to the
// next.
type Decoder struct {
	request string       // its id, from which missing ids of tool calls are made
	code    outcrop.Code // of the errors in this answer
	extras  extras
	mould   mould

	started  bool
	finished bool // a finish_reason was seen
	done     bool // the end marker was seen, and EventStop sent

	open   outcrop.BlockKind // the kind of the block that is open, or 0
	blocks int               // opened until now
	calls  int               // tool calls among them
	call   call

	stop         outcrop.StopReason
	stopSequence []byte
	detail       outcrop.Detail // of the last event
	usage        outcrop.Usage
	metered      bool
}

// Reset makes the Decoder ready for the answer to req.
func (d *Decoder) Reset(req *outcrop.Request) {
	*d = Decoder{
		request:      req.ID,
		code:         outcrop.CodeModelStream,
		call:         call{id: d.call.id[:0], held: d.call.held[:0]},
		stopSequence: d.stopSequence[:0],
		mould:        mould{before: d.mould.before[:0], after: d.mould.after[:0]},
	}
	d.extras.wanted = req.Conversation != nil && len(req.Conversation.ResponseFields) > 0
}

// Done reports whether the engine's end marker was seen, so that the answer
// is whole.
func (d *Decoder) Done() bool { return d.done }

// Finished reports whether a finish_reason was seen. All content is out then;
// usage may follow.
func (d *Decoder) Finished() bool { return d.finished }

// HasUsage reports whether the engine has told what it used; if not, Usage is
// zero and must be estimated.
func (d *Decoder) HasUsage() bool { return d.metered }

// Usage returns what the engine said last about the tokens it used.
func (d *Decoder) Usage() outcrop.Usage { return d.usage }

// Stop returns why the answer ended; it is empty until Finished.
func (d *Decoder) Stop() outcrop.StopReason { return d.stop }

// Event takes the data of one server-sent event. A chunk that holds an error,
// or is malformed, or a [DONE] before any finish_reason, gives an *Error of
// CodeModelStream. An error of out.Send comes back unchanged. What follows
// the end marker is ignored.
func (d *Decoder) Event(data []byte, out outcrop.Sink) error {
	if d.done {
		return nil
	}
	if string(data) == "[DONE]" {
		return d.end(out)
	}
	if text, ok := d.mould.piece(data); ok && !d.finished {
		return d.write(d.mould.kind, text, out)
	}
	var c chunk
	if !c.read(&jsonscan.Scanner{B: data}) {
		return d.broken("The model sent a malformed event.")
	}
	if !d.extras.wanted {
		d.mould.learn(data, &c)
	}
	if c.fault {
		return d.fault(data)
	}
	if err := d.start(out); err != nil {
		return err
	}
	d.extras.collect(data)
	if c.metered {
		d.usage, d.metered = c.usage, true
	}
	if !c.answers || d.finished {
		return nil
	}
	return d.take(&c.choice, out)
}

// End tells that the body has ended cleanly, for engines that send no [DONE]:
// the answer is whole if a finish_reason and the usage were seen. Otherwise
// End gives an *Error of CodeModelStream. It does nothing if Done.
func (d *Decoder) End(out outcrop.Sink) error {
	if d.done {
		return nil
	}
	if !d.metered {
		return d.broken("The model's stream ended early.")
	}
	return d.end(out)
}

// Answer takes the body of an answer that was not streamed. A body that is
// malformed or holds an error gives an *Error of CodeModelError.
func (d *Decoder) Answer(body []byte, out outcrop.Sink) error {
	d.code = outcrop.CodeModelError
	var c chunk
	s := jsonscan.Scanner{B: body}
	if !c.read(&s) || !c.answers && !c.fault {
		return d.broken("The model sent a malformed answer.")
	}
	if c.fault && !c.answers {
		return d.fault(body)
	}
	if err := d.start(out); err != nil {
		return err
	}
	d.extras.collect(body)
	d.usage, d.metered = c.usage, c.metered
	if len(c.choice.finish) == 0 {
		c.choice.finish = []byte("stop")
	}
	if err := d.take(&c.choice, out); err != nil {
		return err
	}
	return d.end(out)
}

func (d *Decoder) start(out outcrop.Sink) error {
	if d.started {
		return nil
	}
	d.started = true
	return out.Send(outcrop.Event{Kind: outcrop.EventStart})
}

// end sends EventStop: the engine has said that its answer is whole.
func (d *Decoder) end(out outcrop.Sink) error {
	if !d.finished {
		return d.broken("The model's stream ended without a finish reason.")
	}
	d.done = true
	d.detail = outcrop.Detail{Stop: d.stop, StopSequence: d.stopSequence, Extra: d.extras.object()}
	return out.Send(outcrop.Event{Kind: outcrop.EventStop, Detail: &d.detail})
}

// take sends what a choice adds to the answer.
func (d *Decoder) take(c *choice, out outcrop.Sink) error {
	reasoning := c.reasoningContent
	if len(reasoning) == 0 {
		reasoning = c.reasoning
	}
	if err := d.write(outcrop.BlockReasoning, reasoning, out); err != nil {
		return err
	}
	if err := d.write(outcrop.BlockText, c.text, out); err != nil {
		return err
	}
	if err := d.write(outcrop.BlockText, c.refusal, out); err != nil {
		return err
	}
	if c.parts != nil {
		if err := d.writeParts(c.parts, out); err != nil {
			return err
		}
	}
	if c.calls != nil {
		if err := d.callTools(c.calls, out); err != nil {
			return err
		}
	}
	if len(c.finish) == 0 {
		return nil
	}
	return d.finish(c, out)
}

// write adds raw to the open block if that is of the kind, and otherwise
// opens one.
func (d *Decoder) write(kind outcrop.BlockKind, raw []byte, out outcrop.Sink) error {
	if len(raw) == 0 {
		return nil
	}
	text, ok := clean(raw)
	if !ok {
		return d.broken("The model sent a malformed event.")
	}
	if d.open != kind {
		if err := d.openBlock(outcrop.Event{Block: kind}, out); err != nil {
			return err
		}
	}
	return out.Send(outcrop.Event{Kind: outcrop.EventDelta, Block: kind, Index: d.blocks - 1, Text: text})
}

// openBlock closes the open block and opens the one that e tells of.
func (d *Decoder) openBlock(e outcrop.Event, out outcrop.Sink) error {
	if err := d.closeBlock(out); err != nil {
		return err
	}
	e.Kind, e.Index = outcrop.EventBlockStart, d.blocks
	d.open = e.Block
	d.blocks++
	return out.Send(e)
}

func (d *Decoder) closeBlock(out outcrop.Sink) error {
	if d.open == 0 {
		return nil
	}
	kind := d.open
	d.open = 0
	return out.Send(outcrop.Event{Kind: outcrop.EventBlockStop, Block: kind, Index: d.blocks - 1})
}

// writeParts takes content that is an array of parts, as Mistral's models
// send it when they think: texts, and thinking that is texts again.
func (d *Decoder) writeParts(parts []byte, out outcrop.Sink) error {
	texts, err := readParts(parts)
	if err != nil {
		return d.broken("The model sent a malformed event.")
	}
	for _, t := range texts {
		kind := outcrop.BlockText
		if t.thinking {
			kind = outcrop.BlockReasoning
		}
		if err := d.write(kind, t.text, out); err != nil {
			return err
		}
	}
	return nil
}

// finish ends the content of the answer.
func (d *Decoder) finish(c *choice, out outcrop.Sink) error {
	if d.call.live && !d.call.opened {
		return d.broken("The model called a tool without naming it.")
	}
	if aborted(c.finish) {
		return d.broken("The model gave up in the middle of its answer.")
	}
	if err := d.closeBlock(out); err != nil {
		return err
	}
	d.finished = true
	d.stop = stopReason(c.finish)
	switch {
	case d.stop != outcrop.StopEndTurn:
	case d.calls > 0:
		d.stop = outcrop.StopToolUse
	case len(c.stopped) > 0:
		d.stop = outcrop.StopSequence
	}
	if d.stop == outcrop.StopSequence {
		if sequence, ok := clean(c.stopped); ok {
			d.stopSequence = append(d.stopSequence[:0], sequence...)
		}
	}
	return nil
}

// stopReason maps a finish_reason; one that is not known ends the turn.
func stopReason(finish []byte) outcrop.StopReason {
	switch string(finish) {
	case "length", "max_tokens", "model_length":
		return outcrop.StopMaxTokens
	case "tool_calls", "function_call":
		return outcrop.StopToolUse
	case "content_filter":
		return outcrop.StopContentFiltered
	case "stop_sequence": // TGI
		return outcrop.StopSequence
	}
	return outcrop.StopEndTurn
}

// aborted reports whether the finish_reason says that the engine dropped the
// request: vLLM and SGLang, Mistral and OpenRouter, DeepSeek.
func aborted(finish []byte) bool {
	switch string(finish) {
	case "abort", "error", "insufficient_system_resource":
		return true
	}
	return false
}
