package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"sync"
)

// A SigningKey is derived from a secret for one Scope. It is safe for
// concurrent use.
type SigningKey struct{ macs sync.Pool }

// Derive returns the signing key of the secret for the scope. It costs four
// HMACs; a KeyCache saves them.
func Derive(secret string, scope Scope) *SigningKey {
	k := []byte("AWS4" + secret)
	for _, part := range [...]string{scope.Day, scope.Region, scope.Service, terminator} {
		m := hmac.New(sha256.New, k)
		m.Write([]byte(part))
		k = m.Sum(nil)
	}
	key := &SigningKey{}
	key.macs.New = func() any { return hmac.New(sha256.New, k) }
	return key
}

// String hides the key.
func (k *SigningKey) String() string { return "***" }

// GoString hides the key.
func (k *SigningKey) GoString() string { return "***" }

// appendMAC appends the HMAC of message to dst.
func (k *SigningKey) appendMAC(dst, message []byte) []byte {
	m := k.macs.Get().(hash.Hash)
	m.Reset()
	m.Write(message)
	dst = m.Sum(dst)
	k.macs.Put(m)
	return dst
}

// maxCached bounds a KeyCache. A full one is emptied: to derive a key again
// costs about two microseconds.
const maxCached = 4096

// A KeyCache keeps signing keys that were derived before. The zero KeyCache
// is ready. It is safe for concurrent use.
type KeyCache struct {
	mu   sync.RWMutex
	keys map[cached]*SigningKey
}

type cached struct {
	keyID   string
	version uint64
	scope   Scope
}

// Get returns the signing key for the scope of the secret that has the key id
// and version. Two secrets must never share both. Call it only for scopes
// that Parse has checked, so that callers cannot fill the cache.
func (c *KeyCache) Get(keyID string, version uint64, secret string, scope Scope) *SigningKey {
	at := cached{keyID, version, scope}
	c.mu.RLock()
	key := c.keys[at]
	c.mu.RUnlock()
	if key != nil {
		return key
	}
	key = Derive(secret, scope)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= maxCached {
		c.keys = map[cached]*SigningKey{}
	}
	c.keys[at.clone()] = key
	return key
}

// Len returns the number of keys that are kept.
func (c *KeyCache) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.keys)
}

// clone copies the strings, which may be borrowed from a read buffer.
func (k cached) clone() cached {
	k.keyID = strings.Clone(k.keyID)
	k.scope = Scope{strings.Clone(k.scope.Day), strings.Clone(k.scope.Region), strings.Clone(k.scope.Service)}
	return k
}
