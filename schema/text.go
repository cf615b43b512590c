package schema

import (
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// text makes a string of the format, the pattern or, failing both, the
// meaning of the name.
func (m *maker) text(n *node, name string) (any, error) {
	if n.minLength > maxBytes || n.maxLength >= 0 && n.maxLength < n.minLength {
		return nil, ErrNoExample
	}
	for range attempts {
		if !m.spend(5) {
			break
		}
		s := m.draft(n, name)
		m.size += len(s)
		m.spend(len(s) / 64)
		if m.fits(n, s) {
			return s, nil
		}
	}
	return nil, ErrNoExample
}

func (m *maker) fits(n *node, s string) bool {
	count := utf8.RuneCountInString(s)
	if count < n.minLength || n.maxLength >= 0 && count > n.maxLength {
		return false
	}
	for _, p := range n.patterns {
		if !m.matches(p, s) {
			return false
		}
	}
	return true
}

func (m *maker) draft(n *node, name string) string {
	if n.format != "" {
		if s, ok := m.ofFormat(n.format); ok && m.fits(n, s) {
			return s
		}
	}
	if len(n.patterns) > 0 && m.expression(n.patterns[0]).re != nil {
		return m.stretch(m.fromPattern(n.patterns[0]), n)
	}
	return m.stretch(m.word(name), n)
}

// stretch brings s to a length that is allowed. A text that had to match a
// pattern may no longer do so; the caller looks.
func (m *maker) stretch(s string, n *node) string {
	count := utf8.RuneCountInString(s)
	if count < n.minLength {
		longer := []byte(s)
		for ; count < n.minLength; count++ {
			longer = append(longer, "abcdefghijklmnopqrstuvwxyz"[count%26])
		}
		s = string(longer)
	}
	if n.maxLength >= 0 && count > n.maxLength {
		s = string([]rune(s)[:n.maxLength])
	}
	return s
}

// samples are readable values by what the name of a property ends in.
var samples = []struct {
	ends   string
	values []string
}{
	{"city", []string{"Lisbon", "Oslo", "Nairobi", "Kyoto"}},
	{"location", []string{"Lisbon", "Oslo, Norway", "Seattle, WA"}},
	{"country", []string{"Portugal", "Norway", "Kenya", "Japan"}},
	{"currency", []string{"EUR", "USD", "JPY"}},
	{"email", []string{"ada@example.com", "grace@example.org"}},
	{"url", []string{"https://example.com/page"}},
	{"date", []string{"2025-01-18", "2026-06-30"}},
	{"time", []string{"09:30", "14:45"}},
	{"language", []string{"en", "pt", "ja"}},
	{"symbol", []string{"ACME", "INIT"}},
	{"query", []string{"weather in Lisbon", "how tides work"}},
	{"expression", []string{"2 + 3", "7 * 6"}},
	{"color", []string{"blue", "green"}},
	{"title", []string{"A short title", "Notes on tides"}},
	{"name", []string{"Ada Lovelace", "Grace Hopper"}},
	{"path", []string{"notes/today.txt"}},
	{"id", []string{"a1b2c3", "item-42"}},
	{"description", []string{"A short description."}},
	{"summary", []string{"A short summary."}},
	{"text", []string{"Some readable text."}},
	{"unit", []string{"celsius", "metre"}},
}

var plainWords = []string{"amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "juniper"}

func (m *maker) word(name string) string {
	lower := strings.ToLower(name)
	for _, s := range samples {
		if strings.HasSuffix(lower, s.ends) {
			return s.values[m.rng.IntN(len(s.values))]
		}
	}
	return plainWords[m.rng.IntN(len(plainWords))]
}

func (m *maker) ofFormat(format string) (string, bool) {
	n := func(limit int) int { return m.rng.IntN(limit) }
	switch format {
	case "date":
		return fmt.Sprintf("2025-%02d-%02d", 1+n(12), 1+n(28)), true
	case "time":
		return fmt.Sprintf("%02d:%02d:00Z", n(24), n(60)), true
	case "date-time":
		return fmt.Sprintf("2025-%02d-%02dT%02d:%02d:00Z", 1+n(12), 1+n(28), n(24), n(60)), true
	case "duration":
		return fmt.Sprintf("PT%dM", 1+n(59)), true
	case "email", "idn-email":
		return plainWords[n(len(plainWords))] + "@example.com", true
	case "hostname", "idn-hostname":
		return plainWords[n(len(plainWords))] + ".example.com", true
	case "uri", "iri", "uri-reference", "iri-reference", "uri-template":
		return "https://example.com/" + plainWords[n(len(plainWords))], true
	case "uuid":
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", m.rng.Uint32(), n(1<<16), n(1<<12), n(1<<12), m.rng.Uint64()>>16), true
	case "ipv4":
		return fmt.Sprintf("192.0.2.%d", 1+n(254)), true
	case "ipv6":
		return fmt.Sprintf("2001:db8::%x", 1+n(0xfffe)), true
	case "json-pointer":
		return "/" + plainWords[n(len(plainWords))], true
	case "relative-json-pointer":
		return "0/" + plainWords[n(len(plainWords))], true
	case "regex":
		return "^[a-z]+$", true
	}
	return "", false
}

// fromPattern makes a string that most likely matches the regular expression
// p; "" if Go cannot read it.
func (m *maker) fromPattern(p string) string {
	if !m.spend(m.expression(p).cost / 2) {
		return ""
	}
	re, err := syntax.Parse(p, syntax.Perl)
	if err != nil {
		return ""
	}
	g := generator{rng: m.rng, repeats: 1 + m.rng.IntN(12)}
	g.write(re.Simplify(), 0)
	return string(g.out)
}
