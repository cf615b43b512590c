package sigv4

import "encoding/hex"

// Canonical returns the canonical request that Verify signs.
func (s *Signature) Canonical(bodyHash [32]byte) string {
	w := getScratch()
	defer w.free()
	payload := hex.EncodeToString(bodyHash[:])
	if s.Payload != PayloadHashed {
		payload = s.contentHash
		if payload == "" {
			payload = unsigned
		}
	}
	w.canonical(s.req, s.path, s.signed, []byte(payload))
	return string(w.buf)
}

// MaxCached is the bound of a KeyCache.
const MaxCached = maxCached
