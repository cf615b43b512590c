package schema

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// A checker says whether values are valid. What it says once its budget is
// spent does not count.
type checker struct {
	*budget
	root    any
	regexps map[string]expression
}

func newChecker(root any) checker {
	return checker{budget: &budget{left: maxWork}, root: root, regexps: map[string]expression{}}
}

func (c *checker) all(schemas []any, v any) bool {
	for _, s := range schemas {
		if !c.valid(s, v) {
			return false
		}
	}
	return true
}

func (c *checker) valid(s, v any) bool { return c.at(s, v, 0) }

func (c *checker) at(s, v any, depth int) bool {
	if !c.spend(2) || depth > 4*maxNest {
		return false
	}
	o, ok := s.(*object)
	if !ok {
		return s != false
	}
	return c.references(o, v, depth) && c.listed(o, v) && c.kind(o, v) && c.logic(o, v, depth)
}

func (c *checker) references(o *object, v any, depth int) bool {
	for _, key := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
		ref, ok := o.m[key].(string)
		if !ok {
			continue
		}
		target, err := c.resolve(c.root, ref)
		if err != nil || !c.at(target, v, depth+1) {
			return false
		}
	}
	return true
}

func (c *checker) listed(o *object, v any) bool {
	if e, ok := o.m["enum"].([]any); ok && !c.contains(e, v) {
		return false
	}
	return !o.has("const") || c.equal(o.m["const"], v)
}

func kindOf(v any) kind {
	switch v := v.(type) {
	case *object:
		return kindObject
	case []any:
		return kindArray
	case string:
		return kindString
	case bool:
		return kindBoolean
	case json.Number:
		if r, ok := rational(v); ok && r.IsInt() {
			return kindInteger
		}
		return kindNumber
	}
	return kindNull
}

// kind checks the type and what the keywords of that type ask.
func (c *checker) kind(o *object, v any) bool {
	if o.has("type") {
		m := merger{budget: c.budget}
		m.kinds = kindAny
		m.types(o)
		allowed := m.kinds
		if allowed&kindOf(v) == 0 {
			return false
		}
	}
	switch v := v.(type) {
	case *object:
		return c.object(o, v)
	case []any:
		return c.array(o, v)
	case string:
		return c.text(o, v)
	case json.Number:
		return c.number(o, v)
	}
	return true
}

func (c *checker) number(o *object, v json.Number) bool {
	r, ok := rational(v)
	if !ok || !c.spend(5+len(v)/4) {
		return false
	}
	m := merger{budget: c.budget}
	m.numbers(o)
	if m.err != nil {
		return false
	}
	if m.min != nil {
		if cmp := r.Cmp(m.min); cmp < 0 || cmp == 0 && m.minOut {
			return false
		}
	}
	if m.max != nil {
		if cmp := r.Cmp(m.max); cmp > 0 || cmp == 0 && m.maxOut {
			return false
		}
	}
	return m.multiple == nil || r.Quo(r, m.multiple).IsInt()
}

func (c *checker) text(o *object, s string) bool {
	c.spend(len(s) / 256)
	count := utf8.RuneCountInString(s)
	if !within(o, "minLength", "maxLength", count) {
		return false
	}
	p, ok := o.m["pattern"].(string)
	return !ok || c.matches(p, s)
}

func within(o *object, lower, upper string, count int) bool {
	if n, ok := integer(o.m[lower]); ok && count < n {
		return false
	}
	n, ok := integer(o.m[upper])
	return !ok || count <= n
}

func (c *checker) object(o, v *object) bool {
	if !within(o, "minProperties", "maxProperties", len(v.keys)) {
		return false
	}
	for _, name := range c.texts(o.m["required"]) {
		if !v.has(name) {
			return false
		}
	}
	for _, name := range v.keys {
		if !c.spend(1) || !c.member(o, v, name) {
			return false
		}
	}
	return c.dependent(o, v) && c.unevaluated(o, v)
}

func (c *checker) member(o, v *object, name string) bool {
	value := v.m[name]
	if rule, ok := o.m["propertyNames"]; ok && !c.valid(rule, name) {
		return false
	}
	for _, key := range []string{"dependentSchemas", "dependencies"} {
		d, _ := o.m[key].(*object)
		if d == nil || !d.has(name) {
			continue
		}
		if _, list := d.m[name].([]any); !list && !c.valid(d.m[name], v) {
			return false
		}
	}
	schemas, known := c.own(o, name)
	if rest, ok := o.m["additionalProperties"]; ok && !known {
		schemas = append(schemas, rest)
	}
	return c.all(schemas, value)
}

// own returns the schemas that o itself has for the property name, and
// whether there is any.
func (c *checker) own(o *object, name string) (schemas []any, known bool) {
	if p, ok := o.m["properties"].(*object); ok && p.has(name) {
		schemas = append(schemas, p.m[name])
	}
	if p, ok := o.m["patternProperties"].(*object); ok {
		for _, pattern := range p.keys {
			if c.matches(pattern, name) {
				schemas = append(schemas, p.m[pattern])
			}
		}
	}
	return schemas, len(schemas) > 0
}

func (c *checker) dependent(o, v *object) bool {
	for _, key := range []string{"dependentRequired", "dependencies"} {
		d, _ := o.m[key].(*object)
		if d == nil {
			continue
		}
		c.spend(len(d.keys) / 4)
		for _, name := range d.keys {
			missing := func(need string) bool { return !v.has(need) }
			if v.has(name) && slices.ContainsFunc(c.texts(d.m[name]), missing) {
				return false
			}
		}
	}
	return true
}

func (c *checker) unevaluated(o, v *object) bool {
	rest, ok := o.m["unevaluatedProperties"]
	if !ok {
		return true
	}
	known := map[string]bool{}
	c.evaluated(o, v, known, 0)
	for _, name := range v.keys {
		if !known[name] && !c.valid(rest, v.m[name]) {
			return false
		}
	}
	return true
}

// evaluated collects the names of v that s, which holds for v, speaks of.
func (c *checker) evaluated(s any, v *object, known map[string]bool, depth int) {
	o, ok := s.(*object)
	if !ok || depth > maxDepth || !c.spend(2+len(v.keys)) {
		return
	}
	for _, name := range v.keys {
		_, mine := c.own(o, name)
		known[name] = known[name] || mine || o.has("additionalProperties")
	}
	if ref, ok := o.m["$ref"].(string); ok {
		if target, err := c.resolve(c.root, ref); err == nil {
			c.evaluated(target, v, known, depth+1)
		}
	}
	for _, sub := range branches(o) {
		if c.valid(sub, v) {
			c.evaluated(sub, v, known, depth+1)
		}
	}
}

func branches(o *object) []any {
	all := present(o, "if")
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		list, _ := o.m[key].([]any)
		all = append(all, list...)
	}
	if d, ok := o.m["dependentSchemas"].(*object); ok {
		all = append(all, present(d, d.keys...)...)
	}
	return append(all, present(o, "then", "else")...)
}

func (c *checker) array(o *object, a []any) bool {
	if !within(o, "minItems", "maxItems", len(a)) {
		return false
	}
	prefix, rest := tuple(o)
	for i, v := range a {
		s := rest
		if i < len(prefix) {
			s = prefix[i]
		}
		if s != nil && !c.valid(s, v) {
			return false
		}
		if o.m["uniqueItems"] == true && c.contains(a[:i], v) {
			return false
		}
	}
	return c.contained(o, a)
}

func (c *checker) contained(o *object, a []any) bool {
	s, ok := o.m["contains"]
	if !ok {
		return true
	}
	count := 0
	for _, v := range a {
		if c.valid(s, v) {
			count++
		}
	}
	most, limited := integer(o.m["maxContains"])
	return count >= least(o, "minContains", 1) && (!limited || count <= most)
}

func (c *checker) logic(o *object, v any, depth int) bool {
	matching := func(key string) (count, of int) {
		list, _ := o.m[key].([]any)
		for _, s := range list {
			if c.at(s, v, depth+1) {
				count++
			}
		}
		return count, len(list)
	}
	if n, of := matching("allOf"); n != of {
		return false
	}
	if n, of := matching("anyOf"); of > 0 && n == 0 {
		return false
	}
	if n, of := matching("oneOf"); of > 0 && n != 1 {
		return false
	}
	if s, ok := o.m["not"]; ok && c.at(s, v, depth+1) {
		return false
	}
	return c.conditional(o, v, depth)
}

func (c *checker) conditional(o *object, v any, depth int) bool {
	condition, ok := o.m["if"]
	if !ok {
		return true
	}
	key := "else"
	if c.at(condition, v, depth+1) {
		key = "then"
	}
	s, ok := o.m[key]
	return !ok || c.at(s, v, depth+1)
}
