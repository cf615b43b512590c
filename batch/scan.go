package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/outcrop/outcrop/records"
)

// A scan is a file that is read whole and cut into chunks.
type scan struct {
	runner  *Runner
	job     *job
	file    *file
	where   string
	lines   *records.Lines
	plan    records.Planner
	tokens  map[int64]int64 // of the chunks of plan
	before  int64           // chunks that were planned in earlier turns
	counted int64           // lines up to the last chunk of plan that is whole
	bulky   bool
}

// scan reads a file, from where it was left, and cuts it into chunks; first is
// the number of its first record. When the turn is over, or the file cannot be
// read on, the chunks are written down that there are. After a turn it returns
// errTurn.
func (r *Runner) scan(ctx, turn context.Context, j *job, f *file, first int64) error {
	s := &scan{runner: r, job: j, file: f, where: records.Location{Bucket: j.source().Bucket, Key: f.key}.String()}
	s.plan = records.Planner{Records: r.ChunkRecords, Bytes: r.ChunkBytes}
	s.tokens = map[int64]int64{}
	var from, had int64
	if f.lines > 0 {
		if err := r.held(ctx, j, func(t *tx) (err error) {
			s.before, from, had, err = t.planned(j, f)
			return err
		}); err != nil {
			return err
		}
	}
	s.plan.First = first + had
	body, err := r.Objects(j.ARN.Account, j.Input.Owner).Read(ctx, j.source().Bucket, f.key, f.etag, from, f.size)
	if err != nil {
		return told(err, s.where, "read")
	}
	defer func() { _ = body.Close() }()
	s.lines = records.NewLines(body, from, r.MaxLine)
	s.lines.Long = func() error { return s.enter(ctx) }
	defer s.leave()
	err = s.read(ctx, turn)
	chunks := s.plan.Chunks
	var hopeless flaw
	if errors.As(err, &hopeless) || err != nil && len(chunks) == 0 {
		return err
	}
	if err != nil {
		f.lines += s.counted
	} else {
		chunks = s.plan.Done()
		f.records = s.plan.First - first
	}
	longer, cancel := outlive(ctx, stopTime)
	defer cancel()
	if failed := r.held(longer, j, func(t *tx) error { return t.plan(s, chunks) }); failed != nil {
		return failed
	}
	return err
}

// enter waits until the account may have one more file with long lines.
func (s *scan) enter(ctx context.Context) error {
	err := s.runner.bulky.enter(ctx, s.job.ARN.Account)
	s.bulky = err == nil
	return err
}

func (s *scan) leave() {
	if s.bulky {
		s.runner.bulky.leave(s.job.ARN.Account)
	}
}

// read plans all lines, or those until the turn is over and there is something
// to write down: the error is errTurn then.
func (s *scan) read(ctx, turn context.Context) error {
	last, most := int64(0), s.runner.MaxRecords
	for {
		line, ok := s.lines.Next()
		if !ok {
			return s.end(ctx, line.To)
		}
		record, err := records.Parse(line.Text)
		if err != nil {
			return flaw(fmt.Sprintf("Line %d of %s: %s.", s.file.lines+line.Number, s.where, err))
		}
		whole := len(s.plan.Chunks)
		s.plan.Add(line)
		if len(s.plan.Chunks) > whole {
			s.counted = last
		}
		if most > 0 && s.plan.First > most {
			return flaw(fmt.Sprintf("The job has more than %d records.", most))
		}
		if len(s.plan.Chunks) > 0 && turn.Err() != nil {
			return errTurn
		}
		s.tokens[int64(len(s.plan.Chunks))] += records.Tokens(record.Input)
		last = line.Number
	}
}

// end says whether the end of the lines, at an offset, is that of the file.
func (s *scan) end(ctx context.Context, at int64) error {
	err := s.lines.Err()
	switch {
	case errors.Is(err, records.ErrLongLine):
		return flaw(fmt.Sprintf("Line %d of %s: the line is longer than %d bytes.", s.file.lines+s.lines.Number(), s.where, s.runner.MaxLine))
	case errors.Is(err, records.ErrCompressed):
		return flaw(strings.ToUpper(err.Error()[:1]) + err.Error()[1:] + ": " + s.where)
	case err != nil:
		return told(err, s.where, "read")
	case at != s.file.size:
		return s.runner.short(ctx, s.job, s.file)
	}
	return nil
}

// short says what it means that a store sent less of a file than it had: that
// the file was changed, or that it is to be read again.
func (r *Runner) short(ctx context.Context, j *job, f *file) error {
	in := records.Location{Bucket: j.source().Bucket, Key: f.key}
	o, err := r.Objects(j.ARN.Account, j.Input.Owner).Stat(ctx, in.Bucket, in.Key)
	switch {
	case err != nil:
		return told(err, in.String(), "read")
	case o.Size != f.size:
		return changed(in.String())
	}
	return errShort
}

// planned returns how many chunks of a file there are already, where they end,
// and how many records they have.
func (t *tx) planned(j *job, f *file) (chunks, ends, had int64, err error) {
	_, err = t.one([]any{&chunks, &ends, &had}, `SELECT count(*), CAST(coalesce(max(ends), 0) AS BIGINT), CAST(coalesce(sum(records), 0) AS BIGINT)
		FROM batch_chunks WHERE job = $1 AND file = $2`, j.id(), f.n)
	return chunks, ends, had, err
}

// plan stores chunks that a scan has found, and how far it has come.
func (t *tx) plan(s *scan, chunks []records.Chunk) error {
	for i, c := range chunks {
		if _, err := t.exec(`INSERT INTO batch_chunks (job, file, n, starts, ends, first, records, tokens, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending')`,
			s.job.id(), s.file.n, s.before+int64(i), c.From, c.To, c.First, c.Records, s.tokens[int64(i)]); err != nil {
			return err
		}
	}
	_, err := t.exec(`UPDATE batch_files SET records = $1, lines = $2 WHERE job = $3 AND n = $4`, s.file.records, s.file.lines, s.job.id(), s.file.n)
	return err
}
