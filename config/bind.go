package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// An origin says where a value came from.
type origin struct {
	line, column int    // in the file; 0 if not from there
	label        string // what stands for the place in the effective configuration
}

// A binder carries the values of a YAML tree into a Config and notes where
// each stood. It reports every mistake and goes on.
type binder struct {
	file     string
	lines    []string
	anchors  map[string]ast.Node
	nodes    int // visited; aliases make it grow beyond the file
	origins  map[string]origin
	problems Problems
	hidden   []string // literal secrets, which no problem may show
}

// maxNodes bounds the tree that aliases can spell.
const maxNodes = 100_000

func (b *binder) report(n ast.Node, path, what, help string) {
	line, column := place(n)
	b.at(line, column, path, what, help)
}

func (b *binder) at(line, column int, path, what, help string) {
	// A broken file may hold any number of mistakes; nobody reads them all.
	if len(b.problems) >= 100 {
		return
	}
	p := Problem{File: b.file, Line: line, Column: column, Path: printable(path), What: printable(what), Help: printable(help)}
	if line > 0 && line <= len(b.lines) {
		p.Source = b.lines[line-1]
	}
	b.problems = append(b.problems, p)
}

// reportAt reports at the place from where the value of path came.
func (b *binder) reportAt(path, what, help string) {
	at := path
	o, found := b.origins[at]
	for !found && at != "" {
		at = parent(at)
		o, found = b.origins[at]
	}
	if o.line == 0 {
		file := o.label
		if file == "" || file == "default" {
			file = b.file
		}
		b.problems = append(b.problems, Problem{File: file, Path: path, What: what, Help: help})
		return
	}
	b.at(o.line, o.column, path, what, help)
}

func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i > 0 {
		return path[:i]
	}
	return ""
}

func (b *binder) note(n ast.Node, path string) {
	line, column := place(n)
	b.origins[path] = origin{line: line, column: column}
}

// place returns line and column of a node, from 1.
func place(n ast.Node) (line, column int) {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		n = m.Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return max(t.Position.Line, 1), max(t.Position.Column, 1)
	}
	return 1, 1
}

// resolve follows anchors and aliases. It returns nil, and has reported why,
// for what the configuration does not take.
func (b *binder) resolve(n ast.Node, path string) ast.Node {
	for hops := 0; ; hops++ {
		if b.nodes++; b.nodes > maxNodes || hops > 100 {
			if b.nodes <= maxNodes+1 {
				b.report(n, path, "repeats itself without end", "write the values out in place of the alias")
			}
			return nil
		}
		switch x := n.(type) {
		case *ast.AnchorNode:
			b.anchors[name(x.Name)] = x.Value
			n = x.Value
		case *ast.AliasNode:
			target, found := b.anchors[name(x.Value)]
			if !found {
				b.report(x, path, "no anchor of this name stands above", "")
				return nil
			}
			n = target
		case *ast.TagNode:
			b.report(x, path, "tags are not supported", "leave out "+x.GetToken().Value)
			return nil
		default:
			return n
		}
		if isNil(n) {
			return nil
		}
	}
}

func name(n ast.Node) string {
	if isNil(n) || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}

func isNil(n ast.Node) bool {
	return n == nil || reflect.ValueOf(n).IsNil()
}

// value binds node n to v, a field of description f.
func (b *binder) value(n ast.Node, path string, f *field, v reflect.Value) {
	if strings.Count(path, ".")+strings.Count(path, "[") > 20 {
		b.report(n, path, "is nested too deeply", "")
		return
	}
	n = b.resolve(n, path)
	if n == nil {
		return
	}
	b.note(n, path)
	if _, null := n.(*ast.NullNode); null {
		b.report(n, path, "has no value", "leave the key out to get its default")
		return
	}
	switch t := v.Type(); {
	case t == secretType:
		b.secret(n, path, v)
	case t == headerType:
		b.header(n, path, f.name, v)
	case t.Kind() == reflect.Struct:
		b.group(n, path, v)
	case t.Kind() == reflect.Slice:
		b.list(n, path, f, v)
	case t.Kind() == reflect.Map:
		b.mapping(n, path, v)
	default:
		b.scalar(n, path, f, v)
	}
}

func (b *binder) group(n ast.Node, path string, v reflect.Value) {
	pairs, ok := b.pairs(n, path)
	if !ok {
		b.report(n, path, "is "+kindOf(n)+" where keys with values are expected", "")
		return
	}
	fields, meant := fieldsOf(v.Type()), map[string]bool{}
	for _, p := range pairs {
		f := find(fields, p.key)
		if f == nil {
			name, help := suggestKey(p.key, v.Type())
			meant[name] = true
			b.report(p.node, join(path, p.key), unknownKey, help)
			continue
		}
		meant[p.key] = true
		b.value(p.value, join(path, p.key), f, v.Field(f.index))
	}
	for _, f := range fields {
		if f.need && !meant[f.name] && !meant[mergeKey] {
			b.reportMissing(n, path, f.name)
		}
	}
}

const unknownKey = "unknown key"

func (b *binder) reportMissing(n ast.Node, path, key string) {
	help := ""
	if key == "engines" {
		help = "give a url and the engine's name for the model, or kind: sim for invented answers"
	}
	b.report(n, path, "has no "+key, help)
}

// mergeKey is YAML's key for merging, which is a key like any other here.
const mergeKey = "<<"

func find(fields []field, key string) *field {
	for i := range fields {
		if fields[i].name == key {
			return &fields[i]
		}
	}
	return nil
}

// A pair is one entry of a mapping.
type pair struct {
	key   string
	node  ast.Node // the key's
	value ast.Node
}

// pairs returns the entries of a mapping and reports keys that stand twice;
// of these the first one counts.
func (b *binder) pairs(n ast.Node, path string) ([]pair, bool) {
	m, ok := n.(ast.MapNode)
	if !ok {
		return nil, false
	}
	seen := map[string]int{}
	var pairs []pair
	for it := m.MapRange(); it.Next(); {
		key, value := it.Key(), it.Value()
		if isNil(key) || isNil(value) {
			continue
		}
		k := keyText(key)
		if line, twice := seen[k]; twice {
			b.report(key, join(path, k), fmt.Sprintf("stands twice; first on line %d", line), "")
			continue
		}
		seen[k], _ = place(key)
		pairs = append(pairs, pair{key: k, node: key, value: value})
	}
	return pairs, true
}

func keyText(key ast.MapKeyNode) string {
	if key.IsMergeKey() {
		return mergeKey
	}
	if s, ok := key.(*ast.StringNode); ok {
		return s.Value
	}
	if m, ok := key.(*ast.MappingKeyNode); ok && !isNil(m.Value) {
		if s, ok := m.Value.(*ast.StringNode); ok {
			return s.Value
		}
	}
	return name(key)
}

func (b *binder) list(n ast.Node, path string, f *field, v reflect.Value) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		help := ""
		if isGroup(v.Type().Elem()) {
			help = "begin each entry with '- '"
		}
		b.report(n, path, "is "+kindOf(n)+" where a list is expected", help)
		return
	}
	if len(seq.Values) > 10_000 {
		b.report(n, path, "has more than 10,000 entries", "")
		return
	}
	if f.need && len(seq.Values) == 0 {
		b.report(n, path, "is empty", "")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, entry := range seq.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		if isNil(entry) {
			b.report(n, at, "has no value", "")
			continue
		}
		b.value(entry, at, f, v.Index(i))
	}
}

// mapping binds a map of names to values, such as headers.
func (b *binder) mapping(n ast.Node, path string, v reflect.Value) {
	pairs, ok := b.pairs(n, path)
	if !ok {
		b.report(n, path, "is "+kindOf(n)+" where names with values are expected", "")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(pairs)))
	for _, p := range pairs {
		if !headerName(p.key) {
			b.report(p.node, join(path, p.key), "is not a header that may be set here", "")
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		b.value(p.value, join(path, p.key), &field{name: p.key}, value)
		v.SetMapIndex(reflect.ValueOf(p.key), value)
	}
}

func (b *binder) scalar(n ast.Node, path string, f *field, v reflect.Value) {
	text, ok := scalarText(n)
	if !ok {
		b.report(n, path, "is "+kindOf(n)+" where a single value is expected", "")
		return
	}
	if !utf8.ValidString(text) {
		b.report(n, path, "is not valid UTF-8", "")
		return
	}
	if what, help := setScalar(v, f, text); what != "" {
		if f.form == "url" {
			b.hideAddress(text)
		}
		b.report(n, path, quoted(b.masked(text))+" "+what, help) // masked first: a secret that is cut could not be found
		v.SetZero()
	}
}

// quoted returns the value for use in a message, shortened.
func quoted(text string) string {
	if r := []rune(text); len(r) > 60 {
		text = string(r[:60]) + "..."
	}
	return strconv.Quote(text)
}

// scalarText returns the text of a single value as it was written, so that
// 012 and 1.10 and no stay what they are.
func scalarText(n ast.Node) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.LiteralNode:
		if x.Value == nil {
			return "", true
		}
		return x.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return x.GetToken().Value, true
	}
	return "", false
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case ast.MapNode:
		return "a group of keys"
	case *ast.SequenceNode:
		return "a list"
	}
	return "a single value"
}
