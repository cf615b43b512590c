package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
)

// Values are nil, bool, string, json.Number, []any and *object.

// An object keeps its members in the order in which they were written.
type object struct {
	keys []string
	m    map[string]any
}

func newObject() *object { return &object{m: map[string]any{}} }

func (o *object) set(key string, v any) {
	if _, ok := o.m[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.m[key] = v
}

func (o *object) has(key string) bool {
	_, ok := o.m[key]
	return ok
}

var (
	errNesting = errors.New("nested too deeply")
	errValues  = errors.New("too many values")
	errRest    = errors.New("more than one value")
)

func parseJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	values := 0
	v, err := parseValue(d, 0, &values)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errRest
	}
	return v, nil
}

func parseValue(d *json.Decoder, depth int, values *int) (any, error) {
	if *values++; *values > maxValues {
		return nil, errValues
	}
	if depth > maxNest {
		return nil, errNesting
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return parseObject(d, depth, values)
	case json.Delim('['):
		return parseArray(d, depth, values)
	}
	return t, nil
}

func parseObject(d *json.Decoder, depth int, values *int) (any, error) {
	o := newObject()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := parseValue(d, depth+1, values)
		if err != nil {
			return nil, err
		}
		o.set(key.(string), v)
	}
	_, err := d.Token()
	return o, err
}

func parseArray(d *json.Decoder, depth int, values *int) (any, error) {
	a := []any{}
	for d.More() {
		v, err := parseValue(d, depth+1, values)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	_, err := d.Token()
	return a, err
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		dst = outcrop.AppendQuote(append(dst, '"'), v)
		return append(dst, '"')
	case json.Number:
		return append(dst, v...)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, e)
		}
		return append(dst, ']')
	case *object:
		return appendObject(dst, v)
	}
	return append(dst, "null"...)
}

func appendObject(dst []byte, o *object) []byte {
	dst = append(dst, '{')
	for i, key := range o.keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = outcrop.AppendQuote(append(dst, '"'), key)
		dst = append(dst, '"', ':')
		dst = appendValue(dst, o.m[key])
	}
	return append(dst, '}')
}

func (b *budget) contains(all []any, v any) bool {
	return slices.ContainsFunc(all, func(e any) bool { return b.equal(e, v) })
}

// equal is JSON schema's equality: numbers by value, objects without order.
func (b *budget) equal(x, y any) bool {
	if !b.spend(1) {
		return false
	}
	switch x := x.(type) {
	case json.Number:
		y, ok := y.(json.Number)
		return ok && b.equalNumbers(x, y)
	case []any:
		y, ok := y.([]any)
		return ok && b.equalArrays(x, y)
	case *object:
		y, ok := y.(*object)
		return ok && b.equalObjects(x, y)
	}
	switch y.(type) {
	case []any, *object, json.Number:
		return false
	}
	return x == y
}

func (b *budget) equalNumbers(x, y json.Number) bool {
	if x == y {
		return true
	}
	b.spend(4 + (len(x)+len(y))/4)
	r, okR := rational(x)
	s, okS := rational(y)
	return okR && okS && r.Cmp(s) == 0
}

func (b *budget) equalArrays(x, y []any) bool {
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if !b.equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

func (b *budget) equalObjects(x, y *object) bool {
	if len(x.keys) != len(y.keys) {
		return false
	}
	for _, key := range x.keys {
		if !y.has(key) || !b.equal(x.m[key], y.m[key]) {
			return false
		}
	}
	return true
}

// maxExponent bounds the numbers that are understood, so that 1e999999999
// costs nothing.
const maxExponent = 330

// rational returns the exact value of v if v is a number of sensible size.
func rational(v any) (*big.Rat, bool) {
	n, ok := v.(json.Number)
	if !ok || len(n) > 2*maxExponent {
		return nil, false
	}
	if i := strings.IndexAny(string(n), "eE"); i >= 0 {
		e, err := strconv.Atoi(string(n[i+1:]))
		if err != nil || e > maxExponent || e < -maxExponent {
			return nil, false
		}
	}
	return new(big.Rat).SetString(string(n))
}

// integer returns the value of v if v is a whole number that fits an int32.
func integer(v any) (int, bool) {
	r, ok := rational(v)
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	n := r.Num().Int64()
	if n > 1<<31-1 {
		n = 1<<31 - 1
	}
	return int(n), n >= 0
}

// decimal writes r, which must have a finite decimal expansion.
func decimal(r *big.Rat) json.Number {
	if r.IsInt() {
		return json.Number(r.Num().String())
	}
	places, _ := r.FloatPrec()
	return json.Number(r.FloatString(places))
}

// texts returns the strings of an array.
func (b *budget) texts(v any) []string {
	a, _ := v.([]any)
	if !b.spend(len(a)) {
		return nil
	}
	var all []string
	for _, e := range a {
		if s, ok := e.(string); ok {
			all = append(all, s)
		}
	}
	return all
}
