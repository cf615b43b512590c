package capacity_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/fair"
)

func TestAnOrdinaryRequestHasNoTriesToTell(t *testing.T) {
	p := pool(t, capacity.Config{}, small(8), atOnce)
	req := request(outcrop.ClassDefault, "1", 100, 8)
	allocs := testing.AllocsPerRun(100, func() {
		if r, err := p.Invoke(t.Context(), req, discard{}); err != nil || r.Tries != nil || r.Attempts != 1 {
			t.Errorf("receipt %+v, error %v", r, err)
		}
	})
	if allocs > 3 { // two of the attempt's context, and one if the pool was emptied
		t.Errorf("%v allocations", allocs)
	}
}

func TestARequestThatWaitedTellsWhatHeldIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(1), answers(time.Second, 0, 1), answers(2*time.Second, 0, 1))
		for range 2 {
			go p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 1), new(counter))
			synctest.Wait()
		}
		r, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "2", 100, 1), new(counter))
		got := tries(r)
		if err != nil || len(got) != 1 || got[0].Engine != "a" || got[0].Queued != time.Second || got[0].Ran != time.Second || got[0].Held == nil {
			t.Fatalf("tries are %+v, error %v", got, err)
		}
		if s := fmt.Sprint(got[0].Held.Gates); s != "[{a sequences} {b sequences}]" {
			t.Errorf("held by %s", s)
		}
		time.Sleep(time.Minute)
		empty(t, p)
	})
}

func TestACallerWhoLeavesTheQueueHasATryWithoutAnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(1), answers(time.Minute, 0, 1))
		go p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 1), new(counter))
		synctest.Wait()
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 4*time.Second, gone)
		defer cancel()
		r, err := p.Invoke(ctx, request(outcrop.ClassDefault, "2", 100, 1), new(counter))
		if got := tries(r); !errors.Is(err, gone) || len(got) != 1 || got[0].Engine != "" || got[0].Queued != 4*time.Second || got[0].Held == nil {
			t.Errorf("tries are %+v, error %v", got, err)
		}
		time.Sleep(time.Hour)
		empty(t, p)
	})
}

func TestNotMoreThanTheFirstTriesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down []outcrop.Model
		for range 12 {
			down = append(down, fails(throttled(), 0))
		}
		c := capacity.Config{}
		c.Scheduler = manyLosses(20)
		p := pool(t, c, small(8), down...)
		r, err := p.Invoke(t.Context(), request(outcrop.ClassProvisioned, "1", 100, 8), discard{})
		got := tries(r)
		if !errors.Is(err, outcrop.CodeThrottling) || r.Attempts != 12 || len(got) != 8 {
			t.Fatalf("%d tries of %d, error %v", len(got), r.Attempts, err)
		}
		for _, try := range got {
			if try.Code != outcrop.CodeThrottling || try.Engine == "" {
				t.Errorf("%+v", try)
			}
		}
	})
}

// manyLosses lets a request be tried so often.
func manyLosses(n int) fair.Config {
	c := fair.Default()
	c.MaxLosses = n
	return c
}
