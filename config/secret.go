package config

import (
	"fmt"
	"strings"
)

// maxSecret bounds a secret; the longest in use are session tokens of a few
// kilobytes.
const maxSecret = 64 << 10

// A Secret names a file or an environment variable and holds what was found
// there when the configuration was loaded. It prints as "***".
type Secret struct {
	// File that holds the secret; white space around it is dropped.
	File string `yaml:"file"`
	// Environment variable that holds the secret.
	Env string `yaml:"env"`

	value string
}

// Value returns the secret itself, or "" if none is configured.
func (s Secret) Value() string { return s.value }

// IsSet reports whether the file or the environment was named.
func (s Secret) IsSet() bool { return s.File != "" || s.Env != "" }

// String returns "***", or "" if none is configured.
func (s Secret) String() string {
	if !s.IsSet() {
		return ""
	}
	return "***"
}

// Format prints the same as String for every verb, so that no form of
// printing shows the secret.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText returns the same as String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A HeaderValue is the value of a header: plain text, or a secret.
type HeaderValue struct {
	Secret Secret
	text   string
}

// Value returns what to send.
func (h HeaderValue) Value() string {
	if h.Secret.IsSet() {
		return h.Secret.Value()
	}
	return h.text
}

// String returns the text, or "***" for a secret.
func (h HeaderValue) String() string {
	if h.Secret.IsSet() {
		return h.Secret.String()
	}
	return h.text
}

// Format prints the same as String for every verb.
func (h HeaderValue) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(h.String())) }

// MarshalText returns the same as String.
func (h HeaderValue) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// resolve fills in the value and says what is wrong with it, or "".
func (s *Secret) resolve(read func(string) ([]byte, error), env map[string]string, base string) (what, help string) {
	switch {
	case s.File != "" && s.Env != "":
		return "has both file and env", "keep one of them"
	case s.File != "":
		b, err := read(under(base, s.File))
		if err != nil {
			return "cannot read the file: " + reason(err), ""
		}
		s.value = strings.TrimSpace(string(b))
		what = flaw(s.value, "the file")
	default:
		v, found := env[s.Env]
		if !found {
			return "environment variable " + s.Env + " is not set", ""
		}
		s.value = strings.TrimSpace(v)
		what = flaw(s.value, "environment variable "+s.Env)
	}
	if what != "" {
		s.value = ""
	}
	return what, ""
}

// flaw says why a secret cannot go into a header, or "".
func flaw(v, where string) string {
	switch {
	case v == "":
		return where + " is empty"
	case len(v) > maxSecret:
		return where + " holds more than 64 KiB"
	case !headerText(v):
		return where + " holds more than one line, or characters that cannot be sent"
	}
	return ""
}

// headerText reports whether v may be sent as the value of a header.
func headerText(v string) bool {
	for i := range len(v) {
		if v[i] < 0x20 && v[i] != '\t' || v[i] >= 0x7f {
			return false
		}
	}
	return true
}
