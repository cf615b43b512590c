package batch

import "context"

// AgainChunks queues every chunk that is on its way once more, as River's
// rescue does with work that is taken for dead.
func (r *Runner) AgainChunks(ctx context.Context) error {
	return r.db.change(ctx, func(t *tx) error {
		var all []chunkArgs
		if err := t.each(`SELECT job, file, n FROM batch_chunks WHERE state = 'handed'`, nil, func(scan func(...any) error) error {
			var a chunkArgs
			err := scan(&a.Job, &a.File, &a.N)
			all = append(all, a)
			return err
		}); err != nil {
			return err
		}
		for _, a := range all {
			if err := t.queue(a); err != nil {
				return err
			}
		}
		return nil
	})
}

// AgainJob queues what brings a job on once more.
func (r *Runner) AgainJob(ctx context.Context, id string) error {
	return r.db.change(ctx, func(t *tx) error { return t.queue(advanceArgs{Job: id}) })
}

// Asleep reports whether nothing runs, for want of work.
func (r *Runner) Asleep() bool { return r.asleep.Load() }
