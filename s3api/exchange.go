package s3api

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop/identity"
)

const (
	// portion is how much of a body is read under one deadline.
	portion = 64 << 10
	// lingerTime and lingerBytes are what is read of a body after a refusal,
	// so that who is in the middle of sending sees the answer.
	lingerTime  = 300 * time.Millisecond
	lingerBytes = 4 << 20
)

// An exchange is one request and its answer.
type exchange struct {
	api     *API
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	id      string
	began   time.Time
	op      operation
	caller  identity.S3Caller
	in      *paced // nil until the body is looked at

	status  int    // 0 until the answer has begun
	code    string // of a refusal that was made here
	cause   error
	storeID string
	out     int64
	closing bool
}

// paced reads a body, each portion of which has so long to come. The store's
// transport may read it still when the answer has come; stop ends that.
type paced struct {
	body     io.Reader
	control  *http.ResponseController
	patience time.Duration
	length   int64 // as announced; negative if it was not
	most     int64 // 0: no bound
	closed   atomic.Bool
	got      atomic.Int64

	mu    sync.Mutex // held while the body is read
	left  int        // of the portion
	ended bool
}

var errClosed = errors.New("the body is not read any more")

// Read implements io.Reader.
func (p *paced) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed.Load():
		return 0, errClosed
	case p.ended:
		return 0, io.EOF
	case p.left <= 0:
		p.left = portion
		_ = p.control.SetReadDeadline(time.Now().Add(p.patience)) // a server without deadlines has its own bounds
	}
	n, err := p.body.Read(b)
	p.left -= n
	got := p.got.Add(int64(n))
	if err == io.EOF || got == p.length {
		p.ended = true
		_ = p.control.SetReadDeadline(time.Time{})
	}
	if p.most > 0 && got > p.most {
		return 0, tooLarge()
	}
	return n, err
}

// Close implements io.Closer. The body itself stays open for leave.
func (p *paced) Close() error {
	p.closed.Store(true)
	return nil
}

// stop returns once nobody reads the body any more, and reports whether all of
// it was read. A read that still waits for the caller has so long.
func (p *paced) stop(wait time.Duration) (whole bool) {
	p.closed.Store(true)
	if p.mu.TryLock() {
		defer p.mu.Unlock()
		return p.ended
	}
	_ = p.control.SetReadDeadline(time.Now().Add(wait))
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// unread reports whether some of the body may still come.
func (p *paced) unread() bool {
	return p.got.Load() != p.length
}

// bound limits how long the caller may take to read the next write.
func (x *exchange) bound() {
	_ = x.control.SetWriteDeadline(time.Now().Add(x.api.options.WriteTimeout))
}

// A writer passes an answer on, each write within its time.
type writer struct{ x *exchange }

// Write implements io.Writer.
func (w writer) Write(b []byte) (int, error) {
	w.x.bound()
	return w.x.w.Write(b)
}

var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// hangUp says that the connection ends with this answer if the body was not
// read: nobody waits for what is left of it.
func (x *exchange) hangUp() {
	if x.r.ProtoMajor > 1 || x.r.Body == http.NoBody || x.in != nil && !x.in.unread() {
		return
	}
	x.closing = true
	x.w.Header().Set("Connection", "close")
}

// leave lets the caller notice the answer after hangUp, and returns once
// nobody reads the request any more. A connection that is closed with bytes
// unread is reset, and a reset overtakes the answer.
func (x *exchange) leave() {
	if x.closing && x.control.Flush() != nil {
		x.closing = false
	}
	whole := x.in == nil || x.in.stop(lingerTime)
	if whole && x.in != nil || !x.closing {
		return
	}
	_ = x.control.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, x.r.Body, lingerBytes) // whatever ends it, the connection is closed
	_ = x.control.SetReadDeadline(time.Unix(1, 0))
}

// record counts the exchange and writes its line.
func (x *exchange) record() {
	action, outcome, level := anything, "ok", slog.LevelInfo
	switch {
	case x.status >= http.StatusInternalServerError && x.status != http.StatusNotImplemented:
		outcome, level = "failed", slog.LevelError
	case x.status >= http.StatusBadRequest:
		outcome = "refused"
	}
	if len(x.op.actions) > 0 {
		action = x.op.actions[0]
	}
	var in int64
	if x.in != nil {
		in = x.in.got.Load()
	}
	x.api.requests.WithLabelValues(action, outcome).Inc()
	x.api.bytes.WithLabelValues("in").Add(float64(in))
	x.api.bytes.WithLabelValues("out").Add(float64(x.out))
	x.api.options.Log.LogAttrs(x.r.Context(), level, "s3", x.attrs(action, in)...)
}

func (x *exchange) attrs(action string, in int64) []slog.Attr {
	attrs := []slog.Attr{slog.String("request_id", x.id), slog.String("action", action), slog.String("bucket", x.op.bucket),
		slog.Int("status", x.status), slog.Int64("bytes_in", in), slog.Int64("bytes_out", x.out),
		slog.Float64("duration_ms", float64(time.Since(x.began).Microseconds())/1000), slog.String("remote", x.r.RemoteAddr)}
	if p := x.caller.Principal; p != nil {
		attrs = append(attrs, slog.String("account", p.Account), slog.String("key", p.KeyID))
	}
	if x.code != "" {
		attrs = append(attrs, slog.String("code", x.code))
	}
	if x.storeID != "" {
		attrs = append(attrs, slog.String("store_request_id", x.storeID))
	}
	if x.cause != nil {
		attrs = append(attrs, slog.String("cause", x.cause.Error()))
	}
	return attrs
}
