package conformance_test

import (
	"bytes"
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
)

// startTimeout bounds how long the server may take to be ready, and
// stopTimeout how long to end; both are generous, for the machine may be busy.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 40 * time.Second
)

// A server is a running outcrop process.
type server struct {
	URL, Addr string
	Data      string // its data folder
	Config    string // its configuration file
	command   *exec.Cmd
	out       *output
	err       *output
	ended     chan struct{}
	exit      error // valid once ended is closed
}

// start runs `outcrop serve` on a free port with the configuration, and stops
// it when the test ends. The server must end cleanly, without a panic or a
// data race.
func start(t *testing.T, configuration string, args ...string) *server {
	t.Helper()
	s := launch(t, configuration, args...)
	if !s.ready() {
		t.Fatalf("the server does not start:\n%s%s", s.out, s.err)
	}
	t.Cleanup(func() {
		s.stop()
		if s.exit != nil {
			t.Errorf("the server ends with %v\n%s", s.exit, tail(s.err.String()))
		}
		s.checkLog(t)
	})
	return s
}

// launch starts the process and does not wait for it to be ready. The process
// is killed at the end of the test if it still runs.
func launch(t *testing.T, configuration string, args ...string) *server {
	t.Helper()
	folder := t.TempDir()
	s := &server{Data: filepath.Join(folder, "data"), Config: filepath.Join(folder, "outcrop.yaml"),
		out: &output{}, err: &output{}, ended: make(chan struct{})}
	writeFile(t, s.Config, configuration)
	return s.run(t, args...)
}

// run starts the process on the server's files.
func (s *server) run(t *testing.T, args ...string) *server {
	t.Helper()
	all := append([]string{"serve", "--data", s.Data, "--config", s.Config}, args...)
	if !strings.Contains(strings.Join(args, " "), "--addr") {
		all = append(all, "--addr", "127.0.0.1:0")
	}
	s.command = program(all...)
	s.command.Env = cleanEnvironment()
	s.command.Dir = filepath.Dir(s.Config)
	s.command.Stdout, s.command.Stderr = s.out, s.err
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.exit = s.command.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.command.Process.Kill()
		<-s.ended
	})
	return s
}

var readyURL = regexp.MustCompile(`https?://127\.0\.0\.1:\d+`)

var readyLine = regexp.MustCompile(`ready\S* on (https?://(\S+))`)

// ready waits for the line that tells the address; false if the process ends
// before or takes too long.
func (s *server) ready() bool {
	return s.out.wait(startTimeout, s.ended, func(said string) bool {
		m := readyLine.FindStringSubmatch(said)
		if m == nil {
			return false
		}
		s.URL, s.Addr = m[1], m[2]
		return true
	})
}

// stop ends the process as an operator would, and waits for that.
func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	s.wait(stopTimeout)
}

// wait waits for the process to end, and kills it if that takes too long.
func (s *server) wait(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		_ = s.command.Process.Kill()
		<-s.ended
	}
}

// checkLog fails the test if the server's output tells of a fault.
func (s *server) checkLog(t *testing.T) {
	t.Helper()
	for _, fault := range []string{"DATA RACE", "panic", "fatal error", "goroutine "} {
		if at := strings.Index(s.err.String(), fault); at >= 0 {
			t.Errorf("the server's log has %q:\n%s", fault, tail(s.err.String()[at:min(at+3000, len(s.err.String()))]))
		}
	}
}

func (s *server) pid() int { return s.command.Process.Pid }

// peakMB is the most memory that the process has used, in MB.
func (s *server) peakMB(t *testing.T) int {
	t.Helper()
	return s.status(t, "VmHWM:") / 1024
}

func (s *server) status(t *testing.T, key string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	t.Fatalf("no %s in the process's status", key)
	return 0
}

// sockets counts the open sockets of the process.
func (s *server) sockets(t *testing.T) (n int) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", s.pid())
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(folder, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// goroutines is what the server's own metrics say.
func (s *server) goroutines(t *testing.T) int {
	t.Helper()
	response, err := http.Get(s.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go_goroutines (\d+)`).FindSubmatch(text)
	if m == nil {
		t.Fatal("no go_goroutines in /metrics")
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// An output collects what a process writes and lets others wait for it.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at the next write
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.text.Write(p)
}

// String returns all that was written.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait waits until found says true of the text; false if the time is up or
// ended is closed.
func (o *output) wait(limit time.Duration, ended <-chan struct{}, found func(string) bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		o.mu.Lock()
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		changed, text := o.changed, o.text.String()
		o.mu.Unlock()
		if found(text) {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-ended:
			return found(o.String())
		}
	}
}

// eventually asks again until holds says true; false if that takes too long.
func eventually(limit time.Duration, holds func() bool) bool {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

// cleanEnvironment is the environment without anything that AWS clients or
// outcrop read.
func cleanEnvironment(more ...string) []string {
	var kept []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "AWS_") && !strings.HasPrefix(entry, "OUTCROP_") {
			kept = append(kept, entry)
		}
	}
	return append(kept, more...)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tail is the last part of a long text.
func tail(s string) string { return s[max(0, len(s)-4000):] }
