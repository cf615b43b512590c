package h1

import "bytes"

const (
	maxLine     = 2 << 10  // bytes of a chunk's size with its extension, or of a trailer
	maxTrailers = 64       // lines
	maxExcess   = 16 << 10 // bytes of framing beyond what the data justifies
)

// A place is where in the body a frame stands.
type place uint8

const (
	inData    place = iota // of a length, of a chunk, or until the end of the connection
	atSize                 // before a chunk's size
	afterData              // before the line end after a chunk's data
	inTrailer
	atEnd
)

// A frame decodes the framing of one body. It does no I/O.
type frame struct {
	at       place
	chunked  bool
	open     bool  // ends with the connection
	left     int64 // bytes of data until the next framing; -1 if open
	excess   int   // bytes of framing
	trailers int
}

// newFrame returns the frame of the body that follows a, the answer to a
// request with the method.
func newFrame(a answer, method string) frame {
	switch {
	case method == "HEAD" || a.status == 204 || a.status == 304 || a.length == 0:
		return frame{at: atEnd}
	case a.chunked:
		return frame{at: atSize, chunked: true}
	case a.length > 0:
		return frame{left: a.length}
	}
	return frame{open: true, left: -1}
}

// decode moves data from src to dst for as long as both last, and returns how
// many bytes of each it used. It also uses up the framing behind the data, so
// that it may use bytes of src when dst is empty.
func (f *frame) decode(dst, src []byte) (written, used int, err error) {
	for f.at != atEnd {
		if f.at == inData {
			n := len(src) - used
			if f.left >= 0 {
				n = int(min(int64(n), f.left))
			}
			n = copy(dst[written:], src[used:used+n])
			written, used = written+n, used+n
			if f.got(n); f.at == inData {
				break
			}
			continue
		}
		line, n, err := framingLine(src[used:])
		if n == 0 || err != nil {
			return written, used, err
		}
		used += n
		if err = f.line(line); err != nil {
			return written, used, err
		}
	}
	return written, used, nil
}

// got counts n bytes of data.
func (f *frame) got(n int) {
	if f.open {
		return
	}
	f.excess = max(0, f.excess-2*n)
	if f.left -= int64(n); f.left > 0 {
		return
	}
	f.at = atEnd
	if f.chunked {
		f.at = afterData
	}
}

// framingLine returns the line at the front of b without its end, and its
// length with it; 0 if the line is not complete.
func framingLine(b []byte) (line []byte, n int, err error) {
	i := bytes.IndexByte(b, '\n')
	switch {
	case i > maxLine || i < 0 && len(b) > maxLine:
		return nil, 0, malformed("a line between chunks is too long")
	case i < 0:
		return nil, 0, nil
	case i == 0 || b[i-1] != '\r' || !text(b[:i-1]):
		return nil, 0, malformed("a line between chunks is malformed")
	}
	return b[:i-1], i + 1, nil
}

// line takes a line of framing.
func (f *frame) line(b []byte) error {
	switch f.at {
	case afterData:
		if len(b) > 0 {
			return malformed("a chunk is longer than it said")
		}
		f.at = atSize
	case atSize:
		// A chunk's size without extension takes up to 10 bytes; see
		// CVE-2023-39326 for what extensions can do.
		if f.excess += len(b); f.excess > maxExcess {
			return malformed("too much framing for the data")
		}
		return f.size(b)
	case inTrailer:
		return f.trailer(b)
	}
	return nil
}

func (f *frame) size(b []byte) error {
	digits, _, _ := bytes.Cut(bytes.TrimRight(b, " \t"), []byte{';'})
	if len(digits) == 0 || len(digits) > 8 {
		return malformed("a chunk's size is no number, or too large")
	}
	f.left = 0
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = (c | 0x20) - 'a' + 10
		default:
			return malformed("a chunk's size is no number, or too large")
		}
		f.left = f.left<<4 | int64(c)
	}
	f.at = inData
	if f.left == 0 {
		f.at = inTrailer
	}
	return nil
}

// trailer takes a line behind the last chunk; what it says does not count.
func (f *frame) trailer(b []byte) error {
	if len(b) == 0 {
		f.at = atEnd
		return nil
	}
	if f.trailers++; f.trailers > maxTrailers {
		return malformed("too many trailers")
	}
	if colon := bytes.IndexByte(b, ':'); colon < 1 || !token(b[:colon]) {
		return malformed("a trailer is malformed")
	}
	return nil
}
