package batch

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	_ "modernc.org/sqlite" // the driver
)

//go:embed migrations/*.sql
var migrations embed.FS

// A database holds the jobs and River's queue. All that writes goes one after
// the other, on PostgreSQL too.
type database interface {
	// change runs f in a transaction that nobody else changes jobs during.
	change(ctx context.Context, f func(*tx) error) error
	// look runs f in a transaction that changes nothing.
	look(ctx context.Context, f func(*tx) error) error
	// shared reports whether other servers can queue work.
	shared() bool
	// start has queued work done; it does nothing if it is already.
	start(ctx context.Context) error
	// rest ends what was started once its work is done, and starts no more;
	// start may follow.
	rest(ctx context.Context) error
	stop() // what was started; its work is cut off
	close() error
}

// A tx is a transaction. It is valid until the function that got it returns.
type tx struct {
	ctx    context.Context
	conn   conn
	insert func(args river.JobArgs, o *river.InsertOpts) error
	now    time.Time
}

// A conn is a transaction of either database. Arguments are $1, $2, ..., and
// stand in the statement in this order when they are first named.
type conn interface {
	exec(ctx context.Context, query string, args ...any) (changed int64, err error)
	query(ctx context.Context, query string, args []any, row func(scan func(...any) error) error) error
	commit(ctx context.Context) error
	rollback(ctx context.Context)
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	return t.conn.exec(t.ctx, query, args...)
}

// each calls row for each row of the answer.
func (t *tx) each(query string, args []any, row func(scan func(...any) error) error) error {
	return t.conn.query(t.ctx, query, args, row)
}

// one reads the one row of an answer into to; found is false if there is none.
func (t *tx) one(to []any, query string, args ...any) (found bool, err error) {
	err = t.each(query, args, func(scan func(...any) error) error {
		found = true
		return scan(to...)
	})
	return found, err
}

// queue has work done once the transaction is committed.
func (t *tx) queue(args river.JobArgs) error { return t.insert(args, nil) }

// openDatabase opens what the options name and brings its schemas up to date.
func openDatabase(ctx context.Context, r *Runner) (database, error) {
	if strings.HasPrefix(r.Database, "postgres://") || strings.HasPrefix(r.Database, "postgresql://") {
		return openPostgres(ctx, r)
	}
	return openSQLite(ctx, r)
}

// A backend is a database of either kind: T is its kind of transaction.
type backend[T any] struct {
	client *river.Client[T]
	begin  func(ctx context.Context, write bool) (T, conn, error)
	shut   func() error
	others bool   // servers, that use it
	wake   func() // is called when work was queued
}

func (b *backend[T]) change(ctx context.Context, f func(*tx) error) error { return b.in(ctx, true, f) }
func (b *backend[T]) look(ctx context.Context, f func(*tx) error) error   { return b.in(ctx, false, f) }

func (b *backend[T]) in(ctx context.Context, write bool, f func(*tx) error) error {
	inner, c, err := b.begin(ctx, write)
	if err != nil {
		return err
	}
	queued := false
	insert := func(args river.JobArgs, o *river.InsertOpts) error {
		queued = true
		_, err := b.client.InsertTx(ctx, inner, args, o)
		return err
	}
	if err := f(&tx{ctx, c, insert, time.Now()}); err != nil {
		c.rollback(context.WithoutCancel(ctx))
		return err
	}
	err = c.commit(ctx)
	if queued {
		b.wake()
	}
	return err
}

func (b *backend[T]) start(ctx context.Context) error {
	return b.client.Start(context.WithoutCancel(ctx))
}

func (b *backend[T]) close() error { return b.shut() }

func (b *backend[T]) shared() bool { return b.others }

func (b *backend[T]) rest(ctx context.Context) error { return b.client.Stop(ctx) }

// stopTime bounds how long work may take to write down what it has.
const stopTime = 20 * time.Second

func (b *backend[T]) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	_ = b.client.StopAndCancel(ctx) // one that was never started has nothing to stop
}

// newBackend brings River's schema up to date and makes its client.
func newBackend[T any](ctx context.Context, r *Runner, driver riverdriver.Driver[T], b *backend[T]) (database, error) {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet(r.Log)})
	if err == nil {
		_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("the queue's schema: %w", err)
	}
	b.wake = r.wake
	b.client, err = river.NewClient(driver, &river.Config{
		ID: r.Server, Workers: r.workers(), Logger: quiet(r.Log),
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: maxWorkers, FetchPollInterval: r.Poll}},
		// Of what is queued within this time after something else River does
		// not hear, and finds it when it looks for itself.
		FetchCooldown: river.FetchCooldownMin,
		JobTimeout:    r.Timeout, RescueStuckJobsAfter: r.Rescue, MaxAttempts: maxAttempts, RetryPolicy: patience{},
	})
	return b, err
}

const (
	// maxWorkers bounds the work that one server does at a time; what is
	// worked on is bounded by model, see Options.Chunks.
	maxWorkers = 1000
	// maxAttempts is more often than work is tried within the longest job.
	maxAttempts = 30_000
)

// patience is how long work that failed waits: from a fifth of a second, and
// half a minute at most.
type patience struct{}

// NextRetry implements river.ClientRetryPolicy.
func (patience) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(min(100*time.Millisecond<<min(len(job.Errors)+1, 9), 30*time.Second))
}

// quiet returns a logger of warnings and errors alone: what River tells of its
// daily work is nobody's concern.
func quiet(l *slog.Logger) *slog.Logger { return slog.New(grave{l.Handler()}) }

type grave struct{ slog.Handler }

// Enabled implements slog.Handler.
func (g grave) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && g.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (g grave) WithAttrs(a []slog.Attr) slog.Handler { return grave{g.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (g grave) WithGroup(name string) slog.Handler { return grave{g.Handler.WithGroup(name)} }

// migrate brings the tables of this package up to date.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect) error {
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, steps, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()), goose.WithTableName("batch_version"))
	if err == nil {
		_, err = p.Up(ctx)
	}
	return err
}

// openSQLite opens a file. River wants one connection for all that writes;
// what only reads has others.
func openSQLite(ctx context.Context, r *Runner) (database, error) {
	path, err := filepath.Abs(r.Database)
	if err != nil {
		return nil, err
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)"}}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	writer, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", strings.Replace(u.String(), "immediate", "deferred", 1))
	if err != nil {
		return nil, err
	}
	reader.SetMaxOpenConns(4)
	b := &backend[*sql.Tx]{
		begin: func(ctx context.Context, write bool) (*sql.Tx, conn, error) {
			db := reader
			if write {
				db = writer
			}
			t, err := db.BeginTx(ctx, nil)
			return t, sqlConn{t}, err
		},
		shut: func() error { _ = reader.Close(); return writer.Close() },
	}
	if err := migrate(ctx, writer, goose.DialectSQLite3); err != nil {
		_ = b.shut()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newBackend(ctx, r, riversqlite.New(writer), b)
}

// writeLock is the advisory lock of all that changes jobs: "outcrop" as a
// number.
const writeLock = 0x6f757463726f70

func openPostgres(ctx context.Context, r *Runner) (database, error) {
	pool, err := pgxpool.New(ctx, r.Database)
	if err != nil {
		return nil, err
	}
	b := &backend[pgx.Tx]{
		others: true,
		begin: func(ctx context.Context, write bool) (pgx.Tx, conn, error) {
			t, err := pool.Begin(ctx)
			if err != nil || !write {
				return t, pgConn{t}, err
			}
			if _, err = t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(writeLock)); err != nil {
				pgConn{t}.rollback(context.WithoutCancel(ctx))
			}
			return t, pgConn{t}, err
		},
		shut: func() error { pool.Close(); return nil },
	}
	db, err := migratePostgres(ctx, r, pool, b)
	if err != nil {
		pool.Close()
	}
	return db, err
}

// migratePostgres brings the schemas up to date; servers that start at once
// take turns.
func migratePostgres(ctx context.Context, r *Runner, pool *pgxpool.Pool, b *backend[pgx.Tx]) (database, error) {
	c, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	if _, err := c.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(writeLock)); err != nil {
		return nil, err
	}
	defer func() { _, _ = c.Exec(ctx, `SELECT pg_advisory_unlock($1)`, int64(writeLock)) }()
	db := stdlib.OpenDBFromPool(pool)
	defer func() { _ = db.Close() }()
	if err := migrate(ctx, db, goose.DialectPostgres); err != nil {
		return nil, err
	}
	return newBackend(ctx, r, riverpgxv5.New(pool), b)
}

type sqlConn struct{ tx *sql.Tx }

func (c sqlConn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	done, err := c.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

func (c sqlConn) query(ctx context.Context, query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := c.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c sqlConn) commit(context.Context) error { return c.tx.Commit() }
func (c sqlConn) rollback(context.Context)     { _ = c.tx.Rollback() }

type pgConn struct{ tx pgx.Tx }

func (c pgConn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	done, err := c.tx.Exec(ctx, query, args...)
	return done.RowsAffected(), err
}

func (c pgConn) query(ctx context.Context, query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := c.tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c pgConn) commit(ctx context.Context) error { return c.tx.Commit(ctx) }
func (c pgConn) rollback(ctx context.Context)     { _ = c.tx.Rollback(ctx) }
