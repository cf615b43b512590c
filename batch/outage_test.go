package batch_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/fair"
)

// A downtime is an engine that answers each request in a second of its own, and
// cannot be reached from one moment until another. What it was at is broken off.
type downtime struct{ from, until time.Time }

// Invoke implements outcrop.Model.
func (d downtime) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	gone := &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "connection refused"}
	began := time.Now()
	if d.over(began) {
		return outcrop.Receipt{}, gone
	}
	if until := time.Until(d.from); until > 0 && until < time.Second {
		time.Sleep(until)
		return outcrop.Receipt{}, gone
	}
	return oneByOne{}.Invoke(ctx, req, out)
}

func (d downtime) over(t time.Time) bool { return !t.Before(d.from) && t.Before(d.until) }

// TestAnEngineThatIsDownForMinutes in the middle of a job is waited for, longer
// than a turn of a chunk lasts and work is let run: nothing is given up, no
// record is answered twice, and the job goes on as soon as the engine does.
func TestAnEngineThatIsDownForMinutes(t *testing.T) {
	const records, begins, lasts = 240, time.Minute, 12 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		d := downtime{start.Add(begins), start.Add(begins + lasts)}
		p, err := capacity.New(capacity.Config{Model: "model", Engines: []capacity.Engine{{Name: "a", Model: d, Fixed: true,
			Capacity: fair.Capacity{KVTokens: 100_000, MaxSeqs: 4, StepBudget: 2048, PrefillRate: 10_000, DecodeRate: 100}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		var mu sync.Mutex
		answered := map[string]int{} // by input
		w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
			if err := ask(ctx, p, account, outcrop.ClassBatch, true); err != nil {
				return nil, outcrop.Receipt{}, err
			}
			mu.Lock()
			defer mu.Unlock()
			answered[string(row.Input)]++
			return echo(ctx, row)
		})
		w.options.ChunkRecords, w.options.PartTime, w.options.Poll = 60, time.Second, time.Second
		w.start().input("data/a.jsonl", lines(records))
		j := w.submit(w.newJob("s3://in/data/a.jsonl"))
		at := func(when time.Time) outcrop.Job { time.Sleep(time.Until(when)); return w.state(j) }
		before, after, late := at(d.from), at(d.from.Add(5*time.Second)), at(d.until)
		if before.Counts.Succeeded == 0 || after.Counts.Succeeded >= records/2 || late.Counts != after.Counts || late.Status != outcrop.JobInProgress {
			t.Errorf("%+v before, %+v after it went down, and in the end %+v %s", before.Counts, after.Counts, late.Counts, late.Status)
		}
		soon := at(d.until.Add(30 * time.Second))
		if soon.Counts.Succeeded <= late.Counts.Succeeded {
			t.Errorf("30 s after it is up again: %+v", soon.Counts)
		}
		for !w.state(j).Status.Ended() {
			time.Sleep(time.Second)
		}
		w.exact(w.state(j), records)
		if text := w.read("out", "results/"+j.ARN.ID+"/a.jsonl.out"); strings.Contains(text, `"error"`) {
			t.Errorf("records were given up:\n%s", text)
		}
		for input, n := range answered {
			if n != 1 {
				t.Errorf("%s was answered %d times", input, n)
			}
		}
		t.Logf("%d when it went down, %d half a minute after it was up again, all after %v", after.Counts.Succeeded, soon.Counts.Succeeded, w.state(j).Ended.Sub(start))
		if err := w.runner.Close(); err != nil {
			t.Error(err)
		}
	})
}
