package batch

import (
	"context"
	"time"
)

// A keeper has work done while there is any, jobs end whose time is over, and
// those hurry that must.
// Where no other server can queue work, nothing runs and nothing is looked at
// while there is none. Its goroutine owns it.
type keeper struct {
	*Runner
	awake bool
	last  time.Time // when there was work
}

// Start takes up the work: what an earlier process of the same server left
// undone, and what is queued.
func (r *Runner) Start(ctx context.Context) error {
	if err := r.db.change(ctx, r.resume); err != nil {
		return err
	}
	busy, err := r.busy(ctx)
	if err != nil {
		return err
	}
	k := &keeper{Runner: r}
	if busy || r.db.shared() {
		if err := k.rise(); err != nil {
			return err
		}
	}
	r.keepers.Go(k.keep)
	return nil
}

// wake says that work was queued. It does not wait.
func (r *Runner) wake() {
	select {
	case r.queued <- struct{}{}:
	default:
	}
}

// keep goes on until the Runner is closed.
func (k *keeper) keep() {
	tick, ramp := time.NewTicker(k.Poll), time.NewTicker(rampEvery)
	defer tick.Stop()
	defer ramp.Stop()
	for {
		due, hurry := tick.C, ramp.C
		if !k.awake {
			due, hurry = nil, nil
		}
		select {
		case <-k.life.Done():
			return
		case <-k.queued:
			k.told(k.rise())
		case <-due:
			k.told(k.look())
		case <-hurry:
			k.told(k.ramp(k.life))
		}
	}
}

// told logs an error. What failed is tried again: after rise, which counts as
// awake then, by look.
func (k *keeper) told(err error) {
	if err != nil && k.life.Err() == nil {
		k.Log.Error("batch jobs not looked after", "reason", err.Error())
	}
}

// rise has work done. It may be called while it is.
func (k *keeper) rise() error {
	k.awake, k.last = true, time.Now()
	k.asleep.Store(false)
	return k.db.start(k.life)
}

// look ends the jobs whose time is over, and has the work rest if there has
// been none for a while.
func (k *keeper) look() error {
	if err := k.db.start(k.life); err != nil {
		return err
	}
	if err := k.sweep(k.life); err != nil {
		return err
	}
	busy, err := k.busy(k.life)
	if err != nil {
		return err
	}
	if busy || k.db.shared() {
		k.last = time.Now()
	}
	if time.Since(k.last) < k.Rest || len(k.queued) > 0 {
		return nil
	}
	if err := k.ramp(k.life); err != nil {
		return err
	}
	if err := k.db.rest(k.life); err != nil {
		return err
	}
	k.awake = false
	k.asleep.Store(true)
	return nil
}

// busy reports whether there are jobs that have not ended, or work that is
// queued.
func (r *Runner) busy(ctx context.Context) (busy bool, err error) {
	err = r.db.look(ctx, func(t *tx) error {
		var n int64
		_, err := t.one([]any{&n}, `SELECT (SELECT count(*) FROM batch_jobs WHERE status IN `+live+`)
			+ (SELECT count(*) FROM river_job WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled'))`)
		busy = n > 0
		return err
	})
	return busy, err
}
