package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/outcroptest"
)

// A writer is a store that notes the uploads of an output.
type writer struct {
	*outcroptest.Folder
	// before is called before a part is written; again tells that this was
	// tried before. An error is that of the call.
	before  func(ctx context.Context, n int, upload string, again bool) error
	mu      sync.Mutex
	uploads int
	parts   []int // in the order in which they were written
}

func (w *writer) Begin(ctx context.Context, bucket, key string) (string, error) {
	w.mu.Lock()
	w.uploads++
	w.mu.Unlock()
	return w.Folder.Begin(ctx, bucket, key)
}

func (w *writer) Part(ctx context.Context, bucket, key, upload string, n int, body []byte) (string, error) {
	w.mu.Lock()
	again := slices.Contains(w.parts, n)
	w.parts = append(w.parts, n)
	w.mu.Unlock()
	if err := w.before(ctx, n, upload, again); err != nil {
		return "", err
	}
	return w.Folder.Part(ctx, bucket, key, upload, n, body)
}

// written checks how many uploads there were, and which parts were written in
// turn.
func (w *writer) written(t *testing.T, uploads int, parts ...int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.uploads != uploads || !slices.Equal(w.parts, parts) {
		t.Errorf("parts %v were written in %d uploads, want %v in %d", w.parts, w.uploads, parts, uploads)
	}
}

// aTurn is how long the turns of these tests are.
const aTurn = time.Minute

// assembling has f look on, in virtual time, how a job is brought to its end
// whose output has four parts.
func assembling(t *testing.T, f func(t *testing.T, w *world, store *writer, j outcrop.Job)) {
	long := strings.Repeat("x", 1<<20)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
			return fmt.Appendf(nil, `{"echo":%s,"x":%q}`, row.Input, long), echoed, nil
		})
		store := &writer{Folder: w.folder}
		w.options.Objects = func(string, string) batch.Objects { return store }
		w.options.PartBytes, w.options.PartTime, w.options.Poll, w.options.Turn = 3<<20, time.Second, 5*time.Second, aTurn
		w.open()
		w.input("data/a.jsonl", lines(30))
		f(t, w, store, w.submit(w.newJob("s3://in/data/a.jsonl")))
		if err := w.runner.Close(); err != nil {
			t.Error(err)
		}
	})
}

// goes starts the work and waits until the job has ended, as it should.
func (w *world) goes(j outcrop.Job) {
	w.t.Helper()
	if err := w.runner.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.endsWell(j)
}

func (w *world) endsWell(j outcrop.Job) {
	w.t.Helper()
	for range 100 {
		if time.Sleep(aTurn / 4); w.state(j).Status.Ended() {
			break
		}
	}
	w.exact(w.state(j), 30)
}

// soon is what comes out of ch within a hundred turns.
func soon[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(100 * aTurn):
		t.Fatal("it does not come to that")
	}
	return v
}

// TestALargeOutputGoesOnWhereItWasLeft with each turn, of which each has time
// for one part.
func TestALargeOutputGoesOnWhereItWasLeft(t *testing.T) {
	assembling(t, func(t *testing.T, w *world, store *writer, j outcrop.Job) {
		store.before = func(_ context.Context, n int, upload string, _ bool) error {
			rows := strings.Join(w.stored(), "\n")
			if kept := strings.Count(rows, "part-"); kept != n-1 || n > 1 && !strings.Contains(rows, upload) {
				t.Errorf("%d parts are stored before part %d is written to %s:\n%s", kept, n, upload, rows)
			}
			time.Sleep(aTurn + time.Second)
			return nil
		}
		w.goes(j)
		store.written(t, 1, 1, 2, 3, 4)
		w.tidied(j)
	})
}

// TestALargeOutputGoesOnAfterARestart though the server was stopped in the middle
// of a turn.
func TestALargeOutputGoesOnAfterARestart(t *testing.T) {
	assembling(t, func(t *testing.T, w *world, store *writer, j outcrop.Job) {
		reached := make(chan struct{})
		store.before = func(ctx context.Context, n int, _ string, again bool) error {
			if n != 3 || again {
				return nil
			}
			close(reached)
			<-ctx.Done() // as calls are whose server ends
			return ctx.Err()
		}
		if err := w.runner.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		soon(t, reached)
		if err := w.runner.Close(); err != nil {
			t.Fatal(err)
		}
		w.open()
		w.goes(j)
		store.mu.Lock()
		defer store.mu.Unlock()
		if before, after := store.parts[:3], store.parts[3:]; store.uploads != 1 || !slices.Equal(before, []int{1, 2, 3}) || slices.Min(after) < 3 {
			t.Errorf("parts %v were written in %d uploads, and %v after the restart", before, store.uploads, after)
		}
	})
}

// TestAFaultOfAPartCostsThatPart, and no more.
func TestAFaultOfAPartCostsThatPart(t *testing.T) {
	assembling(t, func(t *testing.T, w *world, store *writer, j outcrop.Job) {
		store.before = func(_ context.Context, n int, _ string, again bool) error {
			if n > 1 && !again {
				return errors.New("the store is out of order")
			}
			return nil
		}
		w.goes(j)
		store.written(t, 1, 1, 2, 2, 3, 3, 4, 4)
	})
}

// TestAnUploadThatWasEndedIsBegunAnew whoever ended it.
func TestAnUploadThatWasEndedIsBegunAnew(t *testing.T) {
	assembling(t, func(t *testing.T, w *world, store *writer, j outcrop.Job) {
		store.before = func(ctx context.Context, n int, upload string, again bool) error {
			if n == 3 && !again {
				return store.Abort(ctx, "out", "results/"+j.ARN.ID+"/a.jsonl.out", upload)
			}
			time.Sleep(aTurn + time.Second)
			return nil
		}
		w.goes(j)
		store.written(t, 2, 1, 2, 3, 1, 2, 3, 4)
		w.tidied(j)
	})
}

// TestAnAttemptThatWasTakenOverKeepsNoUpload: how far it came is not stored, and
// the upload is left to the other attempt.
func TestAnAttemptThatWasTakenOverKeepsNoUpload(t *testing.T) {
	for _, fault := range []error{nil, errors.New("the store is out of order")} {
		assembling(t, func(t *testing.T, w *world, store *writer, j outcrop.Job) {
			taken := make(chan []string, 1)
			store.before = func(ctx context.Context, n int, _ string, again bool) error {
				if time.Sleep(aTurn + time.Second); n != 3 || again {
					return nil
				}
				if err := w.runner.TakeOver(ctx, j.ARN.ID); err != nil {
					t.Error(err)
				}
				taken <- w.stored()
				return fault
			}
			if err := w.runner.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			rows := soon(t, taken)
			w.quiet()
			if diff := cmp.Diff(rows, w.stored()); diff != "" {
				t.Errorf("(-stored when it was taken over +stored after that):\n%s", diff)
			}
			if err := w.runner.AgainJob(t.Context(), j.ARN.ID); err != nil {
				t.Fatal(err)
			}
			w.endsWell(j)
			store.written(t, 1, 1, 2, 3, 3, 4)
		})
	}
}
