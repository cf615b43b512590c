package native

import (
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// AppendAnswer appends a whole answer to dst.
func (Nova) AppendAnswer(dst []byte, _ *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte {
	dst = append(dst, `{"output":{"message":{"content":[`...)
	for i := range a.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendNovaBlock(dst, &a.Content[i])
	}
	dst = append(dst, `],"role":"assistant"}},"stopReason":"`...)
	dst = append(dst, a.Stop...)
	dst = append(dst, `",`...)
	return append(appendNovaUsage(dst, r.Usage), '}')
}

func appendNovaBlock(dst []byte, b *outcrop.Block) []byte {
	switch b.Kind {
	case outcrop.BlockToolUse:
		dst = appendNovaUse(dst, b.Use.ID, b.Use.Name)
		dst = append(dst, `,"input":`...)
		return append(appendInput(dst, b.Use.Input), "}}"...)
	case outcrop.BlockReasoning:
		dst = appendString(append(dst, `{"reasoningContent":{"reasoningText":{"text":`...), b.Text)
		if len(b.Signature) > 0 {
			dst = appendString(append(dst, `,"signature":`...), b.Signature)
		}
		return append(dst, "}}}"...)
	case outcrop.BlockRedacted:
		dst = appendString(append(dst, `{"reasoningContent":{"redactedContent":`...), b.Text)
		return append(dst, "}}"...)
	}
	return append(appendString(append(dst, `{"text":`...), b.Text), '}')
}

// appendNovaUse appends a toolUse but for its end.
func appendNovaUse(dst []byte, id, name outcrop.Text) []byte {
	dst = appendString(append(dst, `{"toolUse":{"toolUseId":`...), id)
	return appendString(append(dst, `,"name":`...), name)
}

// appendInput appends the input of a tool, which is what a model wrote: what
// is no JSON goes over as a string.
func appendInput(dst []byte, input outcrop.JSON) []byte {
	if jsonscan.Valid(input) {
		return append(dst, input...)
	}
	dst = append(dst, '"')
	dst = outcrop.AppendQuote(dst, string(input))
	return append(dst, '"')
}

func appendNovaUsage(dst []byte, u outcrop.Usage) []byte {
	dst = appendCount(dst, `"usage":{"inputTokens":`, int64(u.Input))
	dst = appendCount(dst, `,"outputTokens":`, int64(u.Output))
	dst = appendCount(dst, `,"totalTokens":`, int64(u.Total()))
	dst = appendCount(dst, `,"cacheReadInputTokenCount":`, int64(u.CacheRead))
	dst = appendCount(dst, `,"cacheWriteInputTokenCount":`, int64(u.CacheWrite))
	return append(dst, '}')
}

// NovaChunks makes the chunks of a streamed answer from events. It is used by
// one goroutine at a time.
type NovaChunks struct{ buf []byte }

// NewChunks returns what makes the chunks of the answer to req.
func (Nova) NewChunks(*outcrop.Request) *NovaChunks { return &NovaChunks{} }

// Encode gives emit the chunk for an event, if it has one. The chunk is
// emit's only until it returns.
func (c *NovaChunks) Encode(e outcrop.Event, emit func(chunk []byte)) {
	dst := c.buf[:0]
	switch e.Kind {
	case outcrop.EventStart:
		dst = append(dst, `{"messageStart":{"role":"assistant"}}`...)
	case outcrop.EventBlockStart:
		if e.Block != outcrop.BlockToolUse {
			return // only tools have a start
		}
		dst = appendNovaUse(append(dst, `{"contentBlockStart":{"start":`...), e.More().ID, e.More().Name)
		dst = append(appendIndex(append(dst, "}},"...), e.Index), "}}"...)
	case outcrop.EventDelta:
		dst = appendNovaDelta(append(dst, `{"contentBlockDelta":{"delta":{`...), e)
		dst = append(appendIndex(append(dst, "},"...), e.Index), "}}"...)
	case outcrop.EventBlockStop:
		dst = append(appendIndex(append(dst, `{"contentBlockStop":{`...), e.Index), "}}"...)
	case outcrop.EventStop:
		dst = append(dst, `{"messageStop":{"stopReason":"`...)
		dst = append(append(dst, e.More().Stop...), `"}}`...)
	default:
		return
	}
	c.buf = dst
	emit(dst)
}

func appendIndex(dst []byte, index int) []byte {
	return strconv.AppendInt(append(dst, `"contentBlockIndex":`...), int64(index), 10)
}

func appendNovaDelta(dst []byte, e outcrop.Event) []byte {
	switch e.Block {
	case outcrop.BlockToolUse:
		return append(appendString(append(dst, `"toolUse":{"input":`...), e.Text), '}')
	case outcrop.BlockReasoning:
		return append(appendString(append(dst, `"reasoningContent":{"text":`...), e.Text), '}')
	case outcrop.BlockSignature:
		return append(appendString(append(dst, `"reasoningContent":{"signature":`...), e.Text), '}')
	case outcrop.BlockRedacted:
		return append(appendString(append(dst, `"reasoningContent":{"redactedContent":`...), e.Text), '}')
	}
	return appendString(append(dst, `"text":`...), e.Text)
}

// End gives emit the last chunk, which holds the usage.
func (c *NovaChunks) End(r outcrop.Receipt, emit func(chunk []byte)) {
	dst := appendNovaUsage(append(c.buf[:0], `{"metadata":{`...), r.Usage)
	c.buf = append(dst, `,"metrics":{},"trace":{}}}`...)
	emit(c.buf)
}
