package outcrop

// An EventKind says what an Event tells.
type EventKind uint8

// The events of an answer come in this order: Start; for each block
// BlockStart, any number of Delta, BlockStop; Stop. Flush may stand anywhere
// after Start. An answer in the engine's own dialect consists of Native and
// Flush events alone.
const (
	// EventStart opens the answer. It is sent as soon as the engine has begun
	// to answer, and commits the gateway to a 200.
	EventStart EventKind = iota + 1
	// EventBlockStart opens block Index of kind Block. For BlockToolUse, ID
	// and Name are set.
	EventBlockStart
	// EventDelta adds Text to block Index. For BlockToolUse, Text is a
	// fragment of the tool input's JSON, itself escaped as the inside of a
	// JSON string. For BlockReasoning, Text is reasoning; for
	// BlockSignature, it is the signature of the reasoning block Index; for
	// BlockRedacted, it is base64.
	EventDelta
	// EventBlockStop closes block Index.
	EventBlockStop
	// EventStop ends the answer with Stop, StopSequence and Extra.
	EventStop
	// EventNative carries one piece of an answer in the engine's own dialect
	// in Text, which here is a JSON document and not the inside of a string:
	// the whole body of a unary answer, or one chunk of a stream. Final marks
	// the last one. A chunk of DialectConverse has the type of its event, such
	// as contentBlockDelta, in Name.
	EventNative
	// EventFlush says that the engine has nothing more at hand: what was sent
	// until now should leave now. Events of one read from the engine thus
	// share a write, and none is held back.
	EventFlush
)

// An Event is one step of an answer. It is passed by value and allocates
// nothing; its bytes and its Detail are borrowed (see Sink). It is small enough
// to be passed in registers, which counts where an answer is a thousand of them.
type Event struct {
	Kind   EventKind
	Block  BlockKind
	Final  bool
	Index  int
	Text   Text
	Detail *Detail // nil: all of it is empty
}

// A Detail is what few events of an answer tell.
type Detail struct {
	Stop         StopReason
	ID, Name     Text
	StopSequence Text
	// Extra is a JSON object with the members of the engine's answer that
	// have no place of their own here. It is set only on EventStop, and only
	// if the request asks for response fields.
	Extra JSON
}

// More returns the Detail, or an empty one.
func (e Event) More() Detail {
	if e.Detail == nil {
		return Detail{}
	}
	return *e.Detail
}

// A StopReason tells why an answer ended, in Bedrock's words.
type StopReason string

// The stop reasons of Converse.
const (
	StopEndTurn          StopReason = "end_turn"
	StopToolUse          StopReason = "tool_use"
	StopMaxTokens        StopReason = "max_tokens"
	StopSequence         StopReason = "stop_sequence"
	StopContentFiltered  StopReason = "content_filtered"
	StopContextExceeded  StopReason = "model_context_window_exceeded"
	StopMalformedOutput  StopReason = "malformed_model_output"
	StopMalformedToolUse StopReason = "malformed_tool_use"
)
