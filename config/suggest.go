package config

import (
	"reflect"
	"slices"
	"strings"
)

// suggest returns "did you mean X?" for the candidate nearest to got, or "".
func suggest(got string, candidates []string) string {
	if best := nearest(got, candidates); best != "" {
		return didYouMean(best)
	}
	return ""
}

func didYouMean(s string) string { return "did you mean " + s + "?" }

// nearest returns the candidate that is spelt most like got, or "" if none is
// near.
func nearest(got string, candidates []string) string {
	best, least := "", 1+max(1, len(got)/3)
	for _, c := range candidates {
		if d := distance(strings.ToLower(got), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// suggestKey returns what to do about a key that t does not have: take the
// nearest in spelling, or the one that is called so elsewhere, which are
// returned too, or go to the place where the key is at home.
func suggestKey(got string, t reflect.Type) (meant, help string) {
	if got == mergeKey {
		return mergeKey, "merging is not supported: write the values out, or use an alias for the whole value"
	}
	fields := fieldsOf(t)
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
		if slices.Contains(f.aka, strings.ToLower(got)) {
			return f.name, didYouMean(f.name)
		}
	}
	if meant = nearest(got, names); meant != "" {
		return meant, didYouMean(meant)
	}
	if homes := homesOf(got, reflect.TypeFor[Config](), ""); len(homes) > 0 {
		return "", got + " is a key of " + strings.Join(homes, " and ")
	}
	return "", "the keys here are " + strings.Join(names, ", ")
}

// homesOf returns the places that have the key.
func homesOf(key string, t reflect.Type, path string) (homes []string) {
	for _, f := range fieldsOf(t) {
		if f.name == key && path != "" {
			homes = append(homes, path)
		}
		inner, at := t.Field(f.index).Type, join(path, f.name)
		if inner.Kind() == reflect.Slice {
			inner, at = inner.Elem(), at+"[]"
		}
		if isGroup(inner) {
			homes = append(homes, homesOf(key, inner, at)...)
		}
	}
	return homes
}

// distance is the number of letters to insert, remove, replace or swap with
// their neighbour to turn a into b (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b)
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
