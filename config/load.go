package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile and maxLines bound the configuration file. The parser takes time in
// the square of a mapping's length: about 5 s for 20,000 keys.
const (
	maxFile  = 1 << 20
	maxLines = 20_000
)

// A Source is all that a configuration comes from. A value is taken from the
// flag if there is one, else from the environment, else from the file, else
// it is the default.
type Source struct {
	// Path of the YAML file; empty for none.
	Path string
	// Env holds NAME=value. OUTCROP_LISTEN sets listen, OUTCROP_LOG__LEVEL
	// sets log.level; secrets are found here too. Entries of lists cannot be
	// set.
	Env []string
	// Flags maps names of flags without dashes ("addr"), or keys ("log.level"),
	// to values.
	Flags map[string]string
	// Read returns the content of a file. ReadFile is meant for programs.
	Read func(path string) ([]byte, error)
}

// Load reads and checks the configuration. See Source.Load.
func Load(path string, env []string, flags map[string]string) (*Config, Problems) {
	return Source{Path: path, Env: env, Flags: flags, Read: ReadFile}.Load()
}

// ReadFile is os.ReadFile, bounded to 1 MiB and to regular files and pipes.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = errors.New("larger than 1 MiB")
	}
	return content, err
}

// Load reads and checks the configuration. It returns either a Config with
// nothing wrong in it, or every problem found and a nil Config. It reads the
// file and the secrets that it names, and nothing else; it never panics.
func (s Source) Load() (*Config, Problems) {
	c := &Config{file: s.Path}
	b := &binder{file: s.Path, anchors: map[string]ast.Node{}, origins: map[string]origin{}}
	if s.Path != "" {
		s.bindFile(b, c)
	}
	if b.nodes > maxNodes {
		return nil, b.sorted()
	}
	env := environment(s.Env)
	b.bindEnv(c, env)
	b.bindFlags(c, s.Flags)
	b.setKinds(c)
	b.setDefaults(reflect.ValueOf(c).Elem(), "", "")
	b.setDerived(c)
	b.resolveSecrets(reflect.ValueOf(c).Elem(), "", s.Read, env, filepath.Dir(s.Path))
	b.check(c, s.Read)
	if len(b.problems) > 0 {
		return nil, b.sorted()
	}
	c.origins = b.origins
	c.Warnings = b.strayEnv(env)
	return c, nil
}

// sorted returns the problems in the order of the file, without secrets.
func (b *binder) sorted() Problems {
	for i := range b.problems {
		p := &b.problems[i]
		p.What, p.Source = b.masked(p.What), b.masked(p.Source)
	}
	b.problems.sort()
	return b.problems
}

func (s Source) bindFile(b *binder, c *Config) {
	content, err := s.Read(s.Path)
	if err != nil {
		b.at(0, 0, "", "cannot read the file: "+reason(err), "")
		return
	}
	b.lines = strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
	if line, what := tooWild(content, b.lines); what != "" {
		b.at(line, 1, "", what, "")
		return
	}
	body, err := parse(content)
	if err != nil {
		b.syntax(err)
		return
	}
	if body != nil {
		b.value(body, "", &field{}, reflect.ValueOf(c).Elem())
		delete(b.origins, "")
	}
}

// parse returns the root of the only document, or nil if there is none.
func parse(content []byte) (root ast.Node, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("cannot be read as YAML")
		}
	}()
	file, err := parser.ParseBytes(content, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	for _, doc := range file.Docs {
		switch {
		case doc == nil || isNil(doc.Body):
		case doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.DirectiveType:
		case root != nil:
			return nil, errors.New("holds more than one document")
		default:
			root = doc.Body
		}
	}
	return root, nil
}

// tooWild finds what would take the parser more than its share of memory or
// time: brackets or dashes nested thousands deep. The limits are far from
// what a person writes.
func tooWild(content []byte, lines []string) (line int, what string) {
	if !utf8.Valid(content) {
		return 1, "is not valid UTF-8"
	}
	if len(lines) > maxLines {
		return maxLines, "has more than 20,000 lines"
	}
	depth := 0
	for i, l := range lines {
		if len(l) > 64<<10 {
			return i + 1, "has a line of more than 64 KiB"
		}
		if depth = brackets(l, depth); depth > maxDepth {
			return i + 1, "has too many brackets"
		}
		rest, marks := l, 0
		for marks <= 100 && len(rest) > 0 && strings.ContainsRune(" -?!&:", rune(rest[0])) {
			if rest[0] != ' ' {
				marks++
			}
			rest = rest[1:]
		}
		if marks > 100 {
			return i + 1, "is nested too deeply"
		}
	}
	return 0, ""
}

// maxDepth is far deeper than any file that a person writes.
const maxDepth = 1000

// brackets returns how many brackets are open after a line, or maxDepth+1 as
// soon as they are too many.
func brackets(line string, open int) int {
	for i := range len(line) {
		switch line[i] {
		case '[', '{':
			open++
		case ']', '}':
			open = max(0, open-1)
		}
		if open > maxDepth {
			return open
		}
	}
	return open
}

func (b *binder) syntax(err error) {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil || at.GetToken().Position == nil {
		b.at(0, 0, "", err.Error(), "")
		return
	}
	p := at.GetToken().Position
	help := ""
	if strings.Contains(b.line(p.Line), "\t") {
		help = "YAML is indented with spaces, never with tabs"
	}
	b.at(max(p.Line, 1), max(p.Column, 1), "", "is not YAML: "+firstLine(at.GetMessage()), help)
	last := &b.problems[len(b.problems)-1]
	last.Source = guarded(last.Source)
}

func (b *binder) line(n int) string {
	if n < 1 || n > len(b.lines) {
		return ""
	}
	return b.lines[n-1]
}

func firstLine(s string) string {
	first, _, _ := strings.Cut(s, "\n")
	return first
}

// reason says why a file could not be read, without its path.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// under returns path, relative to the folder base.
func under(base, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

func environment(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, entry := range env {
		if name, value, found := strings.Cut(entry, "="); found {
			m[name] = value
		}
	}
	return m
}

const envPrefix = "OUTCROP_"

// envKey returns the variable that sets the key.
func envKey(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "__"))
}

func (b *binder) bindEnv(c *Config, env map[string]string) {
	scalars(reflect.ValueOf(c).Elem(), "", func(path string, f *field, v reflect.Value) {
		if text, found := env[envKey(path)]; found {
			b.override(path, f, v, text, origin{label: "env " + envKey(path)})
		}
	})
}

func (b *binder) bindFlags(c *Config, flags map[string]string) {
	known := map[string]bool{}
	scalars(reflect.ValueOf(c).Elem(), "", func(path string, f *field, v reflect.Value) {
		for _, name := range []string{f.flag, path} {
			known[name] = true
			if text, found := flags[name]; found && name != "" {
				b.override(path, f, v, text, origin{label: "flag --" + name})
			}
		}
	})
	for _, name := range sortedKeys(flags) {
		if !known[name] {
			b.problems = append(b.problems, Problem{File: "flag --" + name, What: "sets no key of the configuration"})
		}
	}
}

// override replaces a value by one from the environment or a flag.
func (b *binder) override(path string, f *field, v reflect.Value, text string, from origin) {
	fresh := reflect.New(v.Type()).Elem()
	what, help := setScalar(fresh, f, text)
	if !utf8.ValidString(text) {
		what = "is not valid UTF-8"
	}
	if what != "" {
		b.problems = append(b.problems, Problem{File: from.label, Path: path, What: printable(quoted(text) + " " + what), Help: help})
		return
	}
	v.Set(fresh)
	b.origins[path] = from
}

// scalars calls visit for each single value that is not in a list or a map.
func scalars(v reflect.Value, path string, visit func(path string, f *field, v reflect.Value)) {
	for _, f := range fieldsOf(v.Type()) {
		inner, at := v.Field(f.index), join(path, f.name)
		switch {
		case isGroup(inner.Type()):
			scalars(inner, at, visit)
		case inner.Kind() != reflect.Struct && inner.Kind() != reflect.Slice && inner.Kind() != reflect.Map:
			visit(at, &f, inner)
		}
	}
}

// strayEnv warns of variables that look like a misspelt key. Others with the
// prefix are left alone: clusters set OUTCROP_PORT and the like by themselves.
func (b *binder) strayEnv(env map[string]string) (warnings Problems) {
	known := []string{envPrefix + "CONFIG", envPrefix + "ENDPOINT"}
	scalars(reflect.ValueOf(&Config{}).Elem(), "", func(path string, _ *field, _ reflect.Value) {
		known = append(known, envKey(path))
	})
	for _, name := range sortedKeys(env) {
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(known, name) {
			continue
		}
		for _, k := range known {
			if distance(strings.ReplaceAll(name, "__", "_"), strings.ReplaceAll(k, "__", "_")) <= 1 {
				warnings = append(warnings, Problem{
					File: "env " + name, What: "sets no key of the configuration", Help: fmt.Sprintf("did you mean %s?", k),
				})
				break
			}
		}
	}
	return warnings
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
