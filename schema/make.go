package schema

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
)

// maxItems is the most items or extra members that are made up.
const maxItems = 1000

// A maker makes up one value. Its bounds are shared by all that it calls.
type maker struct {
	checker
	rng    *rand.Rand
	size   int  // members, items and characters made so far
	sparse bool // leave out all that is optional
}

// value makes a value, of the property name if that is not empty, for which
// all the schemas hold.
func (m *maker) value(schemas []any, name string, depth int) (any, error) {
	if depth > maxDepth || m.size > maxBytes || m.spent() {
		return nil, ErrNoExample
	}
	return m.branch(schemas, nil, name, depth)
}

// branch tries the branches of the first choice that picks leaves open, in an
// order that the seed gives.
func (m *maker) branch(schemas []any, picks []int, name string, depth int) (any, error) {
	g := m.merge(schemas, picks)
	if g.err != nil {
		return nil, g.err
	}
	if g.pending == 0 {
		return m.make(&g.node, schemas, name, depth)
	}
	start := m.rng.IntN(g.pending)
	if m.sparse || depth > 3 {
		start = 0
	}
	for i := range g.pending {
		pick := append(slices.Clip(picks), (start+i)%g.pending)
		v, err := m.branch(schemas, pick, name, depth)
		if errors.Is(err, ErrSchema) {
			return nil, err
		}
		if err == nil && m.all(schemas, v) {
			return v, nil
		}
		if m.spent() {
			break
		}
	}
	return nil, ErrNoExample
}

func (m *maker) merge(schemas []any, picks []int) *merger {
	g := &merger{root: m.root, picks: picks, budget: m.budget}
	g.node = node{kinds: kindAny, maxLength: -1, maxProps: -1, maxItems: -1, properties: map[string][]any{}}
	for _, s := range schemas {
		g.add(s, 0)
	}
	return g
}

// make makes a value for the node n, to which schemas were folded.
func (m *maker) make(n *node, schemas []any, name string, depth int) (any, error) {
	if n.never {
		return nil, ErrNoExample
	}
	if len(n.enum) > 0 {
		return m.oneOf(n.enum[0], schemas)
	}
	for _, k := range n.order() {
		v, err := m.ofKind(k, n, name, depth)
		if err == nil || errors.Is(err, ErrSchema) {
			return v, err
		}
	}
	return nil, ErrNoExample
}

// order returns the types to try, the likeliest first.
func (n *node) order() []kind {
	likely := n.kinds & n.hints
	if !n.typed && n.hints == 0 {
		likely = kindString
	}
	var first, second []kind
	for _, k := range []kind{kindObject, kindArray, kindString, kindNumber, kindInteger, kindBoolean, kindNull} {
		switch {
		case likely&k != 0:
			first = append(first, k)
		case n.kinds&k != 0:
			second = append(second, k)
		}
	}
	return append(first, second...)
}

func (m *maker) oneOf(values, schemas []any) (any, error) {
	if len(values) == 0 {
		return nil, ErrNoExample
	}
	start := m.rng.IntN(len(values))
	for i := range values {
		if v := values[(start+i)%len(values)]; m.all(schemas, v) {
			return v, nil
		}
	}
	return nil, ErrNoExample
}

func (m *maker) ofKind(k kind, n *node, name string, depth int) (any, error) {
	m.size++
	switch k {
	case kindObject:
		return m.object(n, depth)
	case kindArray:
		return m.array(n, name, depth)
	case kindString:
		return m.text(n, name)
	case kindNumber:
		return m.number(n, false)
	case kindInteger:
		return m.number(n, true)
	case kindBoolean:
		return m.rng.IntN(2) == 0, nil
	}
	return nil, nil
}

func (m *maker) object(n *node, depth int) (any, error) {
	o := newObject()
	required := map[string]bool{}
	for _, name := range n.required {
		required[name] = true
	}
	for _, name := range m.members(n, depth) {
		v, err := m.value(n.schemasOf(&m.checker, name), name, depth+1)
		if errors.Is(err, ErrSchema) || err != nil && required[name] {
			return nil, err
		}
		if err == nil {
			o.set(name, v)
		}
	}
	return o, m.fill(n, o, depth)
}

// members chooses the names: those that are required, those that these call
// for, and some of the others.
func (m *maker) members(n *node, depth int) []string {
	chosen := slices.Clone(n.required)
	m.spend(2 * (len(chosen) + len(n.names)))
	is, place := map[string]bool{}, map[string]int{}
	for _, name := range chosen {
		is[name], place[name] = true, len(n.names)
	}
	for i, name := range n.names {
		place[name] = i
		full := n.maxProps >= 0 && len(chosen) >= n.maxProps
		if !is[name] && !full && m.optional(depth) {
			is[name], chosen = true, append(chosen, name)
		}
	}
	for i := 0; i < len(chosen) && m.spend(1+len(n.depend)); i++ {
		for _, d := range n.depend {
			for _, name := range m.texts(d.m[chosen[i]]) {
				if _, named := place[name]; !named {
					place[name] = len(n.names)
				}
				if !is[name] {
					is[name], chosen = true, append(chosen, name)
				}
			}
		}
	}
	slices.SortStableFunc(chosen, func(a, b string) int { return place[a] - place[b] }) // as the schema orders them
	return chosen
}

func (m *maker) optional(depth int) bool {
	return !m.sparse && depth < 5 && m.rng.IntN(2+depth) == 0
}

func (n *node) schemasOf(c *checker, name string) []any {
	all := slices.Clone(n.properties[name])
	for _, p := range n.byPattern {
		for _, key := range p.keys {
			if c.matches(key, name) {
				all = append(all, p.m[key])
			}
		}
	}
	if len(all) == 0 {
		return n.rest
	}
	return all
}

// fill adds members to o until it has as many as it must have.
func (m *maker) fill(n *node, o *object, depth int) error {
	for i := 0; len(o.keys) < n.minProps; i++ {
		if i > 2*n.minProps+len(n.names) || i > maxItems || m.spent() {
			return ErrNoExample
		}
		name := m.extraName(n, i)
		if o.has(name) {
			continue
		}
		v, err := m.value(n.schemasOf(&m.checker, name), name, depth+1)
		if err != nil {
			continue
		}
		o.set(name, v)
	}
	return nil
}

func (m *maker) extraName(n *node, i int) string {
	if i < len(n.names) {
		return n.names[i]
	}
	for _, p := range n.byPattern {
		if len(p.keys) > 0 {
			return m.numbered(p.keys[i%len(p.keys)], i)
		}
	}
	if len(n.nameRules) > 0 {
		rules := append([]any{stringSchema}, n.nameRules...)
		if s, err := m.value(rules, "", 0); err == nil {
			return s.(string)
		}
	}
	return "field" + strconv.Itoa(i-len(n.names)+1)
}

// numbered makes a name that the pattern matches, with a number at its end if
// the pattern allows that.
func (m *maker) numbered(pattern string, i int) string {
	name := m.fromPattern(pattern)
	if long := name + strconv.Itoa(i+1); m.matches(pattern, long) {
		return long
	}
	return name
}

var stringSchema = func() *object {
	o := newObject()
	o.set("type", "string")
	return o
}()

func (m *maker) array(n *node, name string, depth int) (any, error) {
	count := m.count(n, depth)
	if count < n.minItems {
		return nil, ErrNoExample
	}
	a := []any{}
	for i := range count {
		v, err := m.item(n, a, i, name, depth)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	return a, nil
}

// count chooses how many items there are, at most maxItems of them.
func (m *maker) count(n *node, depth int) int {
	count := max(n.minItems, len(n.contains))
	if !m.sparse && depth < 5 {
		count = max(count, len(n.prefix), 1+m.rng.IntN(2))
	}
	if n.maxItems >= 0 {
		count = min(count, n.maxItems)
	}
	if n.noMore {
		count = min(count, len(n.prefix))
	}
	return min(count, maxItems)
}

func (m *maker) item(n *node, before []any, i int, name string, depth int) (any, error) {
	schemas := slices.Clone(n.items)
	if i < len(n.prefix) {
		schemas = slices.Clone(n.prefix[i])
	}
	if at := i - len(n.prefix); at >= 0 && at < len(n.contains) {
		schemas = append(schemas, n.contains[at])
	} else if i < len(n.contains) && n.count() <= len(n.prefix) {
		schemas = append(schemas, n.contains[i])
	}
	for range attempts {
		v, err := m.value(schemas, name, depth+1)
		if err != nil || !n.unique || !m.contains(before, v) {
			return v, err
		}
	}
	return nil, ErrNoExample
}

// count is the least number of items that there may be.
func (n *node) count() int { return max(n.minItems, len(n.contains)) }

// number makes a number within the bounds: a multiple of what it must be a
// multiple of, or a whole number, or one with one decimal, or what lies in
// the middle.
func (m *maker) number(n *node, whole bool) (any, error) {
	m.spend(10)
	step := n.multiple
	switch {
	case step == nil && whole:
		step = big.NewRat(1, 1)
	case step == nil:
		step = big.NewRat(1, 10)
	case whole:
		step = leastCommonMultiple(step, big.NewRat(1, 1))
	}
	lo, hi := n.bounds(step)
	if k, ok := m.multipleWithin(lo, hi, step, n); ok {
		return decimal(k), nil
	}
	if whole || n.multiple != nil || lo.Cmp(hi) > 0 {
		return nil, ErrNoExample
	}
	middle := new(big.Rat).Add(lo, hi)
	return decimal(middle.Mul(middle, big.NewRat(1, 2))), nil
}

// bounds closes an open range at a readable distance.
func (n *node) bounds(step *big.Rat) (lo, hi *big.Rat) {
	reach := new(big.Rat).Mul(step, big.NewRat(100, 1))
	lo, hi = n.min, n.max
	switch {
	case lo == nil && hi == nil:
		lo = step
		hi = reach
	case hi == nil:
		hi = new(big.Rat).Add(lo, reach)
	case lo == nil:
		lo = new(big.Rat).Sub(hi, reach)
		if hi.Sign() > 0 && lo.Sign() < 0 {
			lo = new(big.Rat)
		}
	}
	return lo, hi
}

func (m *maker) multipleWithin(lo, hi, step *big.Rat, n *node) (*big.Rat, bool) {
	first := roundUp(new(big.Rat).Quo(lo, step))
	last := roundDown(new(big.Rat).Quo(hi, step))
	if n.min != nil && n.minOut && times(first, step).Cmp(lo) == 0 {
		first.Add(first, big.NewInt(1))
	}
	if n.max != nil && n.maxOut && times(last, step).Cmp(hi) == 0 {
		last.Sub(last, big.NewInt(1))
	}
	span := new(big.Int).Sub(last, first)
	if span.Sign() < 0 {
		return nil, false
	}
	width := int64(1000)
	if span.IsInt64() {
		width = min(width, span.Int64()+1)
	}
	return times(first.Add(first, big.NewInt(m.rng.Int64N(max(width, 1)))), step), true
}

func times(k *big.Int, step *big.Rat) *big.Rat {
	return new(big.Rat).Mul(new(big.Rat).SetInt(k), step)
}

// roundDown relies on Div being Euclidean: it rounds down for a positive
// divisor.
func roundDown(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) }

func roundUp(r *big.Rat) *big.Int {
	q := roundDown(r)
	if !r.IsInt() {
		q.Add(q, big.NewInt(1))
	}
	return q
}
