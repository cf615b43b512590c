package batch_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/fair"
)

// An oneByOne is an engine that answers each request in a second of its own.
type oneByOne struct{}

// Invoke implements outcrop.Model.
func (oneByOne) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return outcrop.Receipt{}, context.Cause(ctx)
	}
	for _, e := range []outcrop.Event{
		{Kind: outcrop.EventStart}, {Kind: outcrop.EventBlockStart, Block: outcrop.BlockText},
		{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("a")},
		{Kind: outcrop.EventBlockStop}, {Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopEndTurn}},
	} {
		if err := out.Send(e); err != nil {
			return outcrop.Receipt{}, err
		}
	}
	return outcrop.Receipt{Usage: outcrop.Usage{Input: req.Estimate.Input, Output: 1}}, nil
}

type nowhere struct{}

func (nowhere) Send(outcrop.Event) error { return nil }

// ask has the pool answer a request of 996 tokens and one of output, which costs
// a thousand service tokens: what the engine serves in a second.
func ask(ctx context.Context, p *capacity.Pool, account string, class outcrop.Class, row bool) error {
	_, err := p.Invoke(ctx, &outcrop.Request{
		ID: "request", Operation: outcrop.OpConverse, Principal: &outcrop.Principal{Account: account}, Class: class, Batch: row,
		Estimate: outcrop.Estimate{Input: 996, Output: 1}, Conversation: &outcrop.Conversation{},
	}, nowhere{})
	return err
}

// overloaded returns a pool with one engine that on-demand use keeps busy until
// the end is called.
func overloaded(t *testing.T) (p *capacity.Pool, end func()) {
	p, err := capacity.New(capacity.Config{Model: "model", Engines: []capacity.Engine{{
		Name: "a", Model: oneByOne{}, Fixed: true,
		Capacity: fair.Capacity{KVTokens: 100_000, MaxSeqs: 1, StepBudget: 2048, PrefillRate: 1000, DecodeRate: 100},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	for range 4 {
		flood.Go(func() {
			for ctx.Err() == nil {
				if err := ask(ctx, p, "other", outcrop.ClassDefault, false); err != nil {
					time.Sleep(time.Second)
				}
			}
		})
	}
	return p, func() { cancel(); flood.Wait(); p.Close() }
}

// A deadlineCase is a job of a model of its own, beside an overload.
type deadlineCase struct {
	records int
	floor   bool // the pool is told what the job needs
	status  outcrop.JobStatus
	least   int64 // records that are answered

	pool *capacity.Pool
	job  outcrop.Job     // at its end
	pace outcrop.JobPace // after half of the window
}

// What 20 % of an engine do in the time is feasible also while on-demand use
// would take all of it, but only with the floor. 60 % are not: the job has the
// 30 % that there are at most, and ends in time.
func TestAFeasibleDeadlineIsMetBesideAnOverload(t *testing.T) {
	const window, seconds = 80 * time.Minute, 80 * 60
	cases := map[string]*deadlineCase{
		"maker.feasible": {records: seconds / 5, floor: true, status: outcrop.JobCompleted, least: seconds / 5},
		"maker.starved":  {records: seconds / 5, status: outcrop.JobPartiallyCompleted},
		"maker.too-much": {records: seconds * 3 / 5, floor: true, status: outcrop.JobPartiallyCompleted, least: seconds / 5},
	}
	synctest.Test(t, func(t *testing.T) {
		for _, c := range cases {
			var end func()
			c.pool, end = overloaded(t)
			defer end()
		}
		runUntilEnded(t, cases, window)
	})
	for model, c := range cases {
		j, took := &c.job, c.job.Ended.Sub(c.job.Submitted)
		t.Logf("%s: %s after %v, %+v", model, j.Status, took.Round(time.Second), j.Counts)
		if j.Status != c.status || took > window+time.Minute || j.Counts.Succeeded < c.least || j.Counts.Succeeded > c.least*3/2 {
			t.Errorf("%s is %s after %v: %+v", model, j.Status, took, j.Counts)
		}
		if j.Pace != (outcrop.JobPace{}) {
			t.Errorf("%s goes on after its end: %+v", model, j.Pace)
		}
	}
	if c := cases["maker.feasible"]; c.pace.Rate < .2 || c.pace.Rate > .35 || c.pace.Ends.Sub(c.job.Ended).Abs() > 15*time.Minute {
		t.Errorf("half-way it was thought to end at %v: %+v", c.job.Ended, c.pace)
	}
	if c := cases["maker.starved"]; c.pace != (outcrop.JobPace{}) {
		t.Errorf("without an answer it goes on like this: %+v", c.pace)
	}
}

// runUntilEnded runs the jobs of all cases on one Runner.
func runUntilEnded(t *testing.T, cases map[string]*deadlineCase, window time.Duration) {
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		class := outcrop.ClassBatch
		if row.Hurry {
			class = outcrop.ClassFlex
		}
		return []byte(`{}`), echoed, ask(ctx, cases[row.Job.Model].pool, account, class, true)
	})
	o := &w.options
	o.ChunkRecords, o.Concurrency, o.Chunks = 100, 8, 2
	o.PartTime, o.Poll, o.Turn = 20*time.Second, 5*time.Second, 5*time.Minute
	o.Need = func(perSecond map[string]float64) {
		for model, c := range cases {
			if c.floor {
				c.pool.Need(perSecond[model])
			}
		}
	}
	w.start()
	for model, c := range cases {
		w.input(model+".jsonl", lines(c.records))
		c.job = w.newJob("s3://in/" + model + ".jsonl")
		c.job.Model, c.job.Expires = model, c.job.Submitted.Add(window)
		w.submit(c.job)
	}
	time.Sleep(window / 2)
	for _, c := range cases {
		c.pace = w.state(c.job).Pace
	}
	for _, c := range cases {
		for c.job = w.state(c.job); !c.job.Status.Ended(); c.job = w.state(c.job) {
			time.Sleep(time.Minute)
		}
	}
	if err := w.runner.Close(); err != nil {
		t.Error(err)
	}
}
