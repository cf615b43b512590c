package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Config returns a configuration file for the engines: six lines for one
// model, and one line for each more. Without engines it is one that serves the
// built-in models from the simulated engine.
func Config(engines []Engine) []byte {
	if len(engines) == 0 {
		return []byte(simulated)
	}
	var b strings.Builder
	b.WriteString("models:\n")
	taken := map[string]bool{}
	single := len(engines) == 1 && len(engines[0].Models) == 1
	for _, e := range engines {
		for _, m := range e.Models {
			id := modelID(m, taken)
			taken[id] = true
			format := "  - { id: %q, engines: [{ url: %q, model: %s }] }\n"
			if single {
				format = "  - id: %s\n    engines:\n      - url: %s\n        model: %s\n"
			}
			fmt.Fprintf(&b, format, id, e.URL, scalar(m))
		}
	}
	b.WriteString(openKeys)
	return []byte(b.String())
}

const openKeys = "keys: open                          # refused unless listen is loopback\n"

const simulated = `# No engine answered on the usual ports of this machine, so all answers are
# invented by the simulated engine. To use an engine, list it:
#   models: [{ id: local.my-model, engines: [{ url: "http://127.0.0.1:8000", model: my-model }] }]
builtin: all
sim: { speed: 1 }                   # 10 answers ten times as fast, 0 at once
` + openKeys

// scalar returns s as a YAML value: in double quotes, unless it is plainly a
// name.
func scalar(s string) string {
	if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:/") != "" ||
		strings.ContainsAny(s[:1], "-.:/") || strings.HasSuffix(s, ":") || strings.EqualFold(s, "null") {
		return strconv.Quote(s)
	}
	return s
}

// Save writes content to a new file. It never replaces a file that is there
// already, and leaves none behind if it fails.
func Save(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and was left as it is", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
	}
	return err
}
