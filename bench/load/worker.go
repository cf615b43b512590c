package load

import (
	"context"
	"sync/atomic"
	"time"
)

// A worker owns one connection. Its counters are read while it runs; its
// samples only after it has ended.
type worker struct {
	done, events atomic.Int64

	options               *Options
	latency, first, relay []time.Duration
	errors                map[string]int
	_                     [64]byte // keeps the counters of two workers apart
}

func (w *worker) run(ctx context.Context, d *driver) {
	c := &conn{addr: d.options.Addr, timeout: d.options.Timeout}
	defer c.close()
	for {
		at, more := w.next(ctx, d)
		if !more {
			return
		}
		w.one(c, d, at)
	}
}

// next waits for the time at which the next request is due.
func (w *worker) next(ctx context.Context, d *driver) (at time.Time, more bool) {
	if d.ticks != nil {
		at, more = <-d.ticks
		return at, more && ctx.Err() == nil
	}
	at = time.Now()
	return at, at.Before(d.to) && ctx.Err() == nil
}

// one sends one request and takes in its answer.
func (w *worker) one(c *conn, d *driver, at time.Time) {
	a := answer{worker: w, measured: !at.Before(d.from) && at.Before(d.to)}
	err := c.roundTrip(*d.request.Load(), &a)
	end := time.Now()
	if err == nil {
		err = a.check()
	}
	if err != nil {
		c.close()
		if a.measured {
			w.errors[kind(err)]++
		}
		if d.ticks == nil {
			time.Sleep(time.Millisecond) // a dead target is not worth a busy loop
		}
		return
	}
	w.done.Add(1)
	if !a.measured {
		return
	}
	w.latency = append(w.latency, end.Sub(at))
	if w.options.Stream {
		w.first = append(w.first, a.firstAt.Sub(at))
	}
}
