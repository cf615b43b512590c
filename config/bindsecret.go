package config

import (
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// secret binds {file: ...} or {env: ...}.
func (b *binder) secret(n ast.Node, path string, v reflect.Value) {
	const help = "write { file: /path/to/file } or { env: NAME }"
	pairs, ok := b.pairs(n, path)
	if !ok {
		b.hide(n)
		b.report(n, path, "is a literal secret", help)
		return
	}
	var s Secret
	for _, p := range pairs {
		text, single := scalarText(p.value)
		switch {
		case p.key != "file" && p.key != "env":
			b.hide(p.value)
			b.report(p.node, join(path, p.key), unknownKey, help)
		case !single || text == "" || !utf8.ValidString(text):
			b.report(p.value, join(path, p.key), "has no value", help)
		case p.key == "file":
			s.File = text
		case !envName(text):
			b.hide(p.value)
			b.report(p.value, join(path, p.key), "is not the name of an environment variable", help)
		default:
			s.Env = text
		}
	}
	if len(pairs) == 0 {
		b.report(n, path, "names no secret", help)
	}
	v.Set(reflect.ValueOf(s))
}

// hideAddress keeps what can be a secret in an address out of every problem:
// user name and password, and what follows the path.
func (b *binder) hideAddress(address string) {
	if i := strings.IndexAny(address, "?#"); i >= 0 && i+1 < len(address) {
		b.hidden = append(b.hidden, address[i:])
		address = address[:i]
	}
	_, rest, _ := strings.Cut(address, "//")
	authority, _, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		b.hidden = append(b.hidden, authority[:i])
	}
}

// hide keeps the text of a node out of every problem.
func (b *binder) hide(n ast.Node) {
	if text, single := scalarText(n); single {
		b.hidden = append(b.hidden, strings.Split(text, "\n")...)
	}
}

// masked replaces literal secrets by stars. The text keeps its length, so
// that columns stay true.
func (b *binder) masked(text string) string {
	for _, h := range b.hidden {
		if h = strings.TrimSpace(h); h != "" {
			text = strings.ReplaceAll(text, h, strings.Repeat("*", utf8.RuneCountInString(h)))
		}
	}
	return text
}

func envName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) < 256
}

// header binds the value of a header: text or a secret.
func (b *binder) header(n ast.Node, path, name string, v reflect.Value) {
	if _, group := n.(ast.MapNode); group {
		h := HeaderValue{}
		b.secret(n, path, reflect.ValueOf(&h.Secret).Elem())
		v.Set(reflect.ValueOf(h))
		return
	}
	text, ok := scalarText(n)
	switch {
	case !ok:
		b.report(n, path, "is "+kindOf(n)+" where text is expected", "")
	case secretHeader(name):
		b.hide(n)
		b.report(n, path, "is a literal secret", "write { file: /path/to/file } or { env: NAME }")
	case !headerText(text):
		b.report(n, path, "holds characters that cannot be sent", "")
	default:
		v.Set(reflect.ValueOf(HeaderValue{text: text}))
	}
}

func secretHeader(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"authorization", "key", "token", "secret", "cookie", "password"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// headerName reports whether a header of this name may be added to requests:
// a token that is not one of those that frame the message.
func headerName(s string) bool {
	switch strings.ToLower(s) {
	case "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "keep-alive", "proxy-connection", "content-type", "accept-encoding":
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= 256
}
