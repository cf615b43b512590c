package shape

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxViolations is how many violations are told of one value.
const maxViolations = 10

// maxEcho is how many characters of a refused value are told.
const maxEcho = 64

// A Violation is a constraint that a value does not satisfy.
type Violation struct {
	Path  string // "messages.1.member.role": lists count from 1
	Value string // as it is told: "null", "'***'" or "'x'", shortened
	Rule  string // "Member must not be null"
}

// Violations is the error for a well-formed value that does not satisfy the
// constraints of its shape. It is not empty, holds at most a few violations,
// and none of its texts comes from an unconstrained string or a document.
type Violations []Violation

// Error returns the message that AWS sends.
func (v Violations) Error() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(len(v)))
	if len(v) == 1 {
		b.WriteString(" validation error detected: ")
	} else {
		b.WriteString(" validation errors detected: ")
	}
	for i, x := range v {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString("Value " + x.Value + " at '" + x.Path + "' failed to satisfy constraint: " + x.Rule)
	}
	return b.String()
}

// Malformed is the error for a body that is no JSON, or whose values are of
// the wrong JSON types. Where is a JSON pointer made of declared names only,
// and the problem.
type Malformed struct{ Where string }

// Error returns the message that AWS sends.
func (m *Malformed) Error() string {
	return "Malformed input request: " + m.Where + ", please reformat your input and try again."
}

// rule is a constraint in AWS's words.
func mustNotBeNull() string { return "Member must not be null" }

func minLength(n float64) string {
	return "Member must have length greater than or equal to " + number(n)
}
func maxLength(n float64) string { return "Member must have length less than or equal to " + number(n) }
func minValue(n float64) string {
	return "Member must have value greater than or equal to " + number(n)
}
func maxValue(n float64) string { return "Member must have value less than or equal to " + number(n) }

func inSet(set []string) string {
	return "Member must satisfy enum value set: [" + strings.Join(set, ", ") + "]"
}

func matches(pattern string) string {
	return "Member must satisfy regular expression pattern: " + pattern
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// check returns the rule of the limit that n breaks, or "".
func (l limit) check(n float64, low, high func(float64) string) string {
	if l.hasMin && !(n >= l.min) {
		return low(l.min)
	}
	if l.hasMax && !(n <= l.max) {
		return high(l.max)
	}
	return ""
}

// echo returns a refused string as it may be told.
func (s *Shape) echo(v string) string {
	if s.sensitive || s.kind == blob || s.plain() {
		return "'***'"
	}
	if utf8.RuneCountInString(v) > maxEcho {
		v = string([]rune(v)[:maxEcho]) + "..."
	}
	return "'" + v + "'"
}

// plain reports whether s is a string that may hold anything, such as a
// prompt: it has neither a set nor a pattern.
func (s *Shape) plain() bool { return s.kind == text && s.enum == nil && s.pattern == "" }
