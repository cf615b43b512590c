package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/backlog"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/records"
)

// A job is a row of batch_jobs.
type job struct {
	outcrop.Job
	epoch   int64
	rate    float64
	rated   int64 // when the rate was found, in microseconds
	ratedAt int64 // and after how many records
}

func (j *job) id() string { return j.ARN.ID }

// overdue reports whether the job's time is over.
func (j *job) overdue(now time.Time) bool { return !now.Before(j.Expires) }

// winding reports whether nothing more of the job is to be run.
func (j *job) winding(now time.Time) bool {
	return j.Status == outcrop.JobStopping || j.Status.Ended() || j.overdue(now)
}

const jobColumns = `spec, status, message, submitted, modified, ended, expires, epoch, total, succeeded, failed, input, output, cache_read, cache_write, cost, unpriced, rate, rated, rated_at`

// jobs returns those for which the condition holds.
func (t *tx) jobs(where string, args ...any) (all []job, err error) {
	err = t.each(`SELECT `+jobColumns+` FROM batch_jobs WHERE `+where+` ORDER BY submitted, id`, args, func(scan func(...any) error) error {
		j, err := scanJob(scan)
		all = append(all, j)
		return err
	})
	return all, err
}

func scanJob(scan func(...any) error) (j job, err error) {
	var spec, status, message string
	var submitted, modified, ended, expires int64
	var c outcrop.JobCounts
	var u outcrop.JobUsage
	if err := scan(&spec, &status, &message, &submitted, &modified, &ended, &expires, &j.epoch, &c.Total, &c.Succeeded, &c.Failed,
		&u.Input, &u.Output, &u.CacheRead, &u.CacheWrite, &u.Cost, &u.Unpriced, &j.rate, &j.rated, &j.ratedAt); err != nil {
		return j, err
	}
	if err := json.Unmarshal([]byte(spec), &j.Job); err != nil {
		return j, fmt.Errorf("a stored job is malformed: %w", err)
	}
	j.Status, j.Message, j.Counts, j.Usage = outcrop.JobStatus(status), message, c, u
	j.Submitted, j.Modified, j.Ended, j.Expires = moment(submitted), moment(modified), moment(ended), moment(expires)
	return j, nil
}

// moment reads a time that is stored in microseconds; 0 is none.
func moment(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}

func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// job returns the one with the id; found is false if there is none.
func (t *tx) job(id string) (j job, found bool, err error) {
	all, err := t.jobs(`id = $1`, id)
	if err != nil || len(all) == 0 {
		return job{}, false, err
	}
	return all[0], true, nil
}

// put stores the job's status with what belongs to it, and tells of a change.
func (r *Runner) put(t *tx, j *job, was outcrop.JobStatus) error {
	if j.Status == was {
		return nil
	}
	if _, err := t.exec(`UPDATE batch_jobs SET status = $1, message = $2, modified = $3, ended = $4 WHERE id = $5`,
		string(j.Status), j.Message, micro(j.Modified), micro(j.Ended), j.id()); err != nil {
		return err
	}
	if j.Status.Ended() {
		if _, err := t.exec(`UPDATE batch_chunks SET state = 'cut' WHERE job = $1 AND state = 'pending'`, j.id()); err != nil {
			return err
		}
	}
	return r.announce(t, &j.Job)
}

// next has the event happen to the job and stores that.
func (r *Runner) next(t *tx, j *job, e lifecycle.JobEvent, why string) error {
	was, err := j.Status, error(nil)
	if j.Job, err = lifecycle.NextJob(j.Job, e, why, t.now); err != nil {
		return err
	}
	return r.put(t, j, was)
}

// Submit takes a job on. One that is there already is left as it is, so that it
// may be submitted again after an outcome that is not known.
func (r *Runner) Submit(ctx context.Context, j outcrop.Job) error {
	spec, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return r.db.change(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO batch_jobs (id, account, model, spec, status, submitted, modified, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			j.ARN.ID, j.ARN.Account, j.Model, string(spec), string(j.Status), micro(j.Submitted), micro(j.Modified), micro(j.Expires))
		if err != nil || n == 0 {
			return err
		}
		if err := t.queue(advanceArgs{Job: j.ARN.ID}); err != nil {
			return err
		}
		return r.announce(t, &j)
	})
}

// ErrNoJob says that no job with the id was submitted.
var ErrNoJob = errors.New("there is no such job")

// Stop has the job stop: what runs is broken off, what is done is kept. Of one
// that has ended it is an *outcrop.Error.
func (r *Runner) Stop(ctx context.Context, id string) error {
	return r.db.change(ctx, func(t *tx) error {
		j, found, err := t.job(id)
		if err != nil {
			return err
		}
		if !found {
			return ErrNoJob
		}
		if err := r.next(t, &j, lifecycle.JobStop, ""); err != nil {
			return err
		}
		return r.wind(t, &j)
	})
}

// States returns the jobs with the ids as they are now, with their pace; those
// that were never submitted are left out.
func (r *Runner) States(ctx context.Context, ids []string) ([]outcrop.Job, error) {
	var all []outcrop.Job
	err := r.db.look(ctx, func(t *tx) error {
		for part := range chunked(ids, 500) {
			marks, args := make([]string, len(part)), make([]any, len(part))
			for i, id := range part {
				marks[i], args[i] = fmt.Sprintf("$%d", i+1), id
			}
			found, err := t.jobs(`id IN (`+strings.Join(marks, ", ")+`)`, args...)
			if err != nil {
				return err
			}
			for i := range found {
				all = append(all, found[i].paced(t.now))
			}
		}
		return nil
	})
	return all, err
}

// paced returns the job with how fast it goes.
func (j *job) paced(now time.Time) outcrop.Job {
	told := j.Job
	if j.Status == outcrop.JobScheduled || j.Status == outcrop.JobInProgress {
		told.Pace = backlog.Ahead(j.remaining(), now)
	}
	return told
}

// chunked yields s in pieces of n at most.
func chunked[T any](s []T, n int) func(func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(s) > 0 {
			size := min(n, len(s))
			if !yield(s[:size]) {
				return
			}
			s = s[size:]
		}
	}
}

// Enqueued returns how many tokens the records of an account that wait or run
// are thought to take. It is a sum over what is there, so that it is 0 when
// nothing is.
func (r *Runner) Enqueued(ctx context.Context, account string) (n int64, err error) {
	err = r.db.look(ctx, func(t *tx) error {
		n, err = t.enqueued(account)
		return err
	})
	return n, err
}

func (t *tx) enqueued(account string) (n int64, err error) {
	_, err = t.one([]any{&n}, `SELECT CAST(coalesce(sum(c.tokens), 0) AS BIGINT) FROM batch_chunks c JOIN batch_jobs j ON j.id = c.job
		WHERE j.account = $1 AND j.status IN ('Scheduled', 'InProgress', 'Stopping') AND c.state IN ('pending', 'handed')`, account)
	return n, err
}

// live are the statuses of jobs that have not ended, in SQL.
const live = `('Submitted', 'Validating', 'Scheduled', 'InProgress', 'Stopping')`

// sweep ends the jobs whose time is over.
func (r *Runner) sweep(ctx context.Context) error {
	var late []string
	now := time.Now()
	err := r.db.look(ctx, func(t *tx) error {
		return t.each(`SELECT id FROM batch_jobs WHERE status IN `+live+` AND expires <= $1`, []any{micro(now)}, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			late = append(late, id)
			return err
		})
	})
	for _, id := range late {
		if err == nil {
			err = r.db.change(ctx, func(t *tx) error { return r.runOut(t, id) })
		}
	}
	return err
}

// runOut ends a job that never started, and winds up one that did.
func (r *Runner) runOut(t *tx, id string) error {
	j, found, err := t.job(id)
	if err != nil || !found || j.Status.Ended() || !j.overdue(t.now) {
		return err
	}
	if j.Status != outcrop.JobInProgress && j.Status != outcrop.JobStopping {
		if err := r.next(t, &j, lifecycle.JobRunOut, "The job did not start before its timeout."); err != nil {
			return err
		}
	}
	return r.wind(t, &j)
}

// wind has nothing more of the job handed out, and once nothing of it is being
// worked on, has the job ended. It may be called any number of times.
func (r *Runner) wind(t *tx, j *job) error {
	n, err := t.exec(`UPDATE batch_chunks SET state = 'cut' WHERE job = $1 AND state = 'pending'`, j.id())
	if err != nil {
		return err
	}
	var handed, waits int64
	if _, err := t.one([]any{&handed}, `SELECT count(*) FROM batch_chunks WHERE job = $1 AND state = 'handed'`, j.id()); err != nil {
		return err
	}
	if handed > 0 {
		return nil
	}
	_, err = t.one([]any{&waits}, `SELECT count(*) FROM batch_jobs WHERE id = $1 AND winding > 0`, j.id())
	if err != nil || waits > 0 && n == 0 {
		return err
	}
	if _, err := t.exec(`UPDATE batch_jobs SET winding = 1 WHERE id = $1`, j.id()); err != nil {
		return err
	}
	return t.queue(advanceArgs{Job: j.id()})
}

// fail ends the job because of what its owner did, or had to do and did not.
func (r *Runner) fail(t *tx, j *job, why string) error {
	if j.Status.Ended() {
		return nil
	}
	if err := r.next(t, j, lifecycle.JobFail, why); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE batch_jobs SET winding = 0 WHERE id = $1`, j.id()); err != nil {
		return err
	}
	return r.wind(t, j)
}

// resume queues again what an earlier process of this server was at, and what
// it may have been about to begin with.
func (r *Runner) resume(t *tx) error {
	if err := t.requeue(chunkArgs{Resumed: true}, `holder IN ('', $1)`, r.Server); err != nil {
		return err
	}
	err := t.queueEach(`SELECT id FROM batch_jobs WHERE winding = 1 OR status IN ('Submitted', 'Validating')`, nil, func(scan func(...any) error) (river.JobArgs, error) {
		var a advanceArgs
		err := scan(&a.Job)
		return a, err
	})
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE batch_chunks SET holder = '' WHERE holder = $1`, r.Server)
	return err
}

// requeue queues the chunks again that are on their way and for which the
// condition holds, as a says.
func (t *tx) requeue(a chunkArgs, where string, args ...any) error {
	return t.queueEach(`SELECT job, file, n FROM batch_chunks WHERE state = 'handed' AND `+where, args, func(scan func(...any) error) (river.JobArgs, error) {
		err := scan(&a.Job, &a.File, &a.N)
		return a, err
	})
}

// queueEach queues what read makes of each row of the answer.
func (t *tx) queueEach(query string, args []any, read func(scan func(...any) error) (river.JobArgs, error)) error {
	var all []river.JobArgs
	if err := t.each(query, args, func(scan func(...any) error) error {
		a, err := read(scan)
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
}

// folder is where the job's output goes.
func (j *job) folder() (bucket, prefix string) {
	l, _ := records.ParseURI(j.Output.URI)
	return l.Bucket, l.Folder(j.id())
}

// source is where the job's files are.
func (j *job) source() records.Location {
	l, _ := records.ParseURI(j.Input.URI)
	return l
}
