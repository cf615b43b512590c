package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Problem is one mistake in the configuration.
type Problem struct {
	// File is the file as it was named, "environment", or the flag.
	File string
	// Line and Column count from 1 and in characters; 0 if the problem has no
	// place in the file.
	Line, Column int
	// Path is the key, for example models[0].engines[0].url; may be empty.
	Path string
	What string
	// Source is the line of the file, with secrets masked.
	Source string
	// Help says what to do; may be empty.
	Help string
}

// String returns the problem in several lines: place, key and what is wrong;
// the line of the file; a caret below the place; what to do.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.What + "\n")
	if p.Line > 0 && p.Source != "" {
		line, caret := excerpt(p.Source, p.Column)
		b.WriteString(line + "\n" + caret + "\n")
	}
	if p.Help != "" {
		b.WriteString("  help: " + p.Help + "\n")
	}
	return b.String()
}

// Problems are the mistakes of one load, in the order of the file.
type Problems []Problem

// String returns all problems one after the other.
func (p Problems) String() string {
	var b strings.Builder
	for _, one := range p {
		b.WriteString(one.String())
	}
	return b.String()
}

// Text returns all problems and a last line that counts them and tells what
// came of it, for example "2 problems; nothing was started".
func (p Problems) Text(outcome string) string {
	if len(p) == 1 {
		return p.String() + "1 problem; " + outcome + "\n"
	}
	return fmt.Sprintf("%s%d problems; %s\n", p, len(p), outcome)
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// rank puts problems of the file before those of environment and flags.
func (p Problem) rank() int {
	if p.Line > 0 {
		return 0
	}
	return 1
}

// widest is the most of a line that is shown.
const widest = 120

// excerpt returns the part of the line around the column, and a caret for the
// line below it.
func excerpt(source string, column int) (line, caret string) {
	runes := []rune(source)
	at := min(max(column-1, 0), len(runes))
	from := 0
	if at > widest-20 {
		from = at - widest/2
	}
	to := min(len(runes), from+widest)
	shown := runes[from:to]
	lead := make([]rune, 0, at-from)
	for _, r := range shown[:at-from] {
		if r != '\t' {
			r = ' '
		}
		lead = append(lead, r)
	}
	return strings.TrimRight(printable(string(shown)), " "), string(lead) + "^"
}

// printable replaces what a terminal would act upon.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// secretLike finds a literal value behind a key whose name says that it is a
// secret.
var secretLike = regexp.MustCompile(
	`(?i)((?:^|[\s{,"'_-])(?:key|secret|token|bearer|password|authorization)["']?\s*:\s*)([^\s{][^,}]*)`)

// guarded hides what may be a literal secret in a line of a file that cannot
// be read as YAML, where nothing better is known. The line keeps its length.
func guarded(line string) string {
	return secretLike.ReplaceAllStringFunc(line, func(found string) string {
		part := secretLike.FindStringSubmatch(found)
		return part[1] + strings.Repeat("*", utf8.RuneCountInString(part[2]))
	})
}
