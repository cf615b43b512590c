package controlapi

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/outcrop/outcrop"
)

// violations are the constraints of the API model that a request breaks, in
// the service's wording.
type violations []string

func (v *violations) add(value, member, constraint string) {
	*v = append(*v, "Value '"+shortened(value)+"' at '"+member+"' failed to satisfy constraint: "+constraint)
}

func (v violations) err() error {
	switch len(v) {
	case 0:
		return nil
	case 1:
		return outcrop.Invalid("1 validation error detected: " + v[0])
	}
	return outcrop.Invalid(fmt.Sprintf("%d validation errors detected: %s", len(v), strings.Join(v, "; ")))
}

func violation(value, member, constraint string) error {
	var v violations
	v.add(value, member, constraint)
	return v.err()
}

// shortened bounds what is told back of a caller's value.
func shortened(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most]
		for !utf8.ValidString(s) && len(s) > most-utf8.UTFMax {
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
