package config

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// A field is one key of a struct of the configuration.
type field struct {
	name    string // the key
	index   int
	def     string
	hasDef  bool
	enum    []string
	form    string
	min     string
	max     string
	need    bool
	kinds   []string // the kinds of engine that have it; empty for all
	flag    string
	aka     []string
	restart bool
}

// described caches fieldsOf by type.
var described sync.Map

// fieldsOf returns the keys of a struct type, in their order. The slice is
// shared and must not be changed.
func fieldsOf(t reflect.Type) []field {
	if fields, ok := described.Load(t); ok {
		return fields.([]field)
	}
	fields := describe(t)
	described.Store(t, fields)
	return fields
}

func describe(t reflect.Type) (fields []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		def, hasDef := f.Tag.Lookup("default")
		var enum []string
		if e := f.Tag.Get("enum"); e != "" {
			enum = strings.Split(e, "|")
		}
		fields = append(fields, field{
			name: name, index: i, def: def, hasDef: hasDef, enum: enum,
			form: f.Tag.Get("form"), min: f.Tag.Get("min"), max: f.Tag.Get("max"),
			need: f.Tag.Get("need") == "yes", kinds: strings.Fields(f.Tag.Get("for")),
			flag: f.Tag.Get("flag"), aka: strings.Fields(f.Tag.Get("aka")),
			restart: f.Tag.Get("reload") == "restart",
		})
	}
	return fields
}

func (f *field) belongsTo(k Kind) bool {
	return len(f.kinds) == 0 || slices.Contains(f.kinds, string(k))
}

var (
	secretType = reflect.TypeFor[Secret]()
	headerType = reflect.TypeFor[HeaderValue]()
	engineType = reflect.TypeFor[Engine]()
)

// isGroup reports whether t is a struct with keys of its own, as opposed to a
// value that happens to be a struct.
func isGroup(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != secretType && t != headerType
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
