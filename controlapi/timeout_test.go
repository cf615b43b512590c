package controlapi_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/outcroptest"
)

// A shift runs batch jobs while it is on, and knows of them while it is not. Of
// all records it answers seven, at 11 nano-dollars each, and is at the others
// for ever.
type shift struct {
	*batch.Runner
	options  batch.Options
	answered atomic.Int64
}

func (s *shift) Invoke(ctx context.Context, _ *batch.Row) ([]byte, outcrop.Receipt, error) {
	if s.answered.Add(1) > 7 {
		<-ctx.Done()
		return nil, outcrop.Receipt{}, context.Cause(ctx)
	}
	return []byte(`{}`), outcrop.Receipt{Usage: outcrop.Usage{Input: 7, Output: 3}, Cost: 11, Priced: true}, nil
}

// newShift is off. The file inbox/stuck.jsonl cannot be read.
func newShift(t *testing.T) (s *shift, folder *outcroptest.Folder) {
	t.Helper()
	folder = &outcroptest.Folder{Dir: t.TempDir()}
	for _, bucket := range []string{"inbox", "outbox"} {
		if err := os.Mkdir(filepath.Join(folder.Dir, bucket), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"a.jsonl", "stuck.jsonl"} {
		if err := folder.Put(t.Context(), "inbox", key, []byte(strings.Repeat(`{"modelInput":{}}`+"\n", 20)), true); err != nil {
			t.Fatal(err)
		}
	}
	folder.Fault = func(method, _, key string) error {
		if method == "Read" && key == "stuck.jsonl" {
			return errors.New("the store is out of order")
		}
		return nil
	}
	s = &shift{}
	s.options = batch.Options{Database: filepath.Join(t.TempDir(), "batch.db"), Objects: func(string, string) batch.Objects { return folder }, Invoker: s, Poll: 5 * time.Second}
	return s, folder
}

// during has the shift on until a moment.
func (s *shift) during(t *testing.T, until time.Time) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(until))
	s.shut(t)
	s.open(t)
}

func (s *shift) open(t *testing.T) {
	t.Helper()
	var err error
	if s.Runner, err = batch.Open(t.Context(), s.options); err != nil {
		t.Fatal(err)
	}
}

func (s *shift) shut(t *testing.T) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestAJobEndsWhenItsHoursAreOver also if the server was off for most of them,
// and not before: one that never started is expired, one of which something
// was done has that in its output and has paid for that.
func TestAJobEndsWhenItsHoursAreOver(t *testing.T) {
	s, folder := newShift(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s.open(t)
		defer func() { s.shut(t) }()
		f := openOffice(t, dir, controlapi.Options{Jobs: s})
		defer f.shut()
		on := func(key string, hours int) object {
			return object{"timeoutDurationInHours": hours, "inputDataConfig": object{"s3InputDataConfig": object{"s3Uri": "s3://inbox/" + key}},
				"outputDataConfig": object{"s3OutputDataConfig": object{"s3Uri": "s3://outbox/"}}}
		}
		start := time.Now()
		_, none := f.createJob(t, ana, "none", on("stuck.jsonl", 25))
		_, some := f.createJob(t, ana, "some", on("a.jsonl", 30))
		wants := func(id string, members object) {
			t.Helper()
			a := f.ask(t, ana, "GET", oneJob+id+"?outcropCost=true", nil)
			for k, want := range members {
				if got := a.body[k]; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("after %v its %s is %v, want %v", time.Since(start), k, got, want)
				}
			}
		}
		at := func(d time.Duration) string { return start.Add(d).UTC().Format("2006-01-02T15:04:05.000000Z") }
		s.during(t, start.Add(time.Minute))
		wants(none, object{"status": "Validating", "jobExpirationTime": at(25 * time.Hour)})
		wants(some, object{"status": "InProgress", "processedRecordCount": 7, "jobExpirationTime": at(30 * time.Hour)})
		time.Sleep(24*time.Hour + 58*time.Minute) // nobody works
		s.during(t, start.Add(25*time.Hour-time.Second))
		wants(none, object{"status": "Validating"})
		s.during(t, start.Add(25*time.Hour+30*time.Second))
		wants(none, object{"status": "Expired", "message": "The job did not start before its timeout.", "processedRecordCount": 0, "outcropCostUsd": nil})
		wants(some, object{"status": "InProgress"})
		time.Sleep(4*time.Hour + 58*time.Minute)
		s.during(t, start.Add(30*time.Hour-time.Second))
		wants(some, object{"status": "InProgress"})
		s.during(t, start.Add(30*time.Hour+30*time.Second))
		wants(some, object{"status": "PartiallyCompleted", "message": "13 of 20 records were not processed before the job's timeout.",
			"totalRecordCount": 20, "processedRecordCount": 7, "successRecordCount": 7, "errorRecordCount": 0, "outcropCostUsd": "0.000000077"})
		out, err := os.ReadFile(filepath.Join(folder.Dir, "outbox", some, "a.jsonl.out"))
		if n := strings.Count(string(out), `"modelOutput":{}}`+"\n"); err != nil || n != 7 || n != strings.Count(string(out), "\n") {
			t.Errorf("the output is %s; %v", out, err)
		}
		manifest, err := os.ReadFile(filepath.Join(folder.Dir, "outbox", some, batch.ManifestName))
		if want := `{"totalRecordCount":20,"processedRecordCount":7,"successRecordCount":7,"errorRecordCount":0,"inputTokenCount":49,"outputTokenCount":21}` + "\n"; string(manifest) != want {
			t.Errorf("the manifest is %s; %v", manifest, err)
		}
	})
}
