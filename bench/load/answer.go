package load

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"
)

// An answer is what was seen of one response.
type answer struct {
	worker   *worker
	measured bool

	events, bytes int // content events and content bytes
	ended, usage  bool
	firstAt       time.Time // of any event
	contentAt     time.Time // of the first with content
	native        []byte
}

// check says what is wrong with the answer.
func (a *answer) check() error {
	o := a.worker.options
	switch {
	case !a.ended:
		return errors.New("stream without an end")
	case !a.usage:
		return errors.New("answer without usage")
	case a.events == 0:
		return errors.New("answer without content")
	case o.WantBytes >= 0 && a.bytes != o.WantBytes:
		return fmt.Errorf("content of %d bytes, not %d", a.bytes, o.WantBytes)
	case o.Stream && o.WantEvents >= 0 && a.events != o.WantEvents:
		return fmt.Errorf("%d content events, not %d", a.events, o.WantEvents)
	}
	return nil
}

// key is what stands before content in the protocol's JSON.
func (p Protocol) key() []byte {
	if p == OpenAI || p == InvokeOpenAI {
		return []byte(`"content":"`)
	}
	return []byte(`"text":"`)
}

func (a *answer) unary(b []byte) {
	a.bytes = len(content(b, a.worker.options.Protocol.key()))
	a.events, a.ended = 1, true
	a.usage = bytes.Contains(b, []byte(`"usage"`))
}

// content is the first non-empty string after key, as it stands in the JSON.
func content(b, key []byte) []byte {
	for {
		i := bytes.Index(b, key)
		if i < 0 {
			return nil
		}
		b = b[i+len(key):]
		for j := 0; j < len(b); j++ {
			if b[j] == '\\' {
				j++
				continue
			}
			if b[j] != '"' {
				continue
			}
			if j > 0 {
				return b[:j]
			}
			break
		}
	}
}

func (a *answer) delta(now time.Time, s []byte) {
	if a.events == 0 {
		a.contentAt = now
	}
	a.events++
	a.bytes += len(s)
	a.worker.events.Add(1)
	if !a.measured || len(s) < 17 || s[0] != '@' {
		return
	}
	if ns, err := strconv.ParseInt(string(s[1:17]), 16, 64); err == nil {
		a.worker.relay = append(a.worker.relay, time.Duration(now.UnixNano()-ns))
	}
}

// stream reads the events of a stream. buf is scratch space, handed back.
func (a *answer) stream(r *bufio.Reader, buf []byte) ([]byte, error) {
	switch a.worker.options.Protocol {
	case OpenAI, Anthropic:
		return buf, a.sse(r)
	}
	return a.frames(r, buf)
}

func (a *answer) sse(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		if err := a.event(time.Now(), bytes.TrimSpace(data)); err != nil {
			return err
		}
	}
}

// event takes in one event of an OpenAI or Anthropic stream.
func (a *answer) event(now time.Time, data []byte) error {
	if a.firstAt.IsZero() {
		a.firstAt = now
	}
	switch {
	case bytes.Equal(data, []byte("[DONE]")), bytes.Contains(data, []byte(`"type":"message_stop"`)):
		a.ended = true
	case bytes.HasPrefix(data, []byte(`{"error"`)):
		return fmt.Errorf("error event: %.100s", data)
	}
	if bytes.Contains(data, []byte(`"usage":{`)) {
		a.usage = true
	}
	if s := content(data, a.worker.options.Protocol.key()); s != nil {
		a.delta(now, s)
	}
	return nil
}

// maxFrame bounds what a frame may claim to hold.
const maxFrame = 16 << 20

// frames decodes application/vnd.amazon.eventstream: a prelude of total
// length, header length and their CRC-32, then headers, payload, and the
// CRC-32 of all that.
func (a *answer) frames(r *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		var prelude [12]byte
		if _, err := io.ReadFull(r, prelude[:]); err == io.EOF {
			return buf, nil
		} else if err != nil {
			return buf, err
		}
		total, heads := int(binary.BigEndian.Uint32(prelude[:])), int(binary.BigEndian.Uint32(prelude[4:]))
		if crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]) {
			return buf, errors.New("frame: bad prelude CRC")
		}
		if total < 16+heads || total > maxFrame {
			return buf, errors.New("frame: bad length")
		}
		if cap(buf) < total {
			buf = make([]byte, total)
		}
		buf = buf[:total]
		copy(buf, prelude[:])
		if _, err := io.ReadFull(r, buf[12:]); err != nil {
			return buf, io.ErrUnexpectedEOF
		}
		if crc32.ChecksumIEEE(buf[:total-4]) != binary.BigEndian.Uint32(buf[total-4:]) {
			return buf, errors.New("frame: bad message CRC")
		}
		if err := a.frame(buf[12:12+heads], buf[12+heads:total-4]); err != nil {
			return buf, err
		}
	}
}

// frame takes in one frame.
func (a *answer) frame(headers, payload []byte) error {
	now := time.Now()
	event, message, err := frameType(headers)
	if err != nil {
		return err
	}
	if message != "event" {
		return fmt.Errorf("%s %s: %.100s", message, event, payload)
	}
	if a.firstAt.IsZero() {
		a.firstAt = now
	}
	switch event {
	case "contentBlockDelta":
		if s := content(payload, Converse.key()); s != nil {
			a.delta(now, s)
		}
	case "messageStop":
		a.ended = true
	case "metadata":
		a.usage = bytes.Contains(payload, []byte(`"usage"`))
	case "chunk":
		return a.chunk(now, payload)
	}
	return nil
}

// chunk takes in one piece of an InvokeModelWithResponseStream answer.
func (a *answer) chunk(now time.Time, payload []byte) error {
	encoded := content(payload, []byte(`"bytes":"`))
	var err error
	if a.native, err = base64.StdEncoding.AppendDecode(a.native[:0], encoded); err != nil {
		return err
	}
	if bytes.Contains(a.native, []byte(`"amazon-bedrock-invocationMetrics"`)) {
		a.ended, a.usage = true, true
	}
	return a.event(now, a.native)
}

// frameType reads the headers, each of which is a string.
func frameType(h []byte) (event, message string, err error) {
	for len(h) > 0 {
		n := int(h[0])
		if len(h) < n+4 || h[n+1] != 7 {
			return "", "", errors.New("frame: bad header")
		}
		l := int(binary.BigEndian.Uint16(h[n+2:]))
		if len(h) < n+4+l {
			return "", "", errors.New("frame: bad header")
		}
		value := h[n+4 : n+4+l]
		switch string(h[1 : n+1]) {
		case ":event-type", ":exception-type":
			event = string(value)
		case ":message-type":
			message = string(value)
		}
		h = h[n+4+l:]
	}
	return event, message, nil
}
