package schema

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// resolve finds the schema that the local reference ref names.
func (b *budget) resolve(root any, ref string) (any, error) {
	b.spend(4 + len(ref)/8)
	missing := fmt.Errorf("%w: no target for the reference %.80q", ErrSchema, ref)
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, missing
	}
	fragment, err := url.PathUnescape(fragment)
	if err != nil {
		return nil, missing
	}
	if fragment != "" && fragment[0] != '/' {
		if found := b.anchor(root, fragment); found != nil {
			return found, nil
		}
		return nil, missing
	}
	at := root
	for _, part := range strings.Split(fragment, "/")[1:] {
		if at, ok = child(at, part); !ok {
			return nil, missing
		}
	}
	return at, nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

func child(v any, part string) (any, bool) {
	switch v := v.(type) {
	case *object:
		next, ok := v.m[unescape.Replace(part)]
		return next, ok
	case []any:
		i, err := strconv.Atoi(part)
		if err != nil || i < 0 || i >= len(v) {
			return nil, false
		}
		return v[i], true
	}
	return nil, false
}

func (b *budget) anchor(v any, name string) any {
	if !b.spend(1) {
		return nil
	}
	switch v := v.(type) {
	case *object:
		if v.m["$anchor"] == name || v.m["$dynamicAnchor"] == name {
			return v
		}
		for _, key := range v.keys {
			if found := b.anchor(v.m[key], name); found != nil {
				return found
			}
		}
	case []any:
		for _, e := range v {
			if found := b.anchor(e, name); found != nil {
				return found
			}
		}
	}
	return nil
}
