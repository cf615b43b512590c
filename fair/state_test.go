package fair_test

import (
	"math"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

func TestStateTellsTheLongestWaitOfAllTenants(t *testing.T) {
	p := pool(t, fair.Default(), small)
	submit(t, p, 0, fair.Request{ID: 1, Tenant: "runs", Class: outcrop.ClassDefault, Prompt: 40})
	submit(t, p, 0, fair.Request{ID: 2, Tenant: "runs", Class: outcrop.ClassDefault, Prompt: 40}) // behind the other, of more service
	submit(t, p, 30*ms, fair.Request{ID: 3, Tenant: "fresh", Class: outcrop.ClassDefault, Prompt: 40})
	p.Tick(70*ms, nil)
	c := p.State().Classes[outcrop.ClassDefault]
	mustBe(t, "waiting", c.Queued, 2)
	mustBe(t, "longest wait", c.Oldest, 70*ms)
}

// TestPaceIsTheServiceOfLately: what is given counts at once, fades with ten
// seconds, and stays in Served, which also tells of what the engine counted.
func TestPaceIsTheServiceOfLately(t *testing.T) {
	p := pool(t, fair.Default(), small)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 50})
	at := func(now time.Duration) fair.ClassState {
		p.Tick(now, nil)
		return p.State().Classes[outcrop.ClassDefault]
	}
	mustBe(t, "pace at the start", at(0).Pace, 5.0)
	mustBe(t, "served at the start", at(0).Served, fair.Service(0))
	p.Progress(0, 1, 10, nil)
	mustBe(t, "pace with output", at(0).Pace, 9.0)
	p.Finished(0, 1, outcrop.Usage{Input: 20, CacheRead: 30, Output: 20}, nil)
	mustBe(t, "pace at the end", at(0).Pace, 10.0)
	if got, want := at(10*time.Second).Pace, 10/math.E; math.Abs(got-want) > 1e-9 {
		t.Errorf("pace after ten seconds: %v, want %v", got, want)
	}
	mustBe(t, "served", at(time.Minute).Served, fair.Service(100))
}

func TestServiceThatWasTakenBackIsNotServed(t *testing.T) {
	p := pool(t, fair.Default(), small)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 50})
	p.Failed(0, 1, nil) // starts again
	p.Abort(0, 1, nil)
	c := p.State().Classes[outcrop.ClassDefault]
	mustBe(t, "served", c.Served, fair.Service(50))
	mustBe(t, "pace", c.Pace, 5.0)
}

// TestExpectedWait computes what docs/scheduler.md tells of a request whose
// tenant has all that waits in its class.
func TestExpectedWait(t *testing.T) {
	var s fair.State
	s.Rate = 30_000
	s.Classes[outcrop.ClassPriority].Cost = 15_000
	s.Classes[outcrop.ClassDefault].Cost, s.Classes[outcrop.ClassDefault].Rate = 60_000, 25_000
	s.Classes[outcrop.ClassBatch].Cost = 1e9
	mustBe(t, "default", s.ExpectedWait(outcrop.ClassDefault), 2900*ms)
	mustBe(t, "provisioned", s.ExpectedWait(outcrop.ClassProvisioned), time.Duration(0))
	if got := s.ExpectedWait(outcrop.ClassBatch); got < 1000*time.Hour {
		t.Errorf("batch without a rate: %v", got)
	}
}
