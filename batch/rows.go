package batch

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/records"
)

// attempts is how often a record is tried that fails by what may pass.
const attempts = 3

// run has the records of the chunk answered, and writes the answers down as
// they come. It returns nil when all have one, or when it is time to let others
// have their turn, or when the job winds up.
func (c *chunk) run(ctx context.Context) error {
	all, places, err := c.read(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	admit, enough := context.WithTimeout(ctx, c.runner.Turn)
	defer enough()
	stopWatch := context.AfterFunc(c.runner.life, enough)
	defer stopWatch()
	var watch sync.WaitGroup
	watch.Go(func() { c.watch(admit, cancel) })
	defer func() { cancel(); watch.Wait() }()
	return c.gather(ctx, cancel, c.start(ctx, admit, all, places))
}

// watch breaks off the work on a job that winds up.
func (c *chunk) watch(ctx context.Context, cancel func()) {
	tick := time.NewTicker(c.runner.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		over := false
		err := c.runner.db.look(ctx, func(t *tx) error {
			j, _, err := t.job(c.id.Job)
			over = j.winding(t.now)
			return err
		})
		if err == nil && over {
			cancel()
			return
		}
	}
}

// A result is what became of one record.
type result struct {
	place   int64
	record  records.Record
	answer  []byte
	failure *records.Failure
	used    outcrop.JobUsage // of the attempt that was answered
}

// start has the records run, as many at a time as may, and sends what became
// of each. Records that did not get an end are left out. The channel is closed
// after the last one.
func (c *chunk) start(ctx, admit context.Context, all []records.Record, places []int64) <-chan result {
	inputs := make([]outcrop.JSON, len(all))
	for i := range all {
		inputs[i] = all[i].Input
	}
	next, results := make(chan int), make(chan result)
	go func() {
		defer close(next)
		for _, i := range records.Order(inputs) {
			select {
			case next <- i:
			case <-admit.Done():
				return
			}
		}
	}()
	g := &gate{}
	var workers sync.WaitGroup
	for range min(c.runner.Concurrency, len(all)) {
		workers.Go(func() {
			for i := range next {
				res := result{place: places[i], record: all[i]}
				if c.try(ctx, admit, g, &res) {
					results <- res
				}
			}
		})
	}
	go func() { workers.Wait(); close(results) }()
	return results
}

// gather collects results and saves them in pieces. It takes every result; when
// they cannot be saved, it has no more of them made.
func (c *chunk) gather(ctx context.Context, cancel func(), results <-chan result) (err error) {
	var b batchOf
	tick := time.NewTicker(min(c.runner.PartTime, time.Second))
	defer tick.Stop()
	for open := true; open; {
		select {
		case res, more := <-results:
			if open = more; more && err == nil {
				b.add(&res)
			}
		case <-tick.C:
		}
		if err != nil || open && !c.due(&b) {
			continue
		}
		if err = c.saveAnyway(ctx, &b); err != nil {
			cancel()
		}
	}
	return err
}

// due reports whether it is time to save.
func (c *chunk) due(b *batchOf) bool {
	r := c.runner
	return len(b.text) >= r.PartBytes || len(b.places) >= r.PartRecords || len(b.places) > 0 && time.Since(b.gathered) >= r.PartTime
}

// saveAnyway saves also when ctx has ended: the records are answered, and paid
// for. As long as ctx lasts, it waits for a store that is out of order.
func (c *chunk) saveAnyway(ctx context.Context, b *batchOf) error {
	if len(b.places) == 0 {
		return nil
	}
	longer, cancel := outlive(ctx, stopTime)
	defer cancel()
	for wait := leastPause; ; wait = min(2*wait, mostPause) {
		err := c.write(longer, b)
		var f flaw
		switch {
		case err == nil:
			return c.save(longer, b)
		case errors.As(err, &f):
			return err
		}
		_ = c.runner.noted(err, c.id.Job)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// outlive returns a context that ends so long after ctx.
func outlive(ctx context.Context, by time.Duration) (longer context.Context, cancel func()) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		late := time.AfterFunc(by, end)
		context.AfterFunc(longer, func() { late.Stop() })
	})
	return longer, func() { stop(); end() }
}

func (b *batchOf) add(res *result) {
	if len(b.places) == 0 {
		b.gathered = time.Now()
	}
	b.places = append(b.places, res.place)
	b.usage = b.usage.Plus(res.used)
	if res.failure != nil {
		b.counts.Failed++
		b.text = records.AppendFailure(b.text, res.record, *res.failure)
		return
	}
	b.counts.Succeeded++
	b.text = records.AppendAnswer(b.text, res.record, res.answer)
}

// try has one record answered; ended is false if it came to no end. An engine
// that is down or full is waited for; what may be the record's own fault is
// tried a few times.
func (c *chunk) try(ctx, admit context.Context, g *gate, res *result) (ended bool) {
	for made, calls := 0, 1; ; calls++ {
		if g.wait(admit) != nil {
			return false
		}
		before := g.successes()
		row := &Row{Job: &c.job.Job, ID: c.rowID(res.place, calls), Input: res.record.Input, Hurry: c.hurry, Expiry: c.job.Expires}
		answer, receipt, err := c.runner.Invoker.Invoke(ctx, row)
		if err == nil {
			g.pass()
			res.used = outcrop.JobUsageOf(&receipt)
			res.answer = answer
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		e := asError(err)
		kind := kindOf(e.Code)
		if kind == passes || kind == mayPass && g.successes() == before {
			c.runner.Metrics.waited(c.job.Model)
			g.pause(e.RetryAfter)
			continue
		}
		made++
		if kind == final || made == attempts {
			res.failure = &records.Failure{Status: e.Status, Message: e.Message, Attempts: made}
			return true
		}
		c.runner.Metrics.retried(c.job.Model)
	}
}

// rowID is the id of an invocation: of the job, the record, and the attempt.
func (c *chunk) rowID(place int64, call int) string {
	return c.id.Job + "-" + strconv.FormatInt(c.first+place, 10) + "-" + strconv.FormatInt(c.epoch, 10) + "-" + strconv.Itoa(call)
}

// A kind says what an error of a record means.
type kind uint8

const (
	final   kind = iota // it would come again
	mayLast             // it may be the record's fault, or pass
	mayPass             // the engine is down, maybe because of the record
	passes              // the engine is full
)

func kindOf(c outcrop.Code) kind {
	switch c {
	case outcrop.CodeThrottling:
		return passes
	case outcrop.CodeUnavailable, outcrop.CodeModelNotReady:
		return mayPass
	case outcrop.CodeInternal, outcrop.CodeModelError, outcrop.CodeModelStream, outcrop.CodeModelTimeout:
		return mayLast
	}
	return final
}

// asError returns err as its job's owner is told of it.
func asError(err error) outcrop.Error {
	var e *outcrop.Error
	if !errors.As(err, &e) || e.Message == "" && e.Code == outcrop.CodeInternal {
		e = &outcrop.Error{Code: outcrop.CodeInternal, Message: "The server encountered an internal error."}
	}
	told := *e
	told.Status = bedrock.Status(told.Code)
	return told
}

// The bounds of a gate's pauses.
const (
	leastPause = 50 * time.Millisecond
	mostPause  = 5 * time.Second
)

// A gate holds the records of a chunk back while the engine takes none.
type gate struct {
	mu     sync.Mutex
	shut   time.Time // until when
	length time.Duration
	passed int64
}

// wait returns when the gate is open, or with the error of ctx.
func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		left := time.Until(g.shut)
		g.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if left <= 0 {
			return nil
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// pause shuts the gate for a while, longer each time; for at least as long as
// the engine asked for, within bounds.
func (g *gate) pause(least time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if now.Before(g.shut) {
		return
	}
	g.length = min(max(2*g.length, leastPause, least), mostPause)
	g.shut = now.Add(g.length)
}

func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passed++
	g.length = 0
}

func (g *gate) successes() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.passed
}
