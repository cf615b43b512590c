package batch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
)

// TestEveryCallOfTheStoreMayFailOnce before and after it had its effect, and
// each record is still written once.
func TestEveryCallOfTheStoreMayFailOnce(t *testing.T) {
	var calls atomic.Int64
	failAt := func(n int64) func(string, string, string) error {
		return func(method, bucket, key string) error {
			if calls.Add(1) == n {
				return errors.New("the store is out of order")
			}
			return nil
		}
	}
	for _, late := range []bool{false, true} {
		for n := int64(1); ; n++ {
			w := newWorld(t, echo).start()
			w.input("data/a.jsonl", lines(12))
			calls.Store(0)
			if late {
				w.folder.Late = failAt(n)
			} else {
				w.folder.Fault = failAt(n)
			}
			j := w.ended(w.submit(w.newJob("s3://in/data/a.jsonl")))
			w.tidied(j)
			w.exact(j, 12)
			if t.Failed() {
				t.Fatalf("after a fault of call %d (late: %v)", n, late)
			}
			_ = w.runner.Close()
			if calls.Load() < n {
				break
			}
		}
	}
}

// TestAStoreThatTakesNoAnswersIsWaitedFor, and no record is run again for it.
func TestAStoreThatTakesNoAnswersIsWaitedFor(t *testing.T) {
	var refused, asked atomic.Int64
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		asked.Add(1)
		return echo(ctx, row)
	})
	w.folder.Fault = func(method, _, key string) error {
		if method == "Put" && strings.Contains(key, ".parts/0") && refused.Add(1) <= 12 {
			return errors.New("the store is out of order")
		}
		return nil
	}
	w.start().input("data/a.jsonl", lines(30))
	j := w.ended(w.submit(w.newJob("s3://in/data/a.jsonl")))
	w.exact(j, 30)
	if asked.Load() != 30 {
		t.Errorf("%d records were run, want 30", asked.Load())
	}
}

// TestAnswersThatCannotBeSavedEndTheirChunk before its other records are run.
func TestAnswersThatCannotBeSavedEndTheirChunk(t *testing.T) {
	var asked atomic.Int64
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		if asked.Add(1) > 20 {
			<-ctx.Done()
			return nil, outcrop.Receipt{}, ctx.Err()
		}
		return echo(ctx, row)
	})
	w.options.ChunkRecords, w.options.PartRecords, w.options.PartTime = 2000, 5, time.Hour
	w.folder.Fault = func(method, _, key string) error {
		if method == "Put" && strings.Contains(key, ".parts/0") {
			return batch.ErrDenied
		}
		return nil
	}
	w.start().input("data/a.jsonl", lines(1000))
	if j := w.ended(w.submit(w.newJob("s3://in/data/a.jsonl"))); j.Status != outcrop.JobFailed || j.Message != "Access is denied: cannot write to s3://out/results/." {
		t.Errorf("%s %q", j.Status, j.Message)
	}
}

// TestOneChunkOfRecordsIsAtStakeAtMost, over all chunks that a model's jobs run.
func TestOneChunkOfRecordsIsAtStakeAtMost(t *testing.T) {
	var asked, most, saved atomic.Int64
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		if open := asked.Add(1) - saved.Load(); open > most.Load() {
			most.Store(open)
		}
		return echo(ctx, row)
	})
	w.options.ChunkRecords, w.options.PartTime, w.options.MaxLine = 200, time.Hour, 1<<20
	w.folder.Late = func(method, bucket, key string) error {
		if method == "Put" && strings.Contains(key, ".parts/0") {
			saved.Add(int64(strings.Count(w.read(bucket, key), "\n")))
		}
		return nil
	}
	w.start().input("data/a.jsonl", lines(2000))
	w.exact(w.ended(w.submit(w.newJob("s3://in/data/a.jsonl"))), 2000)
	if most.Load() > 200 {
		t.Errorf("%d records were run and not written", most.Load())
	}
}

// TestAPartThatIsRemovedFailsTheJob, since nothing brings it back.
func TestAPartThatIsRemovedFailsTheJob(t *testing.T) {
	w := newWorld(t, echo)
	w.folder.Fault = func(method, bucket, key string) error {
		if method == "Read" && strings.Contains(key, ".parts/0") {
			return batch.ErrNoObject
		}
		return nil
	}
	w.start()
	j := w.run(lines(3))
	if j.Status != outcrop.JobFailed || !strings.HasPrefix(j.Message, "The answers at s3://out/results/"+j.ARN.ID+"/.parts/") {
		t.Errorf("%s %q", j.Status, j.Message)
	}
	w.tidied(j)
}

// TestUploadsOfAJobAreEndedWithIt, however it ends, and those of others are not.
func TestUploadsOfAJobAreEndedWithIt(t *testing.T) {
	invoke, _, _ := blocking(12)
	w := newWorld(t, invoke).start()
	w.input("data/a.jsonl", lines(100))
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("twelve are answered", func() bool { return w.state(j).Counts.Succeeded == 12 })
	folder := "results/" + j.ARN.ID + "/"
	for _, key := range []string{folder + "a.jsonl.out", folder + "b.jsonl.out", "results/mine", "results/" + j.ARN.ID + "0/a.jsonl.out"} {
		if _, err := w.folder.Begin(t.Context(), "out", key); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.runner.Stop(t.Context(), j.ARN.ID); err != nil {
		t.Fatal(err)
	}
	w.ended(j)
	w.until("its uploads are ended", func() bool { return len(w.uploads("results/")) == 2 })
	if got := w.uploads("results/"); got[0].Key != "results/"+j.ARN.ID+"0/a.jsonl.out" || got[1].Key != "results/mine" {
		t.Errorf("there are %v", got)
	}
}

// TestWhatComesLateIsRemovedLater: the part of a server that did not know yet
// that its job had ended, and wrote it when the others had been removed.
func TestWhatComesLateIsRemovedLater(t *testing.T) {
	w := newWorld(t, echo)
	w.options.Late = time.Millisecond
	var late atomic.Int64
	w.folder.Fault = func(method, bucket, key string) error {
		if method == "Uploads" && strings.HasSuffix(key, "/") && late.Add(1) == 1 {
			return w.folder.Put(t.Context(), bucket, key+".parts/00000-00000000-000000-9.jsonl", []byte("late"), true)
		}
		return nil
	}
	w.start()
	j := w.run(lines(3))
	w.until("the part has come", func() bool { return late.Load() > 0 })
	w.tidied(j)
	w.exact(w.state(j), 3)
	if late.Load() < 2 {
		t.Error("it was removed the first time")
	}
}

// TestAnOutputThatBecomesReadOnly fails its job, and what was written stays where
// it is, without more tries than that.
func TestAnOutputThatBecomesReadOnly(t *testing.T) {
	var written atomic.Int64
	var deleted sync.Map // by key, how often
	w := newWorld(t, echo)
	j := w.newJob("s3://in/data/a.jsonl")
	w.folder.Fault = func(method, _, key string) error {
		switch {
		case !strings.Contains(key, ".parts/0"):
		case method == "Put" && written.Add(1) > 1:
			w.until("the first one counts", func() bool { return w.state(j).Counts.Processed() > 0 }) // else its writer removes it, too
			return batch.ErrDenied
		case method == "Delete":
			n, _ := deleted.LoadOrStore(key, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
			return batch.ErrDenied
		}
		return nil
	}
	w.start()
	w.input("data/a.jsonl", lines(30))
	if end := w.ended(w.submit(j)); end.Status != outcrop.JobFailed || end.Message != "Access is denied: cannot write to s3://out/results/." {
		t.Errorf("%s %q", end.Status, end.Message)
	}
	w.until("the job knows no more of its files", func() bool { return w.runner.Tidied(t.Context(), j.ARN.ID) })
	if parts := w.keys("out", "results/"); len(parts) != 1 {
		t.Errorf("it left %v", parts)
	}
	deleted.Range(func(key, n any) bool {
		if tries := n.(*atomic.Int64).Load(); tries != 1 {
			t.Errorf("%d tries to remove %v", tries, key)
		}
		return true
	})
}

// TestUploadsThatMayNotBeListed are no reason to fail.
func TestUploadsThatMayNotBeListed(t *testing.T) {
	w := newWorld(t, echo)
	w.folder.Fault = func(method, _, _ string) error {
		if method == "Uploads" {
			return batch.ErrDenied
		}
		return nil
	}
	w.start()
	w.exact(w.run(lines(3)), 3)
}

// TestTwoServersAndTurnsThatRunTwice share one database. Whatever is queued
// twice, by whomever, each record is written and paid for once.
func TestTwoServersAndTurnsThatRunTwice(t *testing.T) {
	slow := func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		return echo(ctx, row)
	}
	w := newWorld(t, slow)
	w.options.Server = "one"
	w.start()
	one := w.runner
	w.options.Server = "two"
	w.start()
	two := w.runner
	w.input("data/a.jsonl", lines(300))
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	for !w.state(j).Status.Ended() {
		for _, r := range []*batch.Runner{one, two} {
			if err := errors.Join(r.AgainChunks(t.Context()), r.AgainJob(t.Context(), j.ARN.ID)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.exact(w.state(j), 300)
	w.tidied(j)
}

// TestAccountsTakeTurns on one model, and a small job does not wait for a big
// one of its account.
func TestAccountsTakeTurns(t *testing.T) {
	var mu sync.Mutex
	var order []string
	gate := make(chan struct{})
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		<-gate
		mu.Lock()
		defer mu.Unlock()
		if name := row.Job.Name; len(order) == 0 || order[len(order)-1] != name {
			order = append(order, name)
		}
		return echo(ctx, row)
	})
	w.options.Chunks = 1
	w.start()
	w.input("big/a.jsonl", lines(1200))
	w.input("small/a.jsonl", lines(10))
	big, small, other := w.newJob("s3://in/big/a.jsonl"), w.newJob("s3://in/small/a.jsonl"), w.newJob("s3://in/big/a.jsonl")
	big.Name, small.Name, other.Name = "big", "small", "other"
	other.ARN.Account = "444455556666"
	w.submit(big)
	w.until("the big one runs", func() bool { return w.state(big).Status == outcrop.JobInProgress })
	for _, j := range []outcrop.Job{small, other} {
		w.submit(j)
		w.until("it is scheduled", func() bool { return w.state(j).Status == outcrop.JobScheduled })
	}
	close(gate)
	w.ended(small)
	w.until("both accounts had their turn again", func() bool { mu.Lock(); defer mu.Unlock(); return len(order) >= 6 })
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(order[:6], " "); got != "big other small other big other" {
		t.Errorf("the order was %s", got)
	}
}
