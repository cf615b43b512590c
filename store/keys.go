package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
)

// What can be wrong with a request for a key.
var (
	ErrKeyExists   = errors.New("there is a key with this id already")
	ErrKeyNotFound = errors.New("there is no key with this id")
	ErrBadKey      = errors.New("the key is incomplete")
)

// AddKey stores a key. Of an API key nothing but the hash is stored; the
// secret of an access key is sealed with the key-encryption key.
func (s *Store) AddKey(ctx context.Context, k identity.Key) error {
	if err := checkKey(&k); err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM keys WHERE id = ?`, k.Principal.KeyID).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%s: %w", k.Principal.KeyID, ErrKeyExists)
		}
		r, err := s.sealKey(ctx, tx, &k)
		if err != nil {
			return err
		}
		return r.insert(ctx, tx)
	})
}

func checkKey(k *identity.Key) error {
	p := &k.Principal
	secret := k.Kind == identity.KindSigV4 && !k.Secret.IsZero() && k.Hash == [32]byte{}
	hash := k.Kind == identity.KindBearer && k.Secret.IsZero() && k.Token.IsZero() && k.Hash != [32]byte{}
	switch {
	case p.KeyID == "" || p.ARN == "" || len(p.Account) != 12:
		return fmt.Errorf("%w: it needs an id, an ARN and an account of twelve digits", ErrBadKey)
	case !secret && !hash:
		return fmt.Errorf("%w: an access key needs a secret, an API key a hash, and neither both", ErrBadKey)
	}
	return nil
}

// A row is a key as it is stored.
type row struct {
	id, kind, name, account, arn string
	actions, models              string
	secret, token, hash          []byte
	kek                          sql.NullString
	created                      int64
	expires, revoked             sql.NullInt64
}

const keyColumns = `id, kind, name, account, arn, actions, models, secret, token, kek, hash, created, expires, revoked`

func (r *row) fields() []any {
	return []any{&r.id, &r.kind, &r.name, &r.account, &r.arn, &r.actions, &r.models, &r.secret, &r.token, &r.kek, &r.hash, &r.created, &r.expires, &r.revoked}
}

func (r *row) insert(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO keys (`+keyColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.id, r.kind, r.name, r.account, r.arn, r.actions, r.models, r.secret, r.token, r.kek, r.hash, r.created, r.expires, r.revoked)
	return err
}

// place says where a secret belongs, so that it opens nowhere else: neither
// for another key nor for another account.
func (r *row) place(column string) string {
	return "outcrop keys 1\x00" + column + "\x00" + r.id + "\x00" + r.account
}

func (s *Store) sealKey(ctx context.Context, tx *sql.Tx, k *identity.Key) (*row, error) {
	p := &k.Principal
	r := &row{id: p.KeyID, kind: k.Kind.String(), name: k.Name, account: p.Account, arn: p.ARN,
		actions: list(p.Actions), models: list(p.Models),
		created: k.Created.UnixMilli(), expires: millis(k.Expires), revoked: millis(k.Revoked)}
	if k.Kind == identity.KindBearer {
		r.hash = k.Hash[:]
		return r, nil
	}
	key, err := s.sealingKEK(ctx, tx)
	if err != nil {
		return nil, err
	}
	r.kek = sql.NullString{String: key.id, Valid: true}
	r.secret = key.seal(k.Secret.Reveal(), r.place("secret"))
	if !k.Token.IsZero() {
		r.token = key.seal(k.Token.Reveal(), r.place("token"))
	}
	return r, nil
}

// sealingKEK returns the key-encryption key for a new secret. It makes one
// only while nothing is sealed, and refuses one that does not open what is.
func (s *Store) sealingKEK(ctx context.Context, tx *sql.Tx) (*kek, error) {
	used, err := sealedWith(ctx, tx)
	if err != nil {
		return nil, err
	}
	key, err := s.loadKEK()
	if errors.Is(err, ErrNoKEK) && len(used) == 0 && s.options.KEK == "" {
		return s.makeKEK()
	}
	if err != nil {
		return nil, err
	}
	for _, id := range used {
		if id != key.id {
			return nil, fmt.Errorf("%s: %w", s.kekPath(), ErrWrongKEK)
		}
	}
	return key, nil
}

// sealedWith returns the ids of the key-encryption keys in use.
func sealedWith(ctx context.Context, tx *sql.Tx) (ids []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT kek FROM keys WHERE secret IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Keys returns all keys, revoked ones too, oldest first, with what it takes
// to verify their holders. It needs the key-encryption key if an access key is
// stored, and fails whole if one secret cannot be opened.
func (s *Store) Keys(ctx context.Context) ([]identity.Key, error) {
	rows, err := s.rows(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]identity.Key, 0, len(rows))
	var key *kek
	for _, r := range rows {
		if r.secret != nil && key == nil {
			if key, err = s.loadKEK(); err != nil {
				return nil, err
			}
		}
		k, err := r.key()
		if err == nil && r.secret != nil {
			err = s.openKey(&k, r, key)
		}
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", r.id, err)
		}
		copy(k.Hash[:], r.hash)
		keys = append(keys, k)
	}
	return keys, nil
}

func (s *Store) openKey(k *identity.Key, r *row, key *kek) error {
	if r.kek.String != key.id {
		return fmt.Errorf("%s: %w", s.kekPath(), ErrWrongKEK)
	}
	secret, err := key.open(r.secret, r.place("secret"))
	if err != nil {
		return err
	}
	k.Secret = identity.NewSecret(secret)
	if r.token == nil {
		return nil
	}
	token, err := key.open(r.token, r.place("token"))
	if err != nil {
		return err
	}
	k.Token = identity.NewSecret(token)
	return nil
}

// ListKeys returns all keys as Keys does, but without secrets and hashes: it
// needs no key-encryption key.
func (s *Store) ListKeys(ctx context.Context) ([]identity.Key, error) {
	rows, err := s.rows(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]identity.Key, 0, len(rows))
	for _, r := range rows {
		k, err := r.key()
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", r.id, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (s *Store) rows(ctx context.Context) ([]*row, error) {
	found, err := s.db.QueryContext(ctx, `SELECT `+keyColumns+` FROM keys ORDER BY created, id`)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var rows []*row
	for found.Next() {
		r := &row{}
		if err := found.Scan(r.fields()...); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, found.Err()
}

// key returns what of the row is no secret.
func (r *row) key() (identity.Key, error) {
	kind, ok := identity.ParseKind(r.kind)
	if !ok {
		return identity.Key{}, fmt.Errorf("unknown kind %q", r.kind)
	}
	k := identity.Key{Kind: kind, Name: r.name, Created: time.UnixMilli(r.created).UTC(), Expires: moment(r.expires), Revoked: moment(r.revoked),
		Principal: outcrop.Principal{KeyID: r.id, Account: r.account, ARN: r.arn}}
	if err := json.Unmarshal([]byte(r.actions), &k.Principal.Actions); err != nil {
		return identity.Key{}, fmt.Errorf("actions: %w", err)
	}
	if err := json.Unmarshal([]byte(r.models), &k.Principal.Models); err != nil {
		return identity.Key{}, fmt.Errorf("models: %w", err)
	}
	return k, nil
}

// RevokeKey revokes the key for good and erases its secret. To revoke a key
// that is revoked changes nothing.
func (s *Store) RevokeKey(ctx context.Context, id string, now time.Time) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE keys SET revoked = coalesce(revoked, ?), secret = NULL, token = NULL, hash = NULL WHERE id = ?`, now.UnixMilli(), id)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err == nil && n == 0 {
			err = fmt.Errorf("%s: %w", id, ErrKeyNotFound)
		}
		return err
	})
}

func list(patterns []string) string {
	if len(patterns) == 0 {
		return "[]"
	}
	b, err := json.Marshal(patterns)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}

func millis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

func moment(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMilli(n.Int64).UTC()
}
