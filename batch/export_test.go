package batch

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// AgainChunks queues every chunk that is on its way once more, as River's
// rescue does with work that is taken for dead.
func (r *Runner) AgainChunks(ctx context.Context) error {
	return r.db.change(ctx, func(t *tx) error { return t.requeue(chunkArgs{}, `1 = 1`) })
}

// AgainJob queues what brings a job on once more.
func (r *Runner) AgainJob(ctx context.Context, id string) error {
	return r.db.change(ctx, func(t *tx) error { return t.queue(advanceArgs{Job: id}) })
}

// Asleep reports whether nothing runs, for want of work.
func (r *Runner) Asleep() bool { return r.asleep.Load() }

// Tidied reports whether what a job that has ended left on the way was removed,
// or could not be.
func (r *Runner) Tidied(ctx context.Context, id string) (tidied bool) {
	_ = r.db.look(ctx, func(t *tx) (err error) {
		tidied, err = t.one([]any{new(string)}, `SELECT id FROM batch_jobs WHERE id = $1 AND winding = 2`, id)
		return err
	})
	return tidied
}

// TakeOver has a job, and its chunks, claimed by an attempt that does nothing.
func (r *Runner) TakeOver(ctx context.Context, id string) error {
	return r.db.change(ctx, func(t *tx) error {
		if _, err := t.exec(`UPDATE batch_jobs SET epoch = epoch + 1 WHERE id = $1`, id); err != nil {
			return err
		}
		_, err := t.exec(`UPDATE batch_chunks SET epoch = epoch + 1 WHERE job = $1`, id)
		return err
	})
}

// tables are those of this package, with their columns.
var tables = map[string]string{
	"batch_jobs":     `id, ` + jobColumns + `, winding`,
	"batch_files":    `job, n, name, etag, size, records, lines, assembled, upload, etags`,
	"batch_chunks":   `job, file, n, starts, ends, first, records, tokens, state, epoch, holder, finished, parts`,
	"batch_parts":    `job, file, chunk, n, name, size`,
	"batch_accounts": `account, served`,
}

// Rows tells all that is stored of the jobs.
func (r *Runner) Rows(ctx context.Context) (all []string, err error) {
	err = r.db.look(ctx, func(t *tx) error {
		for name, columns := range tables {
			row := make([]any, strings.Count(columns, ",")+1)
			for i := range row {
				row[i] = new(any)
			}
			if err := t.each(`SELECT `+columns+` FROM `+name, nil, func(scan func(...any) error) error {
				err, told := scan(row...), name
				for _, v := range row {
					told += fmt.Sprintf(" %v", *v.(*any))
				}
				all = append(all, told)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(all)
	return all, err
}

// Working counts what River has to do, or does, but for what is due when a job
// has long ended.
func (r *Runner) Working(ctx context.Context) (n int64, err error) {
	err = r.db.look(ctx, func(t *tx) error {
		_, err := t.one([]any{&n}, `SELECT count(*) FROM river_job WHERE state IN ('available', 'pending', 'running', 'retryable', 'scheduled') AND priority < 4`)
		return err
	})
	return n, err
}
