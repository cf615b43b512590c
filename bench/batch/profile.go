package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The functions of the house are those of its packages, and of the root.
const (
	root  = "github.com/outcrop/outcrop."
	house = "github.com/outcrop/outcrop/"
)

// scheduler are the packages that decide what runs when and where, and drive
// that.
var scheduler = []string{house + "fair.", house + "capacity.", house + "backlog.", house + "estimate."}

// handout is the function below which a batch job's next work is chosen and
// queued, with all that this asks of the database.
const handout = house + "batch.(*Runner).handOut"

// A share is where the samples of a CPU profile belong.
type share struct {
	all, scheduler, handout time.Duration
}

// percent is the part of the samples that was spent on scheduling.
func (s share) percent() float64 {
	return 100 * float64(s.scheduler+s.handout) / float64(max(s.all, 1))
}

// profiled takes a CPU profile of the server while what runs, but for its first
// and last moments.
func profiled(pprof, folder string, length time.Duration, what func() error) (s share, err error) {
	file := filepath.Join(folder, "cpu.pprof")
	taken := make(chan error, 1)
	go func() {
		time.Sleep(time.Second)
		taken <- fetch(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", pprof, max(int(length.Seconds()), 1)), file)
	}()
	err = what()
	if failed := <-taken; err == nil {
		err = failed
	}
	if err != nil {
		return s, err
	}
	out, err := exec.CommandContext(context.Background(), "go", "tool", "pprof", "-traces", "-unit=ns", file).Output()
	if err != nil {
		return s, fmt.Errorf("go tool pprof: %w", err)
	}
	return shareOf(string(out))
}

func fetch(url, file string) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the profiler answers %s", answer.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(f, answer.Body)
	return err
}

// shareOf reads what pprof says of each stack: after a line of dashes the time
// and the innermost function, then those that called it. A sample belongs to
// the scheduler if the innermost function of this house is one of its, so that
// what the runtime does for it counts, and the engine that it calls does not;
// and to the handout if that is anywhere on the stack.
func shareOf(traces string) (s share, err error) {
	for stack := range strings.SplitSeq(traces, "-----------+") {
		took, frames, ok := sample(stack)
		if !ok {
			continue
		}
		s.all += took
		switch own := innermost(frames); {
		case contains(frames, handout):
			s.handout += took
		case hasAny(own, scheduler):
			s.scheduler += took
		}
	}
	if s.all == 0 {
		err = fmt.Errorf("the profile has no samples:\n%.300s", traces)
	}
	return s, err
}

// sample reads one stack; ok is false for what stands around the stacks.
func sample(stack string) (took time.Duration, frames []string, ok bool) {
	lines := bufio.NewScanner(strings.NewReader(stack))
	for first := true; lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "---"):
			continue
		case first && len(words) > 1:
			d, err := time.ParseDuration(words[0])
			if err != nil {
				return 0, nil, false
			}
			took, first, words = d, false, words[1:]
		case first:
			return 0, nil, false
		}
		frames = append(frames, words[0])
	}
	return took, frames, len(frames) > 0
}

// innermost returns the function of the house that stands first.
func innermost(frames []string) string {
	for _, f := range frames {
		if strings.HasPrefix(f, house) || strings.HasPrefix(f, root) {
			return f
		}
	}
	return ""
}

func contains(frames []string, prefix string) bool {
	for _, f := range frames {
		if strings.HasPrefix(f, prefix) {
			return true
		}
	}
	return false
}

func hasAny(f string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(f, p) {
			return true
		}
	}
	return false
}
