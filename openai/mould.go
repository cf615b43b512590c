package openai

import (
	"bytes"

	"github.com/outcrop/outcrop"
)

// A mould is what the chunks of a stream have in common: the bytes before and
// after the text of the last one that held nothing but a piece of text. Most
// chunks differ from the one before in that piece alone, and need not be parsed
// again.
type mould struct {
	before, after []byte
	kind          outcrop.BlockKind // of the text; 0 if there is no mould
}

// largestMould bounds what a stream keeps of a chunk.
const largestMould = 1 << 10

// piece returns the inside of the string in data that is the text, if data has
// the mould. A piece with escapes is left to the parser.
func (m *mould) piece(data []byte) (text []byte, ok bool) {
	end := len(data) - len(m.after)
	if m.kind == 0 || end < len(m.before) || !bytes.HasPrefix(data, m.before) || !bytes.HasSuffix(data, m.after) {
		return nil, false
	}
	text = data[len(m.before):end]
	for _, c := range text {
		if c == '"' || c == '\\' || c < ' ' {
			return nil, false
		}
	}
	return text, true
}

// learn takes the mould of data, of which c was read.
func (m *mould) learn(data []byte, c *chunk) {
	m.kind = 0
	text, kind := c.piece()
	if len(text) == 0 || len(data) > largestMould {
		return
	}
	at := cap(data) - cap(text)
	if at < 0 || at+len(text) > len(data) || &data[at] != &text[0] {
		return // text is no part of data
	}
	m.before, m.after, m.kind = append(m.before[:0], data[:at]...), append(m.after[:0], data[at+len(text):]...), kind
}

// piece returns the text of a chunk that holds nothing else.
func (c *chunk) piece() (text []byte, kind outcrop.BlockKind) {
	one := &c.choice
	if !c.answers || c.choices != 1 || c.metered || c.fault ||
		len(one.refusal)+len(one.parts)+len(one.calls)+len(one.finish)+len(one.stopped) > 0 {
		return nil, 0
	}
	switch {
	case len(one.reasoning)+len(one.reasoningContent) == 0:
		return one.text, outcrop.BlockText
	case len(one.text)+len(one.reasoning) == 0:
		return one.reasoningContent, outcrop.BlockReasoning
	case len(one.text)+len(one.reasoningContent) == 0:
		return one.reasoning, outcrop.BlockReasoning
	}
	return nil, 0
}
