package route_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/route"
)

// fake answers with err after sending events, and holds until release closes.
type fake struct {
	err     error
	events  int
	release chan struct{}
	calls   atomic.Int32
}

func (f *fake) Invoke(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	f.calls.Add(1)
	if f.release != nil {
		<-f.release
	}
	for range f.events {
		if err := out.Send(outcrop.Event{Kind: outcrop.EventStart}); err != nil {
			return outcrop.Receipt{}, err
		}
	}
	return outcrop.Receipt{Engine: "fake"}, f.err
}

func unavailable() error {
	return &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "down"}
}

func pool(models ...outcrop.Model) *route.Pool {
	var engines []route.Engine
	for _, m := range models {
		engines = append(engines, route.Engine{Model: m})
	}
	return route.NewPool(engines)
}

func invoke(p *route.Pool) (outcrop.Receipt, error) {
	return p.Invoke(context.Background(), &outcrop.Request{}, &outcrop.Answer{})
}

func TestUnavailableEngineCostsATryAndRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, up := &fake{err: unavailable()}, &fake{events: 1}
		p := pool(down, up)
		receipt, err := invoke(p)
		if err != nil || receipt.Attempts != 2 {
			t.Fatalf("attempts %d, err %v", receipt.Attempts, err)
		}
		if _, err = invoke(p); err != nil || down.calls.Load() != 1 {
			t.Fatalf("a resting engine was tried: %d calls, err %v", down.calls.Load(), err)
		}
		time.Sleep(time.Second)
		if _, err = invoke(p); err != nil || down.calls.Load() != 2 {
			t.Fatalf("a rested engine was not tried again: %d calls, err %v", down.calls.Load(), err)
		}
	})
}

func TestRestingEngineIsTriedWhenItIsTheLast(t *testing.T) {
	down := &fake{err: unavailable()}
	p := pool(down)
	for range 3 {
		if _, err := invoke(p); !errors.Is(err, outcrop.CodeUnavailable) {
			t.Fatal(err)
		}
	}
	if n := down.calls.Load(); n != 3 {
		t.Fatalf("%d calls, want 3", n)
	}
}

func TestNoSecondTryAfterTheFirstEvent(t *testing.T) {
	cut, spare := &fake{err: unavailable(), events: 1}, &fake{events: 1}
	if _, err := invoke(pool(cut, spare)); !errors.Is(err, outcrop.CodeUnavailable) {
		t.Fatal(err)
	}
	if spare.calls.Load() != 0 {
		t.Fatal("tried a second engine after an event was sent")
	}
}

func TestCallersFaultIsNotTriedElsewhere(t *testing.T) {
	bad, spare := &fake{err: outcrop.Invalid("no")}, &fake{}
	if _, err := invoke(pool(bad, spare)); !errors.Is(err, outcrop.CodeValidation) {
		t.Fatal(err)
	}
	if spare.calls.Load() != 0 {
		t.Fatal("tried a second engine for an invalid request")
	}
}

func TestFullPoolThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &fake{release: make(chan struct{})}
		p := route.NewPool([]route.Engine{{Model: busy, Limit: 1}})
		done := make(chan error)
		go func() { _, err := invoke(p); done <- err }()
		synctest.Wait()
		if _, err := invoke(p); !errors.Is(err, outcrop.CodeThrottling) {
			t.Fatal(err)
		}
		close(busy.release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := p.InFlight()[0]; n != 0 {
			t.Fatalf("%d still in flight", n)
		}
	})
}

// broken panics, as the edge expects of an engine with a fault.
type broken struct{}

func (broken) Invoke(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
	panic("a fault")
}

func TestAPanicGivesTheEngineBack(t *testing.T) {
	p := route.NewPool([]route.Engine{{Model: broken{}, Limit: 1}})
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the second call did not reach the engine")
				}
			}()
			_, _ = invoke(p)
		}()
	}
	if n := p.InFlight()[0]; n != 0 {
		t.Errorf("%d still in flight", n)
	}
}

func TestEveryInvocationLeavesThePoolEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codes := []error{nil, unavailable(), outcrop.Invalid("x"), &outcrop.Error{Code: outcrop.CodeThrottling}, errors.New("odd")}
		var models []outcrop.Model
		for range rapid.IntRange(1, 5).Draw(t, "engines") {
			models = append(models, &fake{
				err:    rapid.SampledFrom(codes).Draw(t, "err"),
				events: rapid.IntRange(0, 2).Draw(t, "events"),
			})
		}
		p := pool(models...)
		for range rapid.IntRange(1, 20).Draw(t, "calls") {
			receipt, _ := invoke(p)
			if receipt.Attempts < 1 || receipt.Attempts > len(models) {
				t.Fatalf("%d attempts over %d engines", receipt.Attempts, len(models))
			}
		}
		for i, n := range p.InFlight() {
			if n != 0 {
				t.Fatalf("engine %d: %d in flight", i, n)
			}
		}
	})
}
