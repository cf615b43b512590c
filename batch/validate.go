package batch

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverqueue/river"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/records"
)

// errLost says that someone else does the work by now, or ends the job: nothing
// that this one has done counts.
var errLost = errors.New("the work was taken over")

// errTurn says that there is more to do, and that what was done is written down.
var errTurn = errors.New("the turn is over")

// errShort says that a store sent less of a file than it has.
var errShort = errors.New("the file ended before its end")

// A flaw is why a job fails, for its owner.
type flaw string

// Error returns what the owner is told.
func (f flaw) Error() string { return string(f) }

// advanceArgs have a job brought on by what does not concern its records: it is
// validated, or ended.
type advanceArgs struct {
	Job string `json:"job"`
}

// Kind implements river.JobArgs.
func (advanceArgs) Kind() string { return "batch_advance" }

type advanceWorker struct {
	river.WorkerDefaults[advanceArgs]
	runner *Runner
}

// Work implements river.Worker.
func (w *advanceWorker) Work(ctx context.Context, q *river.Job[advanceArgs]) error {
	r := w.runner
	j, found, err := r.claim(ctx, q.Args.Job)
	if err != nil || !found {
		return r.noted(err, q.Args.Job)
	}
	if j.Status == outcrop.JobSubmitted || j.Status == outcrop.JobValidating {
		err = r.validate(ctx, &j)
	} else {
		err = r.finish(ctx, &j)
	}
	var f flaw
	if errors.As(err, &f) {
		err = r.held(ctx, &j, func(t *tx) error { return r.fail(t, &j, string(f)) })
	}
	switch {
	case errors.Is(err, errLost): // to another attempt, or to the end of the job
		r.Metrics.lost()
		return nil
	case errors.Is(err, errTurn), err != nil && r.life.Err() != nil:
		return river.JobSnooze(0)
	}
	return r.noted(err, j.id())
}

// noted logs a failure after which the work is tried again, and returns it.
func (r *Runner) noted(err error, id string) error {
	if err != nil && r.life.Err() == nil {
		r.Log.Warn("batch work failed, trying again", "job", id, "reason", err.Error())
	}
	return err
}

// claim takes the job for the one who calls; who had it before has lost it.
func (r *Runner) claim(ctx context.Context, id string) (j job, found bool, err error) {
	err = r.db.change(ctx, func(t *tx) error {
		if j, found, err = t.job(id); err != nil || !found {
			return err
		}
		j.epoch++
		_, err := t.exec(`UPDATE batch_jobs SET epoch = $1 WHERE id = $2`, j.epoch, id)
		return err
	})
	return j, found, err
}

// held runs f in a transaction if the job is still the caller's, and brings j
// up to date before.
func (r *Runner) held(ctx context.Context, j *job, f func(*tx) error) error {
	return r.db.change(ctx, func(t *tx) error {
		now, found, err := t.job(j.id())
		if err != nil {
			return err
		}
		if !found || now.epoch != j.epoch {
			return errLost
		}
		*j = now
		return f(t)
	})
}

// A file is a row of batch_files.
type file struct {
	n, size, records int64
	lines            int64 // before what was not looked at yet
	key, etag        string
	assembled        bool
}

// files returns the files of a job.
func (t *tx) files(id string) ([]file, error) { return t.filesWhere(`job = $1`, id) }

// file returns one file of a job, which may have thousands.
func (t *tx) file(id string, n int64) (file, error) {
	all, err := t.filesWhere(`job = $1 AND n = $2`, id, n)
	if err != nil || len(all) == 0 {
		return file{}, err
	}
	return all[0], nil
}

func (t *tx) filesWhere(where string, args ...any) (all []file, err error) {
	err = t.each(`SELECT n, name, etag, size, records, lines, assembled FROM batch_files WHERE `+where+` ORDER BY n`, args, func(scan func(...any) error) error {
		var f file
		var assembled int64
		err := scan(&f.n, &f.key, &f.etag, &f.size, &f.records, &f.lines, &assembled)
		f.assembled = assembled != 0
		all = append(all, f)
		return err
	})
	return all, err
}

// validate looks at all of the job's files, cuts them into chunks and has the
// job scheduled. What was looked at is not looked at again.
func (r *Runner) validate(ctx context.Context, j *job) error {
	files, err := r.list(ctx, j)
	if err != nil {
		return err
	}
	turn, end := context.WithTimeout(ctx, r.Turn)
	defer end()
	total, looked := int64(0), false
	for i := range files {
		if files[i].records < 0 {
			if looked && turn.Err() != nil {
				return errTurn
			}
			looked = true
			if err := r.scan(ctx, turn, j, &files[i], total); err != nil {
				return err
			}
		}
		total += files[i].records
	}
	switch {
	case total == 0:
		return flaw("There are no records in " + j.Input.URI + ".")
	case total < r.MinRecords:
		return flaw(fmt.Sprintf("The job has %d records. It must have at least %d.", total, r.MinRecords))
	}
	if err := r.mayWrite(ctx, j); err != nil {
		return err
	}
	return r.held(ctx, j, func(t *tx) error { return r.schedule(t, j, total) })
}

// schedule ends the validation of a job with so many records.
func (r *Runner) schedule(t *tx, j *job, total int64) error {
	if j.winding(t.now) {
		return errLost
	}
	if err := r.roomFor(t, j); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE batch_jobs SET total = $1 WHERE id = $2`, total, j.id()); err != nil {
		return err
	}
	j.Counts.Total = total
	if err := r.next(t, j, lifecycle.JobSchedule, ""); err != nil {
		return err
	}
	return r.handOut(t, j.Model)
}

// roomFor refuses a job with which more tokens of its account would wait than
// may.
func (r *Runner) roomFor(t *tx, j *job) error {
	if r.EnqueuedTokens <= 0 {
		return nil
	}
	waits, err := t.enqueued(j.ARN.Account)
	if err != nil {
		return err
	}
	var own int64
	if _, err := t.one([]any{&own}, `SELECT CAST(coalesce(sum(tokens), 0) AS BIGINT) FROM batch_chunks WHERE job = $1`, j.id()); err != nil {
		return err
	}
	if waits+own > r.EnqueuedTokens {
		return flaw(fmt.Sprintf("The records take about %d tokens. With the %d of the account's other jobs that is more than the %d that may wait at a time.",
			own, waits, r.EnqueuedTokens))
	}
	return nil
}

// list returns the job's files, which are settled with the first call.
func (r *Runner) list(ctx context.Context, j *job) (files []file, err error) {
	if err := r.held(ctx, j, func(t *tx) error {
		if j.winding(t.now) {
			return errLost
		}
		if err := r.next(t, j, lifecycle.JobValidate, ""); err != nil {
			return err
		}
		files, err = t.files(j.id())
		return err
	}); err != nil || len(files) > 0 {
		return files, err
	}
	if files, err = r.find(ctx, j); err != nil {
		return nil, err
	}
	return files, r.held(ctx, j, func(t *tx) error {
		for _, f := range files {
			if _, err := t.exec(`INSERT INTO batch_files (job, n, name, etag, size) VALUES ($1, $2, $3, $4, $5)`, j.id(), f.n, f.key, f.etag, f.size); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxFiles is how many files a job may have.
const maxFiles = 10_000

// find looks for the files that the input names.
func (r *Runner) find(ctx context.Context, j *job) ([]file, error) {
	in, objects := j.source(), r.Objects(j.ARN.Account, j.Input.Owner)
	if in.IsFile() {
		o, err := objects.Stat(ctx, in.Bucket, in.Key)
		return []file{{key: in.Key, etag: o.ETag, size: o.Size, records: -1}}, told(err, in.String(), "read")
	}
	var files []file
	for from := ""; ; {
		page, next, err := objects.List(ctx, in.Bucket, in.Prefix(), from)
		if err != nil {
			return nil, told(err, in.String(), "list")
		}
		for _, o := range page {
			if records.IsInput(o.Key) {
				files = append(files, file{n: int64(len(files)), key: o.Key, etag: o.ETag, size: o.Size, records: -1})
			}
		}
		if len(files) > maxFiles {
			return nil, flaw(fmt.Sprintf("There are more than %d files under %s.", maxFiles, in))
		}
		if from = next; from == "" {
			break
		}
	}
	if len(files) == 0 {
		return nil, flaw("There is no file whose name ends with .jsonl under " + in.String() + ".")
	}
	return files, nil
}

// writing is what told may be told that was tried.
const writing = "write to"

// told makes the failures of the store that the owner can mend a flaw of his
// job; others are left to pass.
func told(err error, where, what string) error {
	switch {
	case errors.Is(err, ErrNoObject) && what == writing:
		return flaw("There is no bucket for " + where + ".")
	case errors.Is(err, ErrNoObject):
		return flaw("There is nothing at " + where + ".")
	case errors.Is(err, ErrDenied):
		return flaw("Access is denied: cannot " + what + " " + where + ".")
	case errors.Is(err, ErrChanged):
		return changed(where)
	case errors.Is(err, ErrRefused):
		return flaw("The store refuses to " + what + " " + where + "." + reason(err))
	}
	return err
}

// changed is the flaw of a job whose input is not the one it began with.
func changed(where string) flaw {
	return flaw("The input " + where + " was changed while the job ran.")
}

// reason is what the store told the owner.
func reason(err error) string {
	var e *outcrop.Error
	if errors.As(err, &e) {
		return " " + e.Message
	}
	return ""
}

// mayWrite fails if the output cannot be written.
func (r *Runner) mayWrite(ctx context.Context, j *job) error {
	bucket, folder := j.folder()
	objects, probe := r.Objects(j.ARN.Account, j.Output.Owner), folder+partsFolder+"probe"
	if err := objects.Put(ctx, bucket, probe, nil, false); err != nil {
		return told(err, j.Output.URI, writing)
	}
	return told(objects.Delete(ctx, bucket, probe), j.Output.URI, writing)
}
