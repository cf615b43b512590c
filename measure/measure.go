// Package measure runs an engine through what package calibration needs to
// know: prompts one after the other, growing numbers of sequences that decode
// together, and a long prompt in the midst of them. It drives any
// outcrop.Model, as a stream, and takes the times in the sink, so that what is
// measured is what the gateway would see.
//
// The engine must have nothing else to do meanwhile.
package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/calibration"
	"github.com/outcrop/outcrop/estimate"
)

// A Config says what to measure and how much of it.
type Config struct {
	Model outcrop.Model
	// Card is the model; its context and longest answer bound what is asked of
	// the engine. Never nil.
	Card *outcrop.Card
	// Quick measures fewer and shorter prompts, once each, and fewer numbers of
	// sequences.
	Quick bool
	// MaxGap is the gap between two tokens beyond which there are no more
	// sequences asked for; it must be positive.
	MaxGap time.Duration
	// MaxConcurrency is how many calls the engine may have at a time; 0 sets no
	// bound but the plan's own, 256.
	MaxConcurrency int
	// Time bounds the whole measurement; what does not fit is left out, and
	// noted. It must be positive.
	Time time.Duration
	// Seed chooses the prompts. With the same seed they are the same, and the
	// engine may have them in its prompt cache.
	Seed uint64
	// Alone tells that nobody else can use the engine, so that there is no need
	// to look.
	Alone bool
	// Metrics fetches what the engine says of itself; nil if it says nothing.
	Metrics func(context.Context) (estimate.Scrape, error)
	// Note, if set, is told in a few words what happens, as it does. It must
	// not block for long; it is called by one goroutine at a time.
	Note func(string)
}

// A Result is what was measured.
type Result struct {
	calibration.Measurements
	// Warnings say what stands between the figures and the truth.
	Warnings []string
	// Simulated tells that the engine was the simulated one, here or as a
	// server of its own.
	Simulated bool
	// PromptTokens and OutputTokens are what the engine was asked to do, in
	// its own count where it tells.
	PromptTokens, OutputTokens int
	Took                       time.Duration
}

// The reasons for which Run measures nothing.
var (
	// ErrBusy: the engine works for others, or its metrics say so.
	ErrBusy = errors.New("the engine is busy with other requests")
	// ErrSlow: the time was up before three prompts were read.
	ErrSlow = errors.New("the engine is too slow for the time that the measurement may take")
	// ErrSilent: the engine answered without tokens to take the time of.
	ErrSilent = errors.New("the engine's answers are too short to take the time between their tokens")
)

// Run measures the engine. It blocks until all is done, Config.Time is up or
// ctx has ended; the engine is free by then. It refuses an engine that is seen
// to be busy with ErrBusy. Errors of the engine come back wrapped, and
// context.Cause(ctx) if ctx ended.
func Run(ctx context.Context, c Config) (Result, error) {
	r := &run{Config: c, plan: planFor(c), begun: time.Now()}
	r.prompts = newPrompts(c.Seed)
	bounded, stop := context.WithTimeoutCause(ctx, c.Time, ErrSlow)
	defer stop()
	err := r.measure(bounded)
	r.result.Took = time.Since(r.begun)
	if ctx.Err() != nil {
		return r.result, context.Cause(ctx)
	}
	return r.result, err
}

// A run is one measurement under way.
type run struct {
	Config
	plan    plan
	prompts *prompts
	begun   time.Time
	result  Result

	extra    outcrop.JSON // asks the engine for answers that do not end
	perDelta float64      // tokens in one delta of a stream
	pace     float64      // seconds for a token of prompt, to plan by
}

func (r *run) measure(ctx context.Context) error {
	if err := r.checkIdle(ctx); err != nil {
		return err
	}
	for _, phase := range []func(context.Context) error{r.warmUp, r.reads, r.decodes, r.stall} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkIdle refuses a busy engine, and learns the size of its memory if it
// tells that.
func (r *run) checkIdle(ctx context.Context) error {
	const patience = 3 * time.Second
	if r.Alone {
		return nil
	}
	if r.Metrics == nil {
		r.warn("whether others use the engine cannot be seen; if they do, it is better than these figures")
		return nil
	}
	once, stop := context.WithTimeout(ctx, patience)
	defer stop()
	s, err := r.Metrics(once)
	if err != nil {
		r.warn("the engine has no metrics to see by whether others use it; if they do, it is better than these figures")
		return nil
	}
	if busy := s.Running + s.Waiting; busy > 0 {
		return fmt.Errorf("%w: %d at the moment", ErrBusy, busy)
	}
	if s.KVTokens > 0 {
		r.result.Cache = calibration.Bound{N: s.KVTokens, Limit: true}
	}
	return nil
}

func (r *run) note(format string, args ...any) {
	if r.Note != nil {
		r.Note(fmt.Sprintf(format, args...))
	}
}

func (r *run) warn(format string, args ...any) {
	r.result.Warnings = append(r.result.Warnings, fmt.Sprintf(format, args...))
}

// until is the time at which the phase that ends at the share of the whole
// time must be over.
func (r *run) until(share float64) time.Time {
	return r.begun.Add(time.Duration(share * float64(r.Time)))
}

// A plan says what is measured, the smallest first.
type plan struct {
	reads       []int // tokens of prompts
	repeats     int   // of each; the median counts
	sequences   []int
	contexts    []int // tokens that each sequence has
	window      int   // tokens of each sequence over which gaps are taken
	stallPrompt int
	stallAmong  int
}

// planFor bounds the plan by what the model takes. An answer needs room
// beside the prompt. Prompts are a little shorter than powers of two, which
// the budgets of steps often are: a token more than a budget takes a whole step
// more, and lengths are not exact to the token.
func planFor(c Config) plan {
	p := plan{
		reads: []int{120, 240, 480, 950, 1900, 3900, 7900}, repeats: 3,
		sequences: []int{1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256}, contexts: []int{256, 4096},
		window: 32, stallPrompt: 7900, stallAmong: 64,
	}
	if c.Quick {
		p.reads, p.repeats = []int{120, 240, 480, 1900, 3900}, 1
		p.sequences, p.contexts = []int{1, 4, 16, 64, 128, 256}, []int{256, 1024}
		p.window, p.stallPrompt, p.stallAmong = 16, 3900, 16
	}
	if c.MaxConcurrency > 0 {
		p.sequences = upTo(p.sequences, c.MaxConcurrency)
		p.stallAmong = min(p.stallAmong, max(c.MaxConcurrency-1, 1)) // the prompt needs a place too
	}
	if c.Card.Context > 0 {
		longest := c.Card.Context * 7 / 8
		p.reads = upTo(p.reads, longest)
		p.contexts = upTo(p.contexts, c.Card.Context/2)
		p.stallPrompt = min(p.stallPrompt, longest)
	}
	return p
}

// upTo returns the sizes up to most; if that leaves some out, most itself is
// the last.
func upTo(sizes []int, most int) []int {
	var some []int
	for _, n := range sizes {
		if n >= most {
			return append(some, most)
		}
		some = append(some, n)
	}
	return some
}
