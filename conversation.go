package outcrop

import "encoding/json"

// A Conversation is the one hub in which all dialects meet: a Converse
// request, in its own terms. It is read-only once it is part of a Request,
// and its bytes are borrowed from the request body.
type Conversation struct {
	System     []Block
	Messages   []Message
	Inference  Inference
	Tools      []Tool
	ToolChoice ToolChoice
	// Format asks for output that validates against a JSON schema; nil for
	// free text.
	Format *Format
	// Extra is additionalModelRequestFields: a JSON object whose members are
	// the model's own and go to the engine as they are; nil if absent.
	Extra JSON
	// ResponseFields are the JSON pointers of
	// additionalModelResponseFieldPaths.
	ResponseFields []string
}

// A Role says whose turn a Message is.
type Role uint8

// The roles of a Message.
const (
	RoleUser Role = iota + 1
	RoleAssistant
)

// String returns "user" or "assistant".
func (r Role) String() string {
	if r == RoleAssistant {
		return "assistant"
	}
	return "user"
}

// A Message is one turn.
type Message struct {
	Role    Role
	Content []Block
}

// A BlockKind says what a Block holds.
type BlockKind uint8

// The kinds of content. BlockSignature and BlockRedacted occur as kinds of
// deltas (see EventDelta); BlockRedacted also as a block of a message.
const (
	BlockText BlockKind = iota + 1
	BlockImage
	BlockDocument
	BlockToolUse
	BlockToolResult
	BlockReasoning
	BlockSignature
	BlockRedacted
	BlockCachePoint
)

// A Block is one piece of content. Kind says which of the other fields count.
type Block struct {
	Kind BlockKind
	// Text is the text of BlockText and BlockReasoning, the base64 of
	// BlockRedacted, and the ttl ("5m", "1h" or empty) of BlockCachePoint.
	Text Text
	// Signature goes with BlockReasoning; empty if there is none.
	Signature Text
	Media     *Media      // BlockImage, BlockDocument
	Use       *ToolUse    // BlockToolUse
	Result    *ToolResult // BlockToolResult
}

// A Media is an image or a document.
type Media struct {
	Format string // Bedrock's format: "png", "pdf", "txt", ...
	Name   Text   // documents only
	Base64 Text   // the bytes, base64; empty if Text is set
	Text   Text   // a document given, or already extracted, as plain text
}

// A ToolUse is the assistant's wish that a tool be run.
type ToolUse struct {
	ID, Name Text
	Input    JSON // a JSON value, usually an object
}

// A ToolResult is what came of a ToolUse.
type ToolResult struct {
	ID      Text
	Error   bool    // status "error"
	Content []Block // BlockText, BlockImage, BlockDocument
}

// A Tool is one that the model may use.
type Tool struct {
	Name, Description Text
	Schema            JSON // the JSON schema of the input
	Strict            bool
	// CachePoint marks a cache point in the list of tools and not a tool;
	// the other fields are empty then.
	CachePoint bool
}

// A ToolChoiceKind says how free the model is in its use of tools.
type ToolChoiceKind uint8

// The kinds of tool choice. ToolChoiceNone stands for an absent choice, which
// means auto if there are tools.
const (
	ToolChoiceNone ToolChoiceKind = iota
	ToolChoiceAuto
	ToolChoiceAny
	ToolChoiceTool
)

// A ToolChoice says how free the model is in its use of tools; Name is set
// for ToolChoiceTool.
type ToolChoice struct {
	Kind ToolChoiceKind
	Name Text
}

// An Inference holds the sampling settings; zero and nil mean absent.
type Inference struct {
	MaxTokens   int
	Temperature Number
	TopP        Number
	TopK        Number
	Stop        []Text
}

// A Format is a JSON schema that the answer's text must validate against.
type Format struct {
	Name, Description Text
	Schema            JSON
}

// An Answer is a whole answer, collected from its events.
type Answer struct {
	Content      []Block
	Stop         StopReason
	StopSequence Text
	Extra        JSON
}

// Send collects the event: *Answer is a Sink that keeps copies. Native events
// are not collected. The tool input of a finished block is a JSON value; one
// that is empty, or that the end of the answer cut short, becomes {}.
func (a *Answer) Send(e Event) error {
	switch e.Kind {
	case EventBlockStart:
		b := Block{Kind: e.Block}
		if e.Block == BlockToolUse {
			b.Use = &ToolUse{ID: e.More().ID.Clone(), Name: e.More().Name.Clone()}
		}
		a.Content = append(a.Content, b)
	case EventDelta:
		a.delta(e)
	case EventBlockStop:
		a.closeBlock()
	case EventStop:
		d := e.More()
		a.Stop = d.Stop
		a.StopSequence = d.StopSequence.Clone()
		a.Extra = append(JSON(nil), d.Extra...)
	}
	return nil
}

func (a *Answer) delta(e Event) {
	if len(a.Content) == 0 {
		return
	}
	b := &a.Content[len(a.Content)-1]
	switch e.Block {
	case BlockSignature:
		b.Signature = append(b.Signature, e.Text...)
	case BlockRedacted:
		b.Kind = BlockRedacted
		b.Text = append(b.Text, e.Text...)
	default:
		b.Text = append(b.Text, e.Text...)
	}
}

// closeBlock turns the collected fragments of a tool's input, which are the
// inside of a JSON string, into the JSON value that they spell.
func (a *Answer) closeBlock() {
	if len(a.Content) == 0 {
		return
	}
	b := &a.Content[len(a.Content)-1]
	if b.Kind != BlockToolUse {
		return
	}
	b.Use.Input = JSON(b.Text.String())
	if !json.Valid(b.Use.Input) {
		b.Use.Input = JSON("{}")
	}
	b.Text = nil
}
