package store

import (
	"database/sql/driver"
	"testing"
)

// Exec runs a statement past all that the Store does to keep order.
func Exec(t testing.TB, s *Store, query string) {
	t.Helper()
	if _, err := s.db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// WithFaults returns the options with calls to the driver and to files going
// through the given functions.
func (o Options) WithFaults(connector func(dsn string) (driver.Connector, error), call func(string) error) Options {
	o.connector, o.fault = connector, call
	return o
}

// Schema returns the statements that make up the database.
func Schema(t testing.TB, s *Store) string {
	t.Helper()
	var text string
	err := s.db.QueryRowContext(t.Context(), `SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name)`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Pragma returns the value of a setting on a connection of the Store.
func Pragma(t testing.TB, s *Store, name string) string {
	t.Helper()
	var value string
	if err := s.db.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// Count returns the number of rows of a table.
func Count(t testing.TB, s *Store, table string) (n int) {
	t.Helper()
	if err := s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
