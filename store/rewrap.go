package store

import (
	"context"
	"database/sql"
	"fmt"
)

// ReplaceKEK seals every stored secret anew with the key-encryption key in
// the file newKEK, all or none. From then on the Store, and every server on
// the data folder, needs that file in the place of the old one. A server that
// still has the old one goes on with the keys that it has loaded.
func (s *Store) ReplaceKEK(ctx context.Context, newKEK string) error {
	next := &Store{options: s.options}
	next.options.KEK = newKEK
	to, err := next.loadKEK()
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		rows, err := readRows(ctx, tx)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.secret == nil {
				continue
			}
			if err := s.reseal(ctx, tx, r, to); err != nil {
				return fmt.Errorf("key %s: %w", r.id, err)
			}
		}
		return nil
	})
}

func (s *Store) reseal(ctx context.Context, tx *sql.Tx, r *row, to *kek) error {
	from, err := s.loadKEK()
	if err != nil {
		return err
	}
	k, err := r.key()
	if err != nil {
		return err
	}
	if err := s.openKey(&k, r, from); err != nil {
		return err
	}
	secret := to.seal(k.Secret.Reveal(), r.place("secret"))
	var token []byte
	if !k.Token.IsZero() {
		token = to.seal(k.Token.Reveal(), r.place("token"))
	}
	_, err = tx.ExecContext(ctx, `UPDATE keys SET secret = ?, token = ?, kek = ? WHERE id = ?`, secret, token, to.id, r.id)
	return err
}
