// Package records holds what is pure about the files of batch jobs: how a file
// falls into lines, a line into a record, and a file into chunks that are
// worked on at a time; in which order the records of a chunk run; and how
// answers, errors and the manifest are written down. It does no I/O but for
// reading from what it is given.
package records

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// What can be wrong with a file as a whole.
var (
	ErrLongLine   = errors.New("the line is too long")
	ErrCompressed = errors.New("the file is compressed with gzip; it must be plain JSON Lines")
)

// A Line is one line of a file that is not blank.
type Line struct {
	Number   int64 // from 1, blank lines counted, from where the reading began
	From, To int64 // offsets in the file; To is behind the end of the line
	// Text is the line without its end, and without the byte order mark that
	// a file may begin with. It is valid until the next line is read.
	Text []byte
}

// Lines reads the lines of a file. Its memory is bounded by the longest line.
type Lines struct {
	// Long, if not nil, is asked once, before a line takes more than LongLine
	// bytes of memory. It may wait. Its error ends the lines.
	Long func() error

	r      *bufio.Reader
	at     int64
	number int64
	max    int
	buf    []byte
	err    error
}

// LongLine is up to which size lines are taken to be no matter.
const LongLine = 1 << 20

// NewLines returns the lines of what r reads, which begins at the offset at of
// its file. A line of more than max bytes is ErrLongLine.
func NewLines(r io.Reader, at int64, max int) *Lines {
	l := &Lines{r: bufio.NewReaderSize(r, 64<<10), at: at, max: max}
	if at == 0 {
		l.begin()
	}
	return l
}

// begin looks at how the file begins.
func (l *Lines) begin() {
	head, _ := l.r.Peek(3) // what keeps it from being read is met again
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		l.err = ErrCompressed
	}
	if string(head) == "\xef\xbb\xbf" {
		_, _ = l.r.Discard(3)
		l.at = 3
	}
}

// Next returns the next line that is not blank; ok is false at the end and
// after an error. The last line of a file may lack its end.
func (l *Lines) Next() (line Line, ok bool) {
	for l.err == nil {
		from := l.at
		text := l.read()
		l.number++
		if text = bytes.TrimSpace(text); len(text) > 0 && (l.err == nil || l.err == io.EOF) {
			return Line{l.number, from, l.at, text}, true
		}
	}
	return Line{Number: l.number, From: l.at, To: l.at}, false
}

// Err is what ended the lines; nil at the end of the file.
func (l *Lines) Err() error {
	if l.err == io.EOF {
		return nil
	}
	return l.err
}

// Number is the number of the line that was read last, or is at fault.
func (l *Lines) Number() int64 { return max(l.number, 1) }

// read returns the next line with its end.
func (l *Lines) read() []byte {
	l.buf = l.buf[:0]
	for {
		piece, err := l.r.ReadSlice('\n')
		l.at += int64(len(piece))
		if len(l.buf)+len(piece) > l.max {
			l.err = ErrLongLine
			return nil
		}
		if err == nil && len(l.buf) == 0 {
			return piece
		}
		if l.err = l.keep(piece); l.err != nil {
			return nil
		}
		if err != bufio.ErrBufferFull {
			l.err = err
			return l.buf
		}
	}
}

// keep appends to the line in two large steps: append's own, of a quarter each,
// would leave several times the longest line behind.
func (l *Lines) keep(piece []byte) error {
	if size := len(l.buf) + len(piece); size > cap(l.buf) {
		room := min(LongLine, l.max)
		if size > room {
			room = min(32*size, l.max)
			if err := l.ask(); err != nil {
				return err
			}
		}
		l.buf = append(make([]byte, 0, room), l.buf...)
	}
	l.buf = append(l.buf, piece...)
	return nil
}

func (l *Lines) ask() error {
	long := l.Long
	if long == nil {
		return nil
	}
	l.Long = nil
	return long()
}
