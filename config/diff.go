package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A Change is one key that differs between two configurations. Old or New is
// empty if the key is absent there; secrets are named, never shown.
type Change struct {
	Path, Old, New string
	// Restart says that the change takes effect only after a restart.
	Restart bool
}

// String returns the change in one line for the log.
func (c Change) String() string {
	s := fmt.Sprintf("%s: %s -> %s", c.Path, orNone(c.Old), orNone(c.New))
	if c.Restart {
		s += " (restart)"
	}
	return s
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// Diff lists the keys whose values differ, in the order of the keys. Models
// are matched by id and engines by name; one that is only in one of the two
// is one change. A secret whose value changed counts, even if it still stands
// in the same place.
func Diff(before, after *Config) []Change {
	was, is := flatten(before), flatten(after)
	var changes []Change
	for _, path := range was.order {
		a, kept := was.at[path], is.has(path)
		switch b := is.at[path]; {
		case !kept && !is.hasEntry(path):
		case a.text != b.text:
			changes = append(changes, Change{Path: path, Old: a.text, New: b.text, Restart: a.restart})
		case a.value != b.value:
			changes = append(changes, Change{Path: path, Old: a.text, New: b.text + " (changed)", Restart: a.restart})
		}
	}
	for _, path := range is.order {
		if b := is.at[path]; !was.has(path) && was.hasEntry(path) {
			changes = append(changes, Change{Path: path, New: b.text, Restart: b.restart})
		}
	}
	return changes
}

// NeedRestart returns those of the changes that a running server refuses,
// each as a Problem that says so. An empty result means that all of them can
// be applied at once.
func NeedRestart(changes []Change) Problems {
	var refused Problems
	for _, c := range changes {
		if c.Restart {
			refused = append(refused, Problem{
				File: "reload", Path: c.Path, What: fmt.Sprintf("%s -> %s needs a restart", orNone(c.Old), orNone(c.New)),
			})
		}
	}
	return refused
}

// A leaf is one value: what may be shown of it, and what it is.
type leaf struct {
	text, value string
	restart     bool
}

type leaves struct {
	at    map[string]leaf
	order []string
}

func flatten(c *Config) *leaves {
	l := &leaves{at: map[string]leaf{}}
	l.walk(reflect.ValueOf(c).Elem(), "", false)
	return l
}

func (l *leaves) has(path string) bool { _, found := l.at[path]; return found }

// hasEntry reports whether all entries of lists that path goes through are
// there. Where one is missing, its absence is the change, and not that of
// what is in it.
func (l *leaves) hasEntry(path string) bool {
	for i := range path {
		if path[i] == ']' && i+1 < len(path) && path[i+1] == '.' && !l.has(path[:i+1]) {
			return false
		}
	}
	return true
}

func (l *leaves) add(path, text, value string, restart bool) {
	l.at[path] = leaf{text, value, restart}
	l.order = append(l.order, path)
}

func (l *leaves) walk(v reflect.Value, path string, restart bool) {
	for _, f := range fieldsOf(v.Type()) {
		l.value(v.Field(f.index), join(path, f.name), restart || f.restart)
	}
}

func (l *leaves) value(v reflect.Value, at string, restart bool) {
	switch t := v.Type(); {
	case t == secretType:
		s := v.Interface().(Secret)
		if s.IsSet() {
			l.add(at, secretText(s), s.value, restart)
		}
	case t.Kind() == reflect.Map:
		headers := v.Interface().(map[string]HeaderValue)
		for _, name := range sortedKeys(headers) {
			h := headers[name]
			l.add(join(at, name), headerValueText(h), h.Value(), restart)
		}
	case isGroup(t):
		l.walk(v, at, restart)
	case t.Kind() == reflect.Slice && isGroup(t.Elem()):
		seen := names{}
		for i := range v.Len() {
			entry := at + "[" + seen.free(entryName(v.Index(i), i)) + "]"
			l.add(entry, "listed", "", restart)
			l.walk(v.Index(i), entry, restart)
		}
	case t.Kind() == reflect.Slice:
		if v.Len() > 0 {
			l.add(at, strings.Trim(fmt.Sprint(v.Interface()), "[]"), "", restart)
		}
	default:
		if !v.IsZero() || v.Kind() != reflect.String {
			l.add(at, formatScalar(v), "", restart)
		}
	}
}

// entryName is what a list's entry is known by: its id, its name or its
// place.
func entryName(v reflect.Value, i int) string {
	switch x := v.Interface().(type) {
	case Model:
		return x.ID
	case Engine:
		return x.Name
	}
	return fmt.Sprint(i)
}

// Flags returns the names of the command line flags that set a key, sorted.
func Flags() []string {
	var names []string
	scalars(reflect.ValueOf(&Config{}).Elem(), "", func(_ string, f *field, _ reflect.Value) {
		if f.flag != "" {
			names = append(names, f.flag)
		}
	})
	slices.Sort(names)
	return names
}
