package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
)

// Effective returns the whole configuration as YAML, with each value's source
// behind it: "# outcrop.yaml:12", "# env OUTCROP_LISTEN", "# flag --addr",
// "# default". Secrets are named, never shown. What it returns loads to the
// same configuration.
func (c *Config) Effective() []byte {
	w := &writer{c: c}
	w.group(reflect.ValueOf(c).Elem(), "", "", "", "")
	return []byte(w.b.String())
}

type writer struct {
	c *Config
	b strings.Builder
}

// group writes the keys of a struct. Lead stands before the first line in
// place of indent.
func (w *writer) group(v reflect.Value, path, lead, indent string, kind Kind) {
	if v.Type() == engineType {
		kind = v.Interface().(Engine).Kind
	}
	for _, f := range fieldsOf(v.Type()) {
		inner, at := v.Field(f.index), join(path, f.name)
		if kind != "" && !f.belongsTo(kind) || !w.shown(inner, at) {
			continue
		}
		w.entry(f.name, inner, at, lead, indent, kind)
		lead = indent
	}
}

// shown reports whether there is something to write for the value.
func (w *writer) shown(v reflect.Value, path string) bool {
	if _, set := w.c.origins[path]; set && v.Kind() != reflect.Slice && v.Kind() != reflect.Map && v.Kind() != reflect.Struct {
		return true
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() > 0
	default:
		return !v.IsZero()
	}
}

func (w *writer) entry(key string, v reflect.Value, path, lead, indent string, kind Kind) {
	switch t := v.Type(); {
	case t == secretType:
		w.line(lead, key, secretText(v.Interface().(Secret)), path)
	case t.Kind() == reflect.Map:
		fmt.Fprintf(&w.b, "%s%s:\n", lead, key)
		headers := v.Interface().(map[string]HeaderValue)
		for _, name := range sortedKeys(headers) {
			w.line(indent+"  ", name, headerValueText(headers[name]), join(path, name))
		}
	case isGroup(t):
		fmt.Fprintf(&w.b, "%s%s:\n", lead, key)
		w.group(v, path, indent+"  ", indent+"  ", kind)
	case t.Kind() == reflect.Slice && isGroup(t.Elem()):
		fmt.Fprintf(&w.b, "%s%s:%s\n", lead, key, w.inherited(path))
		for i := range v.Len() {
			at := fmt.Sprintf("%s[%d]", path, i)
			w.group(v.Index(i), at, indent+"  - ", indent+"    ", kind)
		}
	case t.Kind() == reflect.Slice:
		words := make([]string, v.Len())
		for i := range words {
			words[i] = yamlText(formatScalar(v.Index(i)))
		}
		w.line(lead, key, "["+strings.Join(words, ", ")+"]", path)
	default:
		w.line(lead, key, yamlText(formatScalar(v)), path)
	}
}

func (w *writer) line(lead, key, value, path string) {
	fmt.Fprintf(&w.b, "%s%s: %s  # %s\n", lead, key, value, w.source(path))
}

// inherited names the source of a list that came from elsewhere as a whole.
func (w *writer) inherited(path string) string {
	if label := w.c.origins[path].label; label != "" {
		return "  # " + label
	}
	return ""
}

func (w *writer) source(path string) string {
	for at := path; at != ""; at = parent(at) {
		o, found := w.c.origins[at]
		switch {
		case found && o.line > 0:
			return fmt.Sprintf("%s:%d", printable(filepath.Base(w.c.file)), o.line)
		case found:
			return o.label
		}
	}
	return "default"
}

func secretText(s Secret) string {
	if s.File != "" {
		return "{ file: " + yamlText(s.File) + " }"
	}
	return "{ env: " + s.Env + " }"
}

func headerValueText(h HeaderValue) string {
	if h.Secret.IsSet() {
		return secretText(h.Secret)
	}
	return yamlText(h.text)
}

var plain = regexp.MustCompile(`^[A-Za-z0-9/.][A-Za-z0-9/._:%+-]*$`)

// yamlText returns s as a YAML value: plain where that cannot be mistaken,
// else in double quotes.
func yamlText(s string) string {
	if plain.MatchString(s) && !strings.HasSuffix(s, ":") && !strings.EqualFold(s, "null") && s != "..." {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
