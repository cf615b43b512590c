package config_test

import (
	"fmt"
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

// A few lines with aliases can spell millions of values; that ends at a bound.
func TestAliasesCannotExplode(t *testing.T) {
	file := "models:\n  - { id: m.0, engines: &e [" + strings.Repeat("{ seed: 1 }, ", 4_000) + "{}] }\n"
	for i := range 200 {
		file += fmt.Sprintf("  - { id: m.%d, engines: *e }\n", i+1)
	}
	c, problems := source(map[string]string{"f": file}, "f").Load()
	if c != nil || len(problems) == 0 || !strings.Contains(problems.String(), "repeats itself without end") {
		t.Errorf("%d problems: %.500s", len(problems), problems)
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
