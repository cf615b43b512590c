package fair_test

import (
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// marked returns the engine with the mark for optimized latency.
func marked(c fair.Capacity) fair.Capacity {
	c.Optimized = true
	return c
}

// single is an engine of one sequence.
func single() fair.Capacity {
	c := small
	c.MaxSeqs = 1
	return c
}

// unbound is the default without longest waits.
func unbound() fair.Config {
	c := fair.Default()
	c.Bound = [outcrop.NumClasses]time.Duration{}
	return c
}

// busy occupies engines of one sequence each, the first with request 1.
func busy(t *testing.T, c fair.Config, engines ...fair.Capacity) *fair.Pool {
	t.Helper()
	p := pool(t, c, engines...)
	for i := range engines {
		out := submit(t, p, 0, fair.Request{ID: fair.ID(i + 1), Tenant: "before", Class: outcrop.ClassDefault})
		mustBe(t, "engine", out[0].Engine, fair.EngineID(i))
	}
	return p
}

func gates(t *testing.T, p *fair.Pool, id fair.ID) (l []fair.Gate) {
	t.Helper()
	x, ok := p.Explain(id)
	if !ok || x.Started {
		t.Fatalf("request %d does not wait: %+v", id, x)
	}
	for _, g := range x.Gates {
		l = append(l, g.Gate)
	}
	return l
}

func TestOptimizedRequestsGoToMarkedEngines(t *testing.T) {
	for c := range outcrop.Class(outcrop.NumClasses) {
		p := pool(t, fair.Default(), marked(small), small)
		out := submit(t, p, 0, fair.Request{ID: 1, Class: c, Optimized: true})
		mustBe(t, c.String()+", optimized", out[0].Engine, fair.EngineID(0))
		p = pool(t, fair.Default(), marked(small), small)
		out = submit(t, p, 0, fair.Request{ID: 1, Class: c})
		mustBe(t, c.String()+", standard", out[0].Engine, fair.EngineID(1))
	}
}

func TestWithoutAMarkedEngineOptimizedRequestsAreServed(t *testing.T) {
	p := pool(t, fair.Default(), small, marked(small))
	p.Drain(0, 1, nil)
	out := submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault, Optimized: true})
	mustBe(t, "engine", out[0].Engine, fair.EngineID(0))
}

// A step of small is 100 tokens.
func TestAnOptimizedRequestWaitsForAStepAtMost(t *testing.T) {
	for _, c := range []struct {
		ahead int
		want  fair.EngineID
	}{{80, 1}, {100, 0}, {300, 0}} {
		p := pool(t, fair.Default(), small, marked(small))
		submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassProvisioned, Prompt: c.ahead, Optimized: true})
		out := submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassProvisioned, Optimized: true})
		mustBe(t, "engine", out[0].Engine, c.want)
	}
	p := pool(t, fair.Default(), small, marked(small))
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 80, Optimized: true})
	out := submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassDefault, Optimized: true})
	mustBe(t, "engine beside one whose gate is closed", out[0].Engine, fair.EngineID(0))
}

// The step of an engine of which nothing is known has no bound.
func TestAnOptimizedRequestDoesNotWaitForAStepWithoutBound(t *testing.T) {
	unknown := fair.Capacity{KVTokens: 1 << 40, MaxSeqs: 100, StepBudget: 1 << 30, PrefillRate: 10_000, DecodeRate: 50}
	for _, c := range []outcrop.Class{outcrop.ClassProvisioned, outcrop.ClassDefault} {
		for ahead, want := range map[int]fair.EngineID{8000: 1, 9000: 0} {
			p := pool(t, fair.Default(), unknown, marked(unknown))
			submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 1, Output: 500})
			submit(t, p, 0, fair.Request{ID: 2, Class: c, Prompt: ahead, Optimized: true})
			out := submit(t, p, 0, fair.Request{ID: 3, Class: c, Optimized: true})
			mustBe(t, c.String(), out[len(out)-1].Engine, want)
		}
	}
}

func TestAMarkedEngineIsKeptForOptimizedRequestsOfTheClass(t *testing.T) {
	p := busy(t, unbound(), single(), marked(single()))
	submit(t, p, 0, fair.Request{ID: 10, Tenant: "a", Class: outcrop.ClassDefault})
	submit(t, p, 0, fair.Request{ID: 11, Tenant: "b", Class: outcrop.ClassDefault, Optimized: true})
	mustBe(t, "gates of the one that did not ask", gates(t, p, 10), []fair.Gate{fair.GateSeqs, fair.GateSeqs})
	// The tenant of 10 is next, by its name; the marked engine is not for it.
	mustBe(t, "on the marked engine", ids(p.Finished(ms, 2, outcrop.Usage{}, nil)), []fair.ID{11})
	submit(t, p, ms, fair.Request{ID: 12, Tenant: "b", Class: outcrop.ClassDefault, Optimized: true})
	mustBe(t, "on the other", ids(p.Finished(ms, 1, outcrop.Usage{}, nil)), []fair.ID{10})
	mustBe(t, "on either", ids(p.Finished(ms, 10, outcrop.Usage{}, nil)), []fair.ID{12})
	out := submit(t, p, ms, fair.Request{ID: 13, Tenant: "a", Class: outcrop.ClassDefault})
	mustBe(t, "beside none that waits", append(ids(out), ids(p.Finished(ms, 11, outcrop.Usage{}, nil))...), []fair.ID{13})
}

func TestTheKeptEngineIsNamedAsTheReason(t *testing.T) {
	wide := marked(small)
	wide.MaxSeqs, wide.KVTokens = 10, 100
	p := pool(t, unbound(), single(), wide)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault})
	submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassDefault, Prompt: 10, Output: 50})
	p.FirstToken(0, 2, nil)
	// 3 would fit beside 2, but not once 4 waits, which needs the whole.
	submit(t, p, 0, fair.Request{ID: 4, Tenant: "b", Class: outcrop.ClassDefault, Prompt: 10, Output: 60, Optimized: true})
	submit(t, p, 0, fair.Request{ID: 3, Tenant: "a", Class: outcrop.ClassDefault})
	mustBe(t, "gates", gates(t, p, 3), []fair.Gate{fair.GateSeqs, fair.GateKept})
	mustBe(t, "name", fair.GateKept.String(), "kept")
	mustBe(t, "started once it is free", ids(p.Finished(ms, 2, outcrop.Usage{}, nil)), []fair.ID{4})
}

// What asks for optimized latency comes before others of its class alone.
func TestOptimizedRequestsDoNotOvertakeHigherClasses(t *testing.T) {
	p := busy(t, unbound(), single(), marked(single()))
	submit(t, p, 0, fair.Request{ID: 10, Class: outcrop.ClassFlex, Optimized: true})
	submit(t, p, 0, fair.Request{ID: 11, Class: outcrop.ClassDefault})
	mustBe(t, "next on the marked engine", ids(p.Finished(ms, 2, outcrop.Usage{}, nil)), []fair.ID{11})
}

// With nothing else to serve the others, the mark means nothing.
func TestMarksOfAllEnginesChangeNoOrder(t *testing.T) {
	p := busy(t, unbound(), marked(single()), marked(single()))
	submit(t, p, 0, fair.Request{ID: 10, Tenant: "a", Class: outcrop.ClassDefault})
	submit(t, p, 0, fair.Request{ID: 11, Tenant: "b", Class: outcrop.ClassDefault, Optimized: true})
	mustBe(t, "next", ids(p.Finished(ms, 2, outcrop.Usage{}, nil)), []fair.ID{10})
	p = busy(t, unbound(), single(), marked(single()))
	p.Drain(0, 0, nil)
	submit(t, p, 0, fair.Request{ID: 10, Tenant: "a", Class: outcrop.ClassDefault})
	submit(t, p, 0, fair.Request{ID: 11, Tenant: "b", Class: outcrop.ClassDefault, Optimized: true})
	mustBe(t, "next beside an engine that drains", ids(p.Finished(ms, 2, outcrop.Usage{}, nil)), []fair.ID{10})
}

func TestARequestThatFitsTheMarkedEngineAloneIsNotKeptOut(t *testing.T) {
	tiny := single()
	tiny.KVTokens = 50
	p := busy(t, unbound(), tiny, marked(single()))
	submit(t, p, 0, fair.Request{ID: 10, Tenant: "a", Class: outcrop.ClassDefault, Prompt: 90})
	submit(t, p, 0, fair.Request{ID: 11, Tenant: "b", Class: outcrop.ClassDefault, Optimized: true})
	mustBe(t, "next", ids(p.Finished(ms, 2, outcrop.Usage{}, nil)), []fair.ID{10})
}

func TestNoEngineIsKeptForARequestThatItCannotHold(t *testing.T) {
	tiny := marked(single())
	tiny.KVTokens = 50
	p := busy(t, unbound(), single(), tiny)
	submit(t, p, 0, fair.Request{ID: 10, Tenant: "a", Class: outcrop.ClassDefault})
	submit(t, p, 0, fair.Request{ID: 11, Tenant: "b", Class: outcrop.ClassDefault, Prompt: 90, Optimized: true})
	mustBe(t, "next", ids(p.Finished(ms, 2, outcrop.Usage{}, nil)), []fair.ID{10})
}

func TestAFloorThatIsDueMayUseMarkedEngines(t *testing.T) {
	p := busy(t, unbound(), single(), marked(single()))
	submit(t, p, 0, fair.Request{ID: 10, Tenant: "a", Class: outcrop.ClassDefault})
	submit(t, p, 0, fair.Request{ID: 11, Tenant: "b", Class: outcrop.ClassDefault, Optimized: true})
	mustBe(t, "next when the floor is due", ids(p.Finished(10*time.Second, 2, outcrop.Usage{}, nil)), []fair.ID{10})
}

// All engines are full of what can be aborted.
func TestRoomForAnOptimizedRequestIsMadeOnTheMarkedEngine(t *testing.T) {
	p := busy(t, unbound(), single(), marked(single()))
	out := submit(t, p, 0, fair.Request{ID: 10, Class: outcrop.ClassProvisioned, Optimized: true})
	mustBe(t, "actions", out, []fair.Action{
		{Kind: fair.AbortAndResume, ID: 2, Engine: 1}, {Kind: fair.Dispatch, ID: 10, Engine: 1},
	})
}

// One of four engines is marked. Two tenants of the same weight are served
// alike, though only the requests of one ask for it; these get it, but for
// what the tenant is due beside.
func TestTenantsThatAskForOptimizedLatencyAreServedLikeOthers(t *testing.T) {
	r := newRig(t, 4, unbound())
	r.done = func(f *flight) { r.submit(f.Request, 0) }
	r.do(r.pool.Up(0, 0, marked(r.pool.State().Engines[0].Capacity), nil))
	for _, tenant := range []string{"asks", "does not"} {
		r.backlog(600, func() fair.Request {
			return fair.Request{Tenant: tenant, Class: outcrop.ClassDefault, Prompt: 800, Output: 150, Optimized: tenant == "asks"}
		})
	}
	r.run(10 * time.Second)
	clear(r.service)
	r.log = nil
	r.run(30 * time.Second)
	on, off := 0, 0
	for _, a := range r.log {
		f := r.live[a.ID]
		switch {
		case a.Kind != fair.Dispatch || a.Engine != 0 || f == nil:
		case f.Optimized:
			on++
		default:
			off++
		}
	}
	if off > 0 {
		t.Errorf("the marked engine was given %d requests that did not ask, and %d that did", off, on)
	}
	if got := jain([]float64{r.service["asks"], r.service["does not"]}); got < .9999 {
		t.Errorf("Jain's index %.5f of %v", got, r.service)
	}
}

// A class whose floor is due waits for the request that it is due to, and lets
// no other of its own in before it.
func TestOptimizedRequestsWaitBehindTheOneThatAFloorIsDueTo(t *testing.T) {
	c := fair.Harvest()
	c.Bound, c.LaneTokens, c.LaneEngines = unbound().Bound, 20, 3
	one := fair.Capacity{KVTokens: 100, MaxSeqs: 1, StepBudget: 20, PrefillRate: 10, DecodeRate: 10}
	lane := marked(one)
	lane.Lane = true
	p := pool(t, c, one, lane, lane)
	for id := range fair.ID(2) {
		submit(t, p, 0, fair.Request{ID: id + 1, Prompt: 1, Class: outcrop.ClassBatch, Optimized: true})
	}
	submit(t, p, 0, fair.Request{ID: 3, Prompt: 40, Class: outcrop.ClassDefault})
	submit(t, p, 0, fair.Request{ID: 4, Prompt: 1, Class: outcrop.ClassDefault, Optimized: true})
	out := submit(t, p, 0, fair.Request{ID: 5, Prompt: 1, Class: outcrop.ClassPriority})
	if len(out) != 2 || out[0].Kind != fair.AbortAndResume || out[0].ID != 3 {
		t.Fatalf("got %+v", out) // the floor has the credit of request 3 now
	}
	lane.Lane, lane.MaxSeqs = false, 3
	if out = p.Up(0, 1, lane, nil); len(out) > 0 {
		t.Errorf("got %+v", out)
	}
	mustBe(t, "gate of the other", gates(t, p, 4)[1], fair.GateOpen)
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}
