package native

import "github.com/outcrop/outcrop"

// TextChunks makes the chunks of a streamed text completion from events. Only
// text has a place in them. It is used by one goroutine at a time.
type TextChunks struct {
	buf  []byte
	stop outcrop.StopReason
	// delta appends the chunk for a text, last the one that ends the answer.
	delta func(dst []byte, text outcrop.Text) []byte
	last  func(dst []byte, stop outcrop.StopReason, u outcrop.Usage) []byte
}

// Encode gives emit the chunk for an event, if it has one. The chunk is
// emit's only until it returns.
func (c *TextChunks) Encode(e outcrop.Event, emit func(chunk []byte)) {
	switch {
	case e.Kind == outcrop.EventStop:
		c.stop = e.More().Stop
	case e.Kind == outcrop.EventDelta && e.Block == outcrop.BlockText:
		c.buf = c.delta(c.buf[:0], e.Text)
		emit(c.buf)
	}
}

// End gives emit the last chunk, which holds the counts and why the answer
// ended.
func (c *TextChunks) End(r outcrop.Receipt, emit func(chunk []byte)) {
	c.buf = c.last(c.buf[:0], c.stop, r.Usage)
	emit(c.buf)
}
