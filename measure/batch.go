package measure

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
)

// errEnough is why calls of a batch are broken off once it has been seen.
var errEnough = errors.New("measure: seen enough")

// A batch is a number of calls at the same time. It takes down when each token
// comes, and breaks all calls off as soon as over says so.
type batch struct {
	run  *run
	over func(*batch) bool // called with the mutex held
	// patience is twice the time that a prompt takes alone.
	patience time.Duration
	stop     context.CancelCauseFunc

	mu      sync.Mutex
	streams []stream
	begun   int // streams that have a token
	ended   int // streams that ended by themselves
	refused int
	refusal error     // the latest of these
	failed  error     // the first other error
	tokens  int       // since the latest stream began
	latest  time.Time // when that was
	done    bool
}

// A stream is one call of a batch.
type stream struct {
	prompt int // tokens, about
	times  []time.Time
}

// newBatch returns a batch of n calls that will end when over says so.
func (r *run) newBatch(n int, over func(*batch) bool) *batch {
	return &batch{run: r, over: over, streams: make([]stream, n)}
}

// do makes the calls, and what else is to happen beside them, and returns when
// all have ended. Late tells that ctx or the time ended before over said so.
func (b *batch) do(ctx context.Context, until time.Time, size, maxTokens int, beside ...func(context.Context)) (late bool) {
	timed, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	ctx, b.stop = context.WithCancelCause(timed)
	defer b.stop(errEnough)
	var calls sync.WaitGroup
	b.patience = 2 * (b.run.result.Reads[0].Took + b.run.reading(size))
	for i := range b.streams {
		b.streams[i].prompt = size
		req := b.run.request(b.run.prompts.text(b.run.prompts.words(size)), maxTokens)
		calls.Go(func() { b.call(ctx, i, req) })
	}
	for _, f := range beside {
		calls.Go(func() { f(ctx) })
	}
	calls.Wait()
	b.run.result.PromptTokens += len(b.streams) * size
	for i := range b.streams {
		b.run.result.OutputTokens += b.streams[i].produced(b.run.perDelta)
	}
	return !b.done && b.failed == nil && timed.Err() != nil
}

func (s *stream) produced(perDelta float64) int { return int(float64(len(s.times)) * perDelta) }

// call makes the call i.
func (b *batch) call(ctx context.Context, i int, req *outcrop.Request) {
	_, err := b.run.Model.Invoke(ctx, req, &ear{heard: func() { b.heard(i) }})
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		b.ended++
	case refused(err):
		b.refused++
		b.refusal = err
	case b.failed == nil:
		b.failed = err
	}
	b.look()
}

// heard takes down a token of the call i.
func (b *batch) heard(i int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.streams[i]
	if len(s.times) == 0 {
		b.begun++
		b.tokens, b.latest = 0, time.Now()
	}
	s.times = append(s.times, time.Now())
	b.tokens++
	b.look()
}

// look breaks the batch off if enough was seen.
func (b *batch) look() {
	if b.done || b.failed == nil && !b.over(b) {
		return
	}
	b.done = b.failed == nil
	b.stop(errEnough)
}

// running is how many calls have tokens and have not ended.
func (b *batch) running() int { return b.begun - b.ended }

// together reports whether all calls that the engine took have a token.
func (b *batch) together() bool { return b.begun > 0 && b.begun+b.refused >= len(b.streams) }

// each is how many tokens a stream has got on average since the latest began.
func (b *batch) each() int { return b.tokens / max(b.begun, 1) }

// stuck reports whether some calls have no token yet although the others have
// got plenty since, in tokens and in time: they wait for a place.
func (b *batch) stuck() bool {
	const windows = 4
	return !b.together() && b.each() > windows*b.run.plan.window && time.Since(b.latest) > b.patience
}

// gap returns the time between two tokens while all streams ran, and the
// tokens of context that they had together halfway through. Both are 0 if
// there were too few tokens. It is the median of the streams' means: tokens
// may come in bunches, so that single gaps tell little.
func (b *batch) gap() (gap time.Duration, context int) {
	var from time.Time // when the latest stream began
	for i := range b.streams {
		if t := b.streams[i].times; len(t) > 0 && t[0].After(from) {
			from = t[0]
		}
	}
	var means []time.Duration
	for i := range b.streams {
		t := b.streams[i].times
		// The first token opens the account: it may be of the step before.
		k := slices.IndexFunc(t, func(at time.Time) bool { return !at.Before(from) })
		if k < 0 {
			continue
		}
		context += b.streams[i].prompt + int(b.run.perDelta*float64(k+len(t))/2)
		if gaps := len(t) - 1 - k; gaps >= leastGaps {
			means = append(means, t[len(t)-1].Sub(t[k])/time.Duration(gaps))
		}
	}
	if len(means) == 0 {
		return 0, 0
	}
	return time.Duration(float64(median(means)) / b.run.perDelta), context
}

// leastGaps is the fewest gaps of a stream that make a mean.
const leastGaps = 4
