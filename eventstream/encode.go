// Package eventstream writes and reads messages of
// application/vnd.amazon.eventstream, the framing of Bedrock's streams.
//
// A message is, with all numbers big-endian:
//
//	4 bytes   length of the whole message
//	4 bytes   length of the headers
//	4 bytes   CRC-32 (IEEE) of the 8 bytes before
//	headers   each: 1 byte length, name, 1 byte type, value
//	payload
//	4 bytes   CRC-32 of all before
package eventstream

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	preludeLen  = 12
	checksumLen = 4
	minFrame    = preludeLen + checksumLen
	typeString  = 7
)

// MaxFrame is how long a message may be that Decode accepts.
const MaxFrame = 16 << 20

// A Head is the front of a message, built once for each kind of message: the
// prelude, of which only the length of the headers is filled in, and the
// headers. It is read-only and may be shared.
type Head []byte

// EventHead returns the head of an event whose payload is JSON. The headers
// stand in the order in which Bedrock sends them.
func EventHead(eventType string) Head {
	return head(":event-type", eventType, ":content-type", "application/json", ":message-type", "event")
}

// ExceptionHead returns the head of a modelled error whose payload is JSON,
// for example "throttlingException".
func ExceptionHead(exceptionType string) Head {
	return head(":exception-type", exceptionType, ":content-type", "application/json", ":message-type", "exception")
}

// ErrorHead returns the head of an error that is not modelled; such a message
// has no payload.
func ErrorHead(code, message string) Head {
	return head(":message-type", "error", ":error-code", code, ":error-message", message)
}

// head takes names and values in turn. A value is cut at 65535 bytes, the most
// that its length can tell.
func head(pairs ...string) Head {
	h := make(Head, preludeLen)
	for ; len(pairs) > 0; pairs = pairs[2:] {
		name, value := pairs[0], pairs[1]
		value = value[:min(len(value), 1<<16-1)]
		h = append(h, byte(len(name)))
		h = append(h, name...)
		h = append(h, typeString)
		h = binary.BigEndian.AppendUint16(h, uint16(len(value)))
		h = append(h, value...)
	}
	binary.BigEndian.PutUint32(h[4:], uint32(len(h)-preludeLen))
	return h
}

// Begin appends h to dst. The payload follows, and Seal ends the message; the
// caller remembers len(dst) from before.
func Begin(dst []byte, h Head) []byte { return append(dst, h...) }

// Seal ends the message that began at start: it fills in its length and
// appends the checksum. The message must not be longer than MaxFrame.
func Seal(dst []byte, start int) []byte {
	m := dst[start:]
	binary.BigEndian.PutUint32(m, uint32(len(m)+checksumLen))
	binary.BigEndian.PutUint32(m[8:], crc32.ChecksumIEEE(m[:8]))
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(m))
}
