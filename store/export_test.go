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
