package conformance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// outcrop is the command under test, built by TestMain.
var outcrop string

// root is the module's folder.
var root = filepath.Dir(mustGetwd())

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

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
	return m.Run()
}

func mustGetwd() string {
	folder, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return folder
}
