package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/riverqueue/river"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/records"
)

// chunkArgs have a chunk worked on.
type chunkArgs struct {
	Job  string `json:"job"`
	File int64  `json:"file"`
	N    int64  `json:"n"`
	// Resumed marks what a server queued again because it may have lost it.
	Resumed bool `json:"resumed,omitempty"`
}

// Kind implements river.JobArgs.
func (chunkArgs) Kind() string { return "batch_chunk" }

type chunkWorker struct {
	river.WorkerDefaults[chunkArgs]
	runner *Runner
}

// Work implements river.Worker.
func (w *chunkWorker) Work(ctx context.Context, q *river.Job[chunkArgs]) error {
	r, id := w.runner, chunkID{q.Args.Job, q.Args.File, q.Args.N}
	if !r.begin(id) {
		return nil // a turn that was queued twice
	}
	defer r.done(id)
	c, err := r.take(ctx, id, q.Args.Resumed)
	if err != nil || c == nil {
		return r.noted(err, id.Job)
	}
	err = c.run(ctx)
	var f flaw
	if errors.As(err, &f) {
		err = r.flawed(context.WithoutCancel(ctx), c, f)
	}
	if errors.Is(err, errLost) { // to another attempt, or to the end of the job
		r.Metrics.lost()
		err = nil
	}
	again, left := r.leave(c)
	switch {
	case left != nil:
		return r.noted(left, id.Job)
	case err != nil && r.life.Err() == nil:
		return r.noted(err, id.Job)
	case again:
		return river.JobSnooze(0)
	}
	return nil
}

// begin notes that this process works on the chunk, unless it does already.
func (r *Runner) begin(id chunkID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[id] {
		return false
	}
	r.running[id] = true
	return true
}

func (r *Runner) done(id chunkID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, id)
}

// A chunk is a row of batch_chunks with what is needed to work on it.
type chunk struct {
	runner *Runner
	id     chunkID
	job    job
	file   file
	hurry  bool

	from, to, first, records int64
	epoch, parts             int64
	finished                 bitmap
}

// take claims the chunk for this attempt; nil if there is nothing to do. Who had
// it before has lost it, but with resumed another server keeps it.
func (r *Runner) take(ctx context.Context, id chunkID, resumed bool) (c *chunk, err error) {
	err = r.db.change(ctx, func(t *tx) error {
		c = &chunk{runner: r, id: id}
		var state, holder string
		found, err := t.one([]any{&c.from, &c.to, &c.first, &c.records, &state, &holder, &c.epoch, (*[]byte)(&c.finished), &c.parts},
			`SELECT starts, ends, first, records, state, holder, epoch, finished, parts FROM batch_chunks WHERE job = $1 AND file = $2 AND n = $3`, id.Job, id.File, id.N)
		if err != nil || !found || state != "handed" || resumed && holder != "" && holder != r.Server {
			c = nil
			return err
		}
		if err := r.open(t, c); err != nil {
			return err
		}
		if c.job.winding(t.now) {
			err := r.cut(t, c)
			c = nil
			return err
		}
		c.epoch++
		_, err = t.exec(`UPDATE batch_chunks SET epoch = $1, holder = $2 WHERE job = $3 AND file = $4 AND n = $5`, c.epoch, r.Server, id.Job, id.File, id.N)
		if err == nil && c.job.Status == outcrop.JobScheduled {
			err = r.next(t, &c.job, lifecycle.JobStart, "")
		}
		return err
	})
	return c, err
}

// open reads what the chunk belongs to.
func (r *Runner) open(t *tx, c *chunk) (err error) {
	if c.job, _, err = t.job(c.id.Job); err != nil {
		return err
	}
	if c.file, err = t.file(c.id.Job, c.id.File); err != nil {
		return err
	}
	if len(c.finished) == 0 {
		c.finished = newBitmap(c.records)
	}
	c.hurry = c.job.hurries(t.now)
	return nil
}

// cut ends the work on a chunk of a job that winds up.
func (r *Runner) cut(t *tx, c *chunk) error {
	if _, err := t.exec(`UPDATE batch_chunks SET state = 'cut', holder = '' WHERE job = $1 AND file = $2 AND n = $3 AND state = 'handed'`, c.id.Job, c.id.File, c.id.N); err != nil {
		return err
	}
	if err := r.wind(t, &c.job); err != nil {
		return err
	}
	return r.handOut(t, c.job.Model)
}

// flawed fails the job of the chunk, unless the chunk is another attempt's.
func (r *Runner) flawed(ctx context.Context, c *chunk, f flaw) error {
	return r.db.change(ctx, func(t *tx) error {
		if _, err := t.mine(c); err != nil {
			return err
		}
		j, _, err := t.job(c.id.Job)
		if err != nil {
			return err
		}
		return r.fail(t, &j, string(f))
	})
}

// leave lets go of the chunk; again tells that there is more to do on it.
func (r *Runner) leave(c *chunk) (again bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.life), stopTime)
	defer cancel()
	err = r.db.change(ctx, func(t *tx) error {
		state, err := t.mine(c)
		if errors.Is(err, errLost) {
			return nil
		}
		if err != nil || state != "handed" {
			return err
		}
		if c.job, _, err = t.job(c.id.Job); err != nil {
			return err
		}
		if c.job.winding(t.now) {
			return r.cut(t, c)
		}
		again = true
		_, err = t.exec(`UPDATE batch_chunks SET holder = '' WHERE job = $1 AND file = $2 AND n = $3`, c.id.Job, c.id.File, c.id.N)
		return err
	})
	return again, err
}

// mine returns the state of a chunk, or errLost if it is another attempt's.
func (t *tx) mine(c *chunk) (state string, err error) {
	var epoch int64
	found, err := t.one([]any{&state, &epoch}, `SELECT state, epoch FROM batch_chunks WHERE job = $1 AND file = $2 AND n = $3`, c.id.Job, c.id.File, c.id.N)
	if err == nil && (!found || epoch != c.epoch) {
		err = errLost
	}
	return state, err
}

// read returns the records of the chunk that have no answer yet, and their
// places in it.
func (c *chunk) read(ctx context.Context) (all []records.Record, places []int64, err error) {
	in, r := c.job.source(), c.runner
	where := records.Location{Bucket: in.Bucket, Key: c.file.key}.String()
	body, err := r.Objects(c.job.ARN.Account, c.job.Input.Owner).Read(ctx, in.Bucket, c.file.key, c.file.etag, c.from, c.to)
	if err != nil {
		return nil, nil, told(err, where, "read")
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, c.to-c.from))
	if err == nil && int64(len(text)) != c.to-c.from {
		err = r.short(ctx, &c.job, &c.file)
	}
	if err != nil {
		return nil, nil, told(err, where, "read")
	}
	lines := records.NewLines(bytes.NewReader(text), c.from, r.MaxLine)
	for n := int64(0); ; n++ {
		line, ok := lines.Next()
		if !ok {
			if n != c.records || lines.Err() != nil {
				return nil, nil, changed(where)
			}
			return all, places, nil
		}
		if c.finished.has(n) {
			continue
		}
		record, err := records.Parse(bytes.Clone(line.Text))
		if err != nil {
			return nil, nil, changed(where)
		}
		if len(record.ID) == 0 {
			record.ID = records.AppendID(nil, c.first+n)
		}
		all, places = append(all, record), append(places, n)
	}
}

// partsFolder is where answers lie, below the job's folder, until the output is
// assembled.
const partsFolder = ".parts/"

// partKey names a part of a chunk. An attempt never writes a name that another
// one writes. The name is no input's: the folder may be below what another job
// reads.
func (c *chunk) partKey(folder string) string {
	return fmt.Sprintf("%s%s%05d-%08d-%06d-%d.jsonl.out", folder, partsFolder, c.id.File, c.id.N, c.parts, c.epoch)
}

// A batchOf is answers that are not written down yet.
type batchOf struct {
	text     []byte
	places   []int64
	counts   outcrop.JobCounts
	usage    outcrop.JobUsage
	gathered time.Time // the first of them
}

// write writes the text of answers, which does not count yet. It may be done
// again.
func (c *chunk) write(ctx context.Context, b *batchOf) error {
	bucket, folder := c.job.folder()
	err := c.runner.Objects(c.job.ARN.Account, c.job.Output.Owner).Put(ctx, bucket, c.partKey(folder), b.text, true)
	if errors.Is(err, ErrExists) { // one that is there is this attempt's own
		return nil
	}
	return told(err, c.job.Output.URI, writing)
}

// save has the text that was written count, in one transaction.
func (c *chunk) save(ctx context.Context, b *batchOf) error {
	bucket, folder := c.job.folder()
	key, next := c.partKey(folder), c.finished.with(b.places)
	err := c.runner.db.change(ctx, func(t *tx) error { return c.runner.commit(t, c, b, next, key) })
	if errors.Is(err, errLost) {
		_ = c.runner.Objects(c.job.ARN.Account, c.job.Output.Owner).Delete(ctx, bucket, key) // what stays is removed with the job's other parts
	}
	if err != nil {
		return err
	}
	c.finished, c.parts = next, c.parts+1
	c.runner.Metrics.saved(c.job.Model, b)
	*b = batchOf{text: b.text[:0]}
	return nil
}

// commit counts what b holds, and hands out the next chunk after the last
// record of this one.
func (r *Runner) commit(t *tx, c *chunk, b *batchOf, finished bitmap, key string) error {
	state, err := t.mine(c)
	if err != nil {
		return err
	}
	j, _, err := t.job(c.id.Job) // the chunk's own is being read
	if err != nil {
		return err
	}
	if state != "handed" || j.Status.Ended() {
		return errLost
	}
	if _, err := t.exec(`INSERT INTO batch_parts (job, file, chunk, n, name, size) VALUES ($1, $2, $3, $4, $5, $6)`, c.id.Job, c.id.File, c.id.N, c.parts, key, len(b.text)); err != nil {
		return err
	}
	if finished.count() == c.records {
		state = "done"
	}
	if _, err := t.exec(`UPDATE batch_chunks SET finished = $1, parts = $2, state = $3 WHERE job = $4 AND file = $5 AND n = $6`, []byte(finished), c.parts+1, state, c.id.Job, c.id.File, c.id.N); err != nil {
		return err
	}
	if err := t.account(&j, b.counts, b.usage); err != nil || state != "done" {
		return err
	}
	var open int64
	if _, err := t.one([]any{&open}, `SELECT count(*) FROM batch_chunks WHERE job = $1 AND state IN ('pending', 'handed')`, c.id.Job); err != nil {
		return err
	}
	if open == 0 {
		if err := r.wind(t, &j); err != nil {
			return err
		}
	}
	return r.handOut(t, j.Model)
}

// A bitmap has a bit for each record of a chunk.
type bitmap []byte

func newBitmap(records int64) bitmap { return make(bitmap, (records+7)/8) }

func (b bitmap) has(n int64) bool { return b[n/8]>>(n%8)&1 == 1 }

// with returns a copy in which the places are set too.
func (b bitmap) with(places []int64) bitmap {
	b = bytes.Clone(b)
	for _, n := range places {
		b[n/8] |= 1 << (n % 8)
	}
	return b
}

func (b bitmap) count() (n int64) {
	for i := range int64(len(b)) * 8 {
		if b.has(i) {
			n++
		}
	}
	return n
}
