//go:build unix

// Package postgres starts PostgreSQL for tests: the system's, as Debian installs
// it, or else the one that scripts/tools.sh puts into .tools.
package postgres

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Start starts a server that only this machine reaches, with an empty database,
// until the test ends, and returns its address for batch.database. Without
// PostgreSQL, or without a user to run it as, the test is skipped.
func Start(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "outcrop-pg-") // a test's own folder is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := find(t, dir)
	data := filepath.Join(dir, "data")
	p.run(t, "initdb", "-D", data, "-U", "outcrop", "-A", "trust", "--no-sync")
	p.run(t, "pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", "-c listen_addresses='' -k "+dir, "start")
	t.Cleanup(func() { p.run(t, "pg_ctl", "-D", data, "-m", "immediate", "stop") })
	return "postgres:///postgres?user=outcrop&host=" + dir
}

// programs are those of a PostgreSQL.
type programs struct {
	bin string
	dir string // where they run
	env []string
	as  *syscall.SysProcAttr
}

func (p *programs) run(t testing.TB, program string, args ...string) {
	t.Helper()
	c := exec.Command(filepath.Join(p.bin, program), args...)
	c.Dir, c.Env, c.SysProcAttr = p.dir, p.env, p.as
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// find returns the programs, ready to run in dir.
func find(t testing.TB, dir string) *programs {
	t.Helper()
	p := &programs{dir: dir, as: notRoot(t, dir)}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 {
		p.bin = filepath.Dir(found[len(found)-1])
		return p
	}
	home := filepath.Join(module(t), ".tools", "postgres")
	if _, err := os.Stat(filepath.Join(home, "bin", "initdb")); err != nil {
		t.Skip("PostgreSQL is not installed: make tools")
	}
	if p.as != nil { // another user may not come as far as .tools
		to := filepath.Join(dir, "postgres")
		if err := os.CopyFS(to, os.DirFS(home)); err != nil {
			t.Fatal(err)
		}
		home = to
	}
	p.bin, p.env = filepath.Join(home, "bin"), append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(home, "lib"))
	return p
}

// notRoot has programs run as another user than root, as which PostgreSQL
// refuses to run, and makes the folder that user's. Nobody else than root needs
// it: nil.
func notRoot(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Skip("there is no user to run PostgreSQL as")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// module is the module's folder, which is above that of each test.
func module(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		if folder == filepath.Dir(folder) {
			t.Fatal("no go.mod above the test")
		}
		folder = filepath.Dir(folder)
	}
}
