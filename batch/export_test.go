package batch

import "context"

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
