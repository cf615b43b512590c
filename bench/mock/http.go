package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// maxBody bounds what a client may send.
const maxBody = 64 << 20

// A head is the part of an HTTP request's head that the mock acts on.
type head struct {
	method, path string
	length       int
	chunked      bool
	close        bool
	expect       bool
}

// readHead reads a request's head, and answers Expect: 100-continue.
func readHead(r *bufio.Reader, c net.Conn) (h head, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return h, io.EOF
	}
	f := bytes.Fields(line)
	if len(f) != 3 {
		return h, errors.New("bad request line")
	}
	target, _, _ := bytes.Cut(f[1], []byte("?"))
	h.method, h.path = string(f[0]), string(target)
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return h, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			return h, errors.New("bad header")
		}
		if err = h.field(name, bytes.TrimSpace(value)); err != nil {
			return h, err
		}
	}
	if h.expect {
		_, err = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	return h, err
}

// field takes in one header field; the length of the name is compared first.
func (h *head) field(name, value []byte) (err error) {
	switch {
	case is(name, "Content-Length"):
		if h.length, err = strconv.Atoi(string(value)); err != nil || h.length < 0 || h.length > maxBody {
			return errors.New("bad length")
		}
	case is(name, "Transfer-Encoding"):
		h.chunked = is(value, "chunked")
	case is(name, "Connection"):
		h.close = is(value, "close")
	case is(name, "Expect"):
		h.expect = true
	}
	return nil
}

func is(b []byte, s string) bool { return len(b) == len(s) && bytes.EqualFold(b, []byte(s)) }

// readBody appends the request's body to buf.
func (h *head) readBody(r *bufio.Reader, buf []byte) ([]byte, error) {
	if !h.chunked {
		return readN(r, buf, h.length)
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return buf, err
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return buf, err
		}
		if n == 0 {
			_, err = r.ReadSlice('\n')
			return buf, err
		}
		if len(buf)+int(n) > maxBody {
			return buf, errors.New("body too long")
		}
		if buf, err = readN(r, buf, int(n)); err != nil {
			return buf, err
		}
		if _, err = r.Discard(2); err != nil {
			return buf, err
		}
	}
}

func readN(r *bufio.Reader, buf []byte, n int) ([]byte, error) {
	at := len(buf)
	if cap(buf)-at < n {
		buf = append(make([]byte, 0, (at+n)*5/4), buf...)
	}
	buf = buf[:at+n]
	_, err := io.ReadFull(r, buf[at:])
	return buf, err
}

// answer is a whole HTTP response with a JSON body.
func answer(status, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// streamHead begins a response of server-sent events.
const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n" +
	"Transfer-Encoding: chunked\r\n\r\n"

// chunk is s as one HTTP chunk.
func chunk(s string) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(s), s) }

const lastChunk = "0\r\n\r\n"
