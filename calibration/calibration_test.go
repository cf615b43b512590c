package calibration_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/calibration"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
)

const (
	ms = time.Millisecond
	us = time.Microsecond
)

// byHand is the example of docs/calibration.md.
var byHand = calibration.Measurements{
	Reads: []calibration.Read{{Tokens: 1000, Took: 60 * ms}, {Tokens: 2000, Took: 100 * ms}, {Tokens: 4000, Took: 180 * ms}},
	Decodes: []calibration.Decode{
		{Sequences: 1, Context: 1000, Gap: 10_300 * us},
		{Sequences: 50, Context: 10_000, Gap: 17 * ms},
		{Sequences: 50, Context: 100_000, Gap: 35 * ms},
		{Sequences: 100, Context: 20_000, Gap: 24 * ms},
	},
	Stall:     calibration.Stall{Prompt: 4000, Sequences: 50, Context: 16_000, Usual: 18_200 * us, Worst: 43_800 * us},
	Sequences: calibration.Bound{N: 100},
	Cache:     calibration.Bound{N: 200_000, Limit: true},
}

func TestTheExampleByHand(t *testing.T) {
	f, err := calibration.New(byHand)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.FirstToken(3000); !near(got, 140*ms) { // 20 ms + 3,000 x 40 us
		t.Errorf("the first token of 3,000 tokens is fitted to take %v", got)
	}
	if got := f.Gap(20, 20_000); !near(got, 16*ms) { // 10 ms + 20 x 0.1 ms + 20,000 x 0.2 us
		t.Errorf("the gap of 20 sequences is %v", got)
	}
	if got, want := f.Capacity(), (fair.Capacity{PrefillRate: 25_000, DecodeRate: 99, MaxSeqs: 100, KVTokens: 200_000, StepBudget: 1000}); got != want {
		t.Errorf("the capacity is %+v, want %+v", got, want)
	}
	out := f.Output(30 * ms) // 10 ms + 56 x (0.1 ms + 1,260 x 0.2 us) = 29.712 ms
	if out.Sequences != 56 || !near(out.Gap, 29_712*us) || math.Abs(out.Rate-1884.8) > 1 {
		t.Errorf("the output is %+v", out)
	}
	// 60 x 25,000 / 16 x 0.8 and 60 x 1,884.8 / 16 x 0.8 = 5,654, rounded down
	if got, want := f.Unit(30*ms), (outcrop.UnitRates{Input: 46_000, Output: 3500}); got != want {
		t.Errorf("the unit is %+v, want %+v", got, want)
	}
}

func near(got, want time.Duration) bool { return math.Abs(float64(got-want)) < float64(want)/1000 }

// measured is what an engine of the constants would be measured to do.
func measured(c step.Constants, prompts, sequences []int) calibration.Measurements {
	m := calibration.Measurements{Sequences: calibration.Bound{N: c.MaxSeqs, Limit: true}, Cache: calibration.Bound{N: c.KVTokens, Limit: true}}
	for _, p := range prompts {
		took := c.Entry
		for done := 0; done < p; {
			chunk := min(p-done, c.Budget)
			took += c.Time(chunk, 0, done)
			done += chunk
		}
		m.Reads = append(m.Reads, calibration.Read{Tokens: p, Took: took})
	}
	for _, each := range []int{256, 4096} {
		for _, n := range sequences {
			m.Decodes = append(m.Decodes, calibration.Decode{Sequences: n, Context: n * each, Gap: c.Time(0, n, n*each)})
		}
	}
	prompt, held := 4*c.Budget, 16*256
	m.Stall = calibration.Stall{Prompt: prompt, Sequences: 16, Context: held, Usual: c.Time(0, 16, held), Worst: c.Time(c.Budget-16, 16, held+3*(c.Budget-16))}
	return m
}

var (
	prompts   = []int{128, 256, 512, 1024, 2048, 4096, 8192}
	sequences = []int{1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256}
)

func TestTheConstantsOfAnEngineAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := step.Constants{
			Entry:   time.Duration(rapid.IntRange(0, 500).Draw(t, "entry")) * ms,
			Token:   time.Duration(rapid.IntRange(20, 200).Draw(t, "token")) * ms,
			Context: time.Duration(rapid.IntRange(10, 100).Draw(t, "context")) * time.Microsecond,
			Budget:  rapid.SampledFrom([]int{1024, 2048, 8192}).Draw(t, "budget"), MaxSeqs: 256, KVTokens: 500_000,
		}
		// The fixed cost of a step makes a staircase of the line of the reads, and
		// the context of earlier steps bends it; the line is a good fit only as
		// long as both are small beside the tokens.
		c.Overhead = time.Duration(rapid.Float64Range(.001, .03).Draw(t, "overhead") * float64(c.Time(c.Budget, 0, 0)))
		free := rapid.IntRange(10, 180).Draw(t, "tokens that ride free")
		c.Weights = c.Token * time.Duration(free) / 1000
		f, err := calibration.New(measured(c, prompts, sequences))
		if err != nil {
			t.Fatal(err)
		}
		got := f.Constants()
		for _, part := range []struct {
			name      string
			got, want time.Duration
		}{
			{"token", got.Token, c.Token}, {"context", got.Context, c.Context}, {"weights", got.Weights, c.Weights},
			{"overhead", got.Overhead, c.Overhead}, {"entry and overhead", got.Entry + got.Overhead, c.Entry + c.Overhead},
		} {
			slack := max(part.want/15, c.Token/1000*12) // 7 %, or the time of twelve tokens
			if miss := part.got - part.want; miss > slack || miss < -slack {
				t.Errorf("%s is %v, want %v", part.name, part.got, part.want)
			}
		}
		if b := float64(got.Budget) / float64(c.Budget); b < .93 || b > 1.07 {
			t.Errorf("the budget is %d, want %d", got.Budget, c.Budget)
		}
		if f.Reading.Typical > .05 || f.Decoding.Typical > .03 {
			t.Errorf("the fit is off by %v and %v", f.Reading, f.Decoding)
		}
	})
}

func TestNoiseIsToldAsNoise(t *testing.T) {
	for _, noise := range []float64{.02, .1, .4} {
		rng := rand.New(rand.NewPCG(1, 2))
		m := measured(step.H100Llama8B(), prompts, sequences)
		for i := range m.Decodes {
			m.Decodes[i].Gap = time.Duration(float64(m.Decodes[i].Gap) * math.Exp(noise*rng.NormFloat64()))
		}
		f, err := calibration.New(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Decoding.Typical; got < noise/2 || got > noise*1.5 {
			t.Errorf("noise of %v is told as %v", noise, got)
		}
		if f.Decoding.Worst < f.Decoding.Typical || f.Decoding.Samples != len(m.Decodes) {
			t.Errorf("%+v", f.Decoding)
		}
	}
}

func TestOneHiccupDoesNotTurnTheFitOver(t *testing.T) {
	c := step.H100Llama8B()
	for i := range 2 * len(sequences) {
		for _, factor := range []float64{.4, 5} {
			m := measured(c, prompts, sequences)
			m.Decodes[i].Gap = time.Duration(factor * float64(m.Decodes[i].Gap))
			f, err := calibration.New(m)
			if err != nil {
				t.Fatal(err)
			}
			if f.Decoding.Left != 1 || f.Decoding.Samples != len(m.Decodes)-1 || f.Decoding.Typical > .01 {
				t.Errorf("gap %d times %v: %+v", i, factor, f.Decoding)
			}
			if got, want := f.Gap(64, 64*1000), c.Time(0, 64, 64*1000); math.Abs(float64(got-want)) > float64(want)/50 {
				t.Errorf("gap %d times %v: 64 sequences are fitted to take %v, want %v", i, factor, got, want)
			}
		}
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	reads, decodes := byHand.Reads, byHand.Decodes
	for name, c := range map[string]struct {
		m    calibration.Measurements
		want error
	}{
		"nothing":                {calibration.Measurements{}, calibration.ErrReads},
		"two lengths":            {calibration.Measurements{Reads: append(reads[:2:2], reads[1]), Decodes: decodes}, calibration.ErrReads},
		"longer takes no longer": {calibration.Measurements{Reads: []calibration.Read{{1, ms}, {2, ms}, {3, ms}}, Decodes: decodes}, calibration.ErrReads},
		"a read that takes none": {calibration.Measurements{Reads: append(reads[:2:2], calibration.Read{Tokens: 9}), Decodes: decodes}, calibration.ErrReads},
		"no gaps":                {calibration.Measurements{Reads: reads}, calibration.ErrDecodes},
		"a gap that takes none":  {calibration.Measurements{Reads: reads, Decodes: []calibration.Decode{{Sequences: 1}}}, calibration.ErrDecodes},
		"a gap of no sequence":   {calibration.Measurements{Reads: reads, Decodes: []calibration.Decode{{Gap: ms}}}, calibration.ErrDecodes},
	} {
		if _, err := calibration.New(c.m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneGapIsEnoughForAFigure(t *testing.T) {
	f, err := calibration.New(calibration.Measurements{Reads: byHand.Reads, Decodes: []calibration.Decode{{Sequences: 1, Context: 300, Gap: 20 * ms}},
		Sequences: calibration.Bound{N: 1, Limit: true}})
	if err != nil {
		t.Fatal(err)
	}
	if out := f.Output(50 * ms); out.Sequences != 1 || math.Abs(out.Rate-50) > .01 {
		t.Errorf("%+v", out)
	}
}

func TestTheOutputIsWithinWhatWasSeen(t *testing.T) {
	limited := func(sequences, cache calibration.Bound) calibration.Output {
		m := byHand
		m.Sequences, m.Cache = sequences, cache
		f, err := calibration.New(m)
		if err != nil {
			t.Fatal(err)
		}
		return f.Output(30 * ms)
	}
	wide := calibration.Bound{N: 1 << 30, Limit: true}
	free := limited(wide, wide)
	if free.Gap > 30*ms || free.Slow || free.Sequences < 50 {
		t.Errorf("%+v", free)
	}
	if got := limited(calibration.Bound{N: 7}, wide).Sequences; got != 7 {
		t.Errorf("of 7 sequences that were seen, %d are reckoned with", got)
	}
	if got := limited(wide, calibration.Bound{N: 5*calibration.OperatingContext + 1, Limit: true}).Sequences; got != 5 {
		t.Errorf("in a memory of five, %d sequences are reckoned with", got)
	}
	if got := limited(wide, calibration.Bound{N: 10}).Sequences; got != free.Sequences {
		t.Errorf("a memory whose limit was not met holds %d sequences", got)
	}
}

func TestAnEngineThatIsTooSlowIsCalledSlow(t *testing.T) {
	f, err := calibration.New(byHand)
	if err != nil {
		t.Fatal(err)
	}
	if out := f.Output(ms); !out.Slow || out.Sequences != 1 || out.Rate <= 0 {
		t.Errorf("%+v", out)
	}
}

func TestABudgetThatHoldsThePromptIsALowerBound(t *testing.T) {
	m := byHand
	m.Stall.Worst = time.Second
	f, err := calibration.New(m)
	if err != nil {
		t.Fatal(err)
	}
	if f.Budget != (calibration.Bound{N: 4000}) || f.Capacity().StepBudget != 0 {
		t.Errorf("%+v, %+v", f.Budget, f.Capacity())
	}
}

// Whatever was measured, the figures are numbers that a configuration takes.
func TestFiguresAreSane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		took := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "took"))
		})
		size := rapid.IntRange(1, 1<<20)
		var m calibration.Measurements
		for range rapid.IntRange(0, 8).Draw(t, "reads") {
			m.Reads = append(m.Reads, calibration.Read{Tokens: size.Draw(t, "tokens"), Took: took.Draw(t, "read")})
		}
		for range rapid.IntRange(0, 12).Draw(t, "decodes") {
			m.Decodes = append(m.Decodes, calibration.Decode{Sequences: rapid.IntRange(1, 256).Draw(t, "n"), Context: size.Draw(t, "context"), Gap: took.Draw(t, "gap")})
			m.Sequences.N = max(m.Sequences.N, m.Decodes[len(m.Decodes)-1].Sequences)
		}
		m.Stall = calibration.Stall{Prompt: size.Draw(t, "prompt"), Sequences: 1, Context: size.Draw(t, "held"), Usual: took.Draw(t, "usual"), Worst: took.Draw(t, "worst")}
		f, err := calibration.New(m)
		if err != nil {
			return
		}
		c, u, k := f.Capacity(), f.Unit(50*ms), f.Constants()
		for _, v := range []float64{c.PrefillRate, c.DecodeRate, float64(u.Input), float64(u.Output), f.Output(50 * ms).Rate} {
			if !(v > 0) || v > 1e12 {
				t.Fatalf("%+v, %+v, %+v", c, u, f.Output(50*ms))
			}
		}
		if k.Entry < 0 || k.Overhead < 0 || k.Weights < 0 || k.Token < 0 || k.Context < 0 || c.StepBudget < 0 {
			t.Fatalf("%+v", k)
		}
	})
}
