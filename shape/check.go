package shape

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep the arrays and objects of a body may nest.
const MaxDepth = 64

// Check walks the JSON document body once and returns nil, Violations or
// *Malformed. Strict JSON is demanded: no name twice in an object, valid
// UTF-8, at most MaxDepth deep. Unknown members are skipped, null is absent.
// Check is linear in the length of body and does not modify it.
func (s *Shape) Check(body []byte) error {
	w := walker{d: jsontext.NewDecoder(bytes.NewBuffer(body))}
	err := w.value(s)
	if err == nil {
		err = w.end()
	}
	if err != nil {
		return err
	}
	if len(w.found) > 0 {
		return w.found
	}
	return nil
}

// A walker goes through a body and its shape side by side.
type walker struct {
	d     *jsontext.Decoder
	at    path
	found Violations
}

func (w *walker) end() error {
	if _, err := w.d.ReadToken(); err != io.EOF {
		return w.malformed("there is more after the end of the JSON value")
	}
	return nil
}

func (w *walker) push(s step) { w.at = append(w.at, s) }
func (w *walker) pop()        { w.at = w.at[:len(w.at)-1] }

func (w *walker) report(value, rule string) {
	if rule == "" || len(w.found) >= maxViolations {
		return
	}
	w.found = append(w.found, Violation{Path: w.at.member(), Value: value, Rule: rule})
}

func (w *walker) malformed(problem string) error {
	return &Malformed{Where: w.at.pointer() + ": " + problem}
}

// syntax turns an error of the decoder into the caller's words.
func (w *walker) syntax(err error) error {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return w.malformed("an object has a name twice")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return w.malformed("unexpected end of the JSON value")
	}
	offset := w.d.InputOffset()
	var s *jsontext.SyntacticError
	if errors.As(err, &s) {
		offset = s.ByteOffset
	}
	return w.malformed("not valid JSON at byte " + strconv.FormatInt(offset, 10))
}

func (w *walker) wrongType(want string) error {
	found := map[jsontext.Kind]string{
		'{': "JSONObject", '[': "JSONArray", '"': "String", '0': "Number",
		't': "Boolean", 'f': "Boolean", 'n': "Null",
	}[w.d.PeekKind()]
	if found == "" || w.d.PeekKind() == '0' {
		// A wrong token is told by what reads it; a number may be of a wrong
		// size only.
		if _, err := w.d.ReadValue(); err != nil {
			return w.syntax(err)
		}
	}
	return w.malformed("expected type: " + want + ", found: " + found)
}

// value checks one value against s.
func (w *walker) value(s *Shape) error {
	switch s.kind {
	case structure, union:
		return w.object(s)
	case mapping:
		return w.mapping(s)
	case list:
		return w.list(s)
	case document:
		return w.skip()
	case boolean:
		return w.boolean()
	case integer, long, float:
		return w.number(s)
	}
	return w.text(s)
}

// open reads the bracket with which a value begins.
func (w *walker) open(bracket jsontext.Kind, want string) error {
	if w.d.PeekKind() != bracket {
		return w.wrongType(want)
	}
	if _, err := w.d.ReadToken(); err != nil {
		return w.syntax(err)
	}
	return w.deep()
}

func (w *walker) deep() error {
	if w.d.StackDepth() > MaxDepth {
		return w.malformed("nested more than " + strconv.Itoa(MaxDepth) + " deep")
	}
	return nil
}

// more reports whether the object or array goes on, and if not, reads its end.
func (w *walker) more() (bool, error) {
	switch w.d.PeekKind() {
	case '}', ']':
		if _, err := w.d.ReadToken(); err != nil {
			return false, w.syntax(err)
		}
		return false, nil
	}
	return true, nil
}

// null reads a null and reports whether there was one.
func (w *walker) null() (bool, error) {
	if w.d.PeekKind() != 'n' {
		return false, nil
	}
	if _, err := w.d.ReadToken(); err != nil {
		return false, w.syntax(err)
	}
	return true, nil
}

func (w *walker) object(s *Shape) error {
	if err := w.open('{', "JSONObject"); err != nil {
		return err
	}
	var seen uint64
	for {
		more, err := w.more()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := w.member(s, &seen); err != nil {
			return err
		}
	}
	w.missing(s, seen)
	return nil
}

// member checks one member of a structure or union, and notes it in seen.
func (w *walker) member(s *Shape, seen *uint64) error {
	name, err := w.d.ReadToken()
	if err != nil {
		return w.syntax(err)
	}
	m, i := s.find(name)
	if m == nil {
		return w.skip()
	}
	w.push(step{name: m.name})
	defer w.pop()
	null, err := w.null()
	if null || err != nil {
		return err
	}
	*seen |= 1 << i
	return w.value(m.shape)
}

// find returns the member with the name and its number; nil if s declares no
// such member.
func (s *Shape) find(name jsontext.Token) (*Member, int) {
	key := name.String()
	for i := range s.members {
		if s.members[i].name == key {
			return &s.members[i], i
		}
	}
	return nil, 0
}

// missing reports required members that are absent, and unions that do not
// have exactly one member.
func (w *walker) missing(s *Shape, seen uint64) {
	if s.kind == union {
		if seen == 0 || seen&(seen-1) != 0 {
			w.report("'***'", "Member must have exactly one of these members set: ["+s.names()+"]")
		}
		return
	}
	for i, m := range s.members {
		if m.required && seen&(1<<i) == 0 {
			w.push(step{name: m.name})
			w.report("null", mustNotBeNull())
			w.pop()
		}
	}
}

func (w *walker) list(s *Shape) error {
	if err := w.open('[', "JSONArray"); err != nil {
		return err
	}
	n := 0
	for ; ; n++ {
		more, err := w.more()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := w.element(s, n); err != nil {
			return err
		}
	}
	w.report("'["+ellipsis(n)+"]'", s.size.check(float64(n), minLength, maxLength))
	return nil
}

func ellipsis(n int) string {
	if n == 0 {
		return ""
	}
	return "***"
}

func (w *walker) element(s *Shape, n int) error {
	w.push(step{index: n})
	defer w.pop()
	null, err := w.null()
	if err != nil {
		return err
	}
	if null {
		w.report("null", mustNotBeNull())
		return nil
	}
	return w.value(s.element)
}

// mapping checks an object whose names are data; a violation names the map
// alone.
func (w *walker) mapping(s *Shape) error {
	if err := w.open('{', "JSONObject"); err != nil {
		return err
	}
	n := 0
	for ; ; n++ {
		more, err := w.more()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := w.entry(s); err != nil {
			return err
		}
	}
	w.report("'{"+ellipsis(n)+"}'", s.size.check(float64(n), minLength, maxLength))
	return nil
}

func (w *walker) entry(s *Shape) error {
	name, err := w.d.ReadToken()
	if err != nil {
		return w.syntax(err)
	}
	if rule := s.key.breaks(name.String()); rule != "" {
		w.report("'{***}'", "Map keys must satisfy constraint: ["+rule+"]")
	}
	null, err := w.null()
	if err != nil {
		return err
	}
	if null {
		w.report("'{***}'", "Map value must satisfy constraint: ["+mustNotBeNull()+"]")
		return nil
	}
	known := len(w.found)
	err = w.value(s.element)
	for i := known; i < len(w.found); i++ {
		if v := &w.found[i]; v.Path == w.at.member() {
			v.Value, v.Rule = "'{***}'", "Map value must satisfy constraint: ["+v.Rule+"]"
		}
	}
	return err
}

func (w *walker) boolean() error {
	if k := w.d.PeekKind(); k != 't' && k != 'f' {
		return w.wrongType("Boolean")
	}
	if _, err := w.d.ReadToken(); err != nil {
		return w.syntax(err)
	}
	return nil
}

func (w *walker) number(s *Shape) error {
	want := "Number"
	if s.kind != float {
		want = "Integer"
	}
	if w.d.PeekKind() != '0' {
		return w.wrongType(want)
	}
	raw, err := w.d.ReadValue()
	if err != nil {
		return w.syntax(err)
	}
	n, ok := s.parse(string(raw))
	if !ok {
		return w.malformed("expected type: " + want + ", found: Number")
	}
	w.report(s.echo(string(raw)), s.value.check(n, minValue, maxValue))
	return nil
}

// parse reads a number of the kind of s.
func (s *Shape) parse(v string) (float64, bool) {
	switch s.kind {
	case integer:
		n, err := strconv.ParseInt(v, 10, 32)
		return float64(n), err == nil
	case long:
		n, err := strconv.ParseInt(v, 10, 64)
		return float64(n), err == nil
	}
	n, err := strconv.ParseFloat(v, 64)
	return n, err == nil && n-n == 0
}

// text checks strings, blobs and timestamps.
func (w *walker) text(s *Shape) error {
	if w.d.PeekKind() != '"' {
		return w.wrongType("String")
	}
	raw, err := w.d.ReadValue()
	if err != nil {
		return w.syntax(err)
	}
	inside := raw[1 : len(raw)-1]
	switch {
	case s.kind == blob:
		n, ok := base64Length(inside)
		if !ok {
			return w.malformed("not valid base64")
		}
		w.report("'***'", s.size.check(float64(n), minLength, maxLength))
		return nil
	case s.kind == text && s.free(inside):
		return nil
	}
	v := string(inside)
	if bytes.IndexByte(inside, '\\') >= 0 {
		b, _ := jsontext.AppendUnquote(nil, raw) // valid, as the decoder took it
		v = string(b)
	}
	if s.kind == timestamp {
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			return w.malformed("expected type: Timestamp, found: String")
		}
		return nil
	}
	w.report(s.echo(v), s.breaks(v))
	return nil
}

// free reports whether a string with the raw inside can break no rule of s,
// told without looking into it.
func (s *Shape) free(inside []byte) bool {
	return s.plain() && !s.size.hasMax && (!s.size.hasMin || s.size.min <= 1 && len(inside) > 0)
}

// breaks returns the first rule of s that the string v breaks, or "".
func (s *Shape) breaks(v string) string {
	if rule := s.size.check(float64(utf8.RuneCountInString(v)), minLength, maxLength); rule != "" {
		return rule
	}
	if s.enum != nil && !slices.Contains(s.enum, v) {
		return inSet(s.enum)
	}
	if s.matcher != nil && !s.matcher().MatchString(v) {
		return matches(s.pattern)
	}
	return ""
}

// skip moves over a value of any kind.
func (w *walker) skip() error {
	outside := w.d.StackDepth()
	for {
		if _, err := w.d.ReadToken(); err != nil {
			return w.syntax(err)
		}
		if err := w.deep(); err != nil {
			return err
		}
		if w.d.StackDepth() <= outside {
			return nil
		}
	}
}
