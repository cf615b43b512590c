package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"outcrop": main, "fetch": fetch})
}

// TestScripts runs the program as users do. Beside testscript's own commands
// the scripts have:
//
//	exits CODE PROGRAM ARG...   run it, check its exit code
//	start NAME ARG...           run outcrop until it says where it is, set URL; its output is in NAME.out and NAME.err
//	stops NAME SIGNAL CODE      send it the signal, check its exit code
//	signal NAME SIGNAL          send it the signal
//	begins PATH BODY            POST to URL, go on once the answer has begun and do not read it
//	eventually FILE REGEXP      wait until the file matches
//	match-env NAME FILE REGEXP  set a variable to the first group of the match
//
// and the program fetch, which does an HTTP request and prints the answer.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's second at each exit
			env.Setenv("OUTCROP_SIM__SPEED", "0")
			env.Setenv("TRICKY", "a\tb\nc\x1b[31m")
			env.Values[processes{}] = &sync.Map{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "start": start, "stops": stops, "signal": sendSignal, "begins": begins, "eventually": eventually, "match-env": matchEnv,
		},
	})
}

// patience is how long anything may take; no test waits for it unless it
// fails.
const patience = time.Minute

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if neg || code != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), code, want)
	}
}

// processes is the key of a script's processes, by name.
type processes struct{}

// A process is a program that runs beside the script.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
}

var ready = regexp.MustCompile(`ready on (https?://\S+)`)

func start(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	diagnostics, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer out.Close()
	defer diagnostics.Close()
	p := &process{command: exec.Command(findProgram(ts, "outcrop"), args[1:]...), ended: make(chan struct{})}
	p.command.Dir, p.command.Stdout, p.command.Stderr = ts.MkAbs("."), out, diagnostics
	for _, name := range []string{"PATH", "HOME", "WORK", "GORACE", "OUTCROP_SIM__SPEED"} {
		if value := ts.Getenv(name); value != "" {
			p.command.Env = append(p.command.Env, name+"="+value)
		}
	}
	ts.Check(p.command.Start())
	go func() { _ = p.command.Wait(); close(p.ended) }()
	ts.Defer(func() { _ = p.command.Process.Kill(); <-p.ended })
	ts.Value(processes{}).(*sync.Map).Store(name, p)
	found := p.await(ts, name+".out", ready)
	ts.Setenv("URL", found[1])
}

// findProgram finds a program of this test binary in the script's PATH.
func findProgram(ts *testscript.TestScript, name string) string {
	for _, folder := range filepath.SplitList(ts.Getenv("PATH")) {
		file := filepath.Join(folder, name)
		if info, err := os.Stat(file); err == nil && info.Mode()&0o111 != 0 {
			return file
		}
	}
	ts.Fatalf("no %s", name)
	return ""
}

// await waits until the file matches or the process has ended.
func (p *process) await(ts *testscript.TestScript, file string, want *regexp.Regexp) []string {
	for until := time.Now().Add(patience); ; {
		content, err := os.ReadFile(ts.MkAbs(file))
		ts.Check(err)
		if found := want.FindStringSubmatch(string(content)); found != nil {
			return found
		}
		select {
		case <-p.ended:
			diagnostics, _ := os.ReadFile(ts.MkAbs(strings.TrimSuffix(file, ".out") + ".err"))
			ts.Fatalf("%s has ended without %s\n%s", strings.Join(p.command.Args, " "), want, diagnostics)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(until) {
			ts.Fatalf("%s does not match %s: %s", file, want, content)
		}
	}
}

func named(ts *testscript.TestScript, name string) *process {
	p, ok := ts.Value(processes{}).(*sync.Map).Load(name)
	if !ok {
		ts.Fatalf("no process %s", name)
	}
	return p.(*process)
}

var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}

func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(named(ts, args[0]).command.Process.Signal(signals[args[1]]))
}

func stops(ts *testscript.TestScript, _ bool, args []string) {
	p := named(ts, args[0])
	sendSignal(ts, false, args[:2])
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s does not stop", args[0])
	}
	if got := p.command.ProcessState.String(); got != args[2] && got != "exit status "+args[2] {
		ts.Fatalf("%s ends with %s, want %s", args[0], got, args[2])
	}
}

func begins(ts *testscript.TestScript, _ bool, args []string) {
	r, err := http.Post(ts.Getenv("URL")+args[0], "application/json", strings.NewReader(args[1]))
	ts.Check(err)
	ts.Defer(func() { _ = r.Body.Close() })
	if r.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s", args[0], r.Status)
	}
}

func eventually(ts *testscript.TestScript, _ bool, args []string) {
	name, _, _ := strings.Cut(args[0], ".")
	named(ts, name).await(ts, args[0], regexp.MustCompile(args[1]))
}

func matchEnv(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if found == nil {
		ts.Fatalf("%s does not match %s: %s", args[1], args[2], ts.ReadFile(args[1]))
	}
	ts.Setenv(args[0], found[1])
}

// fetch is a program: fetch METHOD URL [BODY [HEADER: VALUE]...]. It prints
// status and body.
func fetch() {
	args := append(os.Args[1:], "")
	req, err := http.NewRequest(args[0], args[1], strings.NewReader(args[2]))
	check(err)
	for _, line := range args[3:] {
		if name, value, ok := strings.Cut(line, ": "); ok {
			req.Header.Set(name, value)
		}
	}
	r, err := http.DefaultClient.Do(req)
	check(err)
	fmt.Println(r.StatusCode)
	_, err = io.Copy(os.Stdout, r.Body)
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestRunTouchesNothingButWhatItIsGiven(t *testing.T) {
	var out, diagnostics bytes.Buffer
	if code := run(t.Context(), []string{"version"}, nil, &out, &diagnostics); code != exitOK || out.String() != "outcrop "+version+"\n" || diagnostics.Len() > 0 {
		t.Errorf("%d %q %q", code, out.String(), diagnostics.String())
	}
	out.Reset()
	if code := run(t.Context(), []string{"nonsense"}, nil, &out, &diagnostics); code != exitUsage || out.Len() > 0 || !strings.Contains(diagnostics.String(), "nonsense") {
		t.Errorf("%d %q %q", code, out.String(), diagnostics.String())
	}
}

func TestEveryCommandHasExamples(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s: Short %q, Example %q", c.CommandPath(), c.Short, c.Example)
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is not indented", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}
