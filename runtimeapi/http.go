package runtimeapi

import (
	"net/http"
	"strconv"
	"time"
)

// An HTTPWire is a Wire over net/http. It sets no request id; that is done
// for every reply in one place.
type HTTPWire struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	deadline time.Time
}

// NewHTTPWire returns a Wire that answers on w, which control controls, and
// waits at most patience for a caller to take a write.
func NewHTTPWire(w http.ResponseWriter, control *http.ResponseController, patience time.Duration) *HTTPWire {
	return &HTTPWire{w: w, control: control, patience: patience}
}

var (
	jsonHeader   = []string{jsonType}
	streamHeader = []string{"application/vnd.amazon.eventstream"}
)

// Answer implements Wire.
func (h *HTTPWire) Answer(status int, contentType string, fields []Field, body []byte) error {
	header := h.w.Header()
	header["Content-Type"] = jsonHeader
	if contentType != jsonType {
		header["Content-Type"] = []string{contentType}
	}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	setFields(header, fields)
	h.arm()
	h.w.WriteHeader(status)
	_, err := h.w.Write(body)
	return err
}

// Begin implements Wire. The header leaves with the first frames.
func (h *HTTPWire) Begin(fields []Field) error {
	header := h.w.Header()
	header["Content-Type"] = streamHeader
	setFields(header, fields)
	return nil
}

// Write implements Wire.
func (h *HTTPWire) Write(frames []byte, last bool) error {
	h.arm()
	if _, err := h.w.Write(frames); err != nil {
		return err
	}
	if last {
		return nil
	}
	return h.control.Flush()
}

// arm moves the write deadline, but only when half of it is gone: most calls
// are free. A server without deadlines has its own bounds.
func (h *HTTPWire) arm() {
	if h.patience == 0 {
		return
	}
	now := time.Now()
	if h.deadline.Sub(now) > h.patience/2 {
		return
	}
	h.deadline = now.Add(h.patience)
	if h.control.SetWriteDeadline(h.deadline) != nil {
		h.patience = 0
	}
}

// setFields sets response headers; names are in canonical form. The values
// share one array.
func setFields(header http.Header, fields []Field) {
	values := make([]string, len(fields))
	for i, f := range fields {
		values[i] = f.Value
		header[f.Name] = values[i : i+1 : i+1]
	}
}
