// Package sse reads server-sent events as they come (WHATWG HTML, section
// "Server-sent events"), without allocating per event.
package sse

import (
	"bytes"
	"errors"
	"io"
)

// MaxEvent is how many bytes one event may take on the wire, from its first
// line to the blank line that ends it.
const MaxEvent = 1 << 20

// ErrTooLong says that an event is longer than MaxEvent.
var ErrTooLong = errors.New("sse: event is longer than 1 MiB")

const (
	firstSize = 1 << 10  // of the buffer; it doubles when an event needs it
	fullSize  = 4 << 10  // once a read filled the buffer
	keptSize  = 64 << 10 // of the buffer that Reset keeps
)

// maxEmptyReads is how often in a row a source may return nothing and no
// error, as in bufio.
const maxEmptyReads = 100

// An Event is one event. Its bytes are borrowed from the Reader until the next
// Fill or Reset. Name is empty if the event has none. Data holds the data
// lines, joined by '\n'.
type Event struct {
	Name, Data []byte
}

// A Reader splits a stream into events. Lines end in "\n" or "\r\n"; a lone
// "\r", which the standard would allow, is part of its line. Comments, ids,
// retry times and unknown fields are dropped, as are events without data.
// The zero Reader is ready for use, by one goroutine at a time.
//
//	for {
//		for e, ok := r.Next(); ok; e, ok = r.Next() { ... }
//		if err := r.Fill(body); err != nil { ... }
//	}
type Reader struct {
	buf   []byte
	start int // of what must be kept: the event being read, or the next line
	line  int // start of the first line that is not parsed
	seen  int // no line end lies in buf[line:seen]
	end   int // of what was read

	name, data field
	late       []byte // names that stood behind data, which is joined over their place
	lateName   bool   // name is in late and not in buf
	begun      bool   // the first line of the stream was read
	full       bool   // the last read filled buf
	empty      int    // reads in a row that brought nothing
	err        error
}

// A field is a piece of buf; set tells an empty one from an absent one.
type field struct {
	from, to int
	set      bool
}

func (f *field) shift(by int) {
	if f.set {
		f.from, f.to = f.from-by, f.to-by
	}
}

// Reset makes r ready for another stream; it keeps the buffer if that has not
// grown much.
func (r *Reader) Reset() {
	buf := r.buf
	if len(buf) > keptSize {
		buf = nil
	}
	*r = Reader{buf: buf, late: r.late[:0]}
}

// Fill reads once from src. Call it when Next has nothing more. It ends all
// loans of bytes. It returns ErrTooLong if an event does not fit, and errors of
// src as they are; io.EOF may come in the middle of an event, which is then
// lost (see Rest).
func (r *Reader) Fill(src io.Reader) error {
	if r.err != nil {
		return r.err
	}
	r.keepLateName()
	if r.err = r.room(); r.err != nil {
		return r.err
	}
	n, err := src.Read(r.buf[r.end:])
	r.end += n
	r.full = r.end == len(r.buf)
	r.err = err
	if n > 0 {
		r.empty = 0
		return nil // an error that came with bytes is told by the next Fill
	}
	if r.empty++; r.empty >= maxEmptyReads && err == nil {
		r.err = io.ErrNoProgress
	}
	return r.err
}

// keepLateName drops all late names but that of the event being read.
func (r *Reader) keepLateName() {
	if !r.lateName {
		r.late = r.late[:0]
		return
	}
	r.late = r.late[:copy(r.late, r.late[r.name.from:r.name.to])]
	r.name = field{0, len(r.late), true}
}

// room makes place for at least one byte at the end of buf.
func (r *Reader) room() error {
	if r.start == r.end {
		r.shift()
	}
	more := r.full && len(r.buf) < fullSize
	if r.end < len(r.buf) && !more {
		return nil
	}
	if r.start > 0 && !more {
		r.shift()
		return nil
	}
	if len(r.buf) >= MaxEvent {
		return ErrTooLong
	}
	size := max(firstSize, 2*len(r.buf))
	if more {
		size = fullSize
	}
	grown := make([]byte, min(MaxEvent, size))
	copy(grown, r.buf[:r.end])
	r.buf = grown
	return nil
}

// shift moves what must be kept to the front of buf.
func (r *Reader) shift() {
	by := r.start
	r.end = copy(r.buf, r.buf[by:r.end])
	r.start, r.line, r.seen = 0, r.line-by, r.seen-by
	if !r.lateName {
		r.name.shift(by)
	}
	r.data.shift(by)
}

// Next returns the next event that is complete; ok is false if more must be
// read first. Next never blocks.
func (r *Reader) Next() (e Event, ok bool) {
	for {
		n := bytes.IndexByte(r.buf[r.seen:r.end], '\n')
		if n < 0 {
			r.seen = r.end
			return Event{}, false
		}
		from, to := r.line, r.seen+n
		r.line, r.seen = to+1, to+1
		if to > from && r.buf[to-1] == '\r' {
			to--
		}
		if r.take(from, to) {
			e, ok = r.event()
			r.name, r.data, r.lateName, r.start = field{}, field{}, false, r.line
			if ok {
				return e, true
			}
		}
		if !r.name.set && !r.data.set {
			r.start = r.line
		}
	}
}

// Rest returns the event that lacked its closing blank line when the stream
// ended. The standard drops such an event; a reader may still want to know
// that it was an end marker. Call it after Fill returned io.EOF.
func (r *Reader) Rest() (e Event, ok bool) {
	last := bytes.TrimSuffix(r.buf[r.line:r.end], []byte{'\r'})
	if len(last) > 0 {
		r.take(r.line, r.line+len(last))
	}
	e, ok = r.event()
	r.name, r.data, r.lateName = field{}, field{}, false
	r.start, r.line, r.seen = r.end, r.end, r.end
	return e, ok
}

func (r *Reader) event() (e Event, ok bool) {
	names := r.buf
	if r.lateName {
		names = r.late
	}
	return Event{Name: names[r.name.from:r.name.to], Data: r.buf[r.data.from:r.data.to]}, r.data.set
}

var mark = []byte("\uFEFF") // a byte order mark may open the stream

// take parses the line buf[from:to] and reports whether it is the blank one
// that ends an event.
func (r *Reader) take(from, to int) (blank bool) {
	if !r.begun {
		r.begun = true
		if bytes.HasPrefix(r.buf[from:to], mark) {
			from += len(mark)
		}
	}
	line := r.buf[from:to]
	if len(line) == 0 {
		return true
	}
	colon := bytes.IndexByte(line, ':')
	value := from + colon + 1
	switch {
	case colon < 0:
		colon, value = len(line), to
	case value < to && r.buf[value] == ' ':
		value++
	}
	switch string(line[:colon]) {
	case "data":
		r.addData(value, to)
	case "event":
		r.setName(value, to)
	}
	return false
}

// setName notes the event's name. Behind data it is copied: the data lines that
// follow are joined over its place.
func (r *Reader) setName(from, to int) {
	r.name, r.lateName = field{from, to, true}, r.data.set
	if r.lateName {
		at := len(r.late)
		r.late = append(r.late, r.buf[from:to]...)
		r.name = field{at, len(r.late), true}
	}
}

// addData joins a data line to those before it, in place: the field's name
// leaves room enough.
func (r *Reader) addData(from, to int) {
	if !r.data.set {
		r.data = field{from, to, true}
		return
	}
	at := r.data.to
	r.buf[at] = '\n'
	r.data.to = at + 1 + copy(r.buf[at+1:], r.buf[from:to])
}
