package bedrock

import (
	"bytes"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// Options are the parts of a request that are no conversation.
type Options struct {
	Tier     outcrop.ServiceTier // empty to leave out
	Latency  outcrop.Latency     // empty to leave out
	Metadata []outcrop.Metadata
}

// AppendRequest appends the body of a Converse or ConverseStream request. For
// a conversation that Decode made, Decode reads the same conversation from it.
func AppendRequest(dst []byte, c *outcrop.Conversation, o Options) []byte {
	dst = append(dst, `{"messages":`...)
	dst = appendMessages(dst, c.Messages)
	if len(c.System) > 0 {
		dst = appendBlocks(append(dst, `,"system":`...), c.System)
	}
	dst = appendInference(dst, &c.Inference)
	dst = appendToolConfig(dst, c)
	dst = appendExtra(dst, c)
	if len(c.ResponseFields) > 0 {
		dst = append(dst, `,"additionalModelResponseFieldPaths":[`...)
		for i, p := range c.ResponseFields {
			dst = outcrop.AppendQuote(append(comma(dst, i), '"'), p)
			dst = append(dst, '"')
		}
		dst = append(dst, ']')
	}
	if c.Format != nil {
		dst = appendFormat(dst, c.Format)
	}
	return append(appendOptions(dst, o), '}')
}

// AppendCountRequest appends the body of a CountTokens request.
func AppendCountRequest(dst []byte, c *outcrop.Conversation) []byte {
	dst = append(dst, `{"input":{"converse":{"messages":`...)
	dst = appendMessages(dst, c.Messages)
	if len(c.System) > 0 {
		dst = appendBlocks(append(dst, `,"system":`...), c.System)
	}
	dst = appendToolConfig(dst, c)
	return append(appendExtra(dst, c), "}}}"...)
}

// comma appends a comma before all elements but the first.
func comma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

func appendMessages(dst []byte, messages []outcrop.Message) []byte {
	dst = append(dst, '[')
	for i := range messages {
		dst = append(comma(dst, i), `{"role":"`...)
		dst = append(append(dst, messages[i].Role.String()...), `","content":`...)
		dst = append(appendBlocks(dst, messages[i].Content), '}')
	}
	return append(dst, ']')
}

func appendBlocks(dst []byte, blocks []outcrop.Block) []byte {
	dst = append(dst, '[')
	for i := range blocks {
		dst = appendBlock(comma(dst, i), &blocks[i])
	}
	return append(dst, ']')
}

func appendBlock(dst []byte, b *outcrop.Block) []byte {
	switch b.Kind {
	case outcrop.BlockImage:
		dst = append(append(dst, `{"image":{"format":"`...), b.Media.Format...)
		dst = append(append(dst, `","source":{"bytes":"`...), b.Media.Base64...)
		return append(dst, `"}}}`...)
	case outcrop.BlockDocument:
		return appendDocument(dst, b.Media)
	case outcrop.BlockToolUse:
		dst = append(append(dst, `{"toolUse":{"toolUseId":"`...), b.Use.ID...)
		dst = append(append(dst, `","name":"`...), b.Use.Name...)
		dst = append(append(dst, `","input":`...), b.Use.Input...)
		return append(dst, "}}"...)
	case outcrop.BlockToolResult:
		return appendToolResult(dst, b.Result)
	case outcrop.BlockReasoning:
		dst = append(append(dst, `{"reasoningContent":{"reasoningText":{"text":"`...), b.Text...)
		if len(b.Signature) > 0 {
			dst = append(append(dst, `","signature":"`...), b.Signature...)
		}
		return append(dst, `"}}}`...)
	case outcrop.BlockRedacted:
		dst = append(append(dst, `{"reasoningContent":{"redactedContent":"`...), b.Text...)
		return append(dst, `"}}`...)
	case outcrop.BlockCachePoint:
		return appendCachePoint(dst, b.Text)
	}
	dst = append(append(dst, `{"text":"`...), b.Text...)
	return append(dst, `"}`...)
}

func appendCachePoint(dst []byte, ttl outcrop.Text) []byte {
	dst = append(dst, `{"cachePoint":{"type":"default"`...)
	if len(ttl) > 0 {
		dst = append(append(append(dst, `,"ttl":"`...), ttl...), '"')
	}
	return append(dst, "}}"...)
}

func appendDocument(dst []byte, m *outcrop.Media) []byte {
	dst = append(append(dst, `{"document":{"format":"`...), m.Format...)
	dst = appendName(append(dst, `","name":"`...), m.Name)
	dst = append(dst, `","source":{"`...)
	if len(m.Base64) > 0 {
		dst = append(append(dst, `bytes":"`...), m.Base64...)
	} else {
		dst = append(append(dst, `text":"`...), m.Text...)
	}
	return append(dst, `"}}}`...)
}

// maxName is how long the name of a document may be.
const maxName = 200

// appendName appends a document's name. Other dialects allow what Bedrock
// refuses; it becomes hyphens, and a document without a name gets one.
func appendName(dst []byte, name outcrop.Text) []byte {
	if len(name) == 0 {
		return append(dst, "document"...)
	}
	s := name.String()
	if len(s) <= maxName && documentName(s) {
		return append(dst, name...)
	}
	for i := range min(len(s), maxName) {
		if c := s[i]; nameByte(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '-')
		}
	}
	return dst
}

func appendToolResult(dst []byte, r *outcrop.ToolResult) []byte {
	dst = append(append(dst, `{"toolResult":{"toolUseId":"`...), r.ID...)
	dst = appendBlocks(append(dst, `","content":`...), r.Content)
	if r.Error {
		dst = append(dst, `,"status":"error"`...)
	}
	return append(dst, "}}"...)
}

func appendInference(dst []byte, f *outcrop.Inference) []byte {
	start := len(dst)
	if f.MaxTokens > 0 {
		dst = appendInt(append(dst, `,"maxTokens":`...), f.MaxTokens)
	}
	if len(f.Temperature) > 0 {
		dst = append(append(dst, `,"temperature":`...), f.Temperature...)
	}
	if len(f.TopP) > 0 {
		dst = append(append(dst, `,"topP":`...), f.TopP...)
	}
	if len(f.Stop) > 0 {
		dst = append(dst, `,"stopSequences":[`...)
		for i, s := range f.Stop {
			dst = append(append(append(comma(dst, i), '"'), s...), '"')
		}
		dst = append(dst, ']')
	}
	return wrap(dst, start, `,"inferenceConfig":{`)
}

// wrap makes an object, opened by open, of the members that were appended from
// start on, each after a comma; it does nothing if there are none.
func wrap(dst []byte, start int, open string) []byte {
	if len(dst) == start {
		return dst
	}
	inner := len(dst) - start - 1 // but the first comma
	dst = append(dst, open...)
	copy(dst[start+len(open):], dst[start+1:start+1+inner])
	copy(dst[start:], open)
	return append(dst[:start+len(open)+inner], '}')
}

func appendToolConfig(dst []byte, c *outcrop.Conversation) []byte {
	if len(c.Tools) == 0 {
		return dst
	}
	dst = append(dst, `,"toolConfig":{"tools":[`...)
	for i := range c.Tools {
		dst = appendTool(comma(dst, i), &c.Tools[i])
	}
	dst = append(dst, ']')
	switch c.ToolChoice.Kind {
	case outcrop.ToolChoiceAuto:
		dst = append(dst, `,"toolChoice":{"auto":{}}`...)
	case outcrop.ToolChoiceAny:
		dst = append(dst, `,"toolChoice":{"any":{}}`...)
	case outcrop.ToolChoiceTool:
		dst = append(append(dst, `,"toolChoice":{"tool":{"name":"`...), c.ToolChoice.Name...)
		dst = append(dst, `"}}`...)
	}
	return append(dst, '}')
}

func appendTool(dst []byte, t *outcrop.Tool) []byte {
	if t.CachePoint {
		return appendCachePoint(dst, nil)
	}
	dst = append(append(append(dst, `{"toolSpec":{"name":"`...), t.Name...), '"')
	if len(t.Description) > 0 {
		dst = append(append(append(dst, `,"description":"`...), t.Description...), '"')
	}
	dst = append(dst, `,"inputSchema":{"json":`...)
	if len(t.Schema) == 0 {
		dst = append(dst, `{"type":"object"}`...)
	}
	dst = append(append(dst, t.Schema...), '}')
	if t.Strict {
		dst = append(dst, `,"strict":true`...)
	}
	return append(dst, "}}"...)
}

// appendExtra appends the model's own fields, and among them topK, which has
// no other place in Converse.
func appendExtra(dst []byte, c *outcrop.Conversation) []byte {
	if len(c.Extra) == 0 && len(c.Inference.TopK) == 0 {
		return dst
	}
	dst = append(dst, `,"additionalModelRequestFields":`...)
	_, given := lookup(c.Extra, []string{"top_k"})
	if given || len(c.Inference.TopK) == 0 {
		return append(dst, c.Extra...)
	}
	dst = append(append(dst, `{"top_k":`...), c.Inference.TopK...)
	rest := bytes.TrimSpace(c.Extra)
	if s := (jsonscan.Scanner{B: rest}); len(rest) == 0 || s.Eat('{') && s.At('}') {
		return append(dst, '}')
	}
	return append(append(dst, ','), rest[1:]...)
}

func appendFormat(dst []byte, f *outcrop.Format) []byte {
	dst = append(dst, `,"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"`...)
	dst = append(outcrop.AppendQuote(dst, string(f.Schema)), '"')
	if len(f.Name) > 0 {
		dst = append(append(append(dst, `,"name":"`...), f.Name...), '"')
	}
	if len(f.Description) > 0 {
		dst = append(append(append(dst, `,"description":"`...), f.Description...), '"')
	}
	return append(dst, "}}}}"...)
}

func appendOptions(dst []byte, o Options) []byte {
	if len(o.Metadata) > 0 {
		dst = append(dst, `,"requestMetadata":{`...)
		for i, m := range o.Metadata {
			dst = outcrop.AppendQuote(append(comma(dst, i), '"'), m.Key)
			dst = outcrop.AppendQuote(append(dst, `":"`...), m.Value)
			dst = append(dst, '"')
		}
		dst = append(dst, '}')
	}
	if o.Latency != "" {
		dst = append(append(dst, `,"performanceConfig":{"latency":"`...), o.Latency...)
		dst = append(dst, `"}`...)
	}
	if o.Tier != "" {
		dst = append(append(dst, `,"serviceTier":{"type":"`...), o.Tier...)
		dst = append(dst, `"}`...)
	}
	return dst
}
