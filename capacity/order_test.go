package capacity_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
)

// TestATokenThatHasComeIsNotTakenBack when the same moment has the engine
// judged anew and lets a high request start that would take the engine. The
// moments meet by chance, so that it is tried often.
func TestATokenThatHasComeIsNotTakenBack(t *testing.T) {
	for range 30 {
		synctest.Test(t, meetingMoments)
	}
}

func meetingMoments(t *testing.T) {
	e := &engine{}
	e.run = func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		switch req.ID {
		case "decoding":
			return answers(time.Millisecond, 40*time.Millisecond, 100_000).run(ctx, req, out)
		case "read":
			return answers(100*time.Millisecond, 10*time.Millisecond, 50).run(ctx, req, out)
		}
		return answers(10*time.Millisecond, 10*time.Millisecond, 5).run(ctx, req, out)
	}
	p := pool(t, capacity.Config{Terms: func(r *outcrop.Request) capacity.Terms {
		if r.ID == "expires" {
			return capacity.Terms{MaxWait: 100 * time.Millisecond}
		}
		return capacity.Terms{}
	}}, small(10), e)
	ask := func(ctx context.Context, id string, class outcrop.Class, input, output int) {
		r := request(class, id, input, output)
		r.ID = id
		if _, err := p.Invoke(ctx, r, &counter{}); err != nil && id == "read" {
			t.Errorf("a request whose engine answered: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	go ask(ctx, "decoding", outcrop.ClassDefault, 60_000, 100)
	time.Sleep(1500 * time.Millisecond)
	go ask(t.Context(), "read", outcrop.ClassDefault, 8000, 100)
	synctest.Wait()
	go ask(t.Context(), "expires", outcrop.ClassPriority, 20_000, 11_000)
	synctest.Wait()
	go ask(t.Context(), "high", outcrop.ClassPriority, 100, 10)
	time.Sleep(4 * time.Second)
	cancel()
	time.Sleep(200 * time.Second)
	if n := p.Held(); n != 0 {
		t.Errorf("the dispatcher holds %d requests whose callers have their answers", n)
	}
	if load := p.State().Engines[0].Load; load.Unread != 0 || load.KV != 0 {
		t.Errorf("the engine seems to hold something: %+v", load)
	}
}
