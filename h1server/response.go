package h1server

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gathered is how much of an answer may wait for more before it is written.
const gathered = 32 << 10

// A response is the http.ResponseWriter of one request after the other on a
// connection. An answer without a Content-Length leaves in chunks. What is
// written waits for Flush, for more than can be gathered, or for the end.
type response struct {
	c       *conn
	header  http.Header
	began   bool
	chunked bool
	last    bool  // the connection ends with this answer, which says so
	left    int64 // of the announced length
	out     *[]byte
	err     error
}

func (r *response) reset() {
	clear(r.header)
	r.began, r.chunked, r.last, r.left, r.err = false, false, false, 0, nil
}

// Header implements http.ResponseWriter.
func (r *response) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter. It takes final statuses alone.
func (r *response) WriteHeader(status int) {
	if r.began {
		return
	}
	r.began = true
	r.chunked = len(r.header["Content-Length"]) == 0
	if !r.chunked {
		r.left, r.err = strconv.ParseInt(r.header["Content-Length"][0], 10, 64)
	}
	r.last = r.c.left > 0 || r.c.server.draining.Load() || len(r.header["Connection"]) > 0 && r.header["Connection"][0] == "close"
	b := r.lend()
	*b = append(*b, "HTTP/1.1 "...)
	*b = strconv.AppendInt(*b, int64(status), 10)
	*b = append(*b, ' ')
	*b = append(*b, http.StatusText(status)...)
	*b = append(*b, "\r\n"...)
	*b = r.appendFields(*b)
	*b = r.c.server.appendDate(*b, time.Now())
	if r.last {
		*b = append(*b, "Connection: close\r\n"...)
	}
	if r.chunked {
		*b = append(*b, "Transfer-Encoding: chunked\r\n"...)
	}
	*b = append(*b, "\r\n"...)
}

// appendFields appends what the handler has set, in the order of the names.
func (r *response) appendFields(b []byte) []byte {
	var few [16]string
	names := few[:0]
	for name := range r.header {
		if name != "Connection" && name != "Transfer-Encoding" && name != "Date" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range r.header[name] {
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, oneLine(value)...)
			b = append(b, "\r\n"...)
		}
	}
	return b
}

// oneLine keeps a value from ending its line.
func oneLine(s string) string {
	if strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}

func (r *response) lend() *[]byte {
	if r.out == nil {
		r.out = writing.lend()
	}
	return r.out
}

var errTooLong = errors.New("h1server: the answer is longer than its Content-Length")

// Write implements http.ResponseWriter.
func (r *response) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	if r.chunked {
		return len(p), r.chunk(p)
	}
	if r.left -= int64(len(p)); r.left < 0 {
		r.err = errTooLong
		return 0, r.err
	}
	r.put(p)
	return len(p), r.overflow()
}

// put gathers p. What is large leaves as it is, behind what has gathered.
func (r *response) put(p []byte) {
	if len(p) < gathered {
		b := r.lend()
		*b = append(*b, p...)
		return
	}
	if r.FlushError() == nil {
		r.err = r.c.write(p)
	}
}

// chunk gathers p as one chunk.
func (r *response) chunk(p []byte) error {
	b := r.lend()
	*b = strconv.AppendInt(*b, int64(len(p)), 16)
	*b = append(*b, "\r\n"...)
	r.put(p)
	b = r.lend()
	*b = append(*b, "\r\n"...)
	return r.overflow()
}

func (r *response) overflow() error {
	if r.err != nil || r.out == nil || len(*r.out) < gathered {
		return r.err
	}
	return r.FlushError()
}

// FlushError writes what has gathered; http.ResponseController calls it.
func (r *response) FlushError() error {
	r.WriteHeader(http.StatusOK)
	if r.err == nil && r.out != nil {
		r.err = r.c.write(*r.out)
	}
	writing.giveBack(r.out)
	r.out = nil
	return r.err
}

// finish writes the end of the answer and reports whether the connection can
// go on.
func (r *response) finish() bool {
	if !r.began {
		r.header["Content-Length"] = []string{"0"}
		r.WriteHeader(http.StatusOK)
	}
	if r.chunked && r.err == nil {
		b := r.lend()
		*b = append(*b, "0\r\n\r\n"...)
	}
	return r.FlushError() == nil && r.left == 0 && !r.last
}

// SetReadDeadline bounds the reads of the body; http.ResponseController calls
// it.
func (r *response) SetReadDeadline(t time.Time) error {
	r.c.readDue = t
	return nil
}

// SetWriteDeadline returns http.ErrNotSupported: the server bounds each write
// itself. http.ResponseController calls it.
func (r *response) SetWriteDeadline(time.Time) error { return http.ErrNotSupported }
