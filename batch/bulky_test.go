package batch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
)

// A gauge counts how many files of an account are in the middle of a long line,
// which they leave only when released.
type gauge struct {
	mu      sync.Mutex
	now     map[string]int
	most    map[string]int
	release chan struct{}
}

func (g *gauge) add(account string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now[account] += n
	g.most[account] = max(g.most[account], g.now[account])
}

func (g *gauge) in(account string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now[account]
}

// gauged are the objects of an account, of which the long ones are on the gauge.
type gauged struct {
	batch.Objects
	account string
	gauge   *gauge
}

func (o gauged) Read(ctx context.Context, bucket, key, etag string, from, to int64) (io.ReadCloser, error) {
	body, err := o.Objects.Read(ctx, bucket, key, etag, from, to)
	if err != nil || bucket != "in" || to-from < 2<<20 {
		return body, err
	}
	all, err := io.ReadAll(body)
	_ = body.Close()
	return &slow{Reader: bytes.NewReader(all), of: o}, err
}

// A slow body waits in the middle of its long line.
type slow struct {
	*bytes.Reader
	of     gauged
	inside bool
}

func (s *slow) Read(p []byte) (int, error) {
	select {
	case <-s.of.gauge.release:
		return s.Reader.Read(p)
	default:
	}
	if !s.inside && s.Size()-int64(s.Len()) > 3<<19 {
		s.inside = true
		s.of.gauge.add(s.of.account, 1)
		<-s.of.gauge.release
	}
	return s.Reader.Read(p)
}

func (s *slow) Close() error {
	if s.inside {
		s.of.gauge.add(s.of.account, -1)
	}
	return nil
}

// TestLongLinesOfAnAccountWaitForEachOther and for nobody else's, and files
// without them wait for none.
func TestLongLinesOfAnAccountWaitForEachOther(t *testing.T) {
	const other = "444455556666"
	w := newWorld(t, echo)
	g := &gauge{now: map[string]int{}, most: map[string]int{}, release: make(chan struct{})}
	release := sync.OnceFunc(func() { close(g.release) })
	defer release()
	w.options.MaxLine = 4 << 20
	w.options.Objects = func(account, _ string) batch.Objects { return gauged{w.folder, account, g} }
	w.start()
	w.input("data/long.jsonl", fmt.Sprintf(`{"recordId":"r0","modelInput":{"n":%q}}`+"\n", strings.Repeat("x", 2<<20)))
	w.input("data/a.jsonl", lines(3))
	submit := func(account, key string) outcrop.Job {
		j := w.newJob("s3://in/data/" + key)
		j.ARN.Account = account
		return w.submit(j)
	}
	var long []outcrop.Job
	for range 6 {
		long = append(long, submit(account, "long.jsonl"))
	}
	w.until("four are being read", func() bool { return g.in(account) >= 4 })
	long = append(long, submit(other, "long.jsonl"))
	w.until("the other's is read beside them", func() bool { return g.in(other) == 1 })
	w.exact(w.ended(submit(account, "a.jsonl")), 3)
	release()
	for _, j := range long {
		if end := w.ended(j); end.Status != outcrop.JobCompleted || end.Counts.Succeeded != 1 {
			t.Errorf("%s %q", end.Status, end.Message)
		}
	}
	if g.most[account] != 4 || g.most[other] != 1 {
		t.Errorf("at most there were %v", g.most)
	}
}
