package measure_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/calibration"
	"github.com/outcrop/outcrop/estimate"
	"github.com/outcrop/outcrop/measure"
	"github.com/outcrop/outcrop/sim"
	"github.com/outcrop/outcrop/step"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const slo = 50 * time.Millisecond

func card(id string, context int) *outcrop.Card {
	return &outcrop.Card{ID: id, Context: context, MaxOutput: 8192}
}

var llama = card("meta.llama3-1-8b-instruct-v1:0", 128_000)

// h100 is a simulated engine of constants that the tests know, whatever the
// simulator thinks of the model.
func h100() *sim.Engine { return simulated(step.H100Llama8B()) }

func simulated(k step.Constants) *sim.Engine {
	return sim.New(sim.Config{Card: llama, Speed: 1, Constants: k, FirstToken: 300 * time.Millisecond})
}

// inVirtualTime runs f where time stands still while somebody works, so that
// what is measured is exact.
func inVirtualTime(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func config(m outcrop.Model, c *outcrop.Card) measure.Config {
	return measure.Config{Model: m, Card: c, MaxGap: slo, Time: 10 * time.Minute, Seed: 1, Alone: true}
}

// quick is config for what does not need exact figures.
func quick(m outcrop.Model, c *outcrop.Card) measure.Config {
	q := config(m, c)
	q.Quick = true
	return q
}

// few is quick with few sequences.
func few(m outcrop.Model) measure.Config {
	c := quick(m, llama)
	c.MaxConcurrency = 16
	return c
}

func measured(t *testing.T, c measure.Config) (measure.Result, *calibration.Fit) {
	t.Helper()
	r, err := measure.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := calibration.New(r.Measurements)
	if err != nil {
		t.Fatal(err)
	}
	return r, f
}

// within reports whether got is want, give or take the share.
func within(got, want, share float64) bool { return math.Abs(got/want-1) <= share }

func TestASimulatedEngineYieldsItsOwnConstants(t *testing.T) {
	late := step.H100Llama8B()
	late.Weights, late.Token = 6800*time.Microsecond, 25*time.Millisecond
	for name, c := range map[string]struct {
		constants step.Constants
		apart     float64 // how exactly the reading of the weights can be told from the rest of a step
	}{
		"more sequences take longer": {step.H100Llama8B(), .03},
		"only prompts take longer":   {late, .1}, // no number of sequences reaches the knee
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T) {
				r, f := measured(t, config(simulated(c.constants), llama))
				want, got := c.constants, f.Constants()
				want.Entry = 300*time.Millisecond - want.Overhead - want.Weights
				for name, x := range map[string]struct{ got, want, share float64 }{
					"token":   {float64(got.Token), float64(want.Token), .03},
					"context": {float64(got.Context), float64(want.Context), .03},
					"step":    {float64(got.Overhead + got.Weights), float64(want.Overhead + want.Weights), .03},
					"weights": {float64(got.Weights), float64(want.Weights), c.apart},
					"entry":   {float64(got.Entry), float64(want.Entry), .03},
					"budget":  {float64(got.Budget), float64(want.Budget), .03},
				} {
					if !within(x.got, x.want, x.share) {
						t.Errorf("%s is %v, want %v", name, x.got, x.want)
					}
				}
				if f.Sequences.N != want.MaxSeqs || f.Reading.Typical > .01 || f.Decoding.Typical > .01 || len(r.Warnings) > 0 {
					t.Errorf("%+v, %v", f, r.Warnings)
				}
			})
		})
	}
}

func TestAQuickMeasurementIsNotFarOff(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		c := quick(h100(), llama)
		c.Time = 90 * time.Second
		r, f := measured(t, c)
		if got := f.Capacity(); !within(got.PrefillRate, 28_571, .05) || !within(got.DecodeRate, 147, .05) || !within(float64(got.StepBudget), 2048, .05) {
			t.Errorf("%+v", got)
		}
		if r.PromptTokens > 700_000 || r.Took > time.Minute {
			t.Errorf("it takes %d tokens and %v", r.PromptTokens, r.Took)
		}
	})
}

func TestTheLimitsOfAnEngineAreFound(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		k := step.H100Llama8B()
		k.MaxSeqs, k.KVTokens, k.Budget = 50, 30_000, 512
		_, f := measured(t, quick(simulated(k), llama))
		if f.Sequences != (calibration.Bound{N: 50, Limit: true}) {
			t.Errorf("sequences: %+v", f.Sequences)
		}
		if !f.Cache.Limit || !within(float64(f.Cache.N), 30_000, .1) {
			t.Errorf("cache: %+v", f.Cache)
		}
		if !f.Budget.Limit || !within(float64(f.Budget.N), 512, .05) {
			t.Errorf("budget: %+v", f.Budget)
		}
	})
}

func TestNoPromptIsInThePromptCache(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		e := h100()
		c := few(e)
		measured(t, c)
		c.Seed = 2
		measured(t, c)
		if s := e.Stats(); s.PrefixHits > 0 || s.PrefixQueries == 0 {
			t.Errorf("%d of %d tokens came from the cache", s.PrefixHits, s.PrefixQueries)
		}
	})
}

func TestTheEngineIsFreeAfterwards(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		e := h100()
		measured(t, few(e))
		if s := e.Stats(); s.Running+s.Waiting > 0 {
			t.Errorf("%d requests run, %d wait", s.Running, s.Waiting)
		}
	})
}

// A model in front of another counts what passes and may refuse it.
type inFront struct {
	outcrop.Model
	most    int64 // calls at a time; 0 sets no bound
	refuse  func(*outcrop.Request) error
	calls   atomic.Int64
	longest atomic.Int64 // most calls at a time
}

func (m *inFront) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	now := m.calls.Add(1)
	defer m.calls.Add(-1)
	for was := m.longest.Load(); now > was && !m.longest.CompareAndSwap(was, now); was = m.longest.Load() {
	}
	if m.most > 0 && now > m.most {
		return outcrop.Receipt{}, &outcrop.Error{Code: outcrop.CodeThrottling, Message: "Too many."}
	}
	if m.refuse != nil {
		if err := m.refuse(req); err != nil {
			return outcrop.Receipt{}, err
		}
	}
	return m.Model.Invoke(ctx, req, out)
}

func TestAnEngineThatRefusesIsAskedForNoMore(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		e := &inFront{Model: h100(), most: 20}
		_, f := measured(t, quick(e, llama))
		if f.Sequences != (calibration.Bound{N: 20, Limit: true}) {
			t.Errorf("%+v", f.Sequences)
		}
		if got := e.longest.Load(); got > 32 {
			t.Errorf("%d calls at a time", got)
		}
	})
}

func TestTheConfiguredConcurrencyIsKept(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		e := &inFront{Model: h100()}
		c := quick(e, llama)
		c.MaxConcurrency = 5
		r, f := measured(t, c)
		if f.Sequences.N != 5 || e.longest.Load() != 5 || r.Stall.Sequences != 4 {
			t.Errorf("%+v, %d at a time, stall %+v", f.Sequences, e.longest.Load(), r.Stall)
		}
	})
}

func TestGapsThatAreTooLongEndTheGrowth(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		c := quick(h100(), llama)
		c.MaxGap = 8 * time.Millisecond
		r, _ := measured(t, c)
		long, over := false, [2]int{}
		for _, d := range r.Decodes {
			long = long || d.Context > 1000*d.Sequences
			if d.Gap > c.MaxGap && long {
				over[1]++
			} else if d.Gap > c.MaxGap {
				over[0]++
			}
		}
		if over != [2]int{1, 1} {
			t.Errorf("%d numbers of sequences are beyond the longest gap, want one of each length: %+v", over, r.Decodes)
		}
	})
}

func TestEnginesThatKnowNoExtrasAreMeasuredWithout(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		e := &inFront{Model: h100(), refuse: func(req *outcrop.Request) error {
			if len(req.Conversation.Extra) > 0 {
				return outcrop.Invalid("Unrecognized request argument.")
			}
			return nil
		}}
		r, f := measured(t, quick(e, llama))
		if !within(f.Capacity().PrefillRate, 28_571, .05) || !within(f.Capacity().DecodeRate, 147, .05) {
			t.Errorf("%+v", f.Capacity())
		}
		if f.Sequences.Limit || !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "answers ended") }) {
			t.Errorf("%+v, %q", f.Sequences, r.Warnings)
		}
	})
}

func TestAModelOfASmallContextIsAskedForNoMore(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		small := card("acme.small", 2048)
		r, _ := measured(t, quick(sim.New(sim.Config{Card: small, Speed: 1}), small))
		if last := r.Reads[len(r.Reads)-1].Tokens; last > 2048 || last < 1500 {
			t.Errorf("the longest prompt has %d tokens", last)
		}
		if len(r.Warnings) > 0 {
			t.Errorf("%q", r.Warnings)
		}
	})
}

func TestABusyEngineIsLeftAlone(t *testing.T) {
	e := &inFront{}
	c := quick(e, llama)
	c.Alone = false
	c.Metrics = func(context.Context) (estimate.Scrape, error) { return estimate.Scrape{Running: 1, Waiting: 2}, nil }
	if _, err := measure.Run(t.Context(), c); !errors.Is(err, measure.ErrBusy) || e.longest.Load() > 0 {
		t.Errorf("%v after %d calls", err, e.longest.Load())
	}
}

func TestWhatMetricsSayIsBelieved(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		c := few(h100())
		c.Alone = false
		c.Metrics = func(context.Context) (estimate.Scrape, error) { return estimate.Scrape{KVTokens: 123_456}, nil }
		if r, f := measured(t, c); f.Capacity().KVTokens != 123_456 || len(r.Warnings) > 0 {
			t.Errorf("%+v, %q", f.Capacity(), r.Warnings)
		}
		c.Metrics = func(context.Context) (estimate.Scrape, error) { return estimate.Scrape{}, errors.New("no page") }
		if r, _ := measured(t, c); len(r.Warnings) != 1 {
			t.Errorf("%q", r.Warnings)
		}
	})
}

func TestTheTimeIsKept(t *testing.T) {
	slow, partly := 0, 0
	for _, limit := range []time.Duration{time.Second, 3 * time.Second, 6 * time.Second, 9 * time.Second} {
		inVirtualTime(t, func(t *testing.T) {
			c := few(h100())
			c.Time = limit
			r, err := measure.Run(t.Context(), c)
			if r.Took > limit {
				t.Errorf("%v of %v", r.Took, limit)
			}
			switch {
			case errors.Is(err, measure.ErrSlow):
				slow++
			case err != nil:
				t.Errorf("within %v: %v", limit, err)
			case len(r.Warnings) > 0:
				partly++
			}
		})
	}
	if slow == 0 || partly == 0 {
		t.Errorf("%d times nothing was measured and %d times a part", slow, partly)
	}
}

func TestAnInterruptionEndsItAtOnce(t *testing.T) {
	cause := errors.New("enough")
	for _, after := range []time.Duration{0, time.Second, 3 * time.Second, 5 * time.Second, 8 * time.Second, 11 * time.Second} {
		inVirtualTime(t, func(t *testing.T) {
			e := h100()
			ctx, stop := context.WithCancelCause(t.Context())
			time.AfterFunc(after, func() { stop(cause) })
			begun := time.Now()
			_, err := measure.Run(ctx, quick(e, llama))
			if !errors.Is(err, cause) || time.Since(begun) != after {
				t.Errorf("interrupted after %v, it ends after %v with %v", after, time.Since(begun), err)
			}
			if s := e.Stats(); s.Running+s.Waiting > 0 {
				t.Errorf("%d requests run, %d wait", s.Running, s.Waiting)
			}
		})
	}
}

// Whichever call fails, the error comes back and nothing hangs.
func TestAnyCallMayFail(t *testing.T) {
	broken := &outcrop.Error{Code: outcrop.CodeModelError, Message: "Broken."}
	failures := 0
	for k := int64(1); k < 120; k += 1 + k/16 {
		inVirtualTime(t, func(t *testing.T) {
			var calls atomic.Int64
			e := &inFront{Model: h100(), refuse: func(*outcrop.Request) error {
				if calls.Add(1) == k {
					return broken
				}
				return nil
			}}
			_, err := measure.Run(t.Context(), few(e))
			if calls.Load() >= k {
				failures++
				if !errors.Is(err, outcrop.CodeModelError) {
					t.Errorf("call %d fails, and Run says %v", k, err)
				}
			}
		})
	}
	if failures < 20 {
		t.Errorf("only %d calls failed", failures)
	}
}

func TestTheSimulatedEngineIsKnownByItsWords(t *testing.T) {
	inVirtualTime(t, func(t *testing.T) {
		c := few(unlabelled{h100()})
		if r, _ := measured(t, c); !r.Simulated {
			t.Error("behind an API it passes for a real one")
		}
	})
}

// unlabelled is an engine whose receipts do not tell that it is simulated.
type unlabelled struct{ outcrop.Model }

func (m unlabelled) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	r, err := m.Model.Invoke(ctx, req, out)
	r.Simulated = false
	return r, err
}
