package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
)

// MaxTags is how many tags one resource may have: as many as the API model's
// lists hold [botocore: TagList].
const MaxTags = 200

// ErrTooManyTags says that a resource would have more than MaxTags tags.
var ErrTooManyTags = errors.New("the resource has too many tags")

// SetTags puts tags on the resource. One whose key it has already gets the
// new value.
func (t *Tx) SetTags(arn outcrop.ARN, tags []outcrop.Tag) error {
	r, err := t.Find(arn)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if _, err := t.tx.ExecContext(t.ctx, `INSERT INTO tags (resource, key, value) VALUES (?, ?, ?)
			ON CONFLICT (resource, key) DO UPDATE SET value = excluded.value`, r.seq, tag.Key, tag.Value); err != nil {
			return err
		}
	}
	n, err := t.count(`SELECT count(*) FROM tags WHERE resource = ?`, r.seq)
	if err == nil && n > MaxTags {
		err = fmt.Errorf("%s: %w", arn, ErrTooManyTags)
	}
	return err
}

// RemoveTags takes the tags with the keys off the resource. Keys that it does
// not have are ignored.
func (t *Tx) RemoveTags(arn outcrop.ARN, keys []string) error {
	r, err := t.Find(arn)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := t.tx.ExecContext(t.ctx, `DELETE FROM tags WHERE resource = ? AND key = ?`, r.seq, key); err != nil {
			return err
		}
	}
	return nil
}

// Tags returns the tags of the resource, sorted by key.
func (t *Tx) Tags(arn outcrop.ARN) ([]outcrop.Tag, error) {
	r, err := t.Find(arn)
	if err != nil {
		return nil, err
	}
	rows, err := t.tx.QueryContext(t.ctx, `SELECT key, value FROM tags WHERE resource = ? ORDER BY key`, r.seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tags []outcrop.Tag
	for rows.Next() {
		var tag outcrop.Tag
		if err := rows.Scan(&tag.Key, &tag.Value); err != nil {
			return nil, err
		}
		tags = append(tags, tag)
	}
	return tags, rows.Err()
}

// TokenLife is how long an idempotency token is remembered.
const TokenLife = 24 * time.Hour

// ErrTokenReused says that an idempotency token came again with other
// parameters.
var ErrTokenReused = errors.New("the token was used with other parameters")

// A Token is the idempotency token of a creation.
type Token struct {
	Operation, Region, Account string // each has tokens of its own
	Value                      string
	Parameters                 [32]byte // SHA-256 of what the request asks for
}

// Replay returns the ARN of what was created with the token, which may be
// deleted by now; ok is false if the token is new, or forgotten.
func (t *Tx) Replay(k Token, now time.Time) (arn outcrop.ARN, ok bool, err error) {
	var parameters []byte
	var text string
	err = t.tx.QueryRowContext(t.ctx, `SELECT parameters, arn FROM tokens WHERE operation = ? AND region = ? AND account = ? AND token = ? AND created > ?`,
		k.Operation, k.Region, k.Account, k.Value, now.Add(-TokenLife).UnixMicro()).Scan(&parameters, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return outcrop.ARN{}, false, nil
	}
	if err != nil {
		return outcrop.ARN{}, false, err
	}
	if string(parameters) != string(k.Parameters[:]) {
		return outcrop.ARN{}, false, ErrTokenReused
	}
	arn, ok = outcrop.ParseARN(text)
	if !ok {
		return outcrop.ARN{}, false, fmt.Errorf("a stored token has the malformed ARN %q", text)
	}
	return arn, true, nil
}

// Remember stores a new token for what was created with it, and forgets those
// that are older than TokenLife.
func (t *Tx) Remember(k Token, arn outcrop.ARN, now time.Time) error {
	if _, err := t.tx.ExecContext(t.ctx, `DELETE FROM tokens WHERE created <= ?`, now.Add(-TokenLife).UnixMicro()); err != nil {
		return err
	}
	_, err := t.tx.ExecContext(t.ctx, `INSERT INTO tokens (operation, region, account, token, parameters, arn, created) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		k.Operation, k.Region, k.Account, k.Value, k.Parameters[:], arn.String(), now.UnixMicro())
	return err
}
