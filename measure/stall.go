package measure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/calibration"
)

// stall measures what a long prompt does to sequences that are decoding. What
// stands in the way of that leaves the step budget unknown and is no error.
func (r *run) stall(ctx context.Context) error {
	among := min(r.plan.stallAmong, r.result.Sequences.N)
	if r.result.Sequences.Limit {
		among = min(among, r.result.Sequences.N-1) // the prompt needs a place too
	}
	size, until := r.plan.contexts[0], r.until(stallUntil)
	reading := r.reading(among*size + r.plan.stallPrompt)
	if among < 1 || time.Until(until) <= reading || r.perDelta > mostPerDelta {
		r.warn("the stall by a long prompt could not be measured, and with it the step budget")
		return nil
	}
	r.note("a prompt of %d tokens among %d sequences", r.plan.stallPrompt, among)
	v := &visitor{req: r.request(r.prompts.text(r.prompts.words(r.plan.stallPrompt)), 1), ready: make(chan struct{})}
	v.b = r.newBatch(among, v.over)
	v.b.do(ctx, until, size, r.answerLength(size), v.come)
	r.result.PromptTokens += r.plan.stallPrompt
	if v.b.failed != nil {
		return fmt.Errorf("a prompt among %d sequences: %w", among, v.b.failed)
	}
	if r.result.Stall = v.stall(r.plan.stallPrompt); r.result.Stall.Prompt == 0 {
		r.warn("the stall by a long prompt could not be measured, and with it the step budget")
	}
	return nil
}

// mostPerDelta is up to how many tokens in a delta the time between two deltas
// counts as one step.
const mostPerDelta = 1.2

// A visitor is a long prompt that comes to a batch once all of that decodes.
type visitor struct {
	b     *batch
	req   *outcrop.Request
	ready chan struct{} // closed when it shall come
	// Under the batch's mutex.
	called     bool
	sent, read time.Time
}

// over calls the visitor once, and ends the batch when it has been read, or
// when it never will be.
func (v *visitor) over(b *batch) bool {
	window := b.run.plan.window
	if b.together() && b.each() > window && !v.called {
		v.called = true
		close(v.ready)
	}
	return b.ended > 0 || b.refused > 0 || !v.read.IsZero() || b.stuck()
}

// come reads the long prompt when it is called.
func (v *visitor) come(ctx context.Context) {
	select {
	case <-v.ready:
	case <-ctx.Done():
		return
	}
	v.b.mu.Lock()
	v.sent = time.Now()
	v.b.mu.Unlock()
	var e ear
	_, err := v.b.run.Model.Invoke(ctx, v.req, &e)
	if e.count == 0 {
		e.first = time.Now()
	}
	v.b.mu.Lock()
	defer v.b.mu.Unlock()
	switch {
	case err == nil:
		v.read = e.first
	case ctx.Err() == nil && !refused(err):
		v.b.failed = err
	case ctx.Err() == nil:
		v.b.refused++
	}
	v.b.look()
}

// stall returns what the visitor did to the others; zero if it was not read.
func (v *visitor) stall(prompt int) calibration.Stall {
	if v.read.IsZero() {
		return calibration.Stall{}
	}
	s := calibration.Stall{Prompt: prompt, Sequences: len(v.b.streams)}
	var usual, worst []time.Duration
	for i := range v.b.streams {
		before, during, produced := v.gaps(v.b.streams[i].times)
		if len(before) == 0 || len(during) == 0 {
			continue
		}
		usual = append(usual, mean(before[max(0, len(before)-v.b.run.plan.window):]))
		worst = append(worst, slices.Max(during))
		s.Context += v.b.streams[i].prompt + produced
	}
	if len(worst) == 0 {
		return calibration.Stall{}
	}
	s.Usual, s.Worst = median(usual), median(worst)
	return s
}

// gaps returns the gaps before the visitor was sent and while it was read,
// and how many tokens there were when it came.
func (v *visitor) gaps(times []time.Time) (before, during []time.Duration, produced int) {
	for k := 1; k < len(times); k++ {
		gap := times[k].Sub(times[k-1])
		switch {
		case !times[k].After(v.sent):
			before = append(before, gap)
			produced = k + 1
		case !times[k].After(v.read):
			during = append(during, gap)
		}
	}
	return before, during, produced
}

func mean(all []time.Duration) time.Duration {
	sum := time.Duration(0)
	for _, d := range all {
		sum += d
	}
	return sum / time.Duration(len(all))
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
