package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runExtras runs the command on a folder of models.
func runExtras(t *testing.T, folder string, args ...string) (out, talk string, code int) {
	t.Helper()
	var o, e strings.Builder
	code = run(t.Context(), append([]string{"aws-extras", "--models", folder}, args...), strings.NewReader(""), &o, &e)
	return o.String(), e.String(), code
}

func extrasFile(folder string) string {
	return filepath.Join(folder, "bedrock", "2023-04-20", "service-2.sdk-extras.json")
}

func readModel(t *testing.T, path string) (m struct {
	Version json.Number
	Merge   struct {
		Shapes map[string]struct {
			Type    string
			Members map[string]struct{ Shape string }
		}
		Operations map[string]any
	}
}) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestExtrasAreInstalledOnceAndRemoved(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "models")
	var texts []string
	for range 2 {
		out, talk, code := runExtras(t, folder)
		if code != exitOK || strings.TrimSpace(out) != extrasFile(folder) || talk == "" {
			t.Fatalf("%d %s %s", code, out, talk)
		}
		b, err := os.ReadFile(extrasFile(folder))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	if texts[0] != texts[1] {
		t.Errorf("the second time changed\n%s\nto\n%s", texts[0], texts[1])
	}
	m := readModel(t, extrasFile(folder))
	member := m.Merge.Shapes["UpdateProvisionedModelThroughputRequest"].Members["desiredModelUnits"].Shape
	if m.Version != "1.0" || m.Merge.Shapes[member].Type != "integer" {
		t.Errorf("%+v", m)
	}
	printed, _, _ := runExtras(t, folder, "--print")
	if printed != texts[0] {
		t.Errorf("printed %s", printed)
	}
	if _, _, code := runExtras(t, folder, "--remove"); code != exitOK {
		t.Errorf("remove: %d", code)
	}
	if left, _ := os.ReadDir(filepath.Dir(extrasFile(folder))); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	if _, _, code := runExtras(t, folder, "--remove"); code != exitOK {
		t.Errorf("remove twice: %d", code)
	}
}

func TestExtrasKeepWhatOthersWrote(t *testing.T) {
	folder := t.TempDir()
	mine := `{"version": 2.50, "merge": {"shapes": {"UpdateProvisionedModelThroughputRequest": {"members": {"a": {"shape": "B"}}}, "B": {"type": "string"}}, "operations": {"X": {}}}}`
	if err := os.MkdirAll(filepath.Dir(extrasFile(folder)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(extrasFile(folder), []byte(mine), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--remove"}} {
		if out, talk, code := runExtras(t, folder, args...); code != exitOK {
			t.Fatalf("%d %s %s", code, out, talk)
		}
		m := readModel(t, extrasFile(folder))
		update := m.Merge.Shapes["UpdateProvisionedModelThroughputRequest"].Members
		_, there := update["desiredModelUnits"]
		if m.Version != "2.50" || update["a"].Shape != "B" || m.Merge.Shapes["B"].Type != "string" || m.Merge.Operations["X"] == nil || there != (args == nil) {
			t.Errorf("%v: %+v", args, m)
		}
	}
}

func TestExtrasLeaveAFileAloneThatTheyDoNotUnderstand(t *testing.T) {
	for _, text := range []string{"", "no json", "[]", "null", `{"merge": 1}`, `{"merge": {"shapes": []}}`, `{} {}`} {
		folder := t.TempDir()
		if err := os.MkdirAll(filepath.Dir(extrasFile(folder)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(extrasFile(folder), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, talk, code := runExtras(t, folder)
		if code != exitFailed || !strings.Contains(talk, "nothing was changed") {
			t.Errorf("%q: %d %s", text, code, talk)
		}
		if b, _ := os.ReadFile(extrasFile(folder)); string(b) != text {
			t.Errorf("%q became %s", text, b)
		}
	}
}

func TestExtrasRefuseAVersionThatIsAPath(t *testing.T) {
	for _, version := range []string{"", "..", "../../x", "a/b"} {
		if out, _, code := runExtras(t, t.TempDir(), "--api-version", version); code != exitFailed {
			t.Errorf("%q: %d %s", version, code, out)
		}
	}
}
