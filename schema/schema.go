// Package schema makes up JSON values that are valid against a JSON schema.
// The simulated engine calls tools and answers in JSON with them.
//
// It knows drafts 7 to 2020-12: types, enum, const, properties of all kinds,
// items, bounds, multipleOf, lengths, formats, patterns that Go's regexp can
// read, local $ref, and allOf, anyOf, oneOf, not, if. Every value is checked
// before it is handed out, so that an unusual schema yields an error and
// never a wrong value. Unknown keywords are ignored, as JSON schema says.
package schema

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// The bounds of the work for one Example.
const (
	maxSchema = 1 << 20 // bytes of a schema
	maxNest   = 64      // levels of nesting of a schema
	maxDepth  = 24      // levels of nesting of a value
	maxValues = 30_000  // JSON values in a schema
	maxWork   = 150_000 // see budget
	maxBytes  = 128 << 10
	attempts  = 24
)

// The ways in which Example fails.
var (
	// ErrSchema says that the schema is not one: not JSON, not an object or
	// boolean, too large or of too many values, or with a reference that
	// leads nowhere.
	ErrSchema = errors.New("schema: not a usable JSON schema")
	// ErrNoExample says that no valid value was found within the bounds on
	// depth, size and work. There may be one.
	ErrNoExample = errors.New("schema: no example found")
)

// Example returns a compact JSON value that is valid against schema. The same
// schema and seed always give the same value. It allocates at most a few
// times maxBytes and fails, rather than going on, beyond its bounds.
func Example(schema []byte, seed uint64) ([]byte, error) {
	root, err := parse(schema)
	if err != nil {
		return nil, err
	}
	c := newChecker(root)
	for i := range uint64(attempts) {
		m := &maker{
			checker: c,
			rng:     rand.New(rand.NewPCG(seed, i)),
			sparse:  i > attempts/2,
		}
		v, err := m.value([]any{root}, "", 0)
		if errors.Is(err, ErrSchema) {
			return nil, err
		}
		valid := err == nil && m.valid(root, v)
		if m.spent() {
			break
		}
		if !valid {
			continue
		}
		if out := appendValue(nil, v); len(out) <= maxBytes {
			return out, nil
		}
	}
	return nil, ErrNoExample
}

// Valid reports whether value, a JSON value, is valid against schema as far
// as this package knows JSON schema; false if either is not JSON, and beyond
// the bounds on work. Formats are not asserted.
func Valid(schema, value []byte) bool {
	root, err := parse(schema)
	if err != nil {
		return false
	}
	v, err := parseJSON(value)
	if err != nil {
		return false
	}
	c := newChecker(root)
	return c.valid(root, v) && !c.spent()
}

func parse(schema []byte) (any, error) {
	if len(schema) > maxSchema {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrSchema, maxSchema)
	}
	root, err := parseJSON(schema)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	switch root.(type) {
	case *object, bool:
		return root, nil
	}
	return nil, fmt.Errorf("%w: neither an object nor a boolean", ErrSchema)
}
