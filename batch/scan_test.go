package batch_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
)

// A reader notes from where files are read.
type reader struct {
	batch.Objects
	mu    sync.Mutex
	froms []int64
}

func (r *reader) Read(ctx context.Context, bucket, key, etag string, from, to int64) (io.ReadCloser, error) {
	r.mu.Lock()
	r.froms = append(r.froms, from)
	r.mu.Unlock()
	return r.Objects.Read(ctx, bucket, key, etag, from, to)
}

// hasty is a world whose turns are over as soon as something was done.
func hasty(t *testing.T) (*world, *reader) {
	w := newWorld(t, echo)
	objects := &reader{Objects: w.folder}
	w.options.Objects = func(string, string) batch.Objects { return objects }
	w.options.Turn, w.options.Timeout = time.Nanosecond, time.Minute
	return w.start(), objects
}

func TestAFileIsLookedThroughInTurns(t *testing.T) {
	w, objects := hasty(t)
	text := "\xef\xbb\xbf" + strings.ReplaceAll(lines(95), "\n", "\n\n")
	w.input("data/a.jsonl", text)
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("the job is scheduled", func() bool {
		s := w.state(j).Status
		return s != outcrop.JobSubmitted && s != outcrop.JobValidating
	})
	if err := w.runner.Close(); err != nil {
		t.Fatal(err)
	}
	objects.mu.Lock()
	froms := objects.froms[:10]
	objects.mu.Unlock()
	for i, from := range froms {
		if want := 2 * i * 10; i > 0 && strings.Count(text[:from], "\n") != want-1 {
			t.Errorf("turn %d begins after %d lines, want %d", i, strings.Count(text[:from], "\n"), want-1)
		}
	}
	w.options.Turn = time.Minute
	w.start()
	if j = w.ended(j); j.Status != outcrop.JobCompleted {
		t.Fatalf("%s %s", j.Status, j.Message)
	}
	w.exact(j, 95)
}

func TestALineAtFaultIsCountedFromTheBeginningOfItsFile(t *testing.T) {
	w, _ := hasty(t)
	for _, c := range []struct{ text, want string }{
		{strings.ReplaceAll(lines(34), "\n", "\n\n") + "oops\n", "Line 69 of s3://in/data/a.jsonl: the line is not a JSON object."},
		{lines(34) + strings.Repeat("x", 5000), "Line 35 of s3://in/data/a.jsonl: the line is longer than 4000 bytes."},
	} {
		if j := w.run(c.text); j.Status != outcrop.JobFailed || j.Message != c.want {
			t.Errorf("%s %q, want %q", j.Status, j.Message, c.want)
		}
	}
}
