package capacity_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/fair"
)

// two is a pool of an engine named plain and one named fast, which is marked
// for optimized latency; each runs one request at a time.
func two(t *testing.T, plain, fast outcrop.Model) *capacity.Pool {
	t.Helper()
	size := small(1)
	size.Optimized = true
	p := pool(t, capacity.Config{}, fair.Capacity{})
	if err := p.Update([]capacity.Engine{
		{Name: "plain", Model: plain, Capacity: small(1)}, {Name: "fast", Model: fast, Capacity: size},
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

// named answers as the engine of that name.
func named(name string, latency outcrop.Latency) *engine {
	inner := answers(50*time.Millisecond, time.Millisecond, 5)
	return &engine{run: func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		r, err := inner.run(ctx, req, out)
		r.Engine, r.Latency = name, latency
		return r, err
	}}
}

func asking(l outcrop.Latency) *outcrop.Request {
	r := request(outcrop.ClassDefault, "1", 100, 5)
	r.Latency = l
	return r
}

// served is what a receipt says of who served, and how.
type served struct {
	engine  string
	latency outcrop.Latency
}

func invoke(t *testing.T, m outcrop.Model, req *outcrop.Request) served {
	t.Helper()
	r, err := m.Invoke(t.Context(), req, new(counter))
	if err != nil {
		t.Error(err)
	}
	return served{r.Engine, r.Latency}
}

func TestReceiptsTellTheLatencyThatServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := two(t, named("plain", ""), named("fast", ""))
		for asked, want := range map[outcrop.Latency]served{
			"":                       {"plain", ""},
			outcrop.LatencyStandard:  {"plain", ""},
			outcrop.LatencyOptimized: {"fast", outcrop.LatencyOptimized},
		} {
			if got := invoke(t, p, asking(asked)); got != want {
				t.Errorf("asked for %q: %v, want %v", asked, got, want)
			}
		}
		first := make(chan served, 1)
		go func() { first <- invoke(t, p, asking(outcrop.LatencyOptimized)) }()
		synctest.Wait()
		if got := invoke(t, p, asking(outcrop.LatencyOptimized)); got != (served{"plain", ""}) {
			t.Errorf("beside one on the marked engine: %v", got)
		}
		<-first
		p.Drain("fast", true)
		if got := invoke(t, p, asking(outcrop.LatencyOptimized)); got != (served{"plain", ""}) {
			t.Errorf("without the marked engine: %v", got)
		}
		p.Drain("fast", false)
		p.Drain("plain", true)
		if got := invoke(t, p, asking("")); got != (served{"fast", ""}) {
			t.Errorf("not asked for, on the marked engine: %v", got)
		}
		empty(t, p)
	})
}

// An engine that is a region of its own, such as Bedrock, may fall back too.
func TestAnEngineKnowsBetterAtWhichLatencyItServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := two(t, named("plain", outcrop.LatencyOptimized), named("fast", outcrop.LatencyStandard))
		if got := invoke(t, p, asking(outcrop.LatencyOptimized)); got != (served{"fast", outcrop.LatencyStandard}) {
			t.Errorf("%v", got)
		}
		p.Drain("fast", true)
		if got := invoke(t, p, asking(outcrop.LatencyOptimized)); got != (served{"plain", outcrop.LatencyOptimized}) {
			t.Errorf("%v", got)
		}
	})
}

func TestAnAnswerThatDidNotComeWasServedAtNoLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := two(t, named("plain", ""), fails(outcrop.Invalid("no"), 0))
		if r, err := p.Invoke(t.Context(), asking(outcrop.LatencyOptimized), new(counter)); err == nil || r.Latency != "" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestEnginesThatTakePrioritiesAreToldThem(t *testing.T) {
	for _, takes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var seen []int
			inner := answers(time.Millisecond, time.Millisecond, 3)
			e := &engine{run: func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
				if req.Streaming || req.ID != "req-1" {
					t.Errorf("the engine got %+v", req)
				}
				seen = append(seen, req.Priority)
				return inner.run(ctx, req, out)
			}}
			size := small(8)
			size.Priorities = takes
			p := pool(t, capacity.Config{}, size, e)
			for class := range outcrop.Class(outcrop.NumClasses) {
				req := request(class, "1", 100, 3)
				req.Streaming = false
				invoke(t, p, req)
				if req.Priority != 0 {
					t.Errorf("the caller's request was changed: %d", req.Priority)
				}
			}
			hints := fair.Default().Priority
			for class, got := range seen {
				if want := map[bool]int{true: hints[class]}[takes]; got != want {
					t.Errorf("class %v, an engine that takes priorities: %v; told %d, want %d", outcrop.Class(class), takes, got, want)
				}
			}
			if len(seen) != outcrop.NumClasses {
				t.Errorf("%d requests came", len(seen))
			}
		})
	}
}
