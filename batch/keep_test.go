package batch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
)

func TestNothingLooksForWorkWhileThereIsNone(t *testing.T) {
	w := newWorld(t, echo)
	w.options.Rest = time.Millisecond
	w.start()
	for range 3 {
		w.until("nothing runs", w.runner.Asleep)
		if j := w.run(lines(25)); j.Status != outcrop.JobCompleted || j.Counts.Succeeded != 25 {
			t.Fatalf("%s %+v %s", j.Status, j.Counts, j.Message)
		}
	}
}

func TestWorkThatIsLeftIsTakenUpAtTheStart(t *testing.T) {
	w := newWorld(t, echo)
	w.input("data/a.jsonl", lines(25))
	w.open()
	j := w.submit(w.newJob("s3://in/data/a.jsonl"))
	if err := w.runner.Close(); err != nil {
		t.Fatal(err)
	}
	w.start()
	if w.runner.Asleep() {
		t.Error("asleep, and there is a job")
	}
	if j = w.ended(j); j.Counts.Succeeded != 25 {
		t.Errorf("%s %+v %s", j.Status, j.Counts, j.Message)
	}
}

func TestWorkThatIsDueTomorrowIsDoneThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, echo)
		w.options.Poll, w.options.Rest = 5*time.Second, time.Second
		w.start()
		j := w.run(lines(3))
		folder := "results/" + j.ARN.ID + "/.parts/"
		time.Sleep(time.Hour)
		if !w.runner.Asleep() {
			t.Error("something runs")
		}
		if err := w.folder.Put(t.Context(), "out", folder+"late", []byte("late"), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(22 * time.Hour)
		if !w.runner.Asleep() || len(w.keys("out", folder)) != 1 {
			t.Errorf("too early: %v", w.keys("out", folder))
		}
		time.Sleep(2 * time.Hour)
		if !w.runner.Asleep() || len(w.keys("out", folder)) != 0 {
			t.Errorf("there are still %v", w.keys("out", folder))
		}
		if err := w.runner.Close(); err != nil {
			t.Error(err)
		}
	})
}
