package schema

import (
	"encoding/json"
	"math/big"
	"slices"
)

// A kind is a set of JSON types.
type kind uint8

const (
	kindObject kind = 1 << iota
	kindArray
	kindString
	kindNumber
	kindInteger
	kindBoolean
	kindNull
	kindAny = 1<<7 - 1
)

var kindNames = map[string]kind{
	"object": kindObject, "array": kindArray, "string": kindString,
	"number": kindNumber | kindInteger, "integer": kindInteger,
	"boolean": kindBoolean, "null": kindNull,
}

// A node is what several schemas, which all hold for one value, ask together.
type node struct {
	kinds kind
	hints kind // the types that the keywords speak of
	typed bool // a type was named
	never bool

	enum [][]any // the value is in each of them

	min, max       *big.Rat
	minOut, maxOut bool // the bound itself is excluded
	multiple       *big.Rat

	minLength, maxLength int // maxLength < 0: none
	patterns             []string
	format               string

	names      []string         // of properties, in order
	properties map[string][]any // their schemas
	required   []string
	rest       []any // additionalProperties and the like
	byPattern  []*object
	depend     []*object // dependentRequired
	minProps   int
	maxProps   int
	nameRules  []any

	closed bool // no properties but those named

	prefix   [][]any
	items    []any
	contains []any // one for each item that must be such
	minItems int
	maxItems int
	unique   bool
	noMore   bool // no items after the prefix
}

// A merger folds schemas into a node. Of each anyOf and oneOf it takes the
// branch that picks says, in the order in which it meets them; at the first
// one for which there is no pick it sets pending to the number of branches.
type merger struct {
	node
	root    any
	picks   []int
	met     int
	pending int
	budget  *budget
	err     error
}

func (m *merger) add(s any, depth int) {
	if !m.budget.spend(8) || depth > maxDepth {
		m.err = ErrNoExample
	}
	if m.err != nil || m.pending > 0 {
		return
	}
	o, ok := s.(*object)
	if !ok {
		m.never = m.never || s == false
		return
	}
	m.reference(o, depth)
	m.types(o)
	m.numbers(o)
	m.strings(o)
	m.objects(o)
	m.arrays(o)
	m.combine(o, depth)
}

func (m *merger) reference(o *object, depth int) {
	for _, key := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
		ref, ok := o.m[key].(string)
		if !ok {
			continue
		}
		target, err := m.budget.resolve(m.root, ref)
		if err != nil {
			m.err = err
			return
		}
		m.add(target, depth+1)
	}
}

func (m *merger) types(o *object) {
	switch t := o.m["type"].(type) {
	case string:
		m.restrict(kindNames[t])
	case []any:
		var all kind
		for _, name := range m.budget.texts(t) {
			all |= kindNames[name]
		}
		m.restrict(all)
	}
	if e, ok := o.m["enum"].([]any); ok {
		m.enum = append(m.enum, e)
	}
	if o.has("const") {
		m.enum = append(m.enum, []any{o.m["const"]})
	}
}

func (m *merger) restrict(k kind) {
	m.kinds &= k
	m.typed = true
	m.never = m.never || m.kinds == 0
}

func (m *merger) numbers(o *object) {
	for _, key := range numeric {
		if n, ok := o.m[key].(json.Number); ok {
			m.budget.spend(2 + len(n)/4)
		}
	}
	if r, ok := rational(o.m["minimum"]); ok {
		m.atLeast(r, o.m["exclusiveMinimum"] == true)
	}
	if r, ok := rational(o.m["exclusiveMinimum"]); ok {
		m.atLeast(r, true)
	}
	if r, ok := rational(o.m["maximum"]); ok {
		m.atMost(r, o.m["exclusiveMaximum"] == true)
	}
	if r, ok := rational(o.m["exclusiveMaximum"]); ok {
		m.atMost(r, true)
	}
	if r, ok := rational(o.m["multipleOf"]); ok && r.Sign() > 0 {
		m.hints |= kindNumber
		m.multiple = leastCommonMultiple(m.multiple, r)
		if m.multiple.Num().BitLen() > 4*maxExponent {
			m.err = ErrNoExample
		}
	}
}

// numeric are the keywords that bound numbers.
var numeric = [...]string{"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"}

func (m *merger) atLeast(r *big.Rat, out bool) {
	m.hints |= kindNumber
	if m.min != nil {
		if c := r.Cmp(m.min); c < 0 || c == 0 && !out {
			return
		}
	}
	m.min, m.minOut = r, out
}

func (m *merger) atMost(r *big.Rat, out bool) {
	m.hints |= kindNumber
	if m.max != nil {
		if c := r.Cmp(m.max); c > 0 || c == 0 && !out {
			return
		}
	}
	m.max, m.maxOut = r, out
}

// leastCommonMultiple of a/b and c/d in lowest terms is lcm(a,c)/gcd(b,d).
func leastCommonMultiple(x, y *big.Rat) *big.Rat {
	if x == nil {
		return y
	}
	common := new(big.Int).GCD(nil, nil, x.Num(), y.Num())
	num := new(big.Int).Mul(x.Num(), y.Num())
	num.Quo(num, common)
	return new(big.Rat).SetFrac(num, new(big.Int).GCD(nil, nil, x.Denom(), y.Denom()))
}

func (m *merger) strings(o *object) {
	m.lower(o, "minLength", kindString, &m.minLength)
	m.upper(o, "maxLength", kindString, &m.maxLength)
	if p, ok := o.m["pattern"].(string); ok {
		m.hints |= kindString
		m.patterns = append(m.patterns, p)
	}
	if f, ok := o.m["format"].(string); ok {
		m.hints |= kindString
		m.format = f
	}
}

func (m *merger) lower(o *object, key string, k kind, at *int) {
	if n, ok := integer(o.m[key]); ok {
		m.hints |= k
		*at = max(*at, n)
	}
}

func (m *merger) upper(o *object, key string, k kind, at *int) {
	n, ok := integer(o.m[key])
	if !ok {
		return
	}
	m.hints |= k
	if *at < 0 || n < *at {
		*at = n
	}
}

func (m *merger) objects(o *object) {
	m.lower(o, "minProperties", kindObject, &m.minProps)
	m.upper(o, "maxProperties", kindObject, &m.maxProps)
	own := m.ownProperties(o)
	m.require(o)
	for _, key := range []string{"dependentRequired", "dependencies"} {
		if d, ok := o.m[key].(*object); ok {
			m.depend = append(m.depend, d)
		}
	}
	if s, ok := o.m["propertyNames"]; ok {
		m.nameRules = append(m.nameRules, s)
	}
	for _, key := range []string{"additionalProperties", "unevaluatedProperties"} {
		if s, ok := o.m[key]; ok {
			m.additional(s, own, key == "unevaluatedProperties")
		}
	}
}

// require adds the names that must be there, each once.
func (m *merger) require(o *object) {
	names := m.budget.texts(o.m["required"])
	if len(names) == 0 {
		return
	}
	m.hints |= kindObject
	known := map[string]bool{}
	for _, name := range m.required {
		known[name] = true
	}
	m.budget.spend(2 * (len(known) + len(names)))
	for _, name := range names {
		if !known[name] {
			known[name], m.required = true, append(m.required, name)
		}
	}
}

// ownProperties adds the properties of o and returns their names, or nil if
// o speaks of none.
func (m *merger) ownProperties(o *object) []string {
	if p, ok := o.m["patternProperties"].(*object); ok {
		m.hints |= kindObject
		m.byPattern = append(m.byPattern, p)
	}
	p, ok := o.m["properties"].(*object)
	if !ok {
		return nil
	}
	m.hints |= kindObject
	m.budget.spend(2 * len(p.keys))
	for _, name := range p.keys {
		if _, ok := m.properties[name]; !ok {
			m.names = append(m.names, name)
		}
		m.properties[name] = append(m.properties[name], p.m[name])
	}
	return p.keys
}

// additional notes the schema s of the properties that are not in own. What
// the other schemas name is left to the final check.
func (m *merger) additional(s any, own []string, evaluated bool) {
	m.hints |= kindObject
	m.rest = append(m.rest, s)
	if s != false {
		return
	}
	m.closed = true
	if evaluated {
		return
	}
	keep := map[string]bool{}
	for _, name := range append(slices.Clip(own), m.required...) {
		keep[name] = true
	}
	m.budget.spend(len(m.names) + len(keep))
	m.names = slices.DeleteFunc(m.names, func(name string) bool { return !keep[name] })
}

func (m *merger) arrays(o *object) {
	m.lower(o, "minItems", kindArray, &m.minItems)
	m.upper(o, "maxItems", kindArray, &m.maxItems)
	m.unique = m.unique || o.m["uniqueItems"] == true
	prefix, rest := tuple(o)
	m.budget.spend(len(prefix))
	for i, s := range prefix {
		m.hints |= kindArray
		if i == len(m.prefix) {
			m.prefix = append(m.prefix, nil)
		}
		m.prefix[i] = append(m.prefix[i], s)
	}
	if rest != nil {
		m.hints |= kindArray
		m.noMore = m.noMore || rest == false
		m.items = append(m.items, rest)
	}
	if s, ok := o.m["contains"]; ok {
		m.hints |= kindArray
		count := min(least(o, "minContains", 1), maxItems)
		m.budget.spend(count / 4)
		for range count {
			m.contains = append(m.contains, s)
		}
	}
}

// tuple returns the schemas of the first items and that of the others, nil if
// there is none, in the terms of draft 2020-12 or of those before.
func tuple(o *object) (prefix []any, rest any) {
	if p, ok := o.m["prefixItems"].([]any); ok {
		return p, o.m["items"]
	}
	if p, ok := o.m["items"].([]any); ok {
		return p, o.m["additionalItems"]
	}
	return nil, o.m["items"]
}

func least(o *object, key string, otherwise int) int {
	if n, ok := integer(o.m[key]); ok {
		return n
	}
	return otherwise
}

func (m *merger) combine(o *object, depth int) {
	if all, ok := o.m["allOf"].([]any); ok {
		for _, s := range all {
			m.add(s, depth+1)
		}
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if branches, ok := o.m[key].([]any); ok && len(branches) > 0 {
			m.choose(branches, depth)
		}
	}
	m.condition(o, depth)
}

// choose takes the branch that is picked.
func (m *merger) choose(branches []any, depth int) {
	if m.pending > 0 {
		return
	}
	if m.met == len(m.picks) {
		m.pending = len(branches)
		return
	}
	pick := m.picks[m.met]
	m.met++
	m.add(branches[pick], depth+1)
}

// condition treats if, then and else as the choice between "if and then" and
// "else"; whether the if fails in the latter case is left to the check.
func (m *merger) condition(o *object, depth int) {
	if !o.has("if") || !o.has("then") && !o.has("else") {
		return
	}
	holds := newObject()
	holds.set("allOf", present(o, "if", "then"))
	fails := newObject()
	fails.set("allOf", present(o, "else"))
	m.choose([]any{holds, fails}, depth)
}

func present(o *object, keys ...string) []any {
	var all []any
	for _, key := range keys {
		if o.has(key) {
			all = append(all, o.m[key])
		}
	}
	return all
}
