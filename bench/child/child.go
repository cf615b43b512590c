// Package child starts and stops the server processes that a benchmark
// measures, and makes the keys to call them with.
package child

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

const (
	// startTimeout bounds how long a server may take to listen.
	startTimeout = 20 * time.Second
	// stopTimeout is how long one may take to stop before it is killed.
	stopTimeout = 5 * time.Second
)

// A Server is a running child process that listens on Addr.
type Server struct {
	Addr    string
	command *exec.Cmd
}

// Start starts a server with its output in folder, in a file by its name, and
// blocks until it listens on addr, for at most twenty seconds.
func Start(name, addr, folder, program string, args ...string) (*Server, error) {
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
	s := &Server{Addr: addr, command: c}
	for begin := time.Now(); time.Since(begin) < startTimeout; time.Sleep(20 * time.Millisecond) {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			return s, nil
		}
	}
	s.Stop()
	said, _ := os.ReadFile(out.Name())
	return nil, fmt.Errorf("%s does not listen on %s:\n%s", name, addr, said)
}

// Pid is the process's id.
func (s *Server) Pid() int { return s.command.Process.Pid }

// Stop ends the process and waits for it; after five seconds it is killed. A
// nil Server is stopped already.
func (s *Server) Stop() {
	if s == nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(stopTimeout, func() { _ = s.command.Process.Kill() })
	defer timer.Stop()
	_ = s.command.Wait()
}

// Kill ends the process at once, whatever it is at.
func (s *Server) Kill() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

// FreeAddrs returns addresses of this machine on which nobody listens at the
// moment.
func FreeAddrs(n int) (addrs []string, err error) {
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

// A Credential is a key of the gateway: an access key or an API key.
type Credential struct{ Access, Secret, Bearer string }

var secrets = regexp.MustCompile(`(AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY|AWS_BEARER_TOKEN_BEDROCK)=(\S+)`)

// AddKey has the outcrop command make a key of the kind (access-key or
// api-key) in the data folder. An empty account stands for the server's own.
func AddKey(ctx context.Context, outcrop, data, kind, account string) (k Credential, err error) {
	args := []string{"keys", "add", "--kind", kind, "--name", "bench", "--data", data}
	if account != "" {
		args = append(args, "--account", account)
	}
	out, err := exec.CommandContext(ctx, outcrop, args...).CombinedOutput()
	if err != nil {
		return k, fmt.Errorf("outcrop keys add: %w\n%s", err, out)
	}
	for _, m := range secrets.FindAllStringSubmatch(string(out), -1) {
		switch m[1] {
		case "AWS_ACCESS_KEY_ID":
			k.Access = m[2]
		case "AWS_SECRET_ACCESS_KEY":
			k.Secret = m[2]
		default:
			k.Bearer = m[2]
		}
	}
	if k.Bearer == "" && (k.Access == "" || k.Secret == "") {
		return k, errors.New("outcrop keys add shows no environment variables to use")
	}
	return k, nil
}
