package batch_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
)

// A reader notes from where files are read, and reads no further than so far
// at a time, unless that is 0.
type reader struct {
	batch.Objects
	most  int64
	mu    sync.Mutex
	froms []int64
}

func (r *reader) Read(ctx context.Context, bucket, key, etag string, from, to int64) (io.ReadCloser, error) {
	r.mu.Lock()
	r.froms = append(r.froms, from)
	r.mu.Unlock()
	body, err := r.Objects.Read(ctx, bucket, key, etag, from, to)
	if err != nil || r.most == 0 || to-from <= r.most {
		return body, err
	}
	return torn{io.MultiReader(io.LimitReader(body, r.most), iotest.ErrReader(io.ErrUnexpectedEOF)), body}, nil
}

// torn is a body that ends too early.
type torn struct {
	io.Reader
	io.Closer
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

func TestAFileOfAStoreThatBreaksOffIsTakenUpWhereItWasLeft(t *testing.T) {
	w := newWorld(t, echo)
	objects := &reader{Objects: w.folder, most: 1500}
	w.options.Objects = func(string, string) batch.Objects { return objects }
	if j := w.start().run(lines(95)); j.Status != outcrop.JobCompleted {
		t.Fatalf("%s %s", j.Status, j.Message)
	} else {
		w.exact(j, 95)
	}
	for i, from := range objects.froms[1:3] {
		if from <= objects.froms[i] {
			t.Errorf("it was read from %v", objects.froms[:4])
		}
	}
}

func TestManySmallFilesAreLookedThroughInTurns(t *testing.T) {
	w, _ := hasty(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		w.input("many/"+name+".jsonl", lines(5))
	}
	w.input("many/e.jsonl", "oops")
	if j := w.ended(w.submit(w.newJob("s3://in/many/"))); j.Message != "Line 1 of s3://in/many/e.jsonl: the line is not a JSON object." {
		t.Errorf("%s %q", j.Status, j.Message)
	}
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
