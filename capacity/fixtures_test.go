package capacity_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/fair"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An engine is a fake Model: run says what it does.
type engine struct {
	run   func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error)
	calls atomic.Int32
	busy  atomic.Int32
}

func (e *engine) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	e.calls.Add(1)
	e.busy.Add(1)
	defer e.busy.Add(-1)
	return e.run(ctx, req, out)
}

// answers sends a whole answer: the first token after first, n tokens with gap
// between them.
func answers(first, gap time.Duration, n int) *engine {
	return &engine{run: func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		r := outcrop.Receipt{Engine: "fake"}
		if err := pause(ctx, first); err != nil {
			return r, err
		}
		for i := range n + 4 {
			e := outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("a")}
			switch i {
			case 0:
				e = outcrop.Event{Kind: outcrop.EventStart}
			case 1:
				e = outcrop.Event{Kind: outcrop.EventBlockStart, Block: outcrop.BlockText}
			case n + 2:
				e = outcrop.Event{Kind: outcrop.EventBlockStop}
			case n + 3:
				e = outcrop.Event{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopEndTurn}}
			default:
				r.Usage = outcrop.Usage{Input: req.Estimate.Input, Output: i - 1}
				if err := pause(ctx, gap); i > 2 && err != nil {
					return r, err
				}
			}
			if err := out.Send(e); err != nil {
				return r, err
			}
		}
		r.Stop = outcrop.StopEndTurn
		return r, nil
	}}
}

// fails returns err, after it has sent so many events.
func fails(err error, events int) *engine {
	return &engine{run: func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		list := []outcrop.Event{
			{Kind: outcrop.EventStart}, {Kind: outcrop.EventBlockStart, Block: outcrop.BlockText},
			{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("a")},
		}
		for _, e := range list[:events] {
			if failed := out.Send(e); failed != nil {
				return outcrop.Receipt{}, failed
			}
		}
		return outcrop.Receipt{}, err
	}}
}

func pause(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func unavailable() error { return &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "down"} }

func throttled() error {
	return &outcrop.Error{Code: outcrop.CodeThrottling, Message: "full", RetryAfter: 2 * time.Second}
}

// small is an engine that runs n requests at a time.
func small(n int) fair.Capacity {
	return fair.Capacity{KVTokens: 100_000, MaxSeqs: n, StepBudget: 2048, PrefillRate: 20_000, DecodeRate: 100}
}

// pool makes a pool of engines named a, b, ... that closes with the test.
func pool(t testing.TB, c capacity.Config, size fair.Capacity, models ...outcrop.Model) *capacity.Pool {
	t.Helper()
	for i, m := range models {
		c.Engines = append(c.Engines, capacity.Engine{Name: string(rune('a' + i)), Model: m, Capacity: size})
	}
	if c.Model == "" {
		c.Model = "model"
	}
	p, err := capacity.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if distant {
		_, disconnect := p.Distant(0)
		t.Cleanup(disconnect)
	}
	return p
}

// distant puts a byte stream between the pools of a test and their dispatchers.
var distant bool

func request(class outcrop.Class, account string, input, output int) *outcrop.Request {
	return &outcrop.Request{
		ID: "req-1", Operation: outcrop.OpConverseStream, Streaming: true, ModelID: "model",
		Principal: &outcrop.Principal{Account: account}, Class: class,
		Estimate: outcrop.Estimate{Input: input, Output: output},
		Conversation: &outcrop.Conversation{Messages: []outcrop.Message{{
			Role: outcrop.RoleUser, Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text("hello " + account)}},
		}}},
	}
}

// empty fails the test if the pool holds a request.
func empty(t testing.TB, p *capacity.Pool) {
	t.Helper()
	s := p.State()
	for class, c := range s.Classes {
		if c.Queued != 0 || c.Flying != 0 || c.Cost != 0 || c.Tenants != 0 {
			t.Errorf("class %v holds %+v", outcrop.Class(class), c)
		}
	}
	for _, e := range s.Engines {
		if e.Load.Sequences != 0 || e.Load.Unread != 0 || e.Load.KV != 0 {
			t.Errorf("engine %s holds %+v", e.Name, e.Load)
		}
	}
	if n := p.Held(); n != 0 {
		t.Errorf("the dispatcher holds %d requests", n)
	}
}

// A counter counts events.
type counter struct{ starts, deltas, stops int }

func (c *counter) Send(e outcrop.Event) error {
	switch e.Kind {
	case outcrop.EventStart:
		c.starts++
	case outcrop.EventDelta:
		c.deltas++
	case outcrop.EventStop:
		c.stops++
	}
	return nil
}

// tries are those of the receipt.
func tries(r outcrop.Receipt) (all []outcrop.Try) {
	for t := r.Tries; t != nil; t = t.Next {
		all = append(all, *t)
	}
	return all
}
