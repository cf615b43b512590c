package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A Signer signs requests with one secret for one region and service. It is
// safe for concurrent use; its fields must not change once it is in use.
type Signer struct {
	KeyID   string
	Secret  string
	Token   string // session token; may be empty
	Region  string
	Service string
	Path    PathForm

	day atomic.Pointer[dayKey]
}

type dayKey struct {
	day string
	key *SigningKey
}

// String hides the secret.
func (s *Signer) String() string { return "sigv4.Signer " + s.KeyID }

// GoString hides the secret.
func (s *Signer) GoString() string { return s.String() }

// Sign appends to dst the fields that r needs besides its own: X-Amz-Date,
// X-Amz-Security-Token if there is a token, X-Amz-Content-Sha256 for
// PathAsSent, and Authorization. It signs the host and all fields of r but
// those that proxies change on the way. r must carry none of the appended
// fields.
func (s *Signer) Sign(dst []Field, r *Request, bodyHash [sha256.Size]byte, now time.Time) []Field {
	return s.SignPayload(dst, r, hex.EncodeToString(bodyHash[:]), now)
}

// SignPayload is Sign with the value of X-Amz-Content-Sha256 as it is to be
// sent: a hash in lower-case hexadecimal digits, or one of S3's words for a
// body that the signature does not cover.
func (s *Signer) SignPayload(dst []Field, r *Request, payload string, now time.Time) []Field {
	stamp := now.UTC().Format(Layout)
	at := len(dst)
	dst = append(dst, Field{"X-Amz-Date", stamp})
	if s.Token != "" {
		dst = append(dst, Field{"X-Amz-Security-Token", s.Token})
	}
	if s.Path == PathAsSent {
		dst = append(dst, Field{"X-Amz-Content-Sha256", payload})
	}
	whole := *r
	whole.Fields = append(append(make([]Field, 0, len(r.Fields)+3), r.Fields...), dst[at:]...)
	signed := signedNames(whole.Fields)
	credential, mac := s.sign(&whole, signed, stamp, payload)
	return append(dst, Field{"Authorization", Algorithm + " Credential=" + credential + ", SignedHeaders=" + signed + ", Signature=" + mac})
}

// Presign returns the request target of r with credentials in its query, good
// for the time that is given, in whole seconds. The host and all fields of r
// are signed and have to be sent as they are. For PathAsSent the body is not
// signed, as S3 has it.
func (s *Signer) Presign(r *Request, life time.Duration, bodyHash [sha256.Size]byte, now time.Time) string {
	stamp := now.UTC().Format(Layout)
	signed := signedNames(r.Fields)
	payload := hex.EncodeToString(bodyHash[:])
	if s.Path == PathAsSent {
		payload = unsigned
	}
	var q []byte
	add := func(name, value string) {
		q = append(append(q, name...), '=')
		q = append(appendEncoded(q, value, false), '&')
	}
	add(queryAlgorithm, Algorithm)
	add(queryCredential, s.KeyID+"/"+s.scope(stamp))
	add(queryDate, stamp)
	add(queryExpires, strconv.Itoa(int(life/time.Second)))
	if s.Token != "" {
		add(queryToken, s.Token)
	}
	add(querySigned, signed)
	whole := *r
	whole.URI += "?"
	if strings.Contains(r.URI, "?") {
		whole.URI = r.URI + "&"
	}
	whole.URI += string(q[:len(q)-1])
	_, mac := s.sign(&whole, signed, stamp, payload)
	return whole.URI + "&" + querySignature + "=" + mac
}

func (s *Signer) scope(stamp string) string {
	return stamp[:8] + "/" + s.Region + "/" + s.Service + "/" + terminator
}

func (s *Signer) sign(r *Request, signed, stamp, payload string) (credential, mac string) {
	w := getScratch()
	defer w.free()
	scope := s.scope(stamp)
	w.canonical(r, s.Path, signed, []byte(payload))
	return s.KeyID + "/" + scope, hex.EncodeToString(w.sign(s.key(stamp[:8]), stamp, scope))
}

// key returns the signing key of the day, which is kept until the next one.
func (s *Signer) key(day string) *SigningKey {
	if d := s.day.Load(); d != nil && d.day == day {
		return d.key
	}
	d := &dayKey{day, Derive(s.Secret, Scope{day, s.Region, s.Service})}
	s.day.Store(d)
	return d.key
}

// signedNames lists the host and the fields that survive the way.
func signedNames(fields []Field) string {
	names := append(make([]string, 0, len(fields)+1), "host")
	for _, f := range fields {
		switch name := strings.ToLower(f.Name); name {
		case "authorization", "connection", "expect", "te", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id":
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ";")
}
