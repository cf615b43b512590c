package batch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/outcroptest"
)

const account = "111122223333"

// patience is how long a test waits for what must come; it never does unless it
// fails.
const patience = time.Minute

// invokerFunc is an Invoker.
type invokerFunc func(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error)

func (f invokerFunc) Invoke(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
	return f(ctx, row)
}

// echo answers each record with what it asks, for 7 tokens and 3, and 11
// nano-dollars.
func echo(_ context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
	return fmt.Appendf(nil, `{"echo":%s}`, row.Input), echoed, nil
}

var echoed = outcrop.Receipt{Usage: outcrop.Usage{Input: 7, Output: 3}, Cost: 11, Priced: true}

// A world is a store of objects with two buckets, and a runner on it.
type world struct {
	t       testing.TB
	folder  *outcroptest.Folder
	options batch.Options
	runner  *batch.Runner
	jobs    int

	mu     sync.Mutex
	events []batch.Event
}

func newWorld(t testing.TB, invoke invokerFunc) *world {
	w := &world{t: t, folder: &outcroptest.Folder{Dir: t.TempDir()}}
	for _, bucket := range []string{"in", "out"} {
		if err := os.MkdirAll(filepath.Join(w.folder.Dir, bucket), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.options = batch.Options{
		Database: filepath.Join(t.TempDir(), "batch.db"), Invoker: invoke,
		ChunkRecords: 10, Concurrency: 4, PartTime: 20 * time.Millisecond, Poll: 10 * time.Millisecond, MaxLine: 4000,
		Objects: func(string, string) batch.Objects { return w.folder },
	}
	return w
}

// open opens the world's runner.
func (w *world) open() {
	w.t.Helper()
	w.options.Log = slog.New(slog.NewTextHandler(testWriter{w.t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	r, err := batch.Open(w.t.Context(), w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	w.runner = r
	w.t.Cleanup(func() { _ = r.Close() })
}

// start opens and starts the world's runner.
func (w *world) start() *world {
	w.t.Helper()
	w.open()
	if err := w.runner.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// testWriter writes a log to a test as long as that runs.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Logf("%s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

// input writes a file of records.
func (w *world) input(key, text string) {
	w.t.Helper()
	if err := w.folder.Put(w.t.Context(), "in", key, []byte(text), false); err != nil {
		w.t.Fatal(err)
	}
}

// lines is a file of n records.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"recordId":"r%d","modelInput":{"n":%d}}`+"\n", i, i)
	}
	return b.String()
}

// newJob returns a job on the input that nobody was told of yet.
func (w *world) newJob(uri string) outcrop.Job {
	w.jobs++
	return lifecycle.SubmitJob(outcrop.Job{
		ARN:  outcrop.ARN{Partition: "aws", Service: "bedrock", Region: "us-east-1", Account: account, Type: "model-invocation-job", ID: fmt.Sprintf("job%09d", w.jobs)},
		Name: fmt.Sprintf("job-%d", w.jobs), Model: "maker.model-v1:0", Kind: outcrop.OpInvokeModel,
		Input: outcrop.JobData{URI: uri}, Output: outcrop.JobData{URI: "s3://out/results/"},
	}, time.Now())
}

func (w *world) submit(j outcrop.Job) outcrop.Job {
	w.t.Helper()
	if err := w.runner.Submit(w.t.Context(), j); err != nil {
		w.t.Fatal(err)
	}
	return j
}

// run submits a job on a file and waits for its end.
func (w *world) run(text string) outcrop.Job {
	w.t.Helper()
	w.input("data/a.jsonl", text)
	return w.ended(w.submit(w.newJob("s3://in/data/a.jsonl")))
}

// state returns the job as it is now.
func (w *world) state(j outcrop.Job) outcrop.Job {
	w.t.Helper()
	all, err := w.runner.States(w.t.Context(), []string{j.ARN.ID})
	if err != nil || len(all) != 1 {
		w.t.Fatalf("%d jobs, %v", len(all), err)
	}
	return all[0]
}

// until waits for what must come to be.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("still not: %s", what)
		}
	}
}

func (w *world) ended(j outcrop.Job) outcrop.Job {
	w.t.Helper()
	w.until("the job has ended", func() bool { return w.state(j).Status.Ended() })
	return w.state(j)
}

// tidied waits until a job has left nothing but its output.
func (w *world) tidied(j outcrop.Job) {
	w.t.Helper()
	w.until("the parts are gone", func() bool { return len(w.keys("out", "results/"+j.ARN.ID+"/.parts/")) == 0 })
}

func (w *world) keys(bucket, prefix string) (all []string) {
	w.t.Helper()
	for from := ""; ; {
		page, next, err := (&outcroptest.Folder{Dir: w.folder.Dir}).List(context.Background(), bucket, prefix, from)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range page {
			all = append(all, o.Key)
		}
		if from = next; from == "" {
			return all
		}
	}
}

// uploads returns those that were begun and not ended.
func (w *world) uploads(prefix string) []batch.Upload {
	w.t.Helper()
	all, err := (&outcroptest.Folder{Dir: w.folder.Dir}).Uploads(context.Background(), "out", prefix)
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b batch.Upload) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// read returns an object.
func (w *world) read(bucket, key string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.folder.Dir, bucket, key))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// An outcome is a line of an output.
type outcome struct {
	RecordID    string          `json:"recordId"`
	ModelInput  json.RawMessage `json:"modelInput"`
	ModelOutput json.RawMessage `json:"modelOutput"`
	Error       *struct {
		ErrorCode    int    `json:"errorCode"`
		ErrorMessage string `json:"errorMessage"`
	} `json:"error"`
}

// output returns the lines of a job's output by record id; no id may stand
// twice.
func (w *world) output(j outcrop.Job, name string) map[string]outcome {
	w.t.Helper()
	all := map[string]outcome{}
	for line := range strings.Lines(w.read("out", "results/"+j.ARN.ID+"/"+name)) {
		var o outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		if _, twice := all[o.RecordID]; twice {
			w.t.Fatalf("%s stands twice", o.RecordID)
		}
		all[o.RecordID] = o
	}
	return all
}

// manifest returns the manifest of a job.
func (w *world) manifest(j outcrop.Job) map[string]int64 {
	w.t.Helper()
	var m map[string]int64
	if err := json.Unmarshal([]byte(w.read("out", "results/"+j.ARN.ID+"/"+batch.ManifestName)), &m); err != nil {
		w.t.Fatal(err)
	}
	return m
}

// exact checks that every one of n records was answered, written and paid for
// once.
func (w *world) exact(j outcrop.Job, n int64) {
	w.t.Helper()
	if got := w.output(j, "a.jsonl.out"); int64(len(got)) != n {
		w.t.Errorf("%d records in the output, want %d", len(got), n)
	}
	want := outcrop.JobCounts{Total: n, Succeeded: n}
	if j.Status != outcrop.JobCompleted || j.Counts != want || j.Usage != (outcrop.JobUsage{Input: 7 * n, Output: 3 * n, Cost: outcrop.NanoDollars(11 * n)}) {
		w.t.Errorf("%s %+v %+v %q", j.Status, j.Counts, j.Usage, j.Message)
	}
	w.settled(j)
}

// settled checks that the manifest of a job says the same as the job, and that
// nothing of it waits.
func (w *world) settled(j outcrop.Job) {
	w.t.Helper()
	want := map[string]int64{"totalRecordCount": j.Counts.Total, "processedRecordCount": j.Counts.Processed(), "successRecordCount": j.Counts.Succeeded,
		"errorRecordCount": j.Counts.Failed, "inputTokenCount": j.Usage.Input + j.Usage.CacheRead + j.Usage.CacheWrite, "outputTokenCount": j.Usage.Output}
	if got := w.manifest(j); !maps.Equal(got, want) {
		w.t.Errorf("the manifest says %v, want %v", got, want)
	}
	if left, err := w.runner.Enqueued(context.Background(), account); err != nil || left != 0 {
		w.t.Errorf("%d tokens wait after the end, %v", left, err)
	}
}
