package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
)

const hidden = "***"

// A Secret is a string that no log line, error, dump or JSON document shows:
// all of them say ***. Only Reveal returns it. The zero Secret is empty.
type Secret struct {
	// A pointer, since fmt does not call the methods of unexported fields:
	// of a struct that holds a Secret it would print the inside.
	s *string
}

// NewSecret returns s as a Secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{&s}
}

// Reveal returns the secret itself.
func (s Secret) Reveal() string {
	if s.s == nil {
		return ""
	}
	return *s.s
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.s == nil }

// Equal reports whether the secret is other, in a time that tells nothing
// about where they differ, nor about their lengths.
func (s Secret) Equal(other string) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(other))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// String returns ***.
func (s Secret) String() string { return hidden }

// GoString returns ***.
func (s Secret) GoString() string { return hidden }

// Format writes ***, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalJSON returns "***".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// MarshalText returns ***.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
