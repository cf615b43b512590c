package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	region = "us-east-1"
	module = "github.com/outcrop/outcrop"
	// startTimeout bounds how long a server may take to listen.
	startTimeout = 20 * time.Second
)

// A server is a running child process that listens on addr.
type server struct {
	name, addr string
	command    *exec.Cmd
}

// A credential is a key of the gateway.
type credential struct{ access, secret, bearer string }

// processes are all the servers of a run.
type processes struct {
	mock, proxy, gateway *server
	pprof                string // address of the gateway's profiler
	log                  string // the gateway's log
	key                  credential
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
	addrs, err := freeAddrs(4)
	if err != nil {
		return p, err
	}
	if p.mock, err = start("mock", addrs[0], scratch, filepath.Join(scratch, "mock"), "-addr", addrs[0]); err != nil {
		return p, err
	}
	if p.proxy, err = start("revproxy", addrs[1], scratch, filepath.Join(scratch, "revproxy"),
		"-buffer", "-addr", addrs[1], "-upstream", "http://"+addrs[0]); err != nil {
		return p, err
	}
	data, file := filepath.Join(scratch, "data"), filepath.Join(scratch, "outcrop.yaml")
	if err = os.WriteFile(file, []byte(configuration(addrs[0])), 0o600); err != nil {
		return p, err
	}
	if p.key, err = addKey(ctx, binary, data); err != nil {
		return p, err
	}
	p.pprof = addrs[3]
	p.gateway, err = start("outcrop", addrs[2], scratch, binary,
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

// freeAddrs returns addresses on which nobody listens at the moment.
func freeAddrs(n int) (addrs []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// start starts a server with its output in folder, and waits until it listens.
func start(name, addr, folder, program string, args ...string) (*server, error) {
	out, err := os.Create(filepath.Join(folder, name+".log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c := exec.Command(program, args...)
	c.Dir, c.Stdout, c.Stderr = folder, out, out
	if err := c.Start(); err != nil {
		return nil, err
	}
	s := &server{name: name, addr: addr, command: c}
	for begin := time.Now(); time.Since(begin) < startTimeout; time.Sleep(20 * time.Millisecond) {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			return s, nil
		}
	}
	s.stop()
	said, _ := os.ReadFile(out.Name())
	return nil, fmt.Errorf("%s does not listen on %s:\n%s", name, addr, said)
}

func (s *server) stop() {
	if s == nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(5*time.Second, func() { _ = s.command.Process.Kill() })
	defer timer.Stop()
	_ = s.command.Wait()
}

func (p *processes) stop() {
	p.gateway.stop()
	p.proxy.stop()
	p.mock.stop()
}

// pids names the processes whose CPU and memory count.
func (p *processes) pids() map[string]int {
	return map[string]int{
		"mock":     p.mock.command.Process.Pid,
		"revproxy": p.proxy.command.Process.Pid,
		"outcrop":  p.gateway.command.Process.Pid,
	}
}

// configuration is the gateway's: each model served by the mock in its own
// shape, with the log as JSON and callers that need a key.
func configuration(mock string) string {
	var b strings.Builder
	b.WriteString("region: " + region + "\nkeys: required\nlog: {format: json, level: info}\nmodels:\n")
	for _, model := range []string{modelPlain, modelSpaced, modelSlow, modelOpenAI, modelAnthropic} {
		kind := "openai"
		if model == modelAnthropic {
			kind = "anthropic"
		}
		fmt.Fprintf(&b, "  - id: %s\n    engines:\n      - {kind: %s, url: \"http://%s\", model: %s}\n", model, kind, mock, shapes[model])
	}
	return b.String()
}

var secrets = regexp.MustCompile(`(AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY|AWS_BEARER_TOKEN_BEDROCK)=(\S+)`)

// addKey makes an access key and an API key for the load generator.
func addKey(ctx context.Context, binary, data string) (k credential, err error) {
	found := map[string]string{}
	for _, kind := range []string{"access-key", "api-key"} {
		out, err := exec.CommandContext(ctx, binary, "keys", "add", "--kind", kind, "--name", "bench", "--data", data).CombinedOutput()
		if err != nil {
			return k, fmt.Errorf("outcrop keys add: %w\n%s", err, out)
		}
		for _, m := range secrets.FindAllStringSubmatch(string(out), -1) {
			found[m[1]] = m[2]
		}
	}
	k = credential{found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found["AWS_BEARER_TOKEN_BEDROCK"]}
	if k.access == "" || k.secret == "" || k.bearer == "" {
		return k, errors.New("outcrop keys add shows no environment variables to use")
	}
	return k, nil
}
