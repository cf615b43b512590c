package batch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/outcroptest"
)

func TestAJobFromRecordsToAnswers(t *testing.T) {
	w := newWorld(t, echo)
	w.options.Event = func(_ context.Context, e batch.Event) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
		return nil
	}
	w.start()
	j := w.run(lines(35))
	w.exact(j, 35)
	got := w.output(j, "a.jsonl.out")["r17"]
	if string(got.ModelInput) != `{"n":17}` || string(got.ModelOutput) != `{"echo":{"n":17}}` || got.Error != nil {
		t.Errorf("%+v", got)
	}
	w.tidied(j)
	if keys := w.keys("out", ""); !slices.Equal(keys, []string{"results/" + j.ARN.ID + "/a.jsonl.out", "results/" + j.ARN.ID + "/manifest.json.out"}) {
		t.Errorf("the output holds %v", keys)
	}
	statuses := func() []string {
		w.mu.Lock()
		defer w.mu.Unlock()
		all := map[string]bool{}
		for _, e := range w.events {
			all[string(e.Detail.Status)] = true
		}
		return slices.Sorted(maps.Keys(all))
	}
	w.until("all events are told", func() bool { return len(statuses()) == 5 })
	if got := strings.Join(statuses(), " "); got != "Completed InProgress Scheduled Submitted Validating" {
		t.Errorf("events of %s", got)
	}
	if e := w.events[0]; e.Source != "aws.bedrock" || e.DetailType != "Batch Inference Job State Change" || e.Resources[0] != j.ARN.String() || e.Detail.BatchJobName != j.Name {
		t.Errorf("%+v", e)
	}
}

func TestAPrefixOfFilesWithAllThatLinesCanHave(t *testing.T) {
	w := newWorld(t, echo).start()
	w.input("data/x/a.jsonl", "\xef\xbb\xbf"+`{"modelInput":{"n":1}}`+"\r\n\r\n   \n"+`{"recordId":"same","modelInput":{"n":2}}`)
	w.input("data/y/a.jsonl", `{"recordId":"same","modelInput":{"n":3}}`+"\n"+`{"modelInput":{"n":4}}`+"\n")
	w.input("data/notes.txt", "not a record")
	w.input("data/empty.jsonl", "")
	w.input("database/b.jsonl", lines(5))
	for _, uri := range []string{"s3://in/data", "s3://in/data/"} {
		j := w.ended(w.submit(w.newJob(uri)))
		if j.Status != outcrop.JobCompleted || j.Counts.Succeeded != 4 {
			t.Fatalf("%s %+v %s", j.Status, j.Counts, j.Message)
		}
		first, second := w.output(j, "x/a.jsonl.out"), w.output(j, "y/a.jsonl.out")
		if string(first["R0000000000"].ModelInput) != `{"n":1}` || string(first["same"].ModelInput) != `{"n":2}` ||
			string(second["same"].ModelInput) != `{"n":3}` || string(second["R0000000003"].ModelInput) != `{"n":4}` {
			t.Errorf("%s: %v %v", uri, first, second)
		}
	}
}

func TestJobsThatFailSayWhy(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no json", lines(3) + "oops\n", "Line 4 of s3://in/data/a.jsonl: the line is not a JSON object."},
		{"no modelInput", `{"recordId":"a"}`, "Line 1 of s3://in/data/a.jsonl: the record has no modelInput."},
		{"blank lines count", "\n\n[]\n", "Line 3 of s3://in/data/a.jsonl: the line is not a JSON object."},
		{"gzip", "\x1f\x8b\x08\x00junk", "The file is compressed with gzip; it must be plain JSON Lines: s3://in/data/a.jsonl"},
		{"long line", lines(1) + `{"modelInput":{"x":"` + strings.Repeat("x", 5000) + `"}}`, "Line 2 of s3://in/data/a.jsonl: the line is longer than 4000 bytes."},
		{"empty file", "", "There are no records in s3://in/data/a.jsonl."},
		{"blank file", " \n\n", "There are no records in s3://in/data/a.jsonl."},
		{"too many", lines(201), "The job has more than 200 records."},
		{"too few", lines(1), "The job has 1 records. It must have at least 2."},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, echo)
			w.options.MaxRecords, w.options.MinRecords = 200, 2
			w.start()
			j := w.run(c.text)
			if j.Status != outcrop.JobFailed || j.Message != c.want || j.Ended.IsZero() {
				t.Errorf("%s %q, want %q", j.Status, j.Message, c.want)
			}
			w.tidied(j)
			if left, err := w.runner.Enqueued(t.Context(), account); err != nil || left != 0 {
				t.Errorf("%d tokens are still enqueued: %v", left, err)
			}
			if keys := w.keys("out", ""); len(keys) > 0 {
				t.Errorf("it left %v", keys)
			}
		})
	}
}

func TestInputsAndOutputsThatCannotBeReached(t *testing.T) {
	w := newWorld(t, echo).start()
	w.input("data/a.jsonl", lines(3))
	w.input("other/notes.txt", "x")
	w.folder.Fault = func(method, bucket, key string) error {
		if bucket == "secret" || method == "Put" && strings.HasPrefix(key, "readonly/") {
			return fmt.Errorf("forbidden: %w", batch.ErrDenied)
		}
		return nil
	}
	for _, c := range []struct{ in, out, want string }{
		{"s3://in/none.jsonl", "s3://out/", "There is nothing at s3://in/none.jsonl."},
		{"s3://nobucket/a.jsonl", "s3://out/", "There is nothing at s3://nobucket/a.jsonl."},
		{"s3://in/other/", "s3://out/", "There is no file whose name ends with .jsonl under s3://in/other/."},
		{"s3://secret/a.jsonl", "s3://out/", "Access is denied: cannot read s3://secret/a.jsonl."},
		{"s3://secret/", "s3://out/", "Access is denied: cannot list s3://secret/."},
		{"s3://in/data/a.jsonl", "s3://out/readonly/", "Access is denied: cannot write to s3://out/readonly/."},
		{"s3://in/data/a.jsonl", "s3://nobucket/", "There is no bucket for s3://nobucket/."},
	} {
		j := w.newJob(c.in)
		j.Output.URI = c.out
		if j = w.ended(w.submit(j)); j.Status != outcrop.JobFailed || j.Message != c.want {
			t.Errorf("%s %q, want %q", j.Status, j.Message, c.want)
		}
	}
}

func TestRecordsFailAlone(t *testing.T) {
	calls := map[string]*atomic.Int64{"invalid": {}, "late": {}, "twice late": {}, "bug": {}}
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		for name, n := range calls {
			if !strings.Contains(string(row.Input), `"`+name+`"`) {
				continue
			}
			n := n.Add(1)
			switch {
			case name == "invalid":
				return nil, outcrop.Receipt{}, outcrop.Invalid("bad request")
			case name == "bug":
				return nil, outcrop.Receipt{}, errors.New("a secret")
			case name == "late" || n < 3:
				return nil, outcrop.Receipt{}, &outcrop.Error{Code: outcrop.CodeModelTimeout, Message: "The model took too long."}
			}
		}
		return echo(ctx, row)
	}).start()
	j := w.run(lines(5) + `{"recordId":"i","modelInput":{"p":"invalid"}}` + "\n" + `{"recordId":"l","modelInput":{"p":"late"}}` + "\n" +
		`{"recordId":"t","modelInput":{"p":"twice late"}}` + "\n" + `{"recordId":"b","modelInput":{"p":"bug"}}` + "\n")
	if j.Status != outcrop.JobCompleted || j.Counts != (outcrop.JobCounts{Total: 9, Succeeded: 6, Failed: 3}) || j.Usage.Input != 6*7 {
		t.Errorf("%s %+v %+v", j.Status, j.Counts, j.Usage)
	}
	out := w.output(j, "a.jsonl.out")
	for id, want := range map[string]string{"i": "400 bad request", "l": "408 The model took too long. (3 attempts)", "b": "500 The server encountered an internal error. (3 attempts)"} {
		if e := out[id].Error; e == nil || fmt.Sprintf("%d %s", e.ErrorCode, e.ErrorMessage) != want || out[id].ModelOutput != nil {
			t.Errorf("%s: %+v, want %s", id, e, want)
		}
	}
	if out["t"].Error != nil || calls["invalid"].Load() != 1 || calls["late"].Load() != 3 {
		t.Errorf("%+v, %d and %d calls", out["t"], calls["invalid"].Load(), calls["late"].Load())
	}
	if m := w.manifest(j); m["errorRecordCount"] != 3 || m["successRecordCount"] != 6 {
		t.Errorf("manifest %v", m)
	}
}

func TestAnEngineThatIsDownIsWaitedFor(t *testing.T) {
	var down atomic.Bool
	var refused atomic.Int64
	down.Store(true)
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		if down.Load() {
			refused.Add(1)
			return nil, outcrop.Receipt{}, &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "no engine"}
		}
		return echo(ctx, row)
	}).start()
	w.input("data/a.jsonl", lines(30))
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("the engine is asked again and again", func() bool { return refused.Load() > 20 })
	if now := w.state(j); now.Status != outcrop.JobInProgress || now.Counts.Processed() != 0 {
		t.Errorf("%s %+v", now.Status, now.Counts)
	}
	down.Store(false)
	w.exact(w.ended(j), 30)
}

func TestARecordThatKillsItsEngineIsGivenUp(t *testing.T) {
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		if strings.Contains(string(row.Input), "poison") {
			time.Sleep(20 * time.Millisecond) // others are answered meanwhile
			return nil, outcrop.Receipt{}, &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "the engine is gone"}
		}
		time.Sleep(5 * time.Millisecond)
		return echo(ctx, row)
	})
	w.options.ChunkRecords = 200
	w.start()
	j := w.run(`{"recordId":"p","modelInput":{"n":"poison"}}` + "\n" + lines(150))
	if j.Status != outcrop.JobCompleted || j.Counts.Failed != 1 || j.Counts.Succeeded != 150 {
		t.Errorf("%s %+v", j.Status, j.Counts)
	}
}

// blocking returns an invoker that answers so many records and lets the others
// wait until they are told to go on.
func blocking(answers int64) (invoke invokerFunc, goOn chan struct{}, asked *atomic.Int64) {
	goOn, asked = make(chan struct{}), &atomic.Int64{}
	return func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		if asked.Add(1) > answers {
			select {
			case <-goOn:
			case <-ctx.Done():
				return nil, outcrop.Receipt{}, context.Cause(ctx)
			}
		}
		return echo(ctx, row)
	}, goOn, asked
}

func TestAStoppedJobKeepsWhatIsDone(t *testing.T) {
	invoke, _, _ := blocking(12)
	w := newWorld(t, invoke).start()
	w.input("data/a.jsonl", lines(100))
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("twelve are answered", func() bool { return w.state(j).Counts.Succeeded == 12 })
	if parts := w.keys("out", "results/"+j.ARN.ID+"/.parts/"); len(parts) == 0 {
		t.Error("no answers can be read while the job runs")
	}
	if err := w.runner.Stop(t.Context(), j.ARN.ID); err != nil {
		t.Fatal(err)
	}
	j = w.ended(j)
	if j.Status != outcrop.JobStopped || j.Counts != (outcrop.JobCounts{Total: 100, Succeeded: 12}) || j.Usage.Output != 36 || j.Usage.Cost != 12*11 {
		t.Errorf("%s %+v %+v", j.Status, j.Counts, j.Usage)
	}
	if got := w.output(j, "a.jsonl.out"); len(got) != 12 {
		t.Errorf("%d records in the output", len(got))
	}
	if m := w.manifest(j); m["totalRecordCount"] != 100 || m["processedRecordCount"] != 12 {
		t.Errorf("manifest %v", m)
	}
	if left, err := w.runner.Enqueued(t.Context(), account); err != nil || left != 0 {
		t.Errorf("%d tokens still wait, %v", left, err)
	}
	w.tidied(j)
	if err := w.runner.Stop(t.Context(), j.ARN.ID); !errors.Is(err, outcrop.CodeConflict) {
		t.Errorf("stopping it again: %v", err)
	}
	if err := w.runner.Stop(t.Context(), "nosuchjob000"); !errors.Is(err, batch.ErrNoJob) {
		t.Errorf("stopping none: %v", err)
	}
}

func TestAJobWhoseTimeIsOver(t *testing.T) {
	invoke, _, _ := blocking(5)
	w := newWorld(t, invoke)
	w.options.Chunks = 1
	w.start()
	w.input("data/a.jsonl", lines(20))
	j := w.newJob("s3://in/data/a.jsonl")
	j.Expires = time.Now().Add(4 * time.Second)
	if j = w.ended(w.submit(j)); j.Status != outcrop.JobPartiallyCompleted || j.Counts.Succeeded != 5 || j.Message != "15 of 20 records were not processed before the job's timeout." {
		t.Errorf("%s %+v %q", j.Status, j.Counts, j.Message)
	}
	if got := w.output(j, "a.jsonl.out"); len(got) != 5 {
		t.Errorf("%d records in the output", len(got))
	}
	if left, err := w.runner.Enqueued(t.Context(), account); err != nil || left != 0 {
		t.Errorf("%d tokens are still enqueued: %v", left, err)
	}
}

// River takes work for dead after the time of rescue, and gives it to another
// one: the first must long have been told to stop.
func TestWorkEndsBeforeItIsTakenForDead(t *testing.T) {
	for _, turn := range []time.Duration{0, time.Second, time.Hour} {
		w := newWorld(t, echo)
		w.options.Turn = turn
		w.open()
		if o := &w.runner.Options; o.Timeout <= o.Turn || 2*o.Timeout >= o.Rescue {
			t.Errorf("turns of %v, time-out %v, rescue %v", o.Turn, o.Timeout, o.Rescue)
		}
	}
}

// Both places of the model are held: that of jobs which may wait, and that of
// those which hurry, as the last one does.
func TestAJobThatNeverStartedExpires(t *testing.T) {
	w := newWorld(t, func(ctx context.Context, _ *batch.Row) ([]byte, outcrop.Receipt, error) {
		<-ctx.Done()
		return nil, outcrop.Receipt{}, ctx.Err()
	})
	w.options.Chunks = 1
	w.start()
	w.input("data/a.jsonl", lines(20))
	calm, late, last := w.newJob("s3://in/data/a.jsonl"), w.newJob("s3://in/data/a.jsonl"), w.newJob("s3://in/data/a.jsonl")
	late.Submitted, late.Expires = late.Submitted.Add(-time.Hour), late.Submitted.Add(time.Minute)
	for _, j := range []outcrop.Job{calm, late} {
		w.submit(j)
		w.until("it has begun", func() bool { return w.state(j).Status == outcrop.JobInProgress })
	}
	last.Expires = time.Now().Add(time.Second)
	if j := w.ended(w.submit(last)); j.Status != outcrop.JobExpired || j.Message == "" || j.Counts.Processed() != 0 {
		t.Errorf("%s %q", j.Status, j.Message)
	}
}

func TestAnInputThatChangesFailsItsJob(t *testing.T) {
	invoke, goOn, _ := blocking(5)
	w := newWorld(t, invoke)
	w.options.Chunks = 1
	w.start()
	w.input("data/a.jsonl", lines(20))
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("five are answered", func() bool { return w.state(j).Counts.Succeeded == 5 })
	w.input("data/a.jsonl", lines(21))
	close(goOn)
	j = w.ended(j)
	if j.Status != outcrop.JobFailed || j.Message != "The input s3://in/data/a.jsonl was changed while the job ran." {
		t.Errorf("%s %q", j.Status, j.Message)
	}
	w.tidied(j)
}

func TestAJobGoesOnAfterARestart(t *testing.T) {
	invoke, goOn, asked := blocking(12)
	w := newWorld(t, invoke).start()
	w.input("data/a.jsonl", lines(100))
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("twelve are answered", func() bool { return w.state(j).Counts.Succeeded == 12 })
	if err := w.runner.Close(); err != nil {
		t.Fatal(err)
	}
	before := asked.Load()
	close(goOn)
	w.start()
	w.exact(w.ended(j), 100)
	if again := asked.Load() - before; again != 88 {
		t.Errorf("%d records were run after the restart, want 88", again)
	}
}

func TestMoreTokensThanMayWait(t *testing.T) {
	invoke, goOn, _ := blocking(0)
	w := newWorld(t, invoke)
	w.options.EnqueuedTokens = 30 * 600
	w.start()
	w.input("data/a.jsonl", lines(20))
	first := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("the first one runs", func() bool { return w.state(first).Status == outcrop.JobInProgress })
	second := w.ended(w.submit(w.newJob("s3://in/data/a.jsonl")))
	if second.Status != outcrop.JobFailed || !strings.Contains(second.Message, "more than the 18000 that may wait") {
		t.Errorf("%s %q", second.Status, second.Message)
	}
	close(goOn)
	w.exact(w.ended(first), 20)
	if j := w.ended(w.submit(w.newJob("s3://in/data/a.jsonl"))); j.Status != outcrop.JobCompleted {
		t.Errorf("once the first is through: %s %q", j.Status, j.Message)
	}
}

// TestLargeOutputsAreWrittenInParts that an S3 takes, with one of them as a
// leftover of an earlier try.
func TestLargeOutputsAreWrittenInParts(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	w := newWorld(t, func(_ context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		return fmt.Appendf(nil, `{"echo":%s,"x":%q}`, row.Input, long), echoed, nil
	})
	w.options.PartBytes = 3 << 20
	var completed atomic.Int64
	w.folder.Fault = func(method, _, _ string) error {
		if method == "Complete" && completed.Add(1) == 1 {
			return errors.New("the store is out of order")
		}
		return nil
	}
	w.start()
	j := w.run(lines(20))
	w.exact(j, 20)
	if completed.Load() != 2 {
		t.Errorf("%d uploads were completed", completed.Load())
	}
	if left, err := w.folder.Uploads(t.Context(), "out", "results/"+j.ARN.ID+"/a.jsonl.out"); err != nil || len(left) > 0 {
		t.Errorf("uploads are left: %v %v", left, err)
	}
}

// Work on a job that may wait stands still while others use the engines. It must
// not hold the places of one that may not.
func TestAJobThatHurriesDoesNotWaitForOthers(t *testing.T) {
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		if row.Hurry {
			return echo(ctx, row)
		}
		<-ctx.Done()
		return nil, outcrop.Receipt{}, ctx.Err()
	})
	w.options.Chunks = 1
	w.start()
	w.input("data/a.jsonl", lines(35))
	calm := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("the first job has begun", func() bool { return w.state(calm).Status == outcrop.JobInProgress })
	late := w.newJob("s3://in/data/a.jsonl")
	late.Submitted, late.Expires = late.Submitted.Add(-time.Hour), late.Submitted.Add(time.Minute)
	if j := w.ended(w.submit(late)); j.Status != outcrop.JobCompleted || j.Counts.Succeeded != 35 {
		t.Errorf("%s %+v", j.Status, j.Counts)
	}
}

// TestWhatAStoreRefusesForGoodFailsTheJob and does not have it wait for ever.
func TestWhatAStoreRefusesForGoodFailsTheJob(t *testing.T) {
	w := newWorld(t, echo).start()
	w.input("data/a.jsonl", lines(3))
	var refused string // the method that is refused
	w.folder.Fault = func(method, _, _ string) error {
		if method == refused {
			return fmt.Errorf("%w: %w", batch.ErrRefused, outcrop.Invalid("The key is too long."))
		}
		return nil
	}
	for _, c := range []struct{ method, in, want string }{
		{"Stat", "s3://in/data/a.jsonl", "The store refuses to read s3://in/data/a.jsonl. The key is too long."},
		{"List", "s3://in/data/", "The store refuses to list s3://in/data/. The key is too long."},
		{"Put", "s3://in/data/", "The store refuses to write to s3://out/results/. The key is too long."},
	} {
		refused = c.method
		if j := w.ended(w.submit(w.newJob(c.in))); j.Status != outcrop.JobFailed || j.Message != c.want {
			t.Errorf("%s: %s %q, want %q", c.method, j.Status, j.Message, c.want)
		}
	}
}

func TestAJobWhoseAnswersAreRemovedFails(t *testing.T) {
	invoke, goOn, _ := blocking(12)
	w := newWorld(t, invoke).start()
	w.input("data/a.jsonl", lines(100))
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("twelve are answered", func() bool { return w.state(j).Counts.Succeeded == 12 })
	first := w.keys("out", "results/"+j.ARN.ID+"/.parts/")[0]
	if err := w.folder.Delete(t.Context(), "out", first); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	j = w.ended(j)
	if j.Status != outcrop.JobFailed || j.Message != "The answers at s3://out/"+first+" were removed while the job ran." {
		t.Errorf("%s %q", j.Status, j.Message)
	}
	w.tidied(j)
}

// TestAnInputWithoutAnETagThatShrinksFailsItsJob as objects are that were put
// into the built-in store by hand.
func TestAnInputWithoutAnETagThatShrinksFailsItsJob(t *testing.T) {
	invoke, goOn, _ := blocking(5)
	w := newWorld(t, invoke)
	w.options.Chunks = 1
	w.options.Objects = func(string, string) batch.Objects { return bare{w.folder} }
	w.start()
	w.input("data/a.jsonl", lines(20))
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("five are answered", func() bool { return w.state(j).Counts.Succeeded == 5 })
	w.input("data/a.jsonl", lines(11))
	close(goOn)
	j = w.ended(j)
	if j.Status != outcrop.JobFailed || j.Message != "The input s3://in/data/a.jsonl was changed while the job ran." {
		t.Errorf("%s %q", j.Status, j.Message)
	}
}

// bare is a store that knows no ETags.
type bare struct{ *outcroptest.Folder }

func (b bare) Stat(ctx context.Context, bucket, key string) (batch.Object, error) {
	o, err := b.Folder.Stat(ctx, bucket, key)
	o.ETag = ""
	return o, err
}

// TestAJobDoesNotReadTheAnswersOfAnother that writes below its input.
func TestAJobDoesNotReadTheAnswersOfAnother(t *testing.T) {
	invoke, goOn, _ := blocking(12)
	w := newWorld(t, invoke).start()
	w.input("data/a.jsonl", lines(20))
	first, second := w.newJob("s3://in/data/"), w.newJob("s3://in/data/")
	first.Output.URI = "s3://in/data/"
	w.submit(first)
	w.until("twelve are answered", func() bool { return w.state(first).Counts.Succeeded == 12 })
	w.submit(second)
	w.until("the second one is validated", func() bool {
		return w.state(second).Status != outcrop.JobValidating && w.state(second).Status != outcrop.JobSubmitted
	})
	close(goOn)
	w.ended(first)
	w.exact(w.ended(second), 20)
}

// TestWorkIsTakenUpAtOnce and not when River looks for it the next time: a job
// of a thousand small files has a thousand chunks. With four at each look the
// sixty of this one would take fifteen looks; a few may be needed.
func TestWorkIsTakenUpAtOnce(t *testing.T) {
	w := newWorld(t, echo)
	w.options.Poll = 5 * time.Second
	w.start()
	for i := range 60 {
		w.input(fmt.Sprintf("data/%02d.jsonl", i), lines(1))
	}
	j := w.submit(w.newJob("s3://in/data/"))
	for end := time.Now().Add(9 * w.options.Poll); !w.state(j).Status.Ended(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still %+v", w.state(j).Counts)
		}
	}
	if j = w.state(j); j.Status != outcrop.JobCompleted || j.Counts.Succeeded != 60 {
		t.Errorf("%s %+v %q", j.Status, j.Counts, j.Message)
	}
}

// TestAnAnswerThatComesAfterTheFailureOfItsJob does not count, and its chunk
// is not held for ever: it would keep the job from being tidied up, and be one
// less that others can have.
func TestAnAnswerThatComesAfterTheFailureOfItsJob(t *testing.T) {
	answered, ended := make(chan struct{}), make(chan struct{})
	var asked, reads atomic.Int64
	w := newWorld(t, func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
		if asked.Add(1) > 3 {
			<-ended
		}
		return echo(ctx, row)
	})
	w.options.Chunks = 2
	w.folder.Fault = func(method, _, key string) error {
		if method == "Read" && key == "data/b.jsonl" && reads.Add(1) == 2 {
			<-answered
			return batch.ErrDenied
		}
		return nil
	}
	w.start()
	w.input("data/a.jsonl", lines(10))
	w.input("data/b.jsonl", lines(10))
	j := w.submit(w.newJob("s3://in/data/"))
	w.until("three are answered", func() bool { return w.state(j).Counts.Succeeded == 3 })
	close(answered)
	if j = w.ended(j); j.Status != outcrop.JobFailed {
		t.Fatalf("%s %q", j.Status, j.Message)
	}
	close(ended)
	w.tidied(j)
}
