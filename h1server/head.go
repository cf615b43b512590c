package h1server

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strings"
)

// maxFields is how many fields a head may have that the loop takes.
const maxFields = 64

// A head is the head of a request in the one form that the loop takes. Its
// strings are its own; the memory of header and values is used again.
type head struct {
	method, target, host string
	length               int64
	header               http.Header
	values               []string
}

var lineEnd, headEnd = []byte("\r\n"), []byte("\r\n\r\n")

// parse parses the head at the front of b, of which from bytes are known not
// to hold its end. It returns the size of the head, or 0 if more is needed. Of
// whatever is not exactly as expected the verdict is foreign.
func (h *head) parse(b []byte, takes string, from int) (size int, v verdict) {
	if n := min(len(b), len(takes)); string(b[:n]) != takes[:n] {
		return 0, foreign
	}
	at := max(0, from-len(headEnd)+1)
	end := bytes.Index(b[at:], headEnd)
	if end < 0 {
		return 0, taken
	}
	size = at + end + len(headEnd)
	first := bytes.Index(b, lineEnd)
	// The target may be kept for longer than the rest, and therefore has a
	// string of its own.
	if !h.requestLine(string(b[:first])) || !h.fields(string(b[first+2:size-2])) {
		return 0, foreign
	}
	return size, taken
}

// requestLine takes "METHOD /path HTTP/1.1".
func (h *head) requestLine(line string) (ok bool) {
	line, ok = strings.CutSuffix(line, " HTTP/1.1")
	if !ok {
		return false
	}
	h.method, h.target, _ = strings.Cut(line, " ")
	for i := range len(h.target) {
		c := h.target[i]
		if c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '%' && !isEscape(h.target[i:]) {
			return false
		}
	}
	return true
}

// isEscape reports whether s begins with an escaped byte.
func isEscape(s string) bool {
	return len(s) >= len("%00") && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// fields takes all fields, each with its line end.
func (h *head) fields(rest string) bool {
	clear(h.header)
	h.values, h.host, h.length = h.values[:0], "", -1
	for rest != "" {
		line, after, ok := strings.Cut(rest, "\r\n")
		if !ok || len(h.values) == maxFields {
			return false
		}
		rest = after
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return false
		}
		value = strings.Trim(value, " \t")
		if !isText(value) || !h.field(canonical(name), value) {
			return false
		}
	}
	return h.host != "" && h.length >= 0
}

// field takes one field. Those that bear on the framing, or on who answers
// what, are known here or not taken.
func (h *head) field(name, value string) bool {
	switch name {
	case "Host":
		if h.host != "" || !isHost(value) {
			return false
		}
		h.host = value
		return true
	case "Content-Length":
		if h.length >= 0 || !h.setLength(value) {
			return false
		}
	case "Connection":
		if !strings.EqualFold(value, "keep-alive") {
			return false
		}
	case "Transfer-Encoding", "Content-Encoding", "Expect", "Upgrade", "Trailer", "Te", "Http2-Settings", "Proxy-Connection":
		return false
	}
	if h.header[name] != nil {
		return false
	}
	h.values = append(h.values, value)
	n := len(h.values)
	h.header[name] = h.values[n-1 : n : n]
	return true
}

func (h *head) setLength(value string) bool {
	const maxDigits = 15
	if value == "" || len(value) > maxDigits {
		return false
	}
	h.length = 0
	for i := range len(value) {
		c := value[i]
		if c < '0' || c > '9' {
			return false
		}
		h.length = 10*h.length + int64(c-'0')
	}
	return true
}

// canonical is name as http.Header spells it, without new memory for what the
// AWS SDKs send.
func canonical(name string) string {
	if known, ok := knownNames[name]; ok {
		return known
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

// knownNames are the fields of the AWS SDKs' requests, as they are sent and
// as http.Header spells them.
var knownNames = spellings("Accept", "Accept-Encoding", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Authorization", "Connection",
	"Content-Length", "Content-Type", "Host", "User-Agent", "X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token",
	"X-Amz-User-Agent", "X-Amzn-Bedrock-Accept", "X-Amzn-Bedrock-Guardrailidentifier", "X-Amzn-Bedrock-Performanceconfig-Latency",
	"X-Amzn-Bedrock-Service-Tier", "X-Amzn-Bedrock-Trace", "X-Outcrop-Spillover")

func spellings(names ...string) map[string]string {
	all := map[string]string{
		"amz-sdk-invocation-id": "Amz-Sdk-Invocation-Id", "X-Amz-Content-SHA256": "X-Amz-Content-Sha256",
		"X-Amzn-Bedrock-PerformanceConfig-Latency": "X-Amzn-Bedrock-Performanceconfig-Latency",
		"X-Amzn-Bedrock-GuardrailIdentifier":       "X-Amzn-Bedrock-Guardrailidentifier",
	}
	for _, name := range names {
		all[name], all[strings.ToLower(name)] = name, name
	}
	return all
}

// tokenBytes are the bytes of a token (RFC 9110, 5.6.2).
var tokenBytes = bytesOf("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

// hostBytes are those of a host name or address with a port.
var hostBytes = bytesOf("-.:[]_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

func bytesOf(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}

func isToken(s string) bool { return s != "" && all(s, &tokenBytes) }

func isHost(s string) bool { return s != "" && all(s, &hostBytes) }

func all(s string, set *[256]bool) bool {
	for i := range len(s) {
		if !set[s[i]] {
			return false
		}
	}
	return true
}

// isText reports whether s is visible ASCII, with blanks and tabs.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}
