package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/lifecycle"
)

var jobARN = outcrop.ARN{Partition: "aws", Service: "bedrock", Region: "us-east-1", Account: "111122223333", Type: "model-invocation-job", ID: "abcdefghij12"}

func submitted(hours int) outcrop.Job {
	return lifecycle.SubmitJob(outcrop.Job{ARN: jobARN, Name: "j", Named: outcrop.JobNamed{Hours: hours}}, start)
}

// after returns a job to which the events happened, a second apart.
func after(t *testing.T, events ...lifecycle.JobEvent) outcrop.Job {
	t.Helper()
	j, err := submitted(0), error(nil)
	for i, e := range events {
		if j, err = lifecycle.NextJob(j, e, "", start.Add(time.Duration(i+1)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func TestAJobThatRunsToItsEnd(t *testing.T) {
	j := submitted(0)
	if !j.Submitted.Equal(start.Truncate(time.Microsecond)) || !j.Expires.Equal(j.Submitted.Add(24*time.Hour)) || !j.Ended.IsZero() {
		t.Errorf("submitted %+v", j)
	}
	if long := submitted(168); !long.Expires.Equal(long.Submitted.Add(7 * 24 * time.Hour)) {
		t.Errorf("expires %v", long.Expires)
	}
	j = after(t, lifecycle.JobValidate, lifecycle.JobSchedule, lifecycle.JobStart, lifecycle.JobComplete)
	if j.Status != outcrop.JobCompleted || !j.Ended.Equal(j.Modified) || !j.Ended.After(j.Submitted) || j.Message != "" {
		t.Errorf("%+v", j)
	}
}

func TestWhereEachEventLeads(t *testing.T) {
	const v, s, r = lifecycle.JobValidate, lifecycle.JobSchedule, lifecycle.JobStart
	for _, c := range []struct {
		events []lifecycle.JobEvent
		want   outcrop.JobStatus
	}{
		{[]lifecycle.JobEvent{lifecycle.JobRunOut}, outcrop.JobExpired},
		{[]lifecycle.JobEvent{v, lifecycle.JobRunOut}, outcrop.JobExpired},
		{[]lifecycle.JobEvent{v, s, lifecycle.JobRunOut}, outcrop.JobExpired},
		{[]lifecycle.JobEvent{v, s, r, lifecycle.JobRunOut}, outcrop.JobPartiallyCompleted},
		{[]lifecycle.JobEvent{v, lifecycle.JobFail}, outcrop.JobFailed},
		{[]lifecycle.JobEvent{v, s, r, lifecycle.JobFail}, outcrop.JobFailed},
		{[]lifecycle.JobEvent{lifecycle.JobStop, lifecycle.JobHalt}, outcrop.JobStopped},
		{[]lifecycle.JobEvent{v, s, r, lifecycle.JobStop, lifecycle.JobFail}, outcrop.JobStopped},
		{[]lifecycle.JobEvent{v, v, s, s, r, r}, outcrop.JobInProgress},
		{[]lifecycle.JobEvent{lifecycle.JobStop, lifecycle.JobStop}, outcrop.JobStopping},
	} {
		if j := after(t, c.events...); j.Status != c.want {
			t.Errorf("%v: %s, want %s", c.events, j.Status, c.want)
		}
	}
}

func TestAJobThatHasEndedIsNotStopped(t *testing.T) {
	_, err := lifecycle.NextJob(after(t, lifecycle.JobFail), lifecycle.JobStop, "", start)
	wantCode(t, err, outcrop.CodeConflict)
	_, err = lifecycle.NextJob(submitted(0), lifecycle.JobComplete, "", start)
	wantCode(t, err, outcrop.CodeInternal)
}

func TestALongReasonIsCut(t *testing.T) {
	j, err := lifecycle.NextJob(submitted(0), lifecycle.JobFail, strings.Repeat("ü", 5000), start)
	if err != nil || len([]rune(j.Message)) != 2048 {
		t.Errorf("%d characters, %v", len([]rune(j.Message)), err)
	}
}

// rank is how far a job has come; it never goes back.
func rank(s outcrop.JobStatus) int {
	switch s {
	case outcrop.JobSubmitted:
		return 0
	case outcrop.JobValidating:
		return 1
	case outcrop.JobScheduled:
		return 2
	case outcrop.JobInProgress:
		return 3
	case outcrop.JobStopping:
		return 4
	}
	return 5
}

func TestJobsOnlyGoForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j, now := submitted(rapid.IntRange(0, 168).Draw(t, "hours")), start
		events := []lifecycle.JobEvent{lifecycle.JobValidate, lifecycle.JobSchedule, lifecycle.JobStart, lifecycle.JobComplete,
			lifecycle.JobRunOut, lifecycle.JobFail, lifecycle.JobStop, lifecycle.JobHalt}
		for range 12 {
			now = now.Add(time.Duration(rapid.Int64Range(-1e9, 1e9).Draw(t, "passes")))
			next, err := lifecycle.NextJob(j, rapid.SampledFrom(events).Draw(t, "event"), "why", now)
			switch {
			case err != nil && next.Status != j.Status, next.Status == j.Status && next.Modified != j.Modified:
				t.Fatalf("a refusal changed %+v to %+v", j, next)
			case rank(next.Status) < rank(j.Status), j.Status.Ended() && next.Status != j.Status, next.Modified.Before(j.Modified):
				t.Fatalf("went back from %+v to %+v", j, next)
			case next.Status.Ended() == next.Ended.IsZero():
				t.Fatalf("%s ended at %v", next.Status, next.Ended)
			}
			j = next
		}
	})
}
