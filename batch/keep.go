package batch

import (
	"context"
	"time"
)

// A keeper has work done while there is any, jobs end whose time is over, and
// those hurry that must. Where no other server can queue work, nothing runs and
// nothing is looked at while there is none. Its goroutine owns it.
type keeper struct {
	*Runner
	awake bool
	last  time.Time        // when there was work
	alarm <-chan time.Time // comes when work is due; nil if none is in sight
}

// soon is within what time work that is due keeps everything running.
const soon = time.Minute

// Start takes up the work: what an earlier process of the same server left
// undone, and what is queued.
func (r *Runner) Start(ctx context.Context) error {
	if err := r.db.change(ctx, r.resume); err != nil {
		return err
	}
	k := &keeper{Runner: r}
	if err := k.begin(ctx); err != nil {
		return err
	}
	r.keepers.Go(k.keep)
	return nil
}

// begin rises if there is work, or if others may queue some.
func (k *keeper) begin(ctx context.Context) error {
	if k.db.shared() {
		return k.rise()
	}
	busy, next, err := k.busy(ctx)
	if err == nil && busy {
		return k.rise()
	}
	k.sleep(next)
	return err
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
		case <-k.alarm:
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
	k.awake, k.last, k.alarm = true, time.Now(), nil
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
	if k.db.shared() {
		return nil
	}
	busy, next, err := k.busy(k.life)
	if err != nil {
		return err
	}
	if busy {
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
	k.sleep(next)
	return nil
}

// sleep has nothing done until work is queued, or until next if that is not
// zero.
func (k *keeper) sleep(next time.Time) {
	k.awake, k.alarm = false, nil
	if !next.IsZero() {
		k.alarm = time.After(time.Until(next))
	}
	k.asleep.Store(true)
}

// busy reports whether there are jobs that have not ended, or work that is
// queued and due within soon. next is when what is queued beside that is due,
// zero if nothing is. It is for SQLite alone.
func (r *Runner) busy(ctx context.Context) (busy bool, next time.Time, err error) {
	err = r.db.look(ctx, func(t *tx) error {
		var n, at int64
		_, err := t.one([]any{&n, &at}, `SELECT (SELECT count(*) FROM batch_jobs WHERE status IN `+live+`)
			+ (SELECT count(*) FROM river_job WHERE state IN ('available', 'pending', 'running')
				OR state IN ('retryable', 'scheduled') AND unixepoch(scheduled_at) <= $1),
			(SELECT coalesce(min(unixepoch(scheduled_at)), 0) FROM river_job WHERE state IN ('retryable', 'scheduled'))`, t.now.Add(soon).Unix())
		if at > 0 {
			next = time.Unix(at, 0)
		}
		busy = n > 0
		return err
	})
	return busy, next, err
}
