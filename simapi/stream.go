package simapi

import (
	"bytes"
	"errors"
	"net/http"
	"time"

	"github.com/outcrop/outcrop"
)

// writeTime is how long a client may take to receive what is written at once.
const writeTime = 30 * time.Second

// A stream writes an answer as server-sent events. It is a Sink.
type eventStream struct {
	w       http.ResponseWriter
	chunks  encoder
	buf     []byte
	started bool
}

// Send implements outcrop.Sink.
func (s *eventStream) Send(e outcrop.Event) error {
	if e.Kind == outcrop.EventStart {
		s.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		s.w.Header().Set("Cache-Control", "no-store")
		s.started = true
	}
	if e.Kind == outcrop.EventFlush {
		return s.flush()
	}
	s.chunks.Encode(e, s.emit)
	return nil
}

func (s *eventStream) emit(chunk []byte) {
	s.buf = append(s.buf, "data: "...)
	s.buf = append(append(s.buf, chunk...), "\n\n"...)
}

func (s *eventStream) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	c := http.NewResponseController(s.w)
	// A writer without deadlines, as in tests, does without them.
	if err := c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write(s.buf); err != nil {
		return err
	}
	s.buf = s.buf[:0]
	return c.Flush()
}

// stream answers req with server-sent events. An error after the first event
// becomes an event of its own, as vLLM sends it; but a stream that is to break
// off ends without its end marker.
func stream(w http.ResponseWriter, r *http.Request, m *Model, req *outcrop.Request, chunks encoder, usage bool) {
	s := &eventStream{w: w, chunks: chunks}
	receipt, err := m.Model.Invoke(r.Context(), req, s)
	if err != nil && !s.started {
		refuse(w, r, err)
		return
	}
	if r.Context().Err() != nil || errors.Is(err, outcrop.CodeModelStream) {
		s.flush()
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		_, body := fault(err)
		s.emit(body)
	} else {
		s.end(receipt, usage)
	}
	s.emit([]byte("[DONE]"))
	s.flush()
}

// end sends the last chunks: the one with the finish reason, and one with the
// usage and no choices, if that was asked for.
func (s *eventStream) end(receipt outcrop.Receipt, usage bool) {
	s.chunks.End(receipt, func(chunk []byte) {
		at := bytes.LastIndex(chunk, []byte(`,"usage":{`))
		head := bytes.Index(chunk, []byte(`"choices":[`))
		if at < 0 || head < 0 {
			s.emit(chunk)
			return
		}
		last := append(bytes.Clone(chunk[:head]), `"choices":[]`...)
		last = append(last, chunk[at:]...)
		s.emit(append(bytes.Clone(chunk[:at]), '}'))
		if usage {
			s.emit(last)
		}
	})
}
