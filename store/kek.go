package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What can be wrong with the key-encryption key. Each comes wrapped, with the
// name of the file.
var (
	ErrNoKEK    = errors.New("the key-encryption key is missing")
	ErrBadKEK   = errors.New("the key-encryption key must be 64 hexadecimal digits")
	ErrWrongKEK = errors.New("this is not the key-encryption key that the stored keys were sealed with")
	ErrTampered = errors.New("a stored secret was changed from outside")
)

// A kek seals secrets with AES-256-GCM.
type kek struct {
	id   string // public; tells one kek from another
	aead cipher.AEAD
}

// String hides the key.
func (k *kek) String() string { return "kek " + k.id }

func newKEK(key []byte) (*kek, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte("outcrop kek id"))
	return &kek{id: hex.EncodeToString(m.Sum(nil)[:8]), aead: aead}, nil
}

// seal encrypts the secret. It opens again only for the same place.
func (k *kek) seal(secret, place string) []byte {
	return k.aead.Seal(nil, nil, []byte(secret), []byte(place))
}

func (k *kek) open(sealed []byte, place string) (string, error) {
	b, err := k.aead.Open(nil, nil, sealed, []byte(place))
	if err != nil {
		return "", ErrTampered
	}
	return string(b), nil
}

func (s *Store) kekPath() string {
	if s.options.KEK != "" {
		return s.options.KEK
	}
	return filepath.Join(s.options.Dir, kekFile)
}

// loadKEK reads the key-encryption key.
func (s *Store) loadKEK() (*kek, error) {
	path := s.kekPath()
	if err := s.call("read kek"); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoKEK)
	}
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s: %w", path, ErrBadKEK)
	}
	return newKEK(key)
}

// makeKEK makes the key-encryption key in the data folder. It appears whole
// or not at all, and one that is there stays.
func (s *Store) makeKEK() (*kek, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	temp, err := s.writeTemp(kekFile, []byte(hex.EncodeToString(key)+"\n"))
	if temp != "" {
		defer func() { _ = os.Remove(temp) }()
	}
	if err != nil {
		return nil, err
	}
	if err := s.call("link kek"); err != nil {
		return nil, err
	}
	if err := os.Link(temp, s.kekPath()); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := s.syncDir(); err != nil {
		return nil, err
	}
	return s.loadKEK()
}

// writeTemp writes body to a new file in the data folder and to the disk, to
// become the file named later. It returns the file's own name even when it
// fails, if there is a file.
func (s *Store) writeTemp(later string, body []byte) (name string, err error) {
	if err := s.call("create " + later); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(s.options.Dir, later+".*.tmp") // mode 0600
	if err != nil {
		return "", err
	}
	steps := []struct {
		name string
		run  func() error
	}{
		{"write " + later, func() error { _, err := f.Write(body); return err }},
		{"sync " + later, f.Sync},
	}
	for _, step := range steps {
		if err == nil {
			err = s.call(step.name)
		}
		if err == nil {
			err = step.run()
		}
	}
	return f.Name(), errors.Join(err, f.Close())
}

func (s *Store) syncDir() error {
	if err := s.call("sync folder"); err != nil {
		return err
	}
	d, err := os.Open(s.options.Dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
