package config_test

import (
	"strings"
	"testing"

	"github.com/outcrop/outcrop/config"
)

// Files that would take the parser minutes or its stack are refused unread.
func TestHugeFilesAreRefusedUnread(t *testing.T) {
	for name, content := range map[string]string{
		"lines":    strings.Repeat("a: b\n", 20_001),
		"line":     "a: " + strings.Repeat("x", 70_000),
		"brackets": "a: " + strings.Repeat("[", 100_000/2),
		"braces":   strings.Repeat("{\n", 3_000),
		"dashes":   strings.Repeat("- ", 10_000),
		"anchors":  strings.Repeat("&a ", 10_000),
		"bytes":    "a: \xff",
	} {
		c, problems := source(map[string]string{"f": content}, "f").Load()
		if c != nil || len(problems) != 1 {
			t.Errorf("%s: %d problems, want 1", name, len(problems))
		}
	}
}

// Aliases that spell an exponential tree end at a bound.
func TestAliasesCannotExplode(t *testing.T) {
	var b strings.Builder
	b.WriteString("listen: &a [x, x, x, x, x, x, x, x, x]\n")
	for _, letter := range []string{"b", "c", "d", "e", "f", "g", "h", "i"} {
		before := string(letter[0] - 1)
		b.WriteString("x" + letter + ": &" + letter + " [" + strings.Repeat("*"+before+", ", 9) + "*" + before + "]\n")
	}
	b.WriteString("models: *i\n")
	c, problems := source(map[string]string{"f": b.String()}, "f").Load()
	if c != nil || len(problems) > 100 {
		t.Errorf("%d problems", len(problems))
	}
}

func TestProblemsAreCountedInWords(t *testing.T) {
	one := config.Problems{{File: "f", What: "x"}}
	if got := one.Text("nothing was started"); got != "f: x\n1 problem; nothing was started\n" {
		t.Errorf("%q", got)
	}
	if got := append(one, one...).Text("kept the running configuration"); !strings.HasSuffix(got, "2 problems; kept the running configuration\n") {
		t.Errorf("%q", got)
	}
}
