package batch_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/outcroptest/postgres"
)

// A thief takes over what the world works on, at one call of its store.
type thief struct {
	*world
	mu     sync.Mutex
	job    string
	calls  int
	at     int   // the call
	answer error // of the call
	rows   []string
	parts  []string
}

// fault implements outcroptest.Folder.Fault.
func (h *thief) fault(string, string, string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls++; h.calls != h.at {
		return nil
	}
	if err := h.runner.TakeOver(h.t.Context(), h.job); err != nil {
		h.t.Error(err)
	}
	h.rows, h.parts = h.stored(), h.keys("out", "results/"+h.job+"/.parts/")
	return h.answer
}

// wait has the thief take over a job at a call, and reports whether there was
// one.
func (h *thief) wait(job string, at int, answer error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.job, h.calls, h.at, h.answer, h.rows = job, 0, at, answer, nil
}

// came reports whether the thief has come.
func (h *thief) came() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rows != nil
}

func (w *world) stored() []string {
	w.t.Helper()
	rows, err := w.runner.Rows(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

// quiet waits until nothing is worked on any more.
func (w *world) quiet() {
	w.t.Helper()
	w.until("nothing is worked on", func() bool {
		n, err := w.runner.Working(w.t.Context())
		return n == 0 && err == nil
	})
}

// TestAnAttemptThatWasTakenOverWritesNothing whichever call of the store it was
// at, and though the store refuses it for good: what is stored stays as the
// other attempt found it, nothing is left in the folder, the turn counts as
// lost, and the job is as good as before.
func TestAnAttemptThatWasTakenOverWritesNothing(t *testing.T) {
	takenOver(t, newWorld(t, echo))
}

func TestOnPostgreSQLAnAttemptThatWasTakenOverWritesNothing(t *testing.T) {
	w := newWorld(t, echo)
	w.options.Database = postgres.Start(t)
	takenOver(t, w)
}

func takenOver(t *testing.T, w *world) {
	h := &thief{world: w}
	w.options.Metrics, w.folder.Fault = batch.NewMetrics(), h.fault
	w.options.Chunks, w.options.Poll = 100, 200*time.Millisecond // chunks that were taken over keep their places
	w.start().input("data/a.jsonl", lines(8))
	var stolen []outcrop.Job
	for _, answer := range []error{nil, batch.ErrDenied} {
		for at := 1; ; at++ {
			j := w.newJob("s3://in/data/a.jsonl")
			h.wait(j.ARN.ID, at, answer)
			w.submit(j)
			w.quiet()
			if !h.came() {
				break
			}
			stolen = append(stolen, j)
			h.check(len(stolen))
			if t.Failed() {
				t.Fatalf("it was taken over at call %d, answered with %v", at, answer)
			}
		}
	}
	if len(stolen) < 20 {
		t.Errorf("only %d calls were made", len(stolen))
	}
	h.wait("", 0, nil)
	goesOn(w, stolen)
}

// check checks what an attempt has left that was taken over, after so many.
func (h *thief) check(lost int) {
	h.t.Helper()
	if diff := cmp.Diff(h.rows, h.stored()); diff != "" {
		h.t.Errorf("(-stored when it was taken over +stored after that):\n%s", diff)
	}
	if n := turnsLost(h.world); n != float64(lost) {
		h.t.Errorf("%v turns were lost, want %d", n, lost)
	}
	for _, key := range h.keys("out", "results/"+h.job+"/.parts/") {
		if !slices.Contains(h.parts, key) {
			h.t.Errorf("it left %s", key)
		}
	}
}

// goesOn checks that jobs end well that were taken over.
func goesOn(w *world, jobs []outcrop.Job) {
	w.t.Helper()
	for _, j := range jobs {
		if err := w.runner.AgainJob(w.t.Context(), j.ARN.ID); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.runner.AgainChunks(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.quiet()
	for _, j := range jobs {
		w.exact(w.ended(j), 8)
	}
}

// turnsLost is the metric of turns that were lost.
func turnsLost(w *world) (n float64) {
	w.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(w.options.Metrics)
	families, err := registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "outcrop_batch_turns_lost_total" {
			n = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return n
}
