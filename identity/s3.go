package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sigv4"
)

const (
	// ServiceS3 is the signing name of S3.
	ServiceS3 = "s3"
	// s3Skew is how far S3 lets clocks be apart.
	s3Skew = 15 * time.Minute
)

// An S3Caller is who sent a request to S3, and what was said of its body,
// which is not looked at here.
type S3Caller struct {
	// Principal is nil for one who shows no credentials although there are
	// keys.
	Principal *outcrop.Principal
	// Content is X-Amz-Content-Sha256 as it was sent; empty if it was not. If
	// it is a hash, it was signed in place of the body: whoever takes the body
	// has to hold it against the hash.
	Content string
	// Chunks verify a body whose chunks are signed; nil for all others, and
	// for those whose signatures count for nothing since there is no key.
	Chunks *sigv4.Chunks
}

// AuthenticateS3 returns who sent a request to S3, judged by its head alone.
// Errors are *sigv4.Error, for credentials that break a rule, or
// *outcrop.Error.
func (a *Authenticator) AuthenticateS3(head *sigv4.Request, now time.Time) (S3Caller, error) {
	if !a.Hosted(head.Host) {
		return S3Caller{}, denied("The Host header names no endpoint of this server.")
	}
	k := a.keys.Load()
	c, _ := classify(head)
	switch c {
	case credentialNone:
		if k.open {
			return S3Caller{Principal: a.named("anonymous")}, nil
		}
		return S3Caller{}, nil
	case credentialSignature, credentialPresigned:
	default:
		return S3Caller{}, ambiguous()
	}
	if k.open {
		return a.admitS3(head)
	}
	return a.signatureS3(k, head, now)
}

func (a *Authenticator) admitS3(head *sigv4.Request) (S3Caller, error) {
	s, err := sigv4.ParseUnverified(head)
	if err != nil {
		return S3Caller{}, err
	}
	return S3Caller{Principal: a.named(plain(s.KeyID)), Content: s.ContentHash()}, nil
}

func (a *Authenticator) signatureS3(k *keys, head *sigv4.Request, now time.Time) (S3Caller, error) {
	s, err := sigv4.Parse(head, sigv4.Rules{Region: a.options.Region, Service: ServiceS3, Skew: s3Skew, Path: sigv4.PathAsSent,
		Presigned: true, UnsignedPayload: true, StreamingPayload: true}, now)
	if err != nil {
		return S3Caller{}, err
	}
	content := s.ContentHash()
	if content == "" && !s.Presigned {
		return S3Caller{}, outcrop.Invalid("Missing required header for this request: x-amz-content-sha256")
	}
	var hash [sha256.Size]byte
	if s.Payload == sigv4.PayloadHashed {
		_, _ = hex.Decode(hash[:], []byte(content)) // sigv4 has checked its form
	}
	e, key, err := a.verify(k, &s, hash, now)
	if err != nil {
		return S3Caller{}, err
	}
	caller := S3Caller{Principal: &e.Principal, Content: content}
	if strings.HasPrefix(content, "STREAMING-"+sigv4.Algorithm) {
		caller.Chunks = s.Chunks(key)
	}
	return caller, nil
}
