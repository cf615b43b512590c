package conformance_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/outcrop/outcrop/outcroptest/foreign"
)

// outcrop is the command under test, built by TestMain.
var outcrop string

// root is the module's folder.
var root = filepath.Dir(mustGetwd())

// atATime is how many tests run at a time of those that may: most of their time
// they wait for servers and clients.
const atATime = 6

func TestMain(m *testing.M) {
	foreign.Main()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	folder, err := os.MkdirTemp("", "outcrop-conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	outcrop = filepath.Join(folder, "outcrop")
	args := []string{"build", "-o", outcrop}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "./cmd/outcrop")...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building outcrop: %v\n%s", err, out)
		return 1
	}
	if err := flag.Set("test.parallel", strconv.Itoa(atATime)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// program returns a run of the command under test.
func program(args ...string) *exec.Cmd {
	if err := dependOnSources(); err != nil {
		panic(err)
	}
	return exec.Command(outcrop, args...)
}

// dependOnSources looks at every source file of the module, so that go test
// does not repeat an old result after one of them has changed: it knows the
// files that a test looked at, and not those that the server is built of. What
// is looked at before the first test begins it does not know.
var dependOnSources = sync.OnceValue(func() error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != root && (name[0] == '.' || name == "bin" || name == "docs" || name == "node_modules") {
			return fs.SkipDir
		}
		switch filepath.Ext(path) {
		case ".go", ".mod", ".py", ".mjs", ".sql", ".yaml", ".json":
			_, err = os.Stat(path)
		}
		return err
	})
})

func mustGetwd() string {
	folder, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return folder
}
