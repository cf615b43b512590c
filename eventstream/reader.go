package eventstream

import "io"

const firstSize = 4 << 10 // of the buffer; it doubles when a message needs it

// maxEmptyReads is how often in a row a source may return nothing and no
// error, as in bufio.
const maxEmptyReads = 100

// A Reader splits a stream into messages. The zero Reader is ready for use, by
// one goroutine at a time.
//
//	for {
//		for m, ok := r.Next(); ok; m, ok = r.Next() { ... }
//		if err := r.Fill(body); err != nil { ... }
//	}
type Reader struct {
	buf        []byte
	start, end int
	empty      int // reads in a row that brought nothing
	err        error
}

// Reset makes r ready for another stream; it keeps the buffer if that has not
// grown much.
func (r *Reader) Reset() {
	buf := r.buf
	if len(buf) > 16*firstSize {
		buf = nil
	}
	*r = Reader{buf: buf}
}

// Fill reads once from src. Call it when Next has nothing more. It ends all
// loans of bytes. It returns the error that made Next stop, if there was one,
// io.ErrUnexpectedEOF if src ends inside a message, other errors of src as
// they are, and io.ErrShortBuffer if MaxFrame bytes wait for Next.
func (r *Reader) Fill(src io.Reader) error {
	if r.err != nil {
		return r.tell()
	}
	if !r.room() {
		return io.ErrShortBuffer
	}
	n, err := src.Read(r.buf[r.end:])
	r.end += n
	r.err = err
	if n > 0 {
		r.empty = 0
		return nil // an error that came with bytes is told by the next Fill
	}
	if r.empty++; r.empty >= maxEmptyReads && err == nil {
		r.err = io.ErrNoProgress
	}
	return r.tell()
}

func (r *Reader) tell() error {
	if r.err == io.EOF && r.start < r.end {
		return io.ErrUnexpectedEOF
	}
	return r.err
}

// room makes place for at least one byte at the end of buf. A message of at
// most MaxFrame bytes that is not complete leaves that place.
func (r *Reader) room() bool {
	if r.start > 0 && (r.start == r.end || r.end == len(r.buf)) {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end < len(r.buf) {
		return true
	}
	if len(r.buf) >= MaxFrame {
		return false
	}
	grown := make([]byte, min(MaxFrame, max(firstSize, 2*len(r.buf))))
	copy(grown, r.buf[:r.end])
	r.buf = grown
	return true
}

// Next returns the next message that is complete; ok is false if more must be
// read first, or if what was read is malformed, which Fill then tells. Next
// never blocks.
func (r *Reader) Next() (m Message, ok bool) {
	m, n, err := Decode(r.buf[r.start:r.end])
	if err != nil {
		r.err = err
	}
	r.start += n
	return m, n > 0
}
