package measure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/outcrop/outcrop/calibration"
)

// Shares of the whole time at which the phases must be over.
const (
	readsUntil = 0.3
	shortUntil = 0.6
	longUntil  = 0.85
	stallUntil = 1
)

// leastReads is how many lengths a fit needs.
const leastReads = 3

// reads measures prompts that are alone on the engine. It stops where the next
// one would take too long, or is refused.
func (r *run) reads(ctx context.Context) error {
	until := r.until(readsUntil)
	for i, size := range r.plan.reads {
		last := time.Duration(0)
		if i > 0 {
			last = r.result.Reads[i-1].Took
		}
		// twice the length takes about twice the time
		if left := time.Until(until); left <= time.Duration(2*r.plan.repeats)*last {
			r.warn("prompts of %d tokens and more were left out: the time was up", size)
			break
		}
		r.note("reading a prompt of %d tokens", size)
		read, err := r.read(ctx, size)
		if refused(err) && i > 0 {
			r.warn("the engine takes no prompt of %d tokens: %v", size, err)
			break
		}
		if err != nil {
			return fmt.Errorf("a prompt of %d tokens: %w", size, err)
		}
		r.result.Reads = append(r.result.Reads, read)
	}
	return r.learnPace()
}

// read measures one length and returns the median.
func (r *run) read(ctx context.Context, size int) (calibration.Read, error) {
	all := make([]calibration.Read, r.plan.repeats)
	for i := range all {
		a, err := r.call(ctx, r.prompts.words(size), 1)
		if err != nil {
			return calibration.Read{}, err
		}
		all[i] = calibration.Read{Tokens: a.tokens, Took: a.took}
	}
	slices.SortFunc(all, func(a, b calibration.Read) int { return int(a.Took - b.Took) })
	return all[len(all)/2], nil
}

// learnPace takes from the shortest and the longest prompt what a token of
// prompt takes, to plan by.
func (r *run) learnPace() error {
	reads := r.result.Reads
	if len(reads) < leastReads {
		return ErrSlow
	}
	first, last := reads[0], reads[len(reads)-1]
	r.pace = max(0, (last.Took-first.Took).Seconds()/float64(max(1, last.Tokens-first.Tokens)))
	return nil
}

// reading is about how long so many tokens of prompt take.
func (r *run) reading(tokens int) time.Duration {
	return time.Duration(r.pace * float64(tokens) * float64(time.Second))
}
