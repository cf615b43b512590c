package batch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/outcroptest/postgres"
)

func TestOnPostgreSQLAJobRunsGoesOnAndStops(t *testing.T) {
	invoke, goOn, _ := blocking(12)
	w := newWorld(t, invoke)
	w.options.Database = postgres.Start(t)
	w.start()
	w.input("data/a.jsonl", lines(100))
	stopped, j := w.newJob("s3://in/data/a.jsonl"), w.newJob("s3://in/data/a.jsonl")
	w.submit(stopped)
	w.until("twelve are answered", func() bool { return w.state(stopped).Counts.Succeeded == 12 })
	if err := w.runner.Stop(t.Context(), stopped.ARN.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.ended(stopped); got.Status != "Stopped" || got.Counts.Succeeded != 12 {
		t.Errorf("%s %+v", got.Status, got.Counts)
	}
	w.submit(j)
	w.until("it runs", func() bool { return w.state(j).Status == "InProgress" })
	if err := w.runner.Close(); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	w.start()
	w.exact(w.ended(j), 100)
	if bad := w.run("oops"); bad.Status != "Failed" || !strings.HasPrefix(bad.Message, "Line 1 of") {
		t.Errorf("%s %q", bad.Status, bad.Message)
	}
}

// TestOnPostgreSQLTwoServersAreKilled at random, as often as OUTCROP_KILLS
// says, and each record is there once.
func TestOnPostgreSQLTwoServersAreKilled(t *testing.T) {
	n, kills := number("OUTCROP_KILL_RECORDS", 3000), number("OUTCROP_KILLS", 3)
	w := newWorld(t, echo)
	w.options = killed(w.folder.Dir, postgres.Start(t), "parent")
	killing(t, w, n, kills, []string{"one", "two"})
}

// TestOnPostgreSQLAnotherServerTakesOver what one left that never comes back.
func TestOnPostgreSQLAnotherServerTakesOver(t *testing.T) {
	if number("OUTCROP_RESCUE", 0) == 0 {
		t.Skip("takes a minute: set OUTCROP_RESCUE=1")
	}
	w := newWorld(t, echo)
	w.options = killed(w.folder.Dir, postgres.Start(t), "two")
	w.input("data/a.jsonl", lines(20_000))
	kill := spawn(t, w.folder.Dir, w.options.Database, "one")
	defer kill()
	r, err := batch.Open(t.Context(), w.options)
	if err != nil {
		t.Fatal(err)
	}
	w.runner = r
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	w.until("it runs", func() bool { return w.state(j).Counts.Succeeded > 1000 })
	kill()
	_ = r.Close()
	w.start()
	for end := time.Now().Add(3 * time.Minute); !w.state(j).Status.Ended(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(fmt.Sprint("not taken over: ", w.state(j)))
		}
	}
	w.tidied(j)
	w.billed(w.state(j), 20_000)
}
