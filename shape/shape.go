// Package shape declares the shapes of AWS requests and checks JSON bodies and
// query parameters against them, in AWS's words.
//
// A shape is built from compact literals and is read-only from then on:
//
//	var message = shape.Structure(
//		shape.Required("role", shape.Enum("user", "assistant")),
//		shape.Optional("name", shape.String().Length(1, 64).Pattern(`[a-z-]+`)),
//	)
//
// Shapes may be shared between goroutines and between other shapes.
package shape

import (
	"regexp"
	"strings"
	"sync"
)

// kind is the type of a shape in the sense of Smithy, the language of AWS's
// models.
type kind uint8

const (
	structure kind = iota + 1
	union
	list
	mapping
	text
	integer // 32 bits
	long    // 64 bits
	float
	boolean
	blob
	timestamp
	document
)

// A Shape says what a value must look like.
type Shape struct {
	kind      kind
	members   []Member // structure, union
	element   *Shape   // list, mapping
	key       *Shape   // mapping
	size      limit    // length of text, blob, list and mapping
	value     limit    // value of numbers
	pattern   string
	enum      []string
	sensitive bool
	matcher   func() *regexp.Regexp
}

// A limit bounds a number on either side.
type limit struct {
	min, max       float64
	hasMin, hasMax bool
}

// A Member is one member of a structure or union.
type Member struct {
	name     string
	shape    *Shape
	required bool
}

// Required is a member that must be there. A null counts as absent.
func Required(name string, s *Shape) Member { return Member{name, s, true} }

// Optional is a member that may be left out.
func Optional(name string, s *Shape) Member { return Member{name, s, false} }

// Structure is a JSON object with the members; others are ignored.
func Structure(members ...Member) *Shape { return &Shape{kind: structure, members: members} }

// Union is a JSON object with exactly one of the members.
func Union(members ...Member) *Shape { return &Shape{kind: union, members: members} }

// List is a JSON array.
func List(element *Shape) *Shape { return &Shape{kind: list, element: element} }

// Map is a JSON object whose names are data.
func Map(key, value *Shape) *Shape { return &Shape{kind: mapping, key: key, element: value} }

// String is a JSON string.
func String() *Shape { return &Shape{kind: text} }

// Enum is a JSON string out of a set.
func Enum(values ...string) *Shape { return &Shape{kind: text, enum: values} }

// Integer is an integer of 32 bits, written without fraction and exponent.
func Integer() *Shape { return &Shape{kind: integer} }

// Long is an integer of 64 bits, written without fraction and exponent.
func Long() *Shape { return &Shape{kind: long} }

// Float is a number; it stands for AWS's doubles as well.
func Float() *Shape { return &Shape{kind: float} }

// Boolean is true or false.
func Boolean() *Shape { return &Shape{kind: boolean} }

// Blob is a JSON string that holds standard base64, padded.
func Blob() *Shape { return &Shape{kind: blob} }

// Timestamp is a JSON string that holds an RFC 3339 date and time.
func Timestamp() *Shape { return &Shape{kind: timestamp} }

// Document is any JSON value.
func Document() *Shape { return &Shape{kind: document} }

// Length returns a copy of s whose length lies between least and most: the
// characters of a string, the bytes of a blob, the elements of a list or map.
func (s Shape) Length(least, most int) *Shape {
	s.size = limit{float64(least), float64(most), true, true}
	return &s
}

// AtLeast returns a copy of s whose length is least or more.
func (s Shape) AtLeast(least int) *Shape {
	s.size = limit{min: float64(least), hasMin: true}
	return &s
}

// Range returns a copy of s whose value lies between least and most.
func (s Shape) Range(least, most float64) *Shape {
	s.value = limit{least, most, true, true}
	return &s
}

// Min returns a copy of s whose value is least or more.
func (s Shape) Min(least float64) *Shape {
	s.value = limit{min: least, hasMin: true}
	return &s
}

// Pattern returns a copy of s that must match the regular expression as a
// whole. The expression is compiled at its first use; a wrong one panics then.
func (s Shape) Pattern(expression string) *Shape {
	s.pattern = expression
	s.matcher = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("^(?:" + expression + ")$")
	})
	return &s
}

// Sensitive returns a copy of s whose value never occurs in a message. Texts
// without constraints and documents never do anyway.
func (s Shape) Sensitive() *Shape {
	s.sensitive = true
	return &s
}

func (s *Shape) names() string {
	names := make([]string, len(s.members))
	for i, m := range s.members {
		names[i] = m.name
	}
	return strings.Join(names, ", ")
}
