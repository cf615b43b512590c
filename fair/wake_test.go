package fair_test

import (
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// one is an engine for a single sequence.
var one = fair.Capacity{KVTokens: 1000, MaxSeqs: 1, StepBudget: 100, PrefillRate: 100, DecodeRate: 10}

// A message that only lets time pass is as good as a Tick: what time has made
// possible happens, and the pool does not wait for the next message.
func TestMessagesThatOnlyLetTimePassStartWhatBecameDue(t *testing.T) {
	late := func(p *fair.Pool, out []fair.Action) []fair.Action { return p.Progress(2*time.Second, 1, 2, out) }
	for name, message := range map[string]func(*fair.Pool, []fair.Action) []fair.Action{
		"progress of one that is not next": late,
		"progress of an unknown request":   func(p *fair.Pool, out []fair.Action) []fair.Action { return p.Progress(2*time.Second, 99, 5, out) },
		"the end of an unknown request": func(p *fair.Pool, out []fair.Action) []fair.Action {
			return p.Finished(2*time.Second, 99, outcrop.Usage{}, out)
		},
		"an unknown caller goes":    func(p *fair.Pool, out []fair.Action) []fair.Action { return p.Abort(2*time.Second, 99, out) },
		"an unknown request fails":  func(p *fair.Pool, out []fair.Action) []fair.Action { return p.Failed(2*time.Second, 99, out) },
		"an unknown engine is gone": func(p *fair.Pool, out []fair.Action) []fair.Action { return p.Down(2*time.Second, 99, out) },
		"a request is refused":      refused,
	} {
		t.Run(name, func(t *testing.T) {
			p := waitingForTime(t)
			out := message(p, nil)
			if err := p.Check(); err != nil {
				t.Fatalf("after %+v: %v", out, err)
			}
			if x, _ := p.Explain(3); !x.Started {
				t.Fatalf("what was due did not start: %+v, %+v", out, x)
			}
		})
	}
}

// waitingForTime has a request that waits for nothing but the low-class
// bucket of an engine, which fills within two seconds.
func waitingForTime(t *testing.T) *fair.Pool {
	t.Helper()
	c := fair.Default()
	c.Queue[outcrop.ClassDefault] = 1
	p := fair.New(c)
	two := one
	two.MaxSeqs = 8
	p.Up(0, 0, two, nil)
	for _, r := range []fair.Request{
		{ID: 1, Tenant: "a", Class: outcrop.ClassPriority, Prompt: 1, Output: 1},
		{ID: 2, Tenant: "b", Class: outcrop.ClassFlex, Prompt: 90, Output: 1},
		{ID: 3, Tenant: "c", Class: outcrop.ClassDefault, Prompt: 20, Output: 1},
	} {
		if _, err := p.Submit(0, r, nil); err != nil {
			t.Fatal(err)
		}
		p.FirstToken(0, r.ID, nil)
	}
	x, ok := p.Explain(3)
	if at, due := p.NextAt(); !ok || x.Started || x.Gates[0].Gate != fair.GateCap || !due || at > 2*time.Second {
		t.Fatalf("%+v, next at %v", x, at)
	}
	return p
}

func refused(p *fair.Pool, out []fair.Action) []fair.Action {
	out, _ = p.Submit(2*time.Second, fair.Request{ID: 9, Tenant: "d", Class: outcrop.ClassDefault, Prompt: 1001}, out)
	return out
}

// A wait that ends within a microsecond of a message is over when it ends.
func TestAWaitEndsOnTime(t *testing.T) {
	p := pool(t, fair.Default(), small)
	for i := range fair.ID(3) { // more than the engine takes
		submit(t, p, 0, fair.Request{ID: i, Class: outcrop.ClassDefault, Prompt: 100, MaxWait: time.Second})
	}
	p.Tick(time.Second-300*time.Nanosecond, nil)
	if at, ok := p.NextAt(); !ok || at != time.Second {
		t.Errorf("the next look is at %v, %v", at, ok)
	}
}

// The caller who is gone is told nothing, even if his wait was over.
func TestNothingFollowsAnAbort(t *testing.T) {
	p := pool(t, fair.Default(), small)
	for i := range fair.ID(3) {
		submit(t, p, 0, fair.Request{ID: i, Class: outcrop.ClassDefault, Prompt: 100, MaxWait: time.Second})
	}
	if x, _ := p.Explain(2); x.Started {
		t.Fatal("the last request does not wait")
	}
	for _, a := range p.Abort(2*time.Second, 2, nil) {
		if a.ID == 2 {
			t.Errorf("%+v", a)
		}
	}
	if c := p.State().Classes[outcrop.ClassDefault].Counts; c.Aborted != 1 || c.Refused != 1 { // the other one that waited
		t.Errorf("%+v", c)
	}
}
