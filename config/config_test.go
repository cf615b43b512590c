package config_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden runs got on each archive of a folder and compares what it returns
// with the file "want" in the archive.
func golden(t *testing.T, folder string, got func(t *testing.T, files map[string]string) string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", folder, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
			}
			want := files["want"]
			delete(files, "want")
			result := got(t, files)
			if *update {
				archive.Files[len(archive.Files)-1].Data = []byte(result)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, result); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// source reads the configuration name out of files; "env" and "flags" among
// them hold NAME=value lines.
func source(files map[string]string, name string) config.Source {
	s := config.Source{Path: name, Flags: map[string]string{}, Read: func(path string) ([]byte, error) {
		content, found := files[path]
		if !found {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(content), nil
	}}
	s.Env = strings.Split(files["env"], "\n")
	for line := range strings.Lines(files["flags"]) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		s.Flags[key] = value
	}
	return s
}

func load(t *testing.T, files map[string]string, name string) *config.Config {
	t.Helper()
	c, problems := source(files, name).Load()
	if len(problems) > 0 {
		t.Fatal(problems.String())
	}
	return c
}

func TestEveryMistakeIsToldWithItsPlace(t *testing.T) {
	golden(t, "problems", func(t *testing.T, files map[string]string) string {
		c, problems := source(files, "outcrop.yaml").Load()
		if len(problems) == 0 || c != nil {
			t.Fatal("no problem was found")
		}
		text := problems.Text("nothing was started")
		if strings.Contains(text, "literal-secret") {
			t.Errorf("a secret is shown:\n%s", text)
		}
		return text
	})
}

func TestTheEffectiveConfigurationNamesItsSources(t *testing.T) {
	golden(t, "effective", func(t *testing.T, files map[string]string) string {
		c := load(t, files, "outcrop.yaml")
		effective := c.Effective()
		files["effective.yaml"] = string(effective)
		again := load(t, map[string]string{
			"effective.yaml": string(effective), "env": strings.ReplaceAll(files["env"], "OUTCROP_", "OTHER_"),
			"tls/cert.pem": "c", "tls/key.pem": "k", "secrets/vllm": "v",
		}, "effective.yaml")
		if changes := config.Diff(c, again); len(changes) > 0 {
			t.Errorf("what is printed does not load to the same: %v", changes)
		}
		return string(effective) + c.Warnings.String()
	})
}

func TestAReloadTellsWhatChangesAndWhatNeedsARestart(t *testing.T) {
	golden(t, "reload", func(t *testing.T, files map[string]string) string {
		changes := config.Diff(load(t, files, "before.yaml"), load(t, files, "after.yaml"))
		var b strings.Builder
		for _, c := range changes {
			fmt.Fprintln(&b, c)
		}
		b.WriteString(config.NeedRestart(changes).String())
		return b.String()
	})
}

func TestASecretNeverPrints(t *testing.T) {
	const secret = "sk-literal-secret"
	c := load(t, map[string]string{"env": "KEY=" + secret, "outcrop.yaml": `
models:
  - id: a.b
    engines:
      - url: http://127.0.0.1:1
        model: m
        key: { env: KEY }
        headers: { X-Key: { env: KEY } }
`}, "outcrop.yaml")
	e := c.Models[0].Engines[0]
	if e.Key.Value() != secret || e.Headers["X-Key"].Value() != secret {
		t.Fatalf("the secret was not found: %q", e.Key.Value())
	}
	text, _ := e.Key.MarshalText()
	header, _ := e.Headers["X-Key"].MarshalText()
	for _, shown := range []string{
		fmt.Sprint(c.Models), fmt.Sprintf("%v %+v %#v %s %q %x", e, e, e, e.Key, e.Key, e.Key),
		fmt.Sprintf("%#v", c), string(text), string(header), string(c.Effective()),
	} {
		if strings.Contains(shown, secret) || strings.Contains(shown, fmt.Sprintf("%x", secret)) {
			t.Errorf("the secret is shown: %s", shown)
		}
	}
}

// A failing read of any file must become a problem that names it, and never a
// configuration without what was in it.
func TestEachFailingReadIsTold(t *testing.T) {
	files := map[string]string{"cert": "c", "pkey": "k", "secret": "s", "outcrop.yaml": `
tls: { cert: cert, key: pkey }
models:
  - id: a.b
    engines:
      - { url: "http://127.0.0.1:1", model: m, key: { file: secret } }
`}
	s := source(files, "outcrop.yaml")
	read, broken := s.Read, errors.New("input/output error")
	for k := 0; ; k++ {
		calls := 0
		s.Read = func(path string) ([]byte, error) {
			calls++
			if calls == k+1 {
				return nil, broken
			}
			return read(path)
		}
		c, problems := s.Load()
		if calls <= k {
			if c == nil {
				t.Fatal(problems.String())
			}
			if k != 4 {
				t.Errorf("%d files were read, want 4", k)
			}
			return
		}
		if c != nil || !strings.Contains(problems.String(), broken.Error()) {
			t.Errorf("call %d failed, and the result was %v, %v", k, c, problems)
		}
	}
}

func TestFilesAreReadFromDiskWithinBounds(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "outcrop.yaml")
	if err := os.WriteFile(path, []byte("data: state\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := config.Load(path, nil, nil)
	if len(problems) > 0 || c.Data != filepath.Join(dir, "state") {
		t.Errorf("data is %q: %v", c.Data, problems)
	}
	if err := os.WriteFile(path, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, problems := config.Load(path, nil, nil); !strings.Contains(problems.String(), "larger than 1 MiB") {
		t.Errorf("a file of 2 MiB: %v", problems)
	}
	if _, problems := config.Load(dir, nil, nil); len(problems) == 0 {
		t.Error("a folder was taken for a file")
	}
}

func TestDefaultsStandWithoutAFile(t *testing.T) {
	c, problems := config.Load("", nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if c.Listen != "127.0.0.1:8484" || !c.ServesBuiltin() || c.Limits.Body != 25_000_000 || c.Data != "outcrop-data" {
		t.Errorf("%+v", c)
	}
}
