package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/store"
)

const canary = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

var born = time.Date(2026, 11, 22, 13, 52, 0, 0, time.UTC)

func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func accessKey(id string) identity.Key {
	return identity.Key{
		Principal: outcrop.Principal{KeyID: id, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/" + id,
			Actions: []string{"bedrock:InvokeModel*"}, Models: []string{"anthropic.*", "amazon.nova-lite-v1:0"}},
		Kind: identity.KindSigV4, Name: "für Ölpreis", Secret: identity.NewSecret(canary + id), Token: identity.NewSecret("token" + canary),
		Created: born, Expires: born.Add(time.Hour),
	}
}

func apiKey(id string) identity.Key {
	return identity.Key{
		Principal: outcrop.Principal{KeyID: id, Account: "000000000001", ARN: "arn:aws:iam::000000000001:user/" + id},
		Kind:      identity.KindBearer, Hash: identity.HashToken(canary + id), Created: born.Add(time.Second),
	}
}

var same = cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b identity.Secret) bool { return a.Reveal() == b.Reveal() })}

func diff(t testing.TB, what string, want, got []identity.Key) {
	t.Helper()
	if d := cmp.Diff(want, got, same); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func add(t testing.TB, s *store.Store, keys ...identity.Key) {
	t.Helper()
	for _, k := range keys {
		if err := s.AddKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeysComeBackAsTheyWentIn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	plain := accessKey("AKIA2")
	plain.Token, plain.Name, plain.Expires, plain.Principal.Models = identity.Secret{}, "", time.Time{}, nil
	want := []identity.Key{accessKey("AKIA1"), plain, apiKey("api-1")}
	add(t, s, want...)
	for range 2 { // the second time from the disk
		got, err := s.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "keys", want, got)
		_ = s.Close()
		s = open(t, store.Options{Dir: dir})
	}
}

func TestListsHoldNoSecrets(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	add(t, s, accessKey("AKIA1"), apiKey("api-1"))
	if err := os.Remove(filepath.Join(dir, "kek")); err != nil {
		t.Fatal(err)
	}
	got, err := s.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []identity.Key{accessKey("AKIA1"), apiKey("api-1")}
	for i := range want {
		want[i].Secret, want[i].Token, want[i].Hash = identity.Secret{}, identity.Secret{}, [32]byte{}
	}
	diff(t, "list", want, got)
}

func TestIdsAreGivenOnce(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	add(t, s, accessKey("AKIA1"))
	for _, k := range []identity.Key{accessKey("AKIA1"), apiKey("AKIA1")} {
		if err := s.AddKey(t.Context(), k); !errors.Is(err, store.ErrKeyExists) {
			t.Errorf("got %v", err)
		}
	}
	if err := s.RevokeKey(t.Context(), "AKIA1", born); err != nil {
		t.Fatal(err)
	}
	if err := s.AddKey(t.Context(), accessKey("AKIA1")); !errors.Is(err, store.ErrKeyExists) {
		t.Errorf("a revoked key's id was given again: %v", err)
	}
}

func TestIncompleteKeysAreRefused(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	for name, spoil := range map[string]func(access, api *identity.Key){
		"no id":             func(a, b *identity.Key) { a.Principal.KeyID, b.Principal.KeyID = "", "" },
		"no ARN":            func(a, b *identity.Key) { a.Principal.ARN, b.Principal.ARN = "", "" },
		"short account":     func(a, b *identity.Key) { a.Principal.Account, b.Principal.Account = "1", "1" },
		"no kind":           func(a, b *identity.Key) { a.Kind, b.Kind = 0, 0 },
		"the other kind":    func(a, b *identity.Key) { a.Kind, b.Kind = b.Kind, a.Kind },
		"no secret":         func(a, b *identity.Key) { a.Secret, b.Hash = identity.Secret{}, [32]byte{} },
		"secret and hash":   func(a, b *identity.Key) { a.Hash, b.Secret = b.Hash, a.Secret },
		"token but no pair": func(a, b *identity.Key) { a.Secret, b.Token = identity.Secret{}, a.Token },
	} {
		a, b := accessKey("AKIA1"), apiKey("api-1")
		spoil(&a, &b)
		for _, k := range []identity.Key{a, b} {
			if err := s.AddKey(t.Context(), k); !errors.Is(err, store.ErrBadKey) {
				t.Errorf("%s: %s gave %v", name, k.Kind, err)
			}
		}
	}
	if got, err := s.Keys(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("%d keys, error %v", len(got), err)
	}
}

func TestRevokedKeysStayWithoutTheirSecret(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	add(t, s, accessKey("AKIA1"), apiKey("api-1"))
	for range 2 {
		for _, id := range []string{"AKIA1", "api-1"} {
			if err := s.RevokeKey(t.Context(), id, born.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.RevokeKey(t.Context(), "AKIA1", born.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	want := []identity.Key{accessKey("AKIA1"), apiKey("api-1")}
	for i := range want {
		want[i].Secret, want[i].Token, want[i].Hash = identity.Secret{}, identity.Secret{}, [32]byte{}
		want[i].Revoked = born.Add(time.Minute)
	}
	got, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "keys", want, got)
	if err := s.RevokeKey(t.Context(), "nobody", born); !errors.Is(err, store.ErrKeyNotFound) {
		t.Errorf("an unknown key: %v", err)
	}
}

// TestStolenDatabaseHoldsNoSecrets looks for the secrets, and for the hash of
// an access key's, in all files but the key-encryption key.
func TestStolenDatabaseHoldsNoSecrets(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	add(t, s, accessKey("AKIA1"), apiKey("api-1"))
	hash := sha256.Sum256([]byte(canary + "AKIA1"))
	found := false
	for _, closed := range []bool{false, true} {
		if closed {
			_ = s.Close()
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(b), "AKIA1")
			if strings.Contains(string(b), canary) || strings.Contains(string(b), string(hash[:])) {
				t.Errorf("%s holds a secret", name)
			}
		}
	}
	if !found {
		t.Error("the search found not even the key's id")
	}
}

func TestStateIsForTheOwnersEyesAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, store.Options{Dir: dir})
	add(t, s, accessKey("AKIA1"))
	unlock, err := store.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	want := map[string]os.FileMode{".": 0o700, "outcrop.db": 0o600, "outcrop.db-wal": 0o600, "outcrop.db-shm": 0o600, "kek": 0o600, "lock": 0o600}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v", name, info.Mode().Perm())
		}
	}
}

func TestFoldersMayHaveOddNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b%20?c=d&#é")
	s := open(t, store.Options{Dir: dir})
	add(t, s, apiKey("api-1"))
	if _, err := os.Stat(filepath.Join(dir, "outcrop.db-wal")); err != nil {
		t.Error(err)
	}
}

func TestKeyEncryptionKey(t *testing.T) {
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		want  error
	}{
		"another":   {func(t *testing.T, path string) { write(t, path, other) }, store.ErrWrongKEK},
		"missing":   {func(t *testing.T, path string) { _ = os.Remove(path) }, store.ErrNoKEK},
		"cut":       {func(t *testing.T, path string) { write(t, path, other[:62]) }, store.ErrBadKEK},
		"empty":     {func(t *testing.T, path string) { write(t, path, "") }, store.ErrBadKEK},
		"not digit": {func(t *testing.T, path string) { write(t, path, strings.Repeat("zz", 32)) }, store.ErrBadKEK},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, store.Options{Dir: dir})
			add(t, s, accessKey("AKIA1"))
			path := filepath.Join(dir, "kek")
			good, _ := os.ReadFile(path)
			c.spoil(t, path)
			_, err := s.Keys(t.Context())
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Keys: %v", err)
			}
			if err := s.AddKey(t.Context(), accessKey("AKIA2")); !errors.Is(err, c.want) {
				t.Errorf("AddKey: %v", err)
			}
			add(t, s, apiKey("api-1")) // needs none
			write(t, path, string(good))
			got, err := s.Keys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			diff(t, "keys", []identity.Key{accessKey("AKIA1"), apiKey("api-1")}, got)
		})
	}
}

func TestNamedKeyEncryptionKeyIsNeverMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "elsewhere")
	s := open(t, store.Options{Dir: t.TempDir(), KEK: path})
	if err := s.AddKey(t.Context(), accessKey("AKIA1")); !errors.Is(err, store.ErrNoKEK) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("5A", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	add(t, s, accessKey("AKIA1"))
	if got, err := s.Keys(t.Context()); err != nil || got[0].Secret.Reveal() != canary+"AKIA1" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestNewKeyEncryptionKeyAfterTheLastAccessKey is how an operator gets rid of
// a key-encryption key that leaked.
func TestNewKeyEncryptionKeyAfterTheLastAccessKey(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	add(t, s, accessKey("AKIA1"), apiKey("api-1"))
	path := filepath.Join(dir, "kek")
	before, _ := os.ReadFile(path)
	if err := s.RevokeKey(t.Context(), "AKIA1", born); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keys(t.Context()); err != nil {
		t.Errorf("a key-encryption key is asked for without a sealed secret: %v", err)
	}
	add(t, s, accessKey("AKIA2"))
	after, err := os.ReadFile(path)
	if err != nil || string(after) == string(before) {
		t.Errorf("the key-encryption key is the old one; error %v", err)
	}
	if got, err := s.Keys(t.Context()); err != nil || len(got) != 3 {
		t.Errorf("%d keys, error %v", len(got), err)
	}
}

func TestSecretsOpenForTheirOwnKeyOnly(t *testing.T) {
	for name, update := range map[string]string{
		"moved to another key":     `UPDATE keys SET secret = (SELECT secret FROM keys WHERE id = 'AKIA2') WHERE id = 'AKIA1'`,
		"moved to another account": `UPDATE keys SET account = '999999999999' WHERE id = 'AKIA1'`,
		"token as secret":          `UPDATE keys SET secret = token WHERE id = 'AKIA1'`,
		"cut":                      `UPDATE keys SET secret = x'00' WHERE id = 'AKIA1'`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, store.Options{Dir: dir})
			add(t, s, accessKey("AKIA1"), accessKey("AKIA2"))
			store.Exec(t, s, update)
			if _, err := s.Keys(t.Context()); !errors.Is(err, store.ErrTampered) || !strings.Contains(err.Error(), "AKIA1") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestVersionTellsOfChanges(t *testing.T) {
	dir := t.TempDir()
	reader := open(t, store.Options{Dir: dir})
	version := func() int64 {
		t.Helper()
		v, err := reader.Version(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := version()
	if version() != before {
		t.Fatal("it changes by itself")
	}
	other := open(t, store.Options{Dir: dir})
	for i, change := range []func(){
		func() { add(t, other, apiKey("api-1")) },
		func() { add(t, reader, apiKey("api-2")) },
		func() { _ = other.RevokeKey(t.Context(), "api-1", born) },
	} {
		change()
		after := version()
		if after == before {
			t.Errorf("change %d was not seen", i)
		}
		before = after
	}
	if _, err := reader.Keys(t.Context()); err != nil || version() != before {
		t.Errorf("reading counts as a change; error %v", err)
	}
}
