package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
)

// What can be wrong with a change of a resource. Each may come wrapped.
var (
	ErrNoResource = errors.New("there is no such resource")
	ErrNameTaken  = errors.New("the name is in use")
	ErrARNTaken   = errors.New("there is a resource with this ARN already")
	ErrStale      = errors.New("the resource was changed since it was read")
)

// A Resource is what all kinds of control-plane resources have in common. Its
// kind is the type in its ARN. A name is unique in its kind, region and
// account.
type Resource struct {
	ARN               outcrop.ARN
	Name              string
	Status            string
	Model             string // id of the model that it is of; empty if of none
	Created, Modified time.Time
	Body              []byte // all else: a JSON document of the kind's own

	seq, version int64 // of the row that it was read from
}

// A Tx is a transaction on resources, their tags and the idempotency tokens.
// It is valid until the function that got it returns, and not safe for
// concurrent use.
type Tx struct {
	ctx context.Context
	tx  *sql.Tx
}

// Change runs f in a transaction that nobody else can write during. All that f
// did is on the disk when Change returns nil. If f returns an error nothing is
// done and Change returns that error as it is. After any other error the
// outcome is unknown: all is done, or nothing.
func (s *Store) Change(ctx context.Context, f func(*Tx) error) error {
	return s.change(ctx, func(tx *sql.Tx) error { return f(&Tx{ctx, tx}) })
}

// Look runs f in a transaction that sees one state of everything and may not
// change it.
func (s *Store) Look(ctx context.Context, f func(*Tx) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	return f(&Tx{ctx, tx})
}

// Insert stores a new resource. Its kind, region and account are those of its
// ARN.
func (t *Tx) Insert(r Resource) error {
	switch n, err := t.count(`SELECT count(*) FROM resources WHERE arn = ?`, r.ARN.String()); {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("%s: %w", r.ARN, ErrARNTaken)
	}
	if err := t.free(&r, 0); err != nil {
		return err
	}
	_, err := t.tx.ExecContext(t.ctx, `INSERT INTO resources (arn, kind, region, account, name, status, model, created, modified, version, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)`,
		r.ARN.String(), r.ARN.Type, r.ARN.Region, r.ARN.Account, r.Name, r.Status, r.Model, r.Created.UnixMicro(), r.Modified.UnixMicro(), string(r.Body))
	return err
}

// free refuses a name that another resource of the kind has.
func (t *Tx) free(r *Resource, seq int64) error {
	n, err := t.count(`SELECT count(*) FROM resources WHERE kind = ? AND region = ? AND account = ? AND name = ? AND seq <> ?`,
		r.ARN.Type, r.ARN.Region, r.ARN.Account, r.Name, seq)
	if err == nil && n > 0 {
		return fmt.Errorf("%s: %w", r.Name, ErrNameTaken)
	}
	return err
}

func (t *Tx) count(query string, args ...any) (n int, err error) {
	err = t.tx.QueryRowContext(t.ctx, query, args...).Scan(&n)
	return n, err
}

// Put stores r in place of what it was read from, or returns ErrStale if that
// has changed since. ARN and creation time stay.
func (t *Tx) Put(r Resource) error {
	if err := t.free(&r, r.seq); err != nil {
		return err
	}
	return t.one(`UPDATE resources SET name = ?, status = ?, model = ?, modified = ?, body = ?, version = version + 1 WHERE seq = ? AND version = ?`,
		r.Name, r.Status, r.Model, r.Modified.UnixMicro(), string(r.Body), r.seq, r.version)
}

// Remove deletes r and its tags, or returns ErrStale if it has changed since
// it was read. Its ARN is never given to another resource by the Store.
func (t *Tx) Remove(r Resource) error {
	return t.one(`DELETE FROM resources WHERE seq = ? AND version = ?`, r.seq, r.version)
}

// one executes a statement that must change one row.
func (t *Tx) one(query string, args ...any) error {
	done, err := t.tx.ExecContext(t.ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	if err == nil && n != 1 {
		err = ErrStale
	}
	return err
}

const resourceColumns = `seq, arn, name, status, model, created, modified, version, body`

// Find returns the resource with the ARN, or ErrNoResource.
func (t *Tx) Find(arn outcrop.ARN) (Resource, error) {
	return t.find(`SELECT `+resourceColumns+` FROM resources WHERE arn = ?`, arn.String())
}

// FindName returns the resource of the kind, region and account with the
// name, or ErrNoResource. kind holds all but the ARN's id.
func (t *Tx) FindName(kind outcrop.ARN, name string) (Resource, error) {
	return t.find(`SELECT `+resourceColumns+` FROM resources WHERE kind = ? AND region = ? AND account = ? AND name = ?`,
		kind.Type, kind.Region, kind.Account, name)
}

func (t *Tx) find(query string, args ...any) (Resource, error) {
	r, err := scanResource(t.tx.QueryRowContext(t.ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return Resource{}, ErrNoResource
	}
	return r, err
}

func scanResource(row interface{ Scan(...any) error }) (r Resource, err error) {
	var arn, body string
	var created, modified int64
	if err := row.Scan(&r.seq, &arn, &r.Name, &r.Status, &r.Model, &created, &modified, &r.version, &body); err != nil {
		return Resource{}, err
	}
	a, ok := outcrop.ParseARN(arn)
	if !ok {
		return Resource{}, fmt.Errorf("a stored resource has the malformed ARN %q", arn)
	}
	r.ARN, r.Body = a, []byte(body)
	r.Created, r.Modified = time.UnixMicro(created).UTC(), time.UnixMicro(modified).UTC()
	return r, nil
}

// All returns every resource of a kind in a region, of all accounts, in the
// order of their creation.
func (t *Tx) All(kind, region string) ([]Resource, error) {
	return t.query(`SELECT `+resourceColumns+` FROM resources WHERE kind = ? AND region = ? ORDER BY seq`, kind, region)
}

func (t *Tx) query(query string, args ...any) ([]Resource, error) {
	rows, err := t.tx.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Resource
	for rows.Next() {
		r, err := scanResource(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}
