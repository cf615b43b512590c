package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// Chunks verifies a body that was sent in chunks with a signature each: every
// one signs the one before it, and the first that of the head. It is for one
// body and one goroutine.
type Chunks struct {
	key         *SigningKey
	stamp, last string
	scope       string
}

// Chunks returns the verifier of the body that follows the signature, which
// Verify must have accepted with the key.
func (s *Signature) Chunks(key *SigningKey) *Chunks {
	return &Chunks{key: key, stamp: strings.Clone(s.stamp), scope: strings.Clone(s.scope), last: hex.EncodeToString(s.mac[:])}
}

// Chunk reports whether signature is that of the next chunk, whose data has
// the SHA-256 hash. After false nothing more of the body can be verified.
func (c *Chunks) Chunk(signature string, hash [sha256.Size]byte) bool {
	empty := sha256.Sum256(nil)
	return c.next(signature, Algorithm+"-PAYLOAD", hex.EncodeToString(empty[:])+"\n"+hex.EncodeToString(hash[:]))
}

// Trailer reports whether signature is that of the fields behind the last
// chunk. hash is the SHA-256 of these, each as "name:value\n".
func (c *Chunks) Trailer(signature string, hash [sha256.Size]byte) bool {
	return c.next(signature, Algorithm+"-TRAILER", hex.EncodeToString(hash[:]))
}

func (c *Chunks) next(signature, algorithm, signed string) bool {
	text := algorithm + "\n" + c.stamp + "\n" + c.scope + "\n" + c.last + "\n" + signed
	c.last = hex.EncodeToString(c.key.appendMAC(nil, []byte(text)))
	return subtle.ConstantTimeCompare([]byte(c.last), []byte(signature)) == 1
}
