package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An engine answers requests.
type engine struct {
	base   settings
	models []string

	mu     sync.RWMutex
	shapes map[string]*shape

	requests, streams, aborted, bad atomic.Int64
}

// serve answers the requests of one connection.
func (e *engine) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 8<<10)
	var body []byte
	for {
		h, err := readHead(r, c)
		if err == io.EOF {
			return
		}
		if err == nil {
			body, err = h.readBody(r, body[:0])
		}
		if err != nil {
			e.bad.Add(1)
			return
		}
		if err = e.route(c, h, body); err != nil {
			e.aborted.Add(1)
			return
		}
		if h.close {
			return
		}
	}
}

func (e *engine) route(c net.Conn, h head, body []byte) (err error) {
	switch {
	case h.method == "POST" && strings.HasSuffix(h.path, "/chat/completions"):
		s := e.shape(field(body, `"model"`))
		usage := bytes.HasPrefix(field(body, `"include_usage"`), []byte("true"))
		return e.chat(c, s, &s.openai, streaming(body), usage)
	case h.method == "POST" && strings.HasSuffix(h.path, "/messages"):
		s := e.shape(field(body, `"model"`))
		return e.chat(c, s, &s.anthropic, streaming(body), false)
	case h.method == "GET" && strings.HasSuffix(h.path, "/models"):
		_, err = c.Write(answer("200 OK", e.modelList()))
	case h.method == "GET" && h.path == "/stats":
		_, err = c.Write(answer("200 OK", fmt.Sprintf(`{"requests":%d,"streams":%d,"aborted":%d,"bad":%d}`,
			e.requests.Load(), e.streams.Load(), e.aborted.Load(), e.bad.Load())))
	default:
		e.bad.Add(1)
		_, err = c.Write(answer("404 Not Found", fmt.Sprintf(
			`{"error":{"message":%q,"type":"invalid_request_error"}}`, "no route "+h.method+" "+h.path)))
	}
	return err
}

func streaming(body []byte) bool { return bytes.HasPrefix(field(body, `"stream"`), []byte("true")) }

// chat sends one answer.
func (e *engine) chat(c net.Conn, s *shape, w *wire, stream, usage bool) error {
	e.requests.Add(1)
	start := time.Now()
	if s.first > 0 {
		time.Sleep(s.first)
	}
	if !stream {
		_, err := c.Write(w.unary)
		return err
	}
	e.streams.Add(1)
	if _, err := c.Write(w.head); err != nil {
		return err
	}
	if err := s.content(c, w, start.Add(s.first)); err != nil {
		return err
	}
	tail := append(make([]byte, 0, 1024), w.stop...)
	if usage {
		tail = append(tail, w.usage...)
	}
	_, err := c.Write(append(tail, w.done...))
	return err
}

// content sends the content events, each at its time after begin, so that
// lateness does not add up.
func (s *shape) content(c net.Conn, w *wire, begin time.Time) error {
	var own []byte
	for i, event := range w.content {
		if s.gap > 0 {
			if i > 0 {
				time.Sleep(time.Until(begin.Add(time.Duration(i) * s.gap)))
			}
			own = append(own[:0], event...)
			stamp(own[w.stamp:w.stamp+16], uint64(time.Now().UnixNano()))
			event = own
		}
		if _, err := c.Write(event); err != nil {
			return err
		}
	}
	return nil
}

// field returns what follows `key` and its colon, without an opening quote.
// It looks only near the two ends of the body: that is where clients and
// gateways put everything but the messages, and a long prompt costs nothing.
func field(body []byte, key string) []byte {
	k := []byte(key)
	i := bytes.Index(body[:min(len(body), 512)], k)
	if i < 0 {
		end := max(0, len(body)-2048)
		if i = bytes.LastIndex(body[end:], k); i < 0 {
			return nil
		}
		i += end
	}
	b := bytes.TrimLeft(body[i+len(k):], " \t\r\n")
	if len(b) == 0 || b[0] != ':' {
		return nil
	}
	return bytes.TrimPrefix(bytes.TrimLeft(b[1:], " \t\r\n"), []byte{'"'})
}

// shape is the answer of the model whose name v begins with.
func (e *engine) shape(v []byte) *shape {
	if i := bytes.IndexByte(v, '"'); i >= 0 {
		v = v[:i]
	}
	e.mu.RLock()
	s := e.shapes[string(v)]
	e.mu.RUnlock()
	if s != nil {
		return s
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s = e.shapes[string(v)]; s == nil {
		s = render(string(v), e.base.named(string(v)))
		e.shapes[string(v)] = s
	}
	return s
}

func (e *engine) modelList() string {
	entries := make([]string, len(e.models))
	for i, m := range e.models {
		entries[i] = fmt.Sprintf(`{"id":%q,"object":"model","created":1700000000,"owned_by":"mock"}`, m)
	}
	return `{"object":"list","data":[` + strings.Join(entries, ",") + `]}`
}
