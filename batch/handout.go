package batch

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/backlog"
)

// A chunkID names a chunk.
type chunkID struct {
	Job     string
	File, N int64
}

// handOut queues chunks of a model until as many as may are on their way: each
// time the next one of the job whose turn it is. Jobs that hurry have as many
// places of their own, since work on the others may stand still.
func (r *Runner) handOut(t *tx, model string) error {
	busy, err := t.busy(model)
	for handed := err == nil; handed; {
		handed, err = r.handOne(t, model, busy)
	}
	return err
}

// busy is how many chunks of a model are on their way, of jobs that hurry and
// of others.
func (t *tx) busy(model string) (busy map[bool]int, err error) {
	busy = map[bool]int{}
	jobs, err := t.jobs(`model = $1 AND EXISTS (SELECT 1 FROM batch_chunks c WHERE c.job = batch_jobs.id AND c.state = 'handed')`, model)
	for i := range jobs {
		n := 0
		if _, err := t.one([]any{&n}, `SELECT count(*) FROM batch_chunks WHERE job = $1 AND state = 'handed'`, jobs[i].id()); err != nil {
			return nil, err
		}
		busy[jobs[i].hurries(t.now)] += n
	}
	return busy, err
}

// handOne queues one chunk of a job for whose kind there is a place, and counts
// it with the busy ones; handed is false if there is none.
func (r *Runner) handOne(t *tx, model string, busy map[bool]int) (handed bool, err error) {
	jobs, err := t.jobs(`model = $1 AND status IN ('Scheduled', 'InProgress') AND expires > $2
		AND EXISTS (SELECT 1 FROM batch_chunks c WHERE c.job = batch_jobs.id AND c.state = 'pending')`, model, micro(t.now))
	jobs = slices.DeleteFunc(jobs, func(j job) bool { return busy[j.hurries(t.now)] >= r.Chunks })
	if err != nil || len(jobs) == 0 {
		return false, err
	}
	served, err := t.served(jobs)
	if err != nil {
		return false, err
	}
	waiting := make([]backlog.Waiting, len(jobs))
	for i := range jobs {
		j := &jobs[i]
		waiting[i] = backlog.Waiting{Account: j.ARN.Account, Records: j.Counts.Total - j.Counts.Processed(), Expiry: j.Expires, Order: int64(i), Hurry: j.hurries(t.now)}
	}
	next := &jobs[backlog.Next(waiting, served)]
	id := chunkID{Job: next.id()}
	if _, err := t.one([]any{&id.File, &id.N}, `SELECT file, n FROM batch_chunks WHERE job = $1 AND state = 'pending' ORDER BY file, n LIMIT 1`, id.Job); err != nil {
		return false, err
	}
	if _, err := t.exec(`UPDATE batch_chunks SET state = 'handed' WHERE job = $1 AND file = $2 AND n = $3`, id.Job, id.File, id.N); err != nil {
		return false, err
	}
	busy[next.hurries(t.now)]++
	return true, t.queue(chunkArgs{Job: id.Job, File: id.File, N: id.N})
}

// served returns what the accounts of the jobs were served, what is on its way
// counted as done. An account that is new, or had no work for a while, is
// brought up to the others.
func (t *tx) served(jobs []job) (map[string]float64, error) {
	done, underWay := map[string]float64{}, map[string]float64{}
	into := func(m map[string]float64) func(scan func(...any) error) error {
		return func(scan func(...any) error) error {
			var account string
			var v float64
			err := scan(&account, &v)
			m[account] = v
			return err
		}
	}
	if err := t.each(`SELECT account, served FROM batch_accounts`, nil, into(done)); err != nil {
		return nil, err
	}
	if err := t.each(`SELECT j.account, CAST(sum(c.tokens) AS DOUBLE PRECISION) FROM batch_chunks c JOIN batch_jobs j ON j.id = c.job
		WHERE c.state = 'handed' GROUP BY j.account`, nil, into(underWay)); err != nil {
		return nil, err
	}
	var active []float64 // of those with work under way
	for account, v := range underWay {
		active = append(active, done[account]+v)
	}
	served := map[string]float64{}
	for i := range jobs {
		account := jobs[i].ARN.Account
		if _, seen := served[account]; seen {
			continue
		}
		served[account] = done[account] + underWay[account]
		if underWay[account] == 0 {
			served[account] = backlog.Join(done[account], active)
			if err := t.serve(account, served[account]-done[account]); err != nil {
				return nil, err
			}
		}
	}
	return served, nil
}

// serve notes that the account was served so many tokens more.
func (t *tx) serve(account string, tokens float64) error {
	_, err := t.exec(`INSERT INTO batch_accounts (account, served) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET served = batch_accounts.served + excluded.served`, account, tokens)
	return err
}

// remaining is what the job has before it.
func (j *job) remaining() backlog.Remaining {
	return backlog.Remaining{Records: j.Counts.Total - j.Counts.Processed(), Submitted: j.Submitted, Expiry: j.Expires, Rate: j.rate, Rated: moment(j.rated)}
}

// hurries reports whether idle capacity alone will not bring the job to its end
// in time.
func (j *job) hurries(now time.Time) bool { return backlog.Ramp(j.remaining(), now).Hurry }

// rampEvery is how often to look which jobs must hurry.
const rampEvery = 5 * time.Second

// ramp tells what the jobs that hurry need, and hands out chunks of them, also
// if nothing else happens.
func (r *Runner) ramp(ctx context.Context) error {
	needs := map[string]float64{}
	err := r.db.look(ctx, func(t *tx) error {
		jobs, err := t.jobs(`status IN ('Scheduled', 'InProgress') AND expires > $1`, micro(t.now))
		for i := range jobs {
			if p := backlog.Ramp(jobs[i].remaining(), t.now); p.Hurry {
				needs[jobs[i].Model] += p.Need
			}
		}
		return err
	})
	if err == nil && r.Need != nil {
		r.Need(maps.Clone(needs))
	}
	for _, model := range slices.Sorted(maps.Keys(needs)) {
		if err == nil {
			err = r.db.change(ctx, func(t *tx) error { return r.handOut(t, model) })
		}
	}
	return err
}

// account adds what was done of the job to its counters and to what its owner
// was served.
func (t *tx) account(j *job, done outcrop.JobCounts, used outcrop.JobUsage) error {
	j.rerate(done, t.now)
	if _, err := t.exec(`UPDATE batch_jobs SET succeeded = succeeded + $1, failed = failed + $2, input = input + $3, output = output + $4,
		cache_read = cache_read + $5, cache_write = cache_write + $6, cost = cost + $7, unpriced = unpriced + $8,
		rate = $9, rated = $10, rated_at = $11, modified = $12 WHERE id = $13`,
		done.Succeeded, done.Failed, used.Input, used.Output, used.CacheRead, used.CacheWrite, int64(used.Cost), used.Unpriced,
		j.rate, j.rated, j.ratedAt, micro(later(t.now, j.Modified)), j.id()); err != nil {
		return err
	}
	return t.serve(j.ARN.Account, float64(used.Total()))
}

// rerate finds the job's rate anew, once a second at most.
func (j *job) rerate(done outcrop.JobCounts, now time.Time) {
	if j.rated == 0 {
		j.rated = micro(j.Modified) // when it started
	}
	processed := j.Counts.Processed() + done.Processed()
	if since := now.Sub(moment(j.rated)); since >= time.Second {
		j.rate, j.rated, j.ratedAt = backlog.Rate(j.rate, processed-j.ratedAt, since), micro(now), processed
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
