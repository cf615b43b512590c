package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/outcrop/outcrop/bench/child"
)

const (
	region = "us-east-1"
	module = "github.com/outcrop/outcrop"
)

// processes are all the servers of a run.
type processes struct {
	mock, proxy, gateway *child.Server
	pprof                string // address of the gateway's profiler
	log                  string // the gateway's log
	key                  child.Credential
}

// startAll builds and starts the mock, the reverse proxy and the gateway,
// with all their files in scratch.
func startAll(ctx context.Context, binary, scratch string) (p *processes, err error) {
	p = &processes{log: filepath.Join(scratch, "outcrop.log")}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if binary, err = buildAll(ctx, binary, scratch); err != nil {
		return p, err
	}
	addrs, err := child.FreeAddrs(4)
	if err != nil {
		return p, err
	}
	if p.mock, err = child.Start("mock", addrs[0], scratch, filepath.Join(scratch, "mock"), "-addr", addrs[0]); err != nil {
		return p, err
	}
	if p.proxy, err = child.Start("revproxy", addrs[1], scratch, filepath.Join(scratch, "revproxy"),
		"-buffer", "-addr", addrs[1], "-upstream", "http://"+addrs[0]); err != nil {
		return p, err
	}
	data, file := filepath.Join(scratch, "data"), filepath.Join(scratch, "outcrop.yaml")
	if err = os.WriteFile(file, []byte(configuration(addrs[0])), 0o600); err != nil {
		return p, err
	}
	if p.key, err = addKeys(ctx, binary, data); err != nil {
		return p, err
	}
	p.pprof = addrs[3]
	p.gateway, err = child.Start("outcrop", addrs[2], scratch, binary,
		"serve", "--addr", addrs[2], "--data", data, "--config", file, "--pprof", p.pprof)
	return p, err
}

// buildAll builds the commands into the folder and returns the gateway's.
func buildAll(ctx context.Context, outcrop, folder string) (string, error) {
	packages := map[string]string{"mock": "/bench/mock", "revproxy": "/bench/revproxy"}
	if outcrop == "" {
		packages["outcrop"] = "/cmd/outcrop"
	}
	for name, path := range packages {
		b := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(folder, name), module+path)
		if out, err := b.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
	}
	if outcrop == "" {
		return filepath.Join(folder, "outcrop"), nil
	}
	return filepath.Abs(outcrop)
}

func (p *processes) stop() {
	p.gateway.Stop()
	p.proxy.Stop()
	p.mock.Stop()
}

// pids names the processes whose CPU and memory count.
func (p *processes) pids() map[string]int {
	return map[string]int{
		"mock":     p.mock.Pid(),
		"revproxy": p.proxy.Pid(),
		"outcrop":  p.gateway.Pid(),
	}
}

// configuration is the gateway's: each model served by the mock in its own
// shape, with the log as JSON, callers that need a key, and limits that are
// kept account of and never reached.
func configuration(mock string) string {
	var b strings.Builder
	b.WriteString("region: " + region + "\nkeys: required\nlog: {format: json, level: info}\n" +
		"on_demand: {limits: [{requests_per_minute: 1G, tokens_per_minute: 1000G}]}\nmodels:\n")
	for _, model := range []string{modelPlain, modelSpaced, modelSlow, modelOpenAI, modelAnthropic} {
		kind := "openai"
		if model == modelAnthropic {
			kind = "anthropic"
		}
		fmt.Fprintf(&b, "  - id: %s\n    engines:\n      - {kind: %s, url: \"http://%s\", model: %s}\n", model, kind, mock, shapes[model])
	}
	return b.String()
}

// addKeys makes an access key and an API key for the load generator.
func addKeys(ctx context.Context, binary, data string) (k child.Credential, err error) {
	if k, err = child.AddKey(ctx, binary, data, "access-key", ""); err != nil {
		return k, err
	}
	bearer, err := child.AddKey(ctx, binary, data, "api-key", "")
	k.Bearer = bearer.Bearer
	return k, err
}
