package eventstream

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// The ways in which a message can be wrong. After one of them the stream
// cannot be read further.
var (
	ErrChecksum = errors.New("eventstream: wrong checksum")
	ErrLength   = errors.New("eventstream: impossible length")
	ErrHeader   = errors.New("eventstream: malformed header")
)

const (
	maxHeaders = 128 << 10 // bytes of headers, as in AWS's own decoders
)

// A Message is a decoded message. Payload is borrowed from what was decoded;
// the strings are not.
type Message struct {
	MessageType   string // "event", "exception" or "error"
	EventType     string // of an event: "contentBlockDelta", ...
	ExceptionType string // of an exception: "throttlingException", ...
	ErrorCode     string // of an error
	ErrorMessage  string // of an error
	ContentType   string
	Payload       []byte
}

// Decode decodes the message at the front of b and returns its length; 0
// without an error means that b ends before the message does. The prelude is
// checked as soon as it is there, so that a wrong length is told at once and
// never waited for. Other headers than those of Message are skipped; of one
// that repeats, the last counts.
func Decode(b []byte) (m Message, n int, err error) {
	if len(b) < preludeLen {
		return Message{}, 0, nil
	}
	if crc32.ChecksumIEEE(b[:8]) != binary.BigEndian.Uint32(b[8:]) {
		return Message{}, 0, ErrChecksum
	}
	total, headers := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if total < minFrame || total > MaxFrame || headers > maxHeaders || headers > total-minFrame {
		return Message{}, 0, ErrLength
	}
	if len(b) < int(total) {
		return Message{}, 0, nil
	}
	sum := int(total) - checksumLen
	if crc32.ChecksumIEEE(b[:sum]) != binary.BigEndian.Uint32(b[sum:]) {
		return Message{}, 0, ErrChecksum
	}
	split := preludeLen + int(headers)
	if !m.readHeaders(b[preludeLen:split]) {
		return Message{}, 0, ErrHeader
	}
	m.Payload = b[split:sum:sum]
	return m, int(total), nil
}

func (m *Message) readHeaders(b []byte) bool {
	for len(b) > 0 {
		name, kind, rest, ok := headerName(b)
		if !ok {
			return false
		}
		value, rest, ok := headerValue(kind, rest)
		if !ok {
			return false
		}
		if kind == typeString {
			m.set(name, value)
		}
		b = rest
	}
	return true
}

func headerName(b []byte) (name []byte, kind byte, rest []byte, ok bool) {
	n := int(b[0])
	if n == 0 || len(b) < n+2 {
		return nil, 0, nil, false
	}
	return b[1 : n+1], b[n+1], b[n+2:], true
}

// headerSizes are the sizes of header values by type: true, false, byte,
// short, integer, long, bytes, string, timestamp, UUID. Those of -1 carry
// their length in two bytes.
var headerSizes = [...]int{0, 0, 1, 2, 4, 8, -1, -1, 8, 16}

func headerValue(kind byte, b []byte) (value, rest []byte, ok bool) {
	if int(kind) >= len(headerSizes) {
		return nil, nil, false
	}
	n := headerSizes[kind]
	if n < 0 {
		if len(b) < 2 {
			return nil, nil, false
		}
		n, b = int(binary.BigEndian.Uint16(b)), b[2:]
	}
	if len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

func (m *Message) set(name, value []byte) {
	switch string(name) {
	case ":message-type":
		m.MessageType = intern(value)
	case ":event-type":
		m.EventType = intern(value)
	case ":exception-type":
		m.ExceptionType = intern(value)
	case ":content-type":
		m.ContentType = intern(value)
	case ":error-code":
		m.ErrorCode = intern(value)
	case ":error-message":
		m.ErrorMessage = intern(value)
	}
}

// intern returns b as a string, without an allocation for those that Bedrock's
// streams are full of.
func intern(b []byte) string {
	switch string(b) {
	case "event":
		return "event"
	case "exception":
		return "exception"
	case "application/json":
		return "application/json"
	case "chunk":
		return "chunk"
	case "messageStart":
		return "messageStart"
	case "contentBlockStart":
		return "contentBlockStart"
	case "contentBlockDelta":
		return "contentBlockDelta"
	case "contentBlockStop":
		return "contentBlockStop"
	case "messageStop":
		return "messageStop"
	case "metadata":
		return "metadata"
	}
	return string(b)
}
