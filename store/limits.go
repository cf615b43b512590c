package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// limitsFile holds the state of the limits. It is apart from the database,
// since it is written every few seconds, and losing the last of them costs
// little.
const limitsFile = "limits.json"

// SaveLimits puts the state of the limits in the place of the one before, all
// or nothing. It is on the disk when SaveLimits returns.
func (s *Store) SaveLimits(state []byte) error {
	temp, err := s.writeTemp(limitsFile, state)
	if err == nil {
		err = s.call("rename " + limitsFile)
	}
	if err == nil {
		err = os.Rename(temp, filepath.Join(s.options.Dir, limitsFile))
	}
	if err != nil && temp != "" {
		_ = os.Remove(temp)
	}
	if err != nil {
		return err
	}
	return s.syncDir()
}

// Limits returns the state that was saved last, nil if there is none.
func (s *Store) Limits() ([]byte, error) {
	if err := s.call("read " + limitsFile); err != nil {
		return nil, err
	}
	state, err := os.ReadFile(filepath.Join(s.options.Dir, limitsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return state, err
}
