package bedrock

import (
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// A Reply collects the events of one answer into the body of a Converse
// answer. It is reusable by Reset and used by one goroutine at a time.
type Reply struct {
	req    *outcrop.Request
	blocks []byte // the content blocks, as JSON
	count  int
	fields []byte // the member additionalModelResponseFields, or nothing
	stop   outcrop.StopReason
	broken bool // a tool's input is no JSON

	// The open block.
	kind                outcrop.BlockKind // 0 if none is open
	start, inside       int               // where the block and its text begin
	signature, redacted []byte
}

// maxReply is how long the content of an answer may be.
const maxReply = 64 << 20

// maxKeptReply is how much memory a Reply keeps between answers.
const maxKeptReply = 1 << 20

// Reset makes r ready for the answer to req, which it refers to until End.
func (r *Reply) Reset(req *outcrop.Request) {
	if cap(r.blocks) > maxKeptReply {
		r.blocks = nil
	}
	*r = Reply{req: req, blocks: r.blocks[:0], fields: r.fields[:0], signature: r.signature[:0], redacted: r.redacted[:0]}
}

// Send takes one event. It fails only for an answer that is far too long.
func (r *Reply) Send(e outcrop.Event) error {
	switch e.Kind {
	case outcrop.EventBlockStart:
		r.open(e)
	case outcrop.EventDelta:
		if len(r.blocks)+len(e.Text) > maxReply {
			return &outcrop.Error{Code: outcrop.CodeModelError, Message: "The model's answer is too long."}
		}
		r.delta(e)
	case outcrop.EventBlockStop:
		r.close()
	case outcrop.EventStop:
		r.stop = e.More().Stop
		r.fields = appendResponseFields(r.fields[:0], r.req, e)
	}
	return nil
}

func (r *Reply) open(e outcrop.Event) {
	r.close()
	r.kind, r.start = e.Block, len(r.blocks)
	if r.count > 0 {
		r.blocks = append(r.blocks, ',')
	}
	switch e.Block {
	case outcrop.BlockToolUse:
		r.blocks = append(append(r.blocks, `{"toolUse":{"toolUseId":"`...), e.More().ID...)
		r.blocks = append(append(r.blocks, `","name":"`...), e.More().Name...)
		r.blocks = append(r.blocks, `","input":`...)
	case outcrop.BlockReasoning, outcrop.BlockRedacted:
		r.blocks = append(r.blocks, `{"reasoningContent":{"reasoningText":{"text":"`...)
	default:
		r.blocks = append(r.blocks, `{"text":"`...)
	}
	r.inside = len(r.blocks)
	r.signature, r.redacted = r.signature[:0], r.redacted[:0]
}

func (r *Reply) delta(e outcrop.Event) {
	if r.kind == 0 {
		r.open(outcrop.Event{Block: e.Block})
	}
	switch e.Block {
	case outcrop.BlockSignature:
		r.signature = append(r.signature, e.Text...)
	case outcrop.BlockRedacted:
		r.redacted = append(r.redacted, e.Text...)
	default:
		r.blocks = append(r.blocks, e.Text...)
	}
}

// close ends the open block. An empty one leaves no trace: Bedrock refuses
// empty texts, and callers send back what they got.
func (r *Reply) close() {
	empty := len(r.blocks) == r.inside
	switch r.kind {
	case 0:
		return
	case outcrop.BlockToolUse:
		empty = false
		r.closeTool()
	case outcrop.BlockReasoning, outcrop.BlockRedacted:
		empty = empty && len(r.signature)+len(r.redacted) == 0
		r.closeReasoning()
	default:
		r.blocks = append(r.blocks, `"}`...)
	}
	if r.kind = 0; empty {
		r.blocks = r.blocks[:r.start]
		return
	}
	r.count++
}

// closeTool turns the collected fragments, which are the inside of a JSON
// string, into the JSON that they spell.
func (r *Reply) closeTool() {
	input := r.blocks[r.inside:]
	input = input[:unescape(input)]
	r.blocks = r.blocks[:r.inside+len(input)]
	if len(input) == 0 || !jsonscan.Valid(input) {
		r.broken = r.broken || len(input) > 0
		r.blocks = append(r.blocks[:r.inside], "{}"...)
	}
	r.blocks = append(r.blocks, "}}"...)
}

func (r *Reply) closeReasoning() {
	if len(r.redacted) > 0 {
		r.blocks = r.blocks[:r.start]
		if r.count > 0 {
			r.blocks = append(r.blocks, ',')
		}
		r.blocks = append(r.blocks, `{"reasoningContent":{"redactedContent":"`...)
		r.blocks = append(append(r.blocks, r.redacted...), `"}}`...)
		return
	}
	if len(r.signature) > 0 {
		r.blocks = append(r.blocks, `","signature":"`...)
		r.blocks = append(r.blocks, r.signature...)
	}
	r.blocks = append(r.blocks, `"}}}`...)
}

// End appends the body of the answer to dst. If the input of a tool use was
// not JSON, it stands there as {} and the stop reason tool_use becomes
// malformed_tool_use.
func (r *Reply) End(dst []byte, receipt outcrop.Receipt, elapsed time.Duration) []byte {
	r.close()
	stop := or(or(r.stop, receipt.Stop), outcrop.StopEndTurn)
	if r.broken && stop == outcrop.StopToolUse {
		stop = outcrop.StopMalformedToolUse
	}
	dst = append(dst, `{"output":{"message":{"role":"assistant","content":[`...)
	dst = append(dst, r.blocks...)
	dst = append(dst, `]}},"stopReason":"`...)
	dst = append(append(dst, stop...), '"')
	dst = append(dst, r.fields...)
	dst = appendReceipt(append(dst, ','), r.req, receipt, elapsed)
	r.req = nil
	return append(dst, '}')
}
