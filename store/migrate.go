package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// A NewerError says that the database was written by a newer program, whose
// schema this one does not know.
type NewerError struct {
	Path        string // of the database
	Have, Known int64  // versions of the schema
}

// Error says what the operator can do.
func (e *NewerError) Error() string {
	return fmt.Sprintf("%s has schema version %d, and this outcrop knows only up to %d: use the newer outcrop that wrote it, or restore a backup", e.Path, e.Have, e.Known)
}

// migrate brings the schema up to date, each step in a transaction. Processes
// that start at once take turns.
func (s *Store) migrate(ctx context.Context) error {
	unlock, err := waitLock(ctx, filepath.Join(s.options.Dir, migrateFile))
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	defer unlock()
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.db, steps,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	path := filepath.Join(s.options.Dir, databaseFile)
	have, known, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case have > known:
		return &NewerError{Path: path, Have: have, Known: known}
	case have == known:
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
