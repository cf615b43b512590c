package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/outcrop/outcrop/bench/load"
)

// profiled are the scenarios of which profiles are taken.
var profiled = []string{"a-unary-1k", "b-stream-bunched", "b-stream-20ms"}

// A profile is where the gateway's CPU time goes under one scenario.
type profile struct {
	Scenario string `json:"scenario"`
	Top      string `json:"top"` // what pprof -top says
}

// profileAll loads the gateway once more for each profiled scenario and takes
// a CPU profile meanwhile.
func profileAll(ctx context.Context, s settings, p *processes, scratch string) (all []profile, err error) {
	for _, c := range choose(scenarios(p), s.only) {
		for _, name := range profiled {
			if c.Name != name {
				continue
			}
			log.Printf("profile of %s", name)
			top, err := takeProfile(ctx, s, p, c, filepath.Join(scratch, name+".pprof"))
			if err != nil {
				return nil, err
			}
			all = append(all, profile{name, top})
		}
	}
	return all, nil
}

func takeProfile(ctx context.Context, s settings, p *processes, c *scenario, file string) (string, error) {
	o := c.named("outcrop, bearer").options(s, p, c)
	seconds := int(o.Duration / time.Second)
	loaded := make(chan error, 1)
	go func() {
		_, err := load.Run(ctx, o)
		loaded <- err
	}()
	select {
	case <-time.After(o.Warm):
	case <-ctx.Done():
	}
	err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.pprof, max(seconds, 1)), file)
	if failed := <-loaded; err == nil {
		err = failed
	}
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=30", file).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	return onlyTable(string(out)), nil
}

func fetch(ctx context.Context, url, file string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the profiler answers %s", answer.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(f, answer.Body)
	return err
}

// onlyTable leaves out what pprof says about the file and the machine.
func onlyTable(top string) string {
	if i := strings.Index(top, "Showing nodes"); i >= 0 {
		return strings.TrimSpace(top[i:])
	}
	return strings.TrimSpace(top)
}
