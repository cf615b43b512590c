package store_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"

	"modernc.org/sqlite"

	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/store"
)

// errInjected stands for any failure of the disk.
var errInjected = errors.New("injected: input/output error")

// faults makes the k-th call to the driver or to a file fail.
type faults struct {
	left  atomic.Int64 // calls until the one that fails
	after bool         // the call does its work before it fails
	calls atomic.Int64
}

func (f *faults) hit() bool {
	f.calls.Add(1)
	return f.left.Add(-1) == 0
}

func (f *faults) call(string) error {
	if f.hit() {
		return errInjected
	}
	return nil
}

func (f *faults) connector(dsn string) (driver.Connector, error) {
	c, err := sqlite.NewConnector(dsn)
	return &faultyConnector{c, f}, err
}

func (f *faults) options(dir string) store.Options {
	return store.Options{Dir: dir}.WithFaults(f.connector, f.call)
}

// do makes the call, unless it is its turn to fail.
func do[T any](f *faults, call func() (T, error)) (T, error) {
	fails := f.hit()
	if fails && !f.after {
		var none T
		return none, errInjected
	}
	v, err := call()
	if fails && err == nil {
		if c, ok := any(v).(io.Closer); ok {
			_ = c.Close()
		}
		var none T
		return none, errInjected
	}
	return v, err
}

type faultyConnector struct {
	driver.Connector
	*faults
}

func (c *faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := do(c.faults, func() (driver.Conn, error) { return c.Connector.Connect(ctx) })
	if err != nil {
		return nil, err
	}
	return &faultyConn{conn, c.faults}, nil
}

type faultyConn struct {
	driver.Conn
	*faults
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := do(c.faults, func() (driver.Tx, error) {
		tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
		if err != nil {
			return nil, err
		}
		return &faultyTx{tx, c.faults}, nil
	})
	return tx, err
}

func (c *faultyConn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	return do(c.faults, func() (driver.Stmt, error) { return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, q) })
}

func (c *faultyConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	return do(c.faults, func() (driver.Result, error) { return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args) })
}

func (c *faultyConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := do(c.faults, func() (driver.Rows, error) { return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args) })
	if err != nil {
		return nil, err
	}
	return &faultyRows{rows, c.faults}, nil
}

type faultyRows struct {
	driver.Rows
	*faults
}

func (r *faultyRows) Next(dest []driver.Value) error {
	_, err := do(r.faults, func() (struct{}, error) { return struct{}{}, r.Rows.Next(dest) })
	return err
}

type faultyTx struct {
	driver.Tx
	*faults
}

// Close lets do undo a transaction whose begin is to fail after the fact.
func (tx *faultyTx) Close() error { return tx.Tx.Rollback() }

func (tx *faultyTx) Commit() error {
	fails := tx.hit()
	if fails && !tx.after {
		return errors.Join(errInjected, tx.Tx.Rollback())
	}
	err := tx.Tx.Commit()
	if fails && err == nil {
		return errInjected // the outcome is unknown to the caller
	}
	return err
}

// TestAnyCallMayFail makes every call fail in turn, before and after its
// work, in opening a folder, adding two keys and revoking one, and then looks
// at what a healthy Store finds.
func TestAnyCallMayFail(t *testing.T) {
	healthy := &faults{}
	if _, err := life(healthy.options(filepath.Join(t.TempDir(), "data"))); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	calls := healthy.calls.Load()
	var failed, added, absent atomic.Int64
	t.Run("call", func(t *testing.T) {
		for k := range calls {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d/%v", k+1, after), func(t *testing.T) {
					t.Parallel() // the migrations wait a second before they try again
					dir := filepath.Join(t.TempDir(), "data")
					f := &faults{after: after}
					f.left.Store(k + 1)
					acked, err := life(f.options(dir))
					if err != nil {
						failed.Add(1)
					}
					a, b := whole(t, dir, acked)
					added.Add(a)
					absent.Add(b)
				})
			}
		}
	})
	if calls < 30 || failed.Load() < 40 || added.Load() == 0 || absent.Load() == 0 {
		t.Errorf("%d calls, %d failures, %d keys there and %d not: the test has lost its grip", calls, failed.Load(), added.Load(), absent.Load())
	}
}

// life is what happens to a folder; acked counts the steps that were said to
// be done.
func life(o store.Options) (acked int, err error) {
	ctx := context.Background()
	s, err := store.Open(ctx, o)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	for _, step := range []func() error{
		func() error { return s.AddKey(ctx, accessKey("AKIA1")) },
		func() error { return s.AddKey(ctx, apiKey("api-1")) },
		func() error { _, err := s.Keys(ctx); return err },
		func() error { _, err := s.Version(ctx); return err },
		func() error { return s.RevokeKey(ctx, "AKIA1", born) },
	} {
		if err := step(); err != nil {
			return acked, err
		}
		acked++
	}
	return acked, nil
}

// whole checks that each key is there as it was given or not at all, that
// what was said to be done is done, and that the folder still works.
func whole(t *testing.T, dir string, acked int) (added, absent int64) {
	t.Helper()
	s := open(t, store.Options{Dir: dir})
	defer s.Close()
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]identity.Key{}
	for _, got := range keys {
		found[got.Principal.KeyID] = got
	}
	for i, want := range []identity.Key{accessKey("AKIA1"), apiKey("api-1")} {
		got, there := found[want.Principal.KeyID]
		switch {
		case !there && acked > i:
			t.Errorf("key %s was lost", want.Principal.KeyID)
		case !there:
			absent++
			continue
		}
		added++
		if !got.Revoked.IsZero() {
			want.Secret, want.Token, want.Revoked = identity.Secret{}, identity.Secret{}, born
		} else if acked == 5 && i == 0 {
			t.Error("the key is not revoked")
		}
		diff(t, "key", []identity.Key{want}, []identity.Key{got})
	}
	add(t, s, accessKey("AKIA9"))
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("%v is left over", left)
	}
	return added, absent
}
