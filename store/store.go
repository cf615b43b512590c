// Package store keeps the server's state in one SQLite database in the data
// folder. There is one file of Go code for each noun that is stored.
//
// A change is on the disk when the method that made it returns, and is there
// whole or not at all, whatever fails on the way.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"modernc.org/sqlite" // the driver
)

// The files in the data folder.
const (
	databaseFile = "outcrop.db"
	kekFile      = "kek"
	lockFile     = "lock"
	migrateFile  = "migrate.lock"
)

// Options say where the state lies.
type Options struct {
	// Dir is the data folder. It is made if it does not exist.
	Dir string
	// KEK is the file with the key-encryption key; empty means the file
	// "kek" in Dir, which is made when it is first needed. A file that is
	// named here is never made.
	KEK string

	connector func(dsn string) (driver.Connector, error) // nil: SQLite itself
	fault     func(call string) error                    // nil: no call fails
}

// A Store is an open database. It is safe for concurrent use, by several
// processes too.
type Store struct {
	options Options
	db      *sql.DB
	watch   watch
}

// watch sees changes through one connection that is kept for it.
type watch struct {
	mu    sync.Mutex
	conn  *sql.Conn
	epoch int64 // grows with each connection, since their counts do not compare
}

// Open opens the database in the data folder, makes it if there is none, and
// brings its schema up to date. A database that a newer program has changed is
// a *NewerError. The caller must Close the Store.
func Open(ctx context.Context, o Options) (*Store, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if err := create(dir); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if o.connector == nil {
		o.connector = sqlite.NewConnector
	}
	c, err := o.connector(dsn(filepath.Join(dir, databaseFile)))
	if err != nil {
		return nil, err
	}
	s := &Store{options: o, db: sql.OpenDB(c)}
	s.db.SetMaxOpenConns(8)
	if err := s.migrate(ctx); err != nil {
		_ = s.db.Close()
		return nil, err
	}
	return s, nil
}

// create makes the folder and an empty database in it, for the owner's eyes
// alone. SQLite gives its other files the mode of the database.
func create(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Never open one that exists: to close it would drop SQLite's locks.
	f, err := os.OpenFile(filepath.Join(dir, databaseFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn names the database to the driver. FULL loses no commit to a power cut;
// secure_delete overwrites what is deleted.
func dsn(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)",
	}}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	return u.String()
}

// Close closes the database.
func (s *Store) Close() error {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if s.watch.conn != nil {
		_ = s.watch.conn.Close()
		s.watch.conn = nil
	}
	return s.db.Close()
}

// Version returns a number that is another one after each change, whoever
// made it: this process or another. It costs a few microseconds and reads no
// table.
func (s *Store) Version(ctx context.Context) (int64, error) {
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return 0, err
		}
		w.conn = conn
		w.epoch++
	}
	var n int64
	if err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&n); err != nil {
		_ = w.conn.Close()
		w.conn = nil
		return 0, err
	}
	return w.epoch<<32 | n, nil
}

// change runs f in a transaction that holds the write lock from its start.
func (s *Store) change(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// call stands before each call on files, so that tests can make it fail.
func (s *Store) call(name string) error {
	if s.options.fault == nil {
		return nil
	}
	return s.options.fault(name)
}
