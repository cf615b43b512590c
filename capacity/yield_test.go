package capacity_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/sim"
	"github.com/outcrop/outcrop/step"
)

// An observed engine tells of what class each request is that it is asked.
type observed struct {
	outcrop.Model
	asked func(class outcrop.Class)
}

// Invoke implements outcrop.Model.
func (o observed) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	o.asked(req.Class)
	return o.Model.Invoke(ctx, req, out)
}

// flood keeps n batch rows of 8,000 tokens with the pool until the end is
// called, which tells how many were answered.
func flood(t *testing.T, p *capacity.Pool, n int) (end func() (answered int64)) {
	var answers atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := p.Invoke(ctx, simulated(outcrop.ClassBatch, "batch", 8000, 60), new(counter)); err == nil {
					answers.Add(1)
				} else if ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	return func() int64 { cancel(); all.Wait(); return answers.Load() }
}

// TestBatchYieldsToAProvisionedRequestInNoTime: while rows take all that they
// may of the engine, a provisioned request is with the engine at the very
// moment at which it came. Rows whose prompts are being read give way to it,
// and are answered like others.
func TestBatchYieldsToAProvisionedRequestInNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		constants := step.H100Llama8B()
		var began atomic.Int64
		p := pool(t, capacity.Config{}, capacity.Of(constants), observed{sim.New(sim.Config{Constants: constants, Speed: 1}), func(c outcrop.Class) {
			if c == outcrop.ClassProvisioned {
				began.Store(time.Now().UnixNano())
			}
		}})
		end := flood(t, p, 100)
		time.Sleep(10 * time.Second)
		for range 50 {
			time.Sleep(137 * time.Millisecond)
			came := time.Now().UnixNano()
			r, err := p.Invoke(t.Context(), simulated(outcrop.ClassProvisioned, "online", 500, 5), new(counter))
			if took := time.Duration(began.Load() - came); err != nil || took != 0 || r.Queued != 0 {
				t.Fatalf("it was with the engine after %v, and the receipt says %v; %v", took, r.Queued, err)
			}
		}
		counts := p.State().Classes[outcrop.ClassBatch].Counts
		answered := end()
		synctest.Wait()
		empty(t, p)
		if counts.Resumed == 0 || answered == 0 || counts.Lost+counts.Failed+counts.Refused != 0 {
			t.Errorf("%d rows were answered: %+v", answered, counts)
		}
		t.Logf("of %d rows, %d gave way", answered, counts.Resumed)
	})
}

// TestNoRowIsBegunWhileARequestOnDemandWaits, though there would be room for it,
// and the request is with the engine as soon as the prompts are read that were
// before it.
func TestNoRowIsBegunWhileARequestOnDemandWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var begun []outcrop.Class
		p := pool(t, capacity.Config{}, small(64), observed{answers(time.Second, 0, 1), func(c outcrop.Class) {
			mu.Lock()
			defer mu.Unlock()
			begun = append(begun, c)
		}})
		var all sync.WaitGroup
		ask := func(class outcrop.Class, prompt int) *outcrop.Receipt {
			r := new(outcrop.Receipt)
			all.Go(func() {
				var err error
				if *r, err = p.Invoke(t.Context(), request(class, "a", prompt, 1), new(counter)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			return r
		}
		for range 5 { // of what batch may leave unread, a quarter of a step, a little is free
			ask(outcrop.ClassBatch, 100)
		}
		online, row := ask(outcrop.ClassDefault, 2000), ask(outcrop.ClassBatch, 5)
		all.Wait()
		b := outcrop.ClassBatch
		if want := []outcrop.Class{b, b, b, b, b, outcrop.ClassDefault, b}; !slices.Equal(begun, want) {
			t.Errorf("begun were %v, want %v", begun, want)
		}
		if online.Queued != time.Second || row.Queued <= time.Second {
			t.Errorf("it waited %v, the row %v", online.Queued, row.Queued)
		}
		empty(t, p)
	})
}
