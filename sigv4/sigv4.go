// Package sigv4 signs requests with AWS Signature Version 4 and verifies
// such signatures, in a header or in the query of a presigned URL.
//
// The verifier accepts exactly one canonical form of a request. It reads the
// raw request target and never a decoded one, and it refuses what two parsers
// could read in two ways: doubled headers, malformed queries, credentials in
// two places, and amz headers that nobody signed.
//
// Source of the algorithm: "AWS Signature Version 4 for API requests" in the
// AWS IAM User Guide.
package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"time"
)

// Algorithm is the only algorithm of this package.
const Algorithm = "AWS4-HMAC-SHA256"

const (
	terminator = "aws4_request"
	unsigned   = "UNSIGNED-PAYLOAD"
	streaming  = "STREAMING-"

	// DefaultSkew is how far a request's date may be from the verifier's.
	DefaultSkew = 5 * time.Minute
	// MaxExpires is the longest life of a presigned URL.
	MaxExpires = 7 * 24 * time.Hour
)

// A Field is one header field, or one line of it: a header that was sent
// twice is two Fields, in the order of their lines.
type Field struct{ Name, Value string }

// A Request is the head of an HTTP request. It is read only.
type Request struct {
	Method string
	// URI is the request target as it stood on the wire: a path, and '?' and
	// the query if there is one; for HTTP/2 the value of :path. Signatures do
	// not tell a path with dot segments or empty segments from the one
	// without them, so a server must not route the former.
	URI string
	// Host is the value of the Host header or of :authority. It is not among
	// the Fields.
	Host string
	// Fields are all other header fields. A Content-Length that the HTTP
	// library took out of the header has to be put back: some clients sign
	// it.
	Fields []Field
}

// AppendFields appends the lines of h, which is an http.Header, to dst.
func AppendFields(dst []Field, h map[string][]string) []Field {
	for name, values := range h {
		for _, v := range values {
			dst = append(dst, Field{name, v})
		}
	}
	return dst
}

// A PathForm says how a service's signatures write the path.
type PathForm uint8

const (
	// PathEncoded is the form of every service but S3: dot segments and
	// empty segments are taken out, and then the path as sent is
	// percent-encoded once more.
	PathEncoded PathForm = iota
	// PathAsSent is S3's form: the path as it stood on the wire.
	PathAsSent
)

// Rules say what a verifier accepts. The zero Rules accept signatures in the
// header, over the whole body, for any region and service.
type Rules struct {
	Region  string // must match the scope; empty accepts any
	Service string // signing name, for example "bedrock"; empty accepts any
	Skew    time.Duration
	// MaxExpires bounds X-Amz-Expires; 0 means the constant MaxExpires.
	MaxExpires time.Duration
	Path       PathForm
	// Presigned accepts credentials in the query.
	Presigned bool
	// SignedPrefix is how the names of header fields begin that must be
	// signed if they are there, as those with X-Amz- must anyway: those that
	// the server acts on. Empty means no others.
	SignedPrefix string
	// UnsignedPayload and StreamingPayload accept the corresponding values
	// of X-Amz-Content-Sha256. The caller sees them in Signature.Payload and
	// has to act on them.
	UnsignedPayload, StreamingPayload bool
}

// A Payload says what a signature covers of the body.
type Payload uint8

// The payloads.
const (
	PayloadHashed    Payload = iota // the whole body
	PayloadUnsigned                 // nothing of it
	PayloadStreaming                // chunks, each with a signature of its own
)

// A Scope is what a signing key is good for.
type Scope struct {
	Day     string // yyyymmdd, UTC
	Region  string
	Service string
}

// A Signature is what a request says about who signed it. Nothing of it is
// proven until Verify returned true. Its strings are borrowed from the
// Request.
type Signature struct {
	KeyID     string
	Scope     Scope
	Token     string // session token; empty if there is none. It is signed.
	Time      time.Time
	Expires   time.Time // presigned requests only
	Presigned bool
	Payload   Payload

	req         *Request // nil if the rules were not checked
	path        PathForm
	term        string
	stamp       string // the date as sent
	scope       string // day/region/service/terminator, as sent
	signed      string // names of the signed headers, as sent
	contentHash string // X-Amz-Content-Sha256, as sent
	lifetime    string // X-Amz-Expires, as sent
	mac         [sha256.Size]byte
}

// Parse finds the credentials of r and checks every rule that needs no
// secret. A request without credentials, or one that breaks a rule, is an
// *Error. The Signature refers to r, which must not change until Verify has
// run.
func Parse(r *Request, rules Rules, now time.Time) (Signature, error) {
	s, err := read(r)
	if err != nil {
		return Signature{}, err
	}
	if err := s.check(r, &rules, now); err != nil {
		return Signature{}, err
	}
	s.req, s.path = r, rules.Path
	return s, nil
}

// ParseUnverified finds the credentials of r and checks their form alone, for
// a server that accepts any. Verify of such a Signature returns false.
func ParseUnverified(r *Request) (Signature, error) { return read(r) }

// ContentHash returns the value of X-Amz-Content-Sha256 as it was sent; empty
// if there is none.
func (s *Signature) ContentHash() string { return s.contentHash }

// Verify reports whether the signature was made with the key over the request
// and a body with the SHA-256 bodyHash. Its time does not depend on how much
// of the signature is right. Where Payload is not PayloadHashed, bodyHash does
// not count.
func (s *Signature) Verify(key *SigningKey, bodyHash [sha256.Size]byte) bool {
	if s.req == nil {
		return false
	}
	w := getScratch()
	defer w.free()
	payload := hex.AppendEncode(w.payload[:0], bodyHash[:])
	whole := true
	switch {
	case s.Payload != PayloadHashed && s.contentHash != "":
		payload = append(payload[:0], s.contentHash...)
	case s.Payload != PayloadHashed:
		payload = append(payload[:0], unsigned...)
	case s.contentHash != "":
		whole = subtle.ConstantTimeCompare(payload, []byte(s.contentHash)) == 1
	}
	complete := w.canonical(s.req, s.path, s.signed, payload)
	w.payload = payload
	mac := w.sign(key, s.stamp, s.scope)
	return subtle.ConstantTimeCompare(mac, s.mac[:]) == 1 && complete && whole
}
