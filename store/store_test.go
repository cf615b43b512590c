package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/store"
)

// TestMain lets the test binary be a second process.
func TestMain(m *testing.M) {
	dir := os.Getenv("OUTCROP_TEST_DIR")
	switch os.Getenv("OUTCROP_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "server":
		beServer(dir)
	case "keys":
		beKeys(dir, os.Getenv("OUTCROP_TEST_ID"))
	}
}

// beServer holds the lock until its input ends.
func beServer(dir string) {
	unlock, err := store.Lock(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = unlock()
}

// beKeys adds keys, as the command line does.
func beKeys(dir, id string) {
	s, err := store.Open(context.Background(), store.Options{Dir: dir})
	for i := 0; i < 5 && err == nil; i++ {
		err = s.AddKey(context.Background(), accessKey(fmt.Sprintf("%s-%d", id, i)))
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func process(t *testing.T, role, dir, id string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), "OUTCROP_TEST_ROLE="+role, "OUTCROP_TEST_DIR="+dir, "OUTCROP_TEST_ID="+id)
	return c
}

func TestSecondServerIsToldWhoHasTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := process(t, "server", dir, "")
	in, _ := c.StdinPipe()
	out, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("locked\n"))
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "locked\n" {
		t.Fatalf("the first server said %q: %v", line, err)
	}
	var locked *store.LockedError
	_, err := store.Lock(dir)
	if !errors.As(err, &locked) || locked.PID != c.Process.Pid || locked.Dir != dir {
		t.Errorf("got %v, want one that names process %d", err, c.Process.Pid)
	}
	s := open(t, store.Options{Dir: dir}) // commands work beside a server
	add(t, s, apiKey("api-1"))
	_ = in.Close()
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	unlock, err := store.Lock(dir)
	if err != nil {
		t.Fatalf("the lock outlived its server: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestKilledServerLeavesNoLock(t *testing.T) {
	dir := t.TempDir()
	c := process(t, "server", dir, "")
	_, _ = c.StdinPipe()
	out, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("locked\n"))); err != nil {
		t.Fatal(err)
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	unlock, err := store.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = unlock()
}

// TestProcessesThatStartAtOnceTakeTurns lets several make the same folder,
// schema and key-encryption key.
func TestProcessesThatStartAtOnceTakeTurns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	const n = 3
	var cs [n]*exec.Cmd
	var out [n]strings.Builder
	for i := range cs {
		cs[i] = process(t, "keys", dir, fmt.Sprintf("AKIA%d", i))
		cs[i].Stdout = &out[i]
		if err := cs[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range cs {
		if err := cs[i].Wait(); err != nil {
			t.Errorf("process %d: %v %s", i, err, out[i].String())
		}
	}
	got, err := open(t, store.Options{Dir: dir}).Keys(t.Context())
	if err != nil || len(got) != n*5 {
		t.Errorf("%d keys, error %v", len(got), err)
	}
	for _, k := range got {
		if k.Secret.Reveal() != canary+k.Principal.KeyID {
			t.Errorf("%s has another secret", k.Principal.KeyID)
		}
	}
}

func TestReadersAndWritersAtOnce(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, store.Options{Dir: dir}), open(t, store.Options{Dir: dir})
	const writers, each = 4, 10
	var wg, readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for last := 0; ; {
				select {
				case <-done:
					return
				default:
				}
				keys, err := s.Keys(context.Background())
				if err != nil || len(keys) < last {
					t.Errorf("%d keys after %d, error %v", len(keys), last, err)
					return
				}
				last = len(keys)
				if _, err := s.Version(context.Background()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for w := range writers {
		wg.Go(func() {
			into := []*store.Store{s, other}[w%2]
			for i := range each {
				if err := into.AddKey(context.Background(), accessKey(fmt.Sprintf("AKIA-%d-%d", w, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(done)
	readers.Wait()
	if keys, err := s.Keys(t.Context()); err != nil || len(keys) != writers*each {
		t.Errorf("%d keys, error %v", len(keys), err)
	}
}

func TestOpeningTwiceChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	add(t, s, accessKey("AKIA1"))
	before := store.Schema(t, s)
	again := open(t, store.Options{Dir: dir})
	if after := store.Schema(t, again); after != before || !strings.Contains(after, "CREATE TABLE keys") {
		t.Errorf("schema was\n%s\nis\n%s", before, after)
	}
	got, err := again.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "keys", []identity.Key{accessKey("AKIA1")}, got)
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	store.Exec(t, s, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	_ = s.Close()
	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	var newer *store.NewerError
	if !errors.As(err, &newer) || newer.Have != 9999 || newer.Known < 1 || newer.Known > 9998 || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

func TestDamagedDatabaseIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "outcrop.db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "outcrop.db") {
		t.Errorf("got %v", err)
	}
}

func TestFolderThatIsAFileIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Options{Dir: path}); err == nil || !strings.Contains(err.Error(), "data folder") {
		t.Errorf("Open: %v", err)
	}
	if _, err := store.Lock(path); err == nil || !strings.Contains(err.Error(), "data folder") {
		t.Errorf("Lock: %v", err)
	}
}

func TestCommitsAreOnTheDisk(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "secure_delete": "1", "busy_timeout": "5000"} {
		if got := store.Pragma(t, s, pragma); got != want {
			t.Errorf("%s is %s", pragma, got)
		}
	}
}
