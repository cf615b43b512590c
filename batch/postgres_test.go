package batch_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outcrop/outcrop/batch"
)

// postgres starts a PostgreSQL of Debian's packages for the test and returns
// its address. Without one the test is skipped.
func postgres(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Skip("PostgreSQL is not installed")
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "outcrop-pg-") // a test's own folder is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	run := func(program string, args ...string) {
		t.Helper()
		c := exec.Command(filepath.Join(bin, program), args...)
		c.Dir = dir
		asNobody(t, c, dir)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
	}
	data := filepath.Join(dir, "data")
	run("initdb", "-D", data, "-U", "outcrop", "-A", "trust", "--no-sync")
	run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", "-c listen_addresses='' -k "+dir, "start")
	t.Cleanup(func() { run("pg_ctl", "-D", data, "-m", "immediate", "stop") })
	return "postgres:///postgres?user=outcrop&host=" + dir
}

// asNobody has the command run as PostgreSQL's user, since it refuses to run
// as root.
func asNobody(t *testing.T, c *exec.Cmd, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("there is no user postgres")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func TestOnPostgreSQLAJobRunsGoesOnAndStops(t *testing.T) {
	invoke, goOn, _ := blocking(12)
	w := newWorld(t, invoke)
	w.options.Database = postgres(t)
	w.start()
	w.input("data/a.jsonl", lines(100))
	stopped, j := w.newJob("s3://in/data/a.jsonl"), w.newJob("s3://in/data/a.jsonl")
	w.submit(stopped)
	w.until("twelve are answered", func() bool { return w.state(stopped).Counts.Succeeded == 12 })
	if err := w.runner.Stop(t.Context(), stopped.ARN.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.ended(stopped); got.Status != "Stopped" || got.Counts.Succeeded != 12 {
		t.Errorf("%s %+v", got.Status, got.Counts)
	}
	w.submit(j)
	w.until("it runs", func() bool { return w.state(j).Status == "InProgress" })
	if err := w.runner.Close(); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	w.start()
	w.exact(w.ended(j), 100)
	if bad := w.run("oops"); bad.Status != "Failed" || !strings.HasPrefix(bad.Message, "Line 1 of") {
		t.Errorf("%s %q", bad.Status, bad.Message)
	}
}

// TestOnPostgreSQLTwoServersAreKilled at random, as often as OUTCROP_KILLS
// says, and each record is there once.
func TestOnPostgreSQLTwoServersAreKilled(t *testing.T) {
	n, kills := int64(number("OUTCROP_KILL_RECORDS", 3000)), number("OUTCROP_KILLS", 3)
	w := newWorld(t, echo)
	w.options = killed(w.folder.Dir, postgres(t), "parent")
	killing(t, w, n, kills, []string{"one", "two"})
}

// TestOnPostgreSQLAnotherServerTakesOver what one left that never comes back.
func TestOnPostgreSQLAnotherServerTakesOver(t *testing.T) {
	if number("OUTCROP_RESCUE", 0) == 0 {
		t.Skip("takes a minute: set OUTCROP_RESCUE=1")
	}
	w := newWorld(t, echo)
	w.options = killed(w.folder.Dir, postgres(t), "two")
	w.input("data/a.jsonl", lines(20_000))
	kill := spawn(t, w.folder.Dir, w.options.Database, "one")
	defer kill()
	r, err := batch.Open(t.Context(), w.options)
	if err != nil {
		t.Fatal(err)
	}
	w.runner = r
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("it runs", func() bool { return w.state(j).Counts.Succeeded > 1000 })
	kill()
	_ = r.Close()
	w.start()
	for end := time.Now().Add(3 * time.Minute); !w.state(j).Status.Ended(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(fmt.Sprint("not taken over: ", w.state(j)))
		}
	}
	w.tidied(j)
	w.exact(w.state(j), 20_000)
}
