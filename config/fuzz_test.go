package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/outcrop/outcrop/config"
)

// Any file loads or has problems, without a panic; what loads
// prints as a file that loads to the same.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/problems/*.txtar", "testdata/effective/*.txtar"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(archive.Files[0].Data, "OUTCROP_LISTEN=127.0.0.1:1")
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, env string) {
		files := map[string]string{"outcrop.yaml": string(content), "env": env}
		c, problems := source(files, "outcrop.yaml").Load()
		if (c == nil) == (len(problems) == 0) {
			t.Fatalf("neither a configuration nor a problem, or both: %v, %v", c, problems)
		}
		_ = problems.Text("nothing was started")
		if c != nil {
			printsTheSame(t, c, files)
		}
	})
}

func printsTheSame(t interface{ Fatalf(string, ...any) }, c *config.Config, files map[string]string) {
	files["effective.yaml"] = string(c.Effective())
	again, problems := source(files, "effective.yaml").Load()
	if len(problems) > 0 {
		t.Fatalf("what is printed does not load:\n%s\n%s", problems, files["effective.yaml"])
	}
	if changes := config.Diff(c, again); len(changes) > 0 {
		t.Fatalf("what is printed loads to something else: %v\n%s", changes, files["effective.yaml"])
	}
}

// Values of the environment are single values of any text; whatever they say
// must come out as it went in, or be refused.
func TestValuesSurvivePrinting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{1,20}`)).Draw(t, "text")
		if strings.ContainsAny(text, "\n\x00") {
			return
		}
		files := map[string]string{"outcrop.yaml": "", "env": "OUTCROP_DATA=" + text}
		c, problems := source(files, "outcrop.yaml").Load()
		if c == nil {
			if len(problems) != 1 || problems[0].Path != "data" {
				t.Fatalf("%q: %v", text, problems)
			}
			return
		}
		if c.Data != text {
			t.Fatalf("%q came out as %q", text, c.Data)
		}
		delete(files, "env")
		printed := string(c.Effective())
		again, problems := source(map[string]string{"e.yaml": printed}, "e.yaml").Load()
		if len(problems) > 0 || again.Data != filepath.Join(".", text) && again.Data != text {
			t.Fatalf("%q prints as\n%s\n%v", text, printed, problems)
		}
	})
}

func TestSizesAndCountsPrintAsTheyRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := config.Size(rapid.Int64Range(0, 1<<40).Draw(t, "size"))
		if size < 1000 || size > 1_000_000_000 {
			return
		}
		c, problems := source(map[string]string{"f": "limits: { body: " + size.String() + " }"}, "f").Load()
		if len(problems) > 0 || c.Limits.Body != size {
			t.Fatalf("%d prints as %s: %v", int64(size), size, problems)
		}
	})
}
