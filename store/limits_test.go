package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/outcrop/outcrop/store"
)

func TestTheStateOfTheLimitsIsReplacedWhole(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	if got, err := s.Limits(); got != nil || err != nil {
		t.Errorf("before the first: %q, %v", got, err)
	}
	for _, state := range []string{`{"a":1}`, `{}`} {
		if err := s.SaveLimits([]byte(state)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Limits(); string(got) != state || err != nil {
			t.Errorf("%q, %v; want %q", got, err, state)
		}
	}
}

// TestASaveOfTheLimitsThatFailsLeavesOldOrNew whichever of its calls fails,
// and no files behind.
func TestASaveOfTheLimitsThatFailsLeavesOldOrNew(t *testing.T) {
	for k := int64(1); ; k++ {
		dir := t.TempDir()
		f := &faults{}
		s := open(t, f.options(dir))
		if err := s.SaveLimits([]byte("old")); err != nil {
			t.Fatal(err)
		}
		f.left.Store(k)
		err := s.SaveLimits([]byte("new"))
		f.left.Store(0)
		got, failed := s.Limits()
		if failed != nil || !bytes.Equal(got, []byte("old")) && !bytes.Equal(got, []byte("new")) {
			t.Fatalf("call %d: %q, %v", k, got, failed)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
			t.Errorf("call %d left %v", k, left)
		}
		if err == nil {
			if k < 5 {
				t.Fatalf("only %d calls can fail", k-1)
			}
			return
		}
	}
}

func TestLimitsThatCannotBeReadAreAnError(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	if err := os.Mkdir(filepath.Join(dir, "limits.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Limits(); err == nil {
		t.Error("no error")
	}
}
