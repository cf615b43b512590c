// Package identity answers one question: who calls? It holds the keys that
// callers have and authenticates requests by AWS signatures, presigned URLs
// and Bedrock API keys.
//
// Authenticate is the only way to a principal, and decides by one switch over
// the kinds of credentials that denies what it does not know.
package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sigv4"
)

// Service is the signing name of all Bedrock services.
const Service = "bedrock"

// signedPrefix is how the fields begin in which callers of InvokeModel say
// what they want, besides the body. All SDKs sign them.
const signedPrefix = "x-amzn-bedrock-"

// Options set up an Authenticator.
type Options struct {
	// Region is the one that signatures must be scoped to; empty accepts any.
	Region string
	// Hosts are the values of the Host header that are accepted, each with
	// or without a port; empty accepts any.
	Hosts []string
	// Skew is how far a signature's date may be from the clock; 0 means
	// sigv4.DefaultSkew.
	Skew time.Duration
}

// A Request is what Authenticate judges.
type Request struct {
	Head sigv4.Request
	// Presigned says that the route takes credentials in the query. The
	// control plane never does.
	Presigned bool
}

// An Authenticator authenticates requests against the keys that were set
// last. It is safe for concurrent use.
type Authenticator struct {
	options Options
	keys    atomic.Pointer[keys]
	nobody  *entry // what unknown key ids are verified with
	cache   sigv4.KeyCache
	guest   atomic.Pointer[outcrop.Principal] // the last caller in open mode
}

// keys is an immutable snapshot.
type keys struct {
	open    bool
	signers map[string]*entry
	bearers map[[sha256.Size]byte]*entry
}

type entry struct {
	Key
	version uint64 // changes with the secret
}

// New returns an Authenticator without keys: an open one.
func New(o Options) *Authenticator {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	a := &Authenticator{options: o, nobody: newEntry(Key{Secret: NewSecret(hex.EncodeToString(random[:]))})}
	a.SetKeys(nil)
	return a
}

// SetKeys replaces all keys at once. With no key at all the Authenticator is
// open; revoked keys count as keys, so that revoking the last one does not
// open the door to everyone.
func (a *Authenticator) SetKeys(all []Key) {
	k := &keys{open: len(all) == 0, signers: map[string]*entry{}, bearers: map[[sha256.Size]byte]*entry{}}
	for _, key := range all {
		switch {
		case !key.Revoked.IsZero():
		case key.Kind == KindSigV4 && !key.Secret.IsZero():
			k.signers[key.Principal.KeyID] = newEntry(key)
		case key.Kind == KindBearer && key.Hash != [sha256.Size]byte{}:
			k.bearers[key.Hash] = newEntry(key)
		}
	}
	a.keys.Store(k)
}

func newEntry(key Key) *entry {
	sum := sha256.Sum256([]byte(key.Secret.Reveal()))
	return &entry{Key: key, version: binary.BigEndian.Uint64(sum[:])}
}

// Open reports whether any credentials are accepted, since there is no key.
func (a *Authenticator) Open() bool { return a.keys.Load().open }

// Authenticate returns who sent the request with the body. The principal is
// shared and must not be changed. Errors are *outcrop.Error in AWS's words.
//
// The body counts for signatures alone; for other credentials it may be nil.
func (a *Authenticator) Authenticate(r *Request, body []byte, now time.Time) (*outcrop.Principal, error) {
	if !a.Hosted(r.Head.Host) {
		return nil, denied("The Host header names no endpoint of this server.")
	}
	k := a.keys.Load()
	c, token := classify(&r.Head)
	if k.open {
		return a.admit(r, c)
	}
	switch c {
	case credentialNone:
		return nil, missing()
	case credentialSignature:
		return a.signature(k, &r.Head, a.rules(false), body, now)
	case credentialPresigned:
		if !r.Presigned {
			return nil, notPresigned()
		}
		return a.signature(k, &r.Head, a.rules(true), body, now)
	case credentialAPIKey:
		return k.bearer(token, now)
	case credentialShortKey:
		return a.shortKey(k, token, now)
	default:
		return nil, ambiguous()
	}
}

func (a *Authenticator) rules(presigned bool) sigv4.Rules {
	return sigv4.Rules{Region: a.options.Region, Service: Service, Skew: a.options.Skew, Presigned: presigned, SignedPrefix: signedPrefix}
}

// signature authenticates by a signature, in the header or in the query.
func (a *Authenticator) signature(k *keys, head *sigv4.Request, rules sigv4.Rules, body []byte, now time.Time) (*outcrop.Principal, error) {
	s, err := sigv4.Parse(head, rules, now)
	if err != nil {
		return nil, fromSigV4(err)
	}
	e, _, err := a.verify(k, &s, sha256.Sum256(body), now)
	if err != nil {
		return nil, err
	}
	return &e.Principal, nil
}

// verify returns whose signature s is, and the key that it was made with. An
// unknown key id takes the same way as a wrong secret.
func (a *Authenticator) verify(k *keys, s *sigv4.Signature, bodyHash [sha256.Size]byte, now time.Time) (*entry, *sigv4.SigningKey, error) {
	e, known := k.signers[s.KeyID]
	if !known {
		e = a.nobody
	}
	key := a.cache.Get(e.Principal.KeyID, e.version, e.Secret.Reveal(), s.Scope)
	valid := s.Verify(key, bodyHash)
	switch {
	case !known || !e.tokenIs(s.Token):
		return nil, nil, unrecognized()
	case !valid:
		return nil, nil, mismatch()
	case !e.Active(now):
		return nil, nil, expired()
	}
	return e, key, nil
}

func (e *entry) tokenIs(token string) bool {
	if e.Token.IsZero() {
		return token == ""
	}
	return e.Token.Equal(token)
}

// bearer authenticates by a long-term API key.
func (k *keys) bearer(token string, now time.Time) (*outcrop.Principal, error) {
	e, known := k.bearers[HashToken(token)]
	if !known || !e.Active(now) {
		return nil, badAPIKey(nil)
	}
	return &e.Principal, nil
}
