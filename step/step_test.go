package step_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outcrop/outcrop/step"
)

const ms = time.Millisecond

// plain has round figures: a step takes 10 ms for up to 100 tokens and 0.1 ms
// for each token beyond, and 1 µs for each token of context.
func plain() step.Constants {
	return step.Constants{
		Overhead: 0, Weights: 10 * ms, Token: 100 * ms, Context: ms,
		Budget: 1000, MaxSeqs: 8, KVTokens: 100 * step.BlockTokens,
	}
}

func submit(t *testing.T, e *step.Engine, at time.Duration, s step.Sequence) {
	t.Helper()
	if err := e.Submit(at, s); err != nil {
		t.Fatalf("Submit(%v, %+v): %v", at, s, err)
	}
}

func mustSee(t *testing.T, got []step.Event, want ...step.Event) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestAShortPromptOnAnIdleEngineTakesOneStep(t *testing.T) {
	c := plain()
	c.Entry = 490 * ms
	e := step.New(c)
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 50, Output: 3})
	mustSee(t, e.Advance(10*time.Second, nil),
		step.Event{Kind: step.Started, ID: 1, At: 490 * ms},
		step.Event{Kind: step.Token, ID: 1, At: 500 * ms, N: 1},
		step.Event{Kind: step.Token, ID: 1, At: 510*ms + 50*time.Microsecond, N: 2},
		step.Event{Kind: step.Token, ID: 1, At: 520*ms + 101*time.Microsecond, N: 3},
		step.Event{Kind: step.Finished, ID: 1, At: 520*ms + 101*time.Microsecond, N: 3},
	)
	if _, ok := e.NextAt(); ok {
		t.Error("an idle engine has a next time")
	}
}

func TestALongPromptHoldsUpThoseWhoAnswer(t *testing.T) {
	c := plain()
	c.Context = 0
	e := step.New(c)
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 10, Output: 3})
	first := e.Advance(5*ms, nil)
	submit(t, e, 5*ms, step.Sequence{ID: 2, Prompt: 499, Output: 1})
	mustSee(t, e.Advance(time.Second, first),
		step.Event{Kind: step.Started, ID: 1},
		step.Event{Kind: step.Token, ID: 1, At: 10 * ms, N: 1},
		step.Event{Kind: step.Started, ID: 2, At: 10 * ms},
		step.Event{Kind: step.Token, ID: 1, At: 60 * ms, N: 2},
		step.Event{Kind: step.Token, ID: 2, At: 60 * ms, N: 1},
		step.Event{Kind: step.Finished, ID: 2, At: 60 * ms, N: 1},
		step.Event{Kind: step.Token, ID: 1, At: 70 * ms, N: 3},
		step.Event{Kind: step.Finished, ID: 1, At: 70 * ms, N: 3},
	)
}

func TestPromptsAreReadInChunksOfTheBudget(t *testing.T) {
	c := plain()
	c.Context, c.Budget = 0, 200
	e := step.New(c)
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 500, Output: 1})
	mustSee(t, e.Advance(time.Second, nil),
		step.Event{Kind: step.Started, ID: 1},
		step.Event{Kind: step.Token, ID: 1, At: 50 * ms, N: 1},
		step.Event{Kind: step.Finished, ID: 1, At: 50 * ms, N: 1},
	)
	if s := e.State(); s.Steps != 3 || s.PrefillComputed != 500 || s.PromptTokens != 500 {
		t.Errorf("state %+v, want 3 steps and 500 tokens of prompts", s)
	}
}

func TestRunningSequencesComeBeforeWaitingOnes(t *testing.T) {
	c := plain()
	c.MaxSeqs = 1
	e := step.New(c)
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 1, Output: 2})
	submit(t, e, 0, step.Sequence{ID: 2, Prompt: 1, Output: 1, Priority: 5})
	submit(t, e, 0, step.Sequence{ID: 3, Prompt: 1, Output: 1, Priority: -5})
	submit(t, e, 0, step.Sequence{ID: 4, Prompt: 1, Output: 1, Priority: 5})
	var order []step.ID
	for _, ev := range e.Advance(time.Second, nil) {
		if ev.Kind == step.Started {
			order = append(order, ev.ID)
		}
	}
	if diff := cmp.Diff([]step.ID{3, 1, 2, 4}, order); diff != "" {
		t.Errorf("order of service (-want +got):\n%s", diff)
	}
}

func TestASharedPrefixIsComputedOnce(t *testing.T) {
	e := step.New(plain())
	prefix := []uint64{11, 12, 13}
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 50, Output: 1, Blocks: prefix})
	e.Advance(time.Second, nil)
	submit(t, e, time.Second, step.Sequence{ID: 2, Prompt: 60, Output: 1, Blocks: append(prefix, 14)})
	events := e.Advance(2*time.Second, nil)
	if got := events[0]; got.Kind != step.Started || got.N != 48 {
		t.Errorf("first event %+v, want 48 tokens from the cache", got)
	}
	if s := e.State(); s.PrefillComputed != 50+12 || s.PrefixHit != 48 || s.PrefixQueried != 110 || s.BlocksUsed != 0 {
		t.Errorf("state %+v", s)
	}
}

func TestTheWholePromptIsNeverFromTheCache(t *testing.T) {
	e := step.New(plain())
	for i := range step.ID(2) {
		submit(t, e, 0, step.Sequence{ID: i, Prompt: 32, Output: 1, Blocks: []uint64{1, 2}})
		e.Advance(time.Duration(i+1)*time.Second, nil)
	}
	if s := e.State(); s.PrefixHit != 16 || s.OutputTokens != 2 {
		t.Errorf("state %+v, want 16 tokens from the cache", s)
	}
}

func TestTheLeastRecentlyUsedPrefixGoesFirst(t *testing.T) {
	c := plain()
	c.KVTokens = 4 * step.BlockTokens
	e := step.New(c)
	at := time.Duration(0)
	run := func(id step.ID, blocks ...uint64) int {
		submit(t, e, at, step.Sequence{ID: id, Prompt: len(blocks)*16 + 1, Output: 1, Blocks: blocks})
		at += time.Second
		return e.Advance(at, nil)[0].N
	}
	run(1, 1)
	run(2, 2)
	if hit := run(3, 1); hit != 16 {
		t.Errorf("prefix 1: %d tokens from the cache, want 16", hit)
	}
	run(4, 3, 4) // takes the place of prefix 2
	if hit := run(5, 1); hit != 16 {
		t.Errorf("prefix 1, used lately: %d tokens from the cache, want 16", hit)
	}
	if hit := run(6, 2); hit != 0 {
		t.Errorf("prefix 2, not used lately: %d tokens from the cache, want none", hit)
	}
}

func TestTheYoungestGivesWayWhenMemoryIsShort(t *testing.T) {
	c := plain()
	c.KVTokens = 4 * step.BlockTokens
	e := step.New(c)
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 30, Output: 20})
	submit(t, e, 0, step.Sequence{ID: 2, Prompt: 30, Output: 20})
	tokens, preempted := map[step.ID]int{}, map[step.ID]int{}
	var last step.ID
	for _, ev := range e.Advance(10*time.Second, nil) {
		switch ev.Kind {
		case step.Token:
			tokens[ev.ID]++
			if ev.N != tokens[ev.ID] {
				t.Errorf("token %d of sequence %d comes as number %d", tokens[ev.ID], ev.ID, ev.N)
			}
		case step.Preempted:
			preempted[ev.ID]++
		case step.Finished:
			last = ev.ID
		}
	}
	if tokens[1] != 20 || tokens[2] != 20 || preempted[1] != 0 || preempted[2] == 0 || last != 2 {
		t.Errorf("tokens %v, preempted %v, last %d", tokens, preempted, last)
	}
}

func TestPriorityDecidesWhoGivesWay(t *testing.T) {
	c := plain()
	c.KVTokens = 4 * step.BlockTokens
	e := step.New(c)
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 30, Output: 20, Priority: 10})
	submit(t, e, 0, step.Sequence{ID: 2, Prompt: 30, Output: 20})
	for _, ev := range e.Advance(10*time.Second, nil) {
		if ev.Kind == step.Preempted && ev.ID != 1 {
			t.Errorf("sequence %d of the higher priority gave way", ev.ID)
		}
	}
	if e.State().Preemptions == 0 {
		t.Error("nobody gave way")
	}
}

func TestAbortFreesTheMemoryAtOnce(t *testing.T) {
	e := step.New(plain())
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 160, Output: 5})
	e.Advance(ms, nil)
	if got := e.State().BlocksUsed; got != 10 {
		t.Fatalf("%d blocks in use, want 10", got)
	}
	if !e.Abort(2*ms, 1) {
		t.Fatal("Abort does not know the sequence")
	}
	if s := e.State(); s.BlocksUsed != 0 || s.Running != 0 || s.AbortedSequences != 1 {
		t.Errorf("state after Abort %+v", s)
	}
	if e.Abort(2*ms, 1) {
		t.Error("a second Abort finds the sequence")
	}
	if got := e.Advance(time.Second, nil); len(got) != 0 {
		t.Errorf("events after Abort: %v", got)
	}
}

func TestTheStepUnderWayOutlivesItsSequences(t *testing.T) {
	e := step.New(plain())
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 500, Output: 5}) // 50 ms
	e.Advance(0, nil)
	e.Abort(ms, 1)
	submit(t, e, ms, step.Sequence{ID: 2, Prompt: 1, Output: 1})
	mustSee(t, e.Advance(time.Second, nil),
		step.Event{Kind: step.Started, ID: 2, At: 50 * ms},
		step.Event{Kind: step.Token, ID: 2, At: 60 * ms, N: 1},
		step.Event{Kind: step.Finished, ID: 2, At: 60 * ms, N: 1},
	)
}

func TestRefusals(t *testing.T) {
	e := step.New(plain())
	submit(t, e, 0, step.Sequence{ID: 1, Prompt: 1, Output: 1})
	for _, c := range []struct {
		s    step.Sequence
		want error
	}{
		{step.Sequence{ID: 2, Output: 1}, step.ErrSequence},
		{step.Sequence{ID: 2, Prompt: 1}, step.ErrSequence},
		{step.Sequence{ID: 2, Prompt: -1, Output: 1}, step.ErrSequence},
		{step.Sequence{ID: 1, Prompt: 1, Output: 1}, step.ErrInUse},
		{step.Sequence{ID: 2, Prompt: 1600, Output: 2}, step.ErrTooLong},
		{step.Sequence{ID: 2, Prompt: 1 << 62, Output: 1 << 62}, step.ErrTooLong},
		{step.Sequence{ID: 2, Prompt: 1600, Output: 1}, nil},
	} {
		if err := e.Submit(0, c.s); !errors.Is(err, c.want) {
			t.Errorf("Submit(%+v) = %v, want %v", c.s, err, c.want)
		}
	}
}

func TestScaledEnginesAreSoMuchFaster(t *testing.T) {
	c := step.H100Llama8B()
	c.Entry = time.Second
	fast := c.Scaled(10)
	slow, quick := c.Time(2000, 48, 100_000), fast.Time(2000, 48, 100_000)
	if diff := slow - 10*quick; diff < -100 || diff > 100 {
		t.Errorf("a step takes %v, and %v at ten times the speed", slow, quick)
	}
	if fast.Entry != 100*ms {
		t.Errorf("entry takes %v", fast.Entry)
	}
}

// The figures are those of the roofline that H100Llama8B cites: a full step
// of 2,048 tokens takes about 73 ms, and about 160 tokens ride free.
func TestTheRooflineOfTheReferenceEngine(t *testing.T) {
	c := step.H100Llama8B()
	if got := c.Time(2048, 0, 0); got < 72*ms || got > 74*ms {
		t.Errorf("a full step takes %v, want about 73ms", got)
	}
	if one, many := c.Time(0, 1, 0), c.Time(0, 160, 0); one != many {
		t.Errorf("a step takes %v with 1 token and %v with 160", one, many)
	}
	if one, more := c.Time(0, 160, 0), c.Time(0, 161, 0); more <= one {
		t.Errorf("a step takes %v with 160 tokens and %v with 161", one, more)
	}
}

func TestNoiseIsAroundTheExactTime(t *testing.T) {
	c := plain()
	c.Noise, c.Context = 0.05, 0
	run := func(seed uint64) time.Duration {
		c.Seed = seed
		e := step.New(c)
		submit(t, e, 0, step.Sequence{ID: 1, Prompt: 1, Output: 1000})
		events := e.Advance(time.Hour, nil)
		return events[len(events)-1].At
	}
	if a, b := run(1), run(1); a != b {
		t.Errorf("the same seed gives %v and %v", a, b)
	}
	for seed := range uint64(5) {
		if got := run(seed); got < 9900*ms || got > 10100*ms || got == 10*time.Second {
			t.Errorf("1,000 steps of 10 ms with noise take %v", got)
		}
	}
}

// A discrete-event simulation of the same engine, made before this one, has a
// capacity of about 22,000 tokens a second on the length mix of a public trace
// of conversations, whose means are 1,155 and 211 tokens.
func TestTheCapacityOfTheReferenceEngine(t *testing.T) {
	e := step.New(step.H100Llama8B())
	const end = 100 * time.Second
	var events []step.Event
	for id, now := step.ID(0), time.Duration(0); now < end; {
		for e.State().Running+e.State().Waiting < 250 {
			submit(t, e, now, step.Sequence{ID: id, Prompt: 1155, Output: 211})
			id++
		}
		events = e.Advance(now, events[:0])
		now, _ = e.NextAt()
	}
	s := e.State()
	perSecond := float64(s.PrefillComputed+s.OutputTokens) / end.Seconds()
	if perSecond < 20_000 || perSecond > 25_000 {
		t.Errorf("%.0f tokens a second, want about 22,000", perSecond)
	}
	t.Logf("%.0f tokens a second, %d steps", perSecond, s.Steps)
}
