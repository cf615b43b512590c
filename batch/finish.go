package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/riverqueue/river"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/records"
)

// finish ends a job of which nothing is being worked on: it assembles the
// output, writes the manifest last, and settles the status. After that, what
// was written on the way is removed. It may be done again from any point.
func (r *Runner) finish(ctx context.Context, j *job) error {
	if j.Status.Ended() {
		return r.tidy(ctx, j)
	}
	event, why := lifecycle.JobEvent(""), ""
	var files []file
	if err := r.held(ctx, j, func(t *tx) (err error) {
		if event, why, err = t.ending(j); err != nil || event == "" {
			return err
		}
		files, err = t.files(j.id())
		return err
	}); err != nil || event == "" {
		return err
	}
	turn, end := context.WithTimeout(ctx, r.Turn)
	defer end()
	for i := range files {
		if err := r.assemble(ctx, turn, j, &files[i]); err != nil {
			return err
		}
	}
	if j.Counts.Total > 0 {
		if err := r.writeManifest(ctx, j); err != nil {
			return err
		}
	}
	if err := r.held(ctx, j, func(t *tx) error {
		if err := r.next(t, j, event, why); err != nil {
			return err
		}
		return r.handOut(t, j.Model)
	}); err != nil {
		return err
	}
	return r.tidy(ctx, j)
}

// ending says how the job ends; "" if it does not yet.
func (t *tx) ending(j *job) (lifecycle.JobEvent, string, error) {
	var open, handed int64
	if _, err := t.one([]any{&open, &handed}, `SELECT CAST(coalesce(sum(CASE WHEN state <> 'done' THEN 1 ELSE 0 END), 0) AS BIGINT),
		CAST(coalesce(sum(CASE WHEN state = 'handed' THEN 1 ELSE 0 END), 0) AS BIGINT) FROM batch_chunks WHERE job = $1`, j.id()); err != nil {
		return "", "", err
	}
	switch {
	case handed > 0:
		return "", "", nil
	case j.Status == outcrop.JobStopping:
		return lifecycle.JobHalt, "", nil
	case j.Status != outcrop.JobInProgress:
		return "", "", nil
	case open == 0:
		return lifecycle.JobComplete, "", nil
	case j.overdue(t.now):
		return lifecycle.JobRunOut, fmt.Sprintf("%d of %d records were not processed before the job's timeout.", j.Counts.Total-j.Counts.Processed(), j.Counts.Total), nil
	}
	return "", "", nil
}

// partSize is how much of an output is written at a time. Ten thousand of them
// are the most that an object can have. An upload is gone on with by a server
// that has the same.
const partSize = 8 << 20

// assemble writes the output of one file from the parts that count. Whoever
// does it writes the same. What was written when the turn or the attempt is over
// is not written again; after a turn the error is errTurn.
func (r *Runner) assemble(ctx, turn context.Context, j *job, f *file) error {
	if f.assembled {
		return nil
	}
	bucket, folder := j.folder()
	w := &output{ctx: ctx, turn: turn, objects: r.Objects(j.ARN.Account, j.Output.Owner), bulky: &r.bulky, account: j.ARN.Account,
		bucket: bucket, key: folder + records.OutputName(j.source(), f.key)}
	var parts []Object
	if err := r.held(ctx, j, func(t *tx) (err error) {
		if w.upload, w.etags, err = t.upload(j.id(), f.n); err != nil {
			return err
		}
		parts, err = t.parts(j.id(), f.n)
		return err
	}); err != nil {
		return err
	}
	if len(parts) > 0 {
		if err := w.write(parts); err != nil {
			return r.suspend(j, f, w, err)
		}
	}
	return r.held(ctx, j, func(t *tx) error {
		_, err := t.exec(`UPDATE batch_files SET assembled = 1 WHERE job = $1 AND n = $2`, j.id(), f.n)
		return err
	})
}

// suspend keeps an upload of which err has ended the writing, or ends it where
// that is not to be gone on with. It returns what the error means to the job.
func (r *Runner) suspend(j *job, f *file, w *output, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), stopTime)
	defer cancel()
	upload, etags := w.upload, w.etags
	if !w.goesOn() {
		upload, etags = "", nil
	}
	if failed := r.held(ctx, j, func(t *tx) error { return t.keepUpload(j.id(), f.n, upload, etags) }); failed != nil {
		return failed
	}
	if upload != w.upload {
		_ = w.objects.Abort(ctx, w.bucket, w.key, w.upload) // the next try abandons it
	}
	var gone missing
	if errors.As(err, &gone) {
		where := records.Location{Bucket: w.bucket, Key: string(gone)}
		return flaw("The answers at " + where.String() + " were removed while the job ran.")
	}
	return told(err, j.Output.URI, writing)
}

// upload returns the upload of a file's output that is to be gone on with, "" if
// there is none, and the ETags of its parts.
func (t *tx) upload(id string, file int64) (upload string, etags []string, err error) {
	var list string
	found, err := t.one([]any{&upload, &list}, `SELECT upload, etags FROM batch_files WHERE job = $1 AND n = $2`, id, file)
	if err == nil && found {
		err = json.Unmarshal([]byte(list), &etags)
	}
	return upload, etags, err
}

func (t *tx) keepUpload(id string, file int64, upload string, etags []string) error {
	list, err := json.Marshal(etags)
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE batch_files SET upload = $1, etags = $2 WHERE job = $3 AND n = $4`, upload, string(list), id, file)
	return err
}

func (t *tx) parts(id string, file int64) (all []Object, err error) {
	err = t.each(`SELECT name, size FROM batch_parts WHERE job = $1 AND file = $2 ORDER BY chunk, n`, []any{id, file}, func(scan func(...any) error) error {
		var o Object
		err := scan(&o.Key, &o.Size)
		all = append(all, o)
		return err
	})
	return all, err
}

// An output is an object that is written piece by piece: as an upload in parts
// of partSize, if it is larger than one.
type output struct {
	ctx, turn   context.Context
	objects     Objects
	bulky       *bulky
	account     string
	bucket, key string
	upload      string
	etags       []string // of the parts that are written, but for the last
	sent        int      // of them, in this attempt
	buf         []byte
}

// goesOn reports whether another attempt is to go on with the upload. If this
// one has written nothing though it had the time, the upload may be no more.
func (w *output) goesOn() bool { return w.sent > 0 || w.ctx.Err() != nil }

// write writes the parts one after the other, but for what is written already.
func (w *output) write(parts []Object) error {
	if w.upload == "" {
		if err := w.abandon(); err != nil {
			return err
		}
	}
	var size int64
	for _, p := range parts {
		size += p.Size
	}
	if size > records.LongLine {
		if err := w.bulky.enter(w.ctx, w.account); err != nil {
			return err
		}
		defer w.bulky.leave(w.account)
	}
	w.buf = make([]byte, 0, min(size, partSize))
	written := int64(len(w.etags)) * partSize
	for _, p := range parts {
		from := min(written, p.Size)
		written -= from
		if err := w.add(p, from); err != nil {
			return err
		}
	}
	if w.upload == "" {
		return w.objects.Put(w.ctx, w.bucket, w.key, w.buf, false)
	}
	etags := w.etags
	if len(w.buf) > 0 {
		last, err := w.send()
		if err != nil {
			return err
		}
		etags = append(etags, last)
	}
	return w.objects.Complete(w.ctx, w.bucket, w.key, w.upload, etags)
}

// abandon ends the uploads that an earlier try has left.
func (w *output) abandon() error { return abandon(w.ctx, w.objects, w.bucket, w.key) }

// empty removes the objects of keys that begin with prefix. What cannot be
// reached or removed stays.
func empty(ctx context.Context, objects Objects, bucket, prefix string) error {
	for removed := true; removed; { // and is not listed again
		page, _, err := objects.List(ctx, bucket, prefix, "")
		if errors.Is(err, ErrDenied) || errors.Is(err, ErrNoObject) {
			return nil
		}
		if err != nil {
			return err
		}
		removed = false
		for _, o := range page {
			err := objects.Delete(ctx, bucket, o.Key)
			if err != nil && !errors.Is(err, ErrDenied) {
				return err
			}
			removed = removed || err == nil
		}
	}
	return nil
}

// abandon ends the uploads of keys that begin with prefix. Where they cannot be
// listed or ended, they stay.
func abandon(ctx context.Context, objects Objects, bucket, prefix string) error {
	uploads, err := objects.Uploads(ctx, bucket, prefix)
	for _, u := range uploads {
		if err == nil {
			err = objects.Abort(ctx, bucket, u.Key, u.ID)
		}
	}
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrRefused) || errors.Is(err, ErrNoObject) {
		return nil
	}
	return err
}

// missing is the key of a part that is not there.
type missing string

// Error implements error.
func (m missing) Error() string { return "a part of the output is missing: " + string(m) }

// add appends a part from an offset on. With errTurn the rest is left to
// another turn.
func (w *output) add(p Object, from int64) error {
	if from == p.Size {
		return nil
	}
	body, err := w.objects.Read(w.ctx, w.bucket, p.Key, "", from, p.Size)
	if errors.Is(err, ErrNoObject) {
		return missing(p.Key)
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	for left := p.Size - from; left > 0; {
		n := min(left, int64(partSize-len(w.buf)))
		at := len(w.buf)
		w.buf = w.buf[:at+int(n)]
		if _, err := io.ReadFull(body, w.buf[at:]); err != nil {
			return err
		}
		if left -= n; len(w.buf) == partSize {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush sends what has gathered as the next part of the upload.
func (w *output) flush() (err error) {
	if w.upload == "" {
		if w.upload, err = w.objects.Begin(w.ctx, w.bucket, w.key); err != nil {
			return err
		}
	}
	etag, err := w.send()
	if err != nil {
		return err
	}
	w.etags, w.buf, w.sent = append(w.etags, etag), w.buf[:0], w.sent+1
	if w.turn.Err() != nil {
		return errTurn
	}
	return nil
}

func (w *output) send() (etag string, err error) {
	return w.objects.Part(w.ctx, w.bucket, w.key, w.upload, len(w.etags)+1, w.buf)
}

// ManifestName is the name of the manifest in the folder of a job's output.
const ManifestName = "manifest.json.out"

func (r *Runner) writeManifest(ctx context.Context, j *job) error {
	bucket, folder := j.folder()
	err := r.Objects(j.ARN.Account, j.Output.Owner).Put(ctx, bucket, folder+ManifestName, records.AppendManifest(nil, j.Counts, j.Usage), false)
	return told(err, j.Output.URI, writing)
}

// tidy removes what was written on the way to the output of a job that has
// ended, and what tells where it was. Once more it does so later, for servers
// that go on for a while with work that another one has ended.
func (r *Runner) tidy(ctx context.Context, j *job) error {
	bucket, folder := j.folder()
	objects := r.Objects(j.ARN.Account, j.Output.Owner)
	if err := empty(ctx, objects, bucket, folder+partsFolder); err != nil {
		return err
	}
	if err := abandon(ctx, objects, bucket, folder); err != nil {
		return err
	}
	return r.held(ctx, j, func(t *tx) error {
		for _, statement := range []string{`DELETE FROM batch_parts WHERE job = $1`, `DELETE FROM batch_chunks WHERE job = $1`, `DELETE FROM batch_files WHERE job = $1`} {
			if _, err := t.exec(statement, j.id()); err != nil {
				return err
			}
		}
		n, err := t.exec(`UPDATE batch_jobs SET winding = 2 WHERE id = $1 AND winding <> 2`, j.id())
		if err != nil || n == 0 {
			return err
		}
		return t.insert(advanceArgs{Job: j.id()}, &river.InsertOpts{ScheduledAt: t.now.Add(r.Late), Priority: 4})
	})
}
