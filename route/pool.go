// Package route spreads the invocations of one model over its engines.
package route

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
)

// An Engine is one replica of a pool.
type Engine struct {
	Name  string
	Model outcrop.Model
	// Limit is how many invocations the engine runs at a time; 0 for no limit.
	Limit int
}

// A Pool is a Model that gives each invocation to the engine with the fewest
// in flight. An engine that is unavailable or throttles before it has sent
// anything costs a try: the invocation goes to the next one, and the engine
// rests for a while. After the first event there is no second try.
type Pool struct {
	engines []Engine
	mu      sync.Mutex
	loads   []load
}

// NewPool returns a pool of the engines; there must be at least one.
func NewPool(engines []Engine) *Pool {
	return &Pool{engines: engines, loads: make([]load, len(engines))}
}

// Invoke implements outcrop.Model. When every engine is at its limit, the
// error is a throttling one.
func (p *Pool) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	var (
		tried   uint64
		watched = sentSink{out: out}
		failure error
		receipt outcrop.Receipt
	)
	for attempts := 1; ; attempts++ {
		i := p.take(tried, time.Now())
		if i < 0 {
			break
		}
		tried |= 1 << i
		receipt, failure = p.invoke(ctx, i, req, &watched)
		receipt.Attempts = attempts
		if failure == nil || watched.sent || !another(failure) || ctx.Err() != nil {
			return receipt, failure
		}
	}
	if failure == nil {
		failure = &outcrop.Error{Code: outcrop.CodeThrottling, RetryAfter: time.Second,
			Message: "Too many requests, please wait before trying again."}
	}
	return receipt, failure
}

// invoke runs the engine that take gave, and gives it back even if it panics.
func (p *Pool) invoke(ctx context.Context, i int, req *outcrop.Request, out outcrop.Sink) (receipt outcrop.Receipt, err error) {
	defer func() { p.give(i, err, time.Now()) }()
	return p.engines[i].Model.Invoke(ctx, req, out)
}

// InFlight returns how many invocations each engine runs, in the order of
// NewPool.
func (p *Pool) InFlight() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := make([]int, len(p.loads))
	for i, l := range p.loads {
		n[i] = l.inFlight
	}
	return n
}

func (p *Pool) take(tried uint64, now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := pick(p.engines, p.loads, tried, now)
	if i >= 0 {
		p.loads[i].inFlight++
	}
	return i
}

func (p *Pool) give(i int, failure error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loads[i] = p.loads[i].after(failure, now)
}

// another reports whether another engine could do better than err.
func another(err error) bool {
	return errors.Is(err, outcrop.CodeUnavailable) || errors.Is(err, outcrop.CodeThrottling) ||
		errors.Is(err, outcrop.CodeModelNotReady)
}

// A sentSink remembers whether anything was sent.
type sentSink struct {
	out  outcrop.Sink
	sent bool
}

func (s *sentSink) Send(e outcrop.Event) error {
	s.sent = true
	return s.out.Send(e)
}
