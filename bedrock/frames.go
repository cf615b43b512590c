package bedrock

import (
	"encoding/base64"
	"math/rand/v2"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/eventstream"
)

var (
	headMessageStart = eventstream.EventHead("messageStart")
	headBlockStart   = eventstream.EventHead("contentBlockStart")
	headBlockDelta   = eventstream.EventHead("contentBlockDelta")
	headBlockStop    = eventstream.EventHead("contentBlockStop")
	headMessageStop  = eventstream.EventHead("messageStop")
	headMetadata     = eventstream.EventHead("metadata")
	headChunk        = eventstream.EventHead("chunk")
)

// Frames encodes the events of one answer as the frames of ConverseStream. It
// is reusable by Reset and used by one goroutine at a time.
type Frames struct {
	// NoPadding leaves out the member "p" of random length, by which Bedrock
	// keeps the length of a frame from telling what is in it.
	NoPadding bool

	req   *outcrop.Request
	empty bool // the open tool use has no input yet
}

// Reset makes f ready for the answer to req, which it refers to until End.
func (f *Frames) Reset(req *outcrop.Request) { *f = Frames{NoPadding: f.NoPadding, req: req} }

// Append appends the frames of one event to dst, none for some events. Text
// and reasoning blocks have no contentBlockStart, as with Bedrock. A tool use
// without input gets {}. Append does not allocate, but on an EventStop whose
// request asks for response fields.
func (f *Frames) Append(dst []byte, e outcrop.Event) []byte {
	start := len(dst)
	switch e.Kind {
	case outcrop.EventStart:
		dst = eventstream.Begin(dst, headMessageStart)
		dst = append(dst, `{"role":"assistant"`...)
	case outcrop.EventBlockStart:
		if e.Block != outcrop.BlockToolUse {
			return dst
		}
		f.empty = true
		dst = appendToolStart(dst, e)
	case outcrop.EventDelta:
		if len(e.Text) == 0 {
			return dst
		}
		f.empty = false
		dst = appendDelta(dst, e)
	case outcrop.EventBlockStop:
		if f.empty {
			dst = f.Append(dst, outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockToolUse, Index: e.Index, Text: noInput})
			start = len(dst)
		}
		dst = eventstream.Begin(dst, headBlockStop)
		dst = appendInt(append(dst, `{"contentBlockIndex":`...), e.Index)
	case outcrop.EventStop:
		dst = eventstream.Begin(dst, headMessageStop)
		dst = append(dst, `{"stopReason":"`...)
		dst = append(append(dst, or(e.More().Stop, outcrop.StopEndTurn)...), '"')
		dst = appendResponseFields(dst, f.req, e)
	default:
		return dst
	}
	return f.seal(dst, start)
}

var noInput = outcrop.Text("{}")

func appendToolStart(dst []byte, e outcrop.Event) []byte {
	dst = eventstream.Begin(dst, headBlockStart)
	dst = append(append(dst, `{"start":{"toolUse":{"toolUseId":"`...), e.More().ID...)
	dst = append(append(dst, `","name":"`...), e.More().Name...)
	return appendInt(append(dst, `"}},"contentBlockIndex":`...), e.Index)
}

func appendDelta(dst []byte, e outcrop.Event) []byte {
	dst = eventstream.Begin(dst, headBlockDelta)
	end := `"}`
	switch e.Block {
	case outcrop.BlockToolUse:
		dst = append(dst, `{"delta":{"toolUse":{"input":"`...)
		end = `"}}`
	case outcrop.BlockReasoning:
		dst = append(dst, `{"delta":{"reasoningContent":{"text":"`...)
		end = `"}}`
	case outcrop.BlockSignature:
		dst = append(dst, `{"delta":{"reasoningContent":{"signature":"`...)
		end = `"}}`
	case outcrop.BlockRedacted:
		dst = append(dst, `{"delta":{"reasoningContent":{"redactedContent":"`...)
		end = `"}}`
	default:
		dst = append(dst, `{"delta":{"text":"`...)
	}
	dst = append(append(dst, e.Text...), end...)
	return appendInt(append(dst, `,"contentBlockIndex":`...), e.Index)
}

// End appends the metadata frame, the last of a stream.
func (f *Frames) End(dst []byte, r outcrop.Receipt, elapsed time.Duration) []byte {
	start := len(dst)
	dst = eventstream.Begin(dst, headMetadata)
	dst = appendReceipt(append(dst, '{'), f.req, r, elapsed)
	f.req = nil
	return f.seal(dst, start)
}

// seal ends the object and the frame that began at start.
func (f *Frames) seal(dst []byte, start int) []byte {
	if !f.NoPadding {
		dst = appendPadding(dst)
	}
	return eventstream.Seal(append(dst, '}'), start)
}

const padding = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// appendPadding appends the member p, 0 to 62 characters long.
func appendPadding(dst []byte) []byte {
	n := min(int(rand.Uint64()>>58), len(padding))
	return append(append(append(dst, `,"p":"`...), padding[:n]...), '"')
}

// AppendEvent appends a frame with the payload as it is; eventType is for
// example "contentBlockDelta".
func AppendEvent(dst []byte, eventType string, payload []byte) []byte {
	start := len(dst)
	dst = eventstream.Begin(dst, eventHead(eventType))
	return eventstream.Seal(append(dst, payload...), start)
}

func eventHead(eventType string) eventstream.Head {
	switch eventType {
	case "messageStart":
		return headMessageStart
	case "contentBlockStart":
		return headBlockStart
	case "contentBlockDelta":
		return headBlockDelta
	case "contentBlockStop":
		return headBlockStop
	case "messageStop":
		return headMessageStop
	case "metadata":
		return headMetadata
	}
	return eventstream.EventHead(eventType)
}

// AppendChunk appends the frame of InvokeModelWithResponseStream that carries
// one chunk of a native answer, padded. Bedrock's chunks have at most
// 1,000,000 bytes.
func AppendChunk(dst, chunk []byte) []byte {
	start := len(dst)
	dst = eventstream.Begin(dst, headChunk)
	dst = append(dst, `{"bytes":"`...)
	dst = append(base64.StdEncoding.AppendEncode(dst, chunk), '"')
	dst = append(appendPadding(dst), '}')
	return eventstream.Seal(dst, start)
}

// AppendInvocationMetrics appends the member amazon-bedrock-invocationMetrics
// to the JSON object with which dst ends; dst stays as it is if it doesn't end
// with one.
func AppendInvocationMetrics(dst []byte, r outcrop.Receipt, elapsed time.Duration) []byte {
	last := len(dst) - 1
	if last < 1 || dst[last] != '}' {
		return dst
	}
	dst = dst[:last]
	if dst[last-1] != '{' {
		dst = append(dst, ',')
	}
	dst = appendInt(append(dst, `"amazon-bedrock-invocationMetrics":{"inputTokenCount":`...), r.Usage.Input)
	dst = appendInt(append(dst, `,"outputTokenCount":`...), r.Usage.Output)
	dst = appendInt(append(dst, `,"invocationLatency":`...), int(elapsed.Milliseconds()))
	dst = appendInt(append(dst, `,"firstByteLatency":`...), int(r.FirstToken.Milliseconds()))
	if r.Usage.CacheRead+r.Usage.CacheWrite > 0 {
		dst = appendInt(append(dst, `,"cacheReadInputTokenCount":`...), r.Usage.CacheRead)
		dst = appendInt(append(dst, `,"cacheWriteInputTokenCount":`...), r.Usage.CacheWrite)
	}
	return append(dst, "}}"...)
}
