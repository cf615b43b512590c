package native_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the code does into the golden files")

// A golden is one case: some files are given, the others are what should come
// of them.
type golden struct {
	t       *testing.T
	path    string
	archive *txtar.Archive
	written map[string]bool
}

// goldens runs a subtest for each file in testdata/folder.
func goldens(t *testing.T, folder string, run func(t *testing.T, g *golden)) {
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files in %s: %v", folder, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			g := &golden{t: t, path: path, archive: archive, written: map[string]bool{}}
			run(t, g)
			g.finish()
		})
	}
}

// file returns a given file, and whether it is there.
func (g *golden) file(name string) (string, bool) {
	for _, f := range g.archive.Files {
		if f.Name == name {
			return strings.TrimSuffix(string(f.Data), "\n"), true
		}
	}
	return "", false
}

// must returns a given file.
func (g *golden) must(name string) string {
	g.t.Helper()
	text, ok := g.file(name)
	if !ok {
		g.t.Fatalf("%s lacks %s", g.path, name)
	}
	return text
}

// want compares got with the file of the name.
func (g *golden) want(name, got string) {
	g.t.Helper()
	g.written[name] = true
	if *update {
		g.put(name, got+"\n")
		return
	}
	want, _ := g.file(name)
	if diff := cmp.Diff(want, got); diff != "" {
		g.t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func (g *golden) put(name, data string) {
	for i := range g.archive.Files {
		if g.archive.Files[i].Name == name {
			g.archive.Files[i].Data = []byte(data)
			return
		}
	}
	g.archive.Files = append(g.archive.Files, txtar.File{Name: name, Data: []byte(data)})
}

// finish fails if the file wants something that nothing was compared with.
func (g *golden) finish() {
	kept := g.archive.Files[:0]
	for _, f := range g.archive.Files {
		if strings.HasPrefix(f.Name, "want") && !g.written[f.Name] {
			if !*update {
				g.t.Errorf("%s was never compared", f.Name)
			}
			continue
		}
		kept = append(kept, f)
	}
	g.archive.Files = kept
	if !*update {
		return
	}
	if err := os.WriteFile(g.path, txtar.Format(g.archive), 0o644); err != nil {
		g.t.Fatal(err)
	}
}
