// Package outcroptest holds what the tests of several packages need: one
// suite that every outcrop.Model must pass, and a scripted engine that
// misbehaves on command.
package outcroptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Framing says how an answer tells where its body ends.
type Framing int

// The framings of HTTP/1.1.
const (
	FramingLength  Framing = iota // Content-Length
	FramingChunked                // Transfer-Encoding: chunked
	FramingClose                  // the end of the connection
)

// A Reply is what an Engine answers to one request.
type Reply struct {
	Status  int // 200 if 0
	Header  http.Header
	Body    []byte
	Framing Framing
	// Piece is how many bytes of the body go into one write, and into one
	// chunk; 0 means all.
	Piece int
	// Pause is the time before each write after the first.
	Pause time.Duration
	// Silent leaves the request without an answer until the client goes.
	Silent bool
	// Hold keeps the connection open, and silent, where the body ends or is
	// cut, until the client goes. Without it the connection is closed there.
	Hold bool
	// Raw, if set, is the whole answer as it goes over the wire; the other
	// fields but Cut, Piece, Pause and Hold do not count.
	Raw []byte

	cut int // bytes of the answer's body that are sent, plus 1; 0 means all
}

// CutAt returns the reply with the body cut after n bytes. Of a Raw reply,
// the whole is cut.
func (r Reply) CutAt(n int) Reply {
	r.cut = n + 1
	return r
}

// A Call is a request as an Engine got it.
type Call struct {
	Method string
	Target string // as on the wire
	Header http.Header
	Body   []byte
	Conn   int // number of the connection, from 1
}

// An Engine is a scripted HTTP server on a raw socket. It is safe for
// concurrent use.
type Engine struct {
	URL string

	reply func(Call) Reply
	ln    net.Listener
	conns atomic.Int64
	busy  atomic.Int64

	mu    sync.Mutex
	calls []Call
	open  map[net.Conn]bool
	done  sync.WaitGroup
}

// NewEngine starts an engine that answers each call with what reply says. It
// ends with the test.
func NewEngine(t testing.TB, reply func(Call) Reply) *Engine {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{URL: "http://" + ln.Addr().String(), reply: reply, ln: ln, open: map[net.Conn]bool{}}
	e.done.Add(1)
	go e.accept()
	t.Cleanup(e.Close)
	return e
}

// Close ends the engine and its connections.
func (e *Engine) Close() {
	e.ln.Close()
	e.mu.Lock()
	for c := range e.open {
		c.Close()
	}
	e.mu.Unlock()
	e.done.Wait()
}

// Calls returns the calls until now.
func (e *Engine) Calls() []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Call(nil), e.calls...)
}

// Busy returns how many calls are being answered now.
func (e *Engine) Busy() int { return int(e.busy.Load()) }

// Conns returns how many connections were made until now.
func (e *Engine) Conns() int { return int(e.conns.Load()) }

func (e *Engine) accept() {
	defer e.done.Done()
	for {
		c, err := e.ln.Accept()
		if err != nil {
			return
		}
		number := int(e.conns.Add(1))
		e.mu.Lock()
		e.open[c] = true
		e.mu.Unlock()
		e.done.Add(1)
		go e.serve(c, number)
	}
}

func (e *Engine) serve(c net.Conn, number int) {
	defer e.done.Done()
	defer func() {
		c.Close()
		e.mu.Lock()
		delete(e.open, c)
		e.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for {
		call, err := readCall(in, number)
		if err != nil {
			return
		}
		e.mu.Lock()
		e.calls = append(e.calls, call)
		e.mu.Unlock()
		e.busy.Add(1)
		keep := e.answer(c, in, e.reply(call))
		e.busy.Add(-1)
		if !keep {
			return
		}
	}
}

func readCall(in *bufio.Reader, number int) (Call, error) {
	r, err := http.ReadRequest(in)
	if err != nil {
		return Call{}, err
	}
	body, err := io.ReadAll(r.Body)
	return Call{r.Method, r.RequestURI, r.Header, body, number}, err
}

// answer writes the reply and reports whether the connection may be used
// again.
func (e *Engine) answer(c net.Conn, in *bufio.Reader, r Reply) bool {
	if r.Silent {
		untilGone(in)
		return false
	}
	for i, piece := range r.pieces() {
		if i > 0 && r.Pause > 0 {
			time.Sleep(r.Pause)
		}
		if _, err := c.Write(piece); err != nil {
			return false
		}
	}
	if r.Hold {
		untilGone(in)
		return false
	}
	return r.cut == 0 && r.Framing != FramingClose && r.Raw == nil
}

// untilGone waits until the client closes the connection.
func untilGone(in *bufio.Reader) {
	for {
		if _, err := in.ReadByte(); err != nil {
			return
		}
	}
}

// pieces are the writes of the reply; the head goes with the first.
func (r Reply) pieces() [][]byte {
	if r.Raw != nil {
		raw := r.Raw
		if r.cut > 0 {
			raw = raw[:min(len(raw), r.cut-1)]
		}
		return split(raw, r.Piece)
	}
	body := r.Body
	if r.cut > 0 {
		body = body[:min(len(body), r.cut-1)]
	}
	all := split(body, r.Piece)
	if r.Framing == FramingChunked {
		for i, p := range all {
			if len(p) > 0 {
				all[i] = fmt.Appendf(nil, "%x\r\n%s\r\n", len(p), p)
			}
		}
		if r.cut == 0 && !r.Hold {
			last := len(all) - 1
			all[last] = append(all[last], "0\r\n\r\n"...)
		}
	}
	all[0] = append(r.head(), all[0]...)
	return all
}

func (r Reply) head() []byte {
	status := r.Status
	if status == 0 {
		status = 200
	}
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for name, values := range r.Header {
		for _, v := range values {
			b = fmt.Appendf(b, "%s: %s\r\n", name, v)
		}
	}
	switch r.Framing {
	case FramingChunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case FramingLength:
		b = append(b, "Content-Length: "+strconv.Itoa(len(r.Body))+"\r\n"...)
	}
	return append(b, "\r\n"...)
}

// split cuts b into pieces of n bytes, at least one; 0 means all in one.
func split(b []byte, n int) [][]byte {
	if n <= 0 || len(b) == 0 {
		return [][]byte{append([]byte(nil), b...)}
	}
	var all [][]byte
	for len(b) > 0 {
		m := min(n, len(b))
		all = append(all, append([]byte(nil), b[:m]...))
		b = b[m:]
	}
	return all
}
