package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/outcrop/outcrop/calibration"
)

// An outcome says how a number of sequences fared.
type outcome uint8

const (
	ranTogether outcome = iota
	someWaited          // the engine kept some in its queue
	someRefused
	tooShort // answers ended before all ran
	tooLate
)

// decodes measures growing numbers of sequences, at each length of context.
func (r *run) decodes(ctx context.Context) error {
	shares := [...]float64{shortUntil, longUntil}
	for i, size := range r.plan.contexts {
		if err := r.grow(ctx, size, r.until(shares[min(i, len(shares)-1)])); err != nil {
			return err
		}
	}
	if len(r.result.Decodes) == 0 {
		return ErrSilent
	}
	return nil
}

// grow measures more and more sequences of a length until the gap between
// their tokens is too long, the engine has no room or the time is up.
func (r *run) grow(ctx context.Context, size int, until time.Time) error {
	sequences := r.plan.sequences
	if r.result.Sequences.Limit {
		sequences = upTo(sequences, r.result.Sequences.N)
	}
	for _, n := range sequences {
		if time.Until(until) <= r.reading(n*size) {
			r.warn("%d and more sequences of %d tokens were left out: the time was up", n, size)
			return nil
		}
		gap, how, running, err := r.decode(ctx, n, size, until)
		if err != nil {
			return fmt.Errorf("%d sequences of %d tokens: %w", n, size, err)
		}
		if how != ranTogether {
			return r.full(ctx, how, n, running, size, until)
		}
		if gap > r.MaxGap {
			r.note("%d sequences of %d tokens: the gap of %v is too long", n, size, gap)
			return nil
		}
	}
	return nil
}

// full notes why no more sequences than running went at the same time: for want
// of memory if more went that were shorter, and else for want of places. So
// many are measured then, if they have not been.
func (r *run) full(ctx context.Context, how outcome, n, running, size int, until time.Time) error {
	switch how {
	case tooShort:
		r.warn("answers ended before %d sequences ran at the same time; more may", n)
		return nil
	case tooLate:
		r.warn("%d and more sequences of %d tokens were left out: the time was up", n, size)
		return nil
	}
	r.note("the engine runs %d of %d sequences at the same time", running, n)
	before := r.result.Sequences.N
	switch {
	case running == 0: // it takes none of that length
		return nil
	case running < before:
		r.sawCache(running*size, true)
		return nil
	}
	r.result.Sequences = calibration.Bound{N: running, Limit: true}
	if running == before {
		return nil
	}
	_, _, _, err := r.decode(ctx, running, size, until)
	return err
}

// sawCache notes how many tokens of context there were at the same time.
// What the engine itself tells of its memory stands.
func (r *run) sawCache(tokens int, limit bool) {
	if c := &r.result.Cache; !c.Limit {
		*c = calibration.Bound{N: max(tokens, c.N), Limit: limit}
	}
}

// decode measures n sequences of a length at the same time. Running is how
// many of them were, if not all.
func (r *run) decode(ctx context.Context, n, size int, until time.Time) (gap time.Duration, how outcome, running int, err error) {
	r.note("%d sequences of %d tokens", n, size)
	window := r.plan.window
	b := r.newBatch(n, func(b *batch) bool {
		return b.ended > 0 || b.together() && b.each() > window || b.stuck() || b.refused == n
	})
	late := b.do(ctx, until, size, r.answerLength(size))
	switch {
	case b.failed != nil:
		return 0, 0, 0, b.failed
	case b.refused == n && len(r.result.Decodes) == 0:
		return 0, 0, 0, b.refusal
	case late:
		return 0, tooLate, b.running(), nil
	case b.refused > 0:
		return 0, someRefused, b.begun, nil
	case !b.together() && b.ended > 0:
		return 0, tooShort, b.running(), nil
	case !b.together():
		return 0, someWaited, b.running(), nil
	}
	gap, held := b.gap()
	if gap == 0 {
		return 0, tooShort, b.running(), nil
	}
	r.result.Decodes = append(r.result.Decodes, calibration.Decode{Sequences: n, Context: held, Gap: gap})
	r.result.Sequences.N = max(r.result.Sequences.N, n)
	r.sawCache(held, false)
	return gap, ranTogether, n, nil
}

// answerLength is how long the answers of a batch may be: long enough to be
// broken off, within what the model takes.
func (r *run) answerLength(prompt int) int {
	n := 4096
	if r.Card.MaxOutput > 0 {
		n = min(n, r.Card.MaxOutput)
	}
	if r.Card.Context > 0 {
		n = min(n, r.Card.Context-prompt-r.Card.Context/16) // prompts are not exact to the token
	}
	return max(n, 1)
}
