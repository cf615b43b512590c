package openai

import (
	"strconv"

	"github.com/outcrop/outcrop"
)

// AppendAnswer appends a whole answer as a chat completion to dst.
func AppendAnswer(dst []byte, req *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte {
	dst = appendHead(dst, req, "chat.completion")
	dst = append(dst, `"choices":[{"index":0,"message":{"role":"assistant","content":`...)
	if !has(a.Content, outcrop.BlockText) && has(a.Content, outcrop.BlockToolUse) {
		dst = append(dst, "null"...)
	} else {
		dst = appendConcatenated(dst, a.Content, outcrop.BlockText)
	}
	if has(a.Content, outcrop.BlockReasoning) {
		dst = append(dst, `,"reasoning_content":`...)
		dst = appendConcatenated(dst, a.Content, outcrop.BlockReasoning)
	}
	if has(a.Content, outcrop.BlockToolUse) {
		dst = appendToolCalls(dst, a.Content)
	}
	dst = append(dst, `},"finish_reason":"`...)
	dst = append(dst, finishReason(a.Stop)...)
	dst = append(dst, `","logprobs":null}],`...)
	return append(appendUsage(dst, r.Usage), '}')
}

// appendHead appends the members with which answers and chunks begin.
func appendHead(dst []byte, req *outcrop.Request, object string) []byte {
	dst = append(dst, `{"id":"chatcmpl-`...)
	dst = outcrop.AppendQuote(dst, req.ID)
	dst = append(dst, `","object":"`...)
	dst = append(dst, object...)
	dst = append(dst, `","created":`...)
	dst = strconv.AppendInt(dst, max(req.Received.Unix(), 0), 10)
	dst = append(dst, `,"model":"`...)
	dst = outcrop.AppendQuote(dst, req.Card.ID)
	return append(dst, `",`...)
}

// appendConcatenated appends the texts of the blocks of the kind as one
// string, nothing between them: they are pieces of one answer.
func appendConcatenated(dst []byte, blocks []outcrop.Block, kind outcrop.BlockKind) []byte {
	dst = append(dst, '"')
	for i := range blocks {
		if blocks[i].Kind == kind {
			dst = append(dst, blocks[i].Text...)
		}
	}
	return append(dst, '"')
}

// appendUsage appends a usage; in this dialect the tokens of a prompt cache
// are part of the prompt's.
func appendUsage(dst []byte, u outcrop.Usage) []byte {
	dst = append(dst, `"usage":{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, int64(u.Input+u.CacheRead+u.CacheWrite), 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, int64(u.Output), 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, int64(u.Total()), 10)
	if u.CacheRead > 0 {
		dst = append(dst, `,"prompt_tokens_details":{"cached_tokens":`...)
		dst = strconv.AppendInt(dst, int64(u.CacheRead), 10)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func finishReason(s outcrop.StopReason) string {
	switch s {
	case outcrop.StopMaxTokens, outcrop.StopContextExceeded:
		return "length"
	case outcrop.StopToolUse:
		return "tool_calls"
	case outcrop.StopContentFiltered:
		return "content_filter"
	}
	return "stop"
}

// Chunks makes the chunks of a chat completion stream from events. It is used
// by one goroutine at a time.
type Chunks struct {
	buf  []byte // begins with what all chunks begin with
	head int    // the length of that
	call int    // the index of the tool call, -1 before the first
	stop outcrop.StopReason
}

// NewChunks returns the Chunks for the answer to req.
func NewChunks(req *outcrop.Request) *Chunks {
	c := &Chunks{call: -1}
	c.buf = appendHead(make([]byte, 0, 512), req, "chat.completion.chunk")
	c.buf = append(c.buf, `"choices":[{"index":0,"delta":{`...)
	c.head = len(c.buf)
	return c
}

// Encode gives emit the chunk for an event; some events have none. The chunk
// is emit's only until it returns.
func (c *Chunks) Encode(e outcrop.Event, emit func(chunk []byte)) {
	dst := c.buf[:c.head]
	switch e.Kind {
	case outcrop.EventStart:
		dst = append(dst, `"role":"assistant","content":""`...)
	case outcrop.EventBlockStart:
		if e.Block != outcrop.BlockToolUse {
			return
		}
		c.call++
		dst = c.appendCall(dst)
		dst = append(dst, `"id":`...)
		dst = appendToolCall(dst, &outcrop.ToolUse{ID: e.More().ID, Name: e.More().Name})
		dst = append(dst, "}]"...)
	case outcrop.EventDelta:
		var ok bool
		if dst, ok = c.appendDelta(dst, e); !ok {
			return
		}
	case outcrop.EventStop:
		c.stop = e.More().Stop
		return
	default:
		return
	}
	c.buf = append(dst, `},"finish_reason":null}]}`...)
	emit(c.buf)
}

func (c *Chunks) appendCall(dst []byte) []byte {
	dst = append(dst, `"tool_calls":[{"index":`...)
	dst = strconv.AppendInt(dst, int64(c.call), 10)
	return append(dst, ',')
}

func (c *Chunks) appendDelta(dst []byte, e outcrop.Event) ([]byte, bool) {
	switch e.Block {
	case outcrop.BlockText:
		return appendString(append(dst, `"content":`...), e.Text), true
	case outcrop.BlockReasoning:
		return appendString(append(dst, `"reasoning_content":`...), e.Text), true
	case outcrop.BlockToolUse:
		dst = append(c.appendCall(dst), `"function":{"arguments":`...)
		return append(appendString(dst, e.Text), "}}]"...), true
	}
	return dst, false
}

// End gives emit the last chunk: the finish reason, and the usage.
func (c *Chunks) End(r outcrop.Receipt, emit func(chunk []byte)) {
	dst := append(c.buf[:c.head], `},"finish_reason":"`...)
	dst = append(dst, finishReason(c.stop)...)
	dst = append(dst, `"}],`...)
	c.buf = append(appendUsage(dst, r.Usage), '}')
	emit(c.buf)
}
