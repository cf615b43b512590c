package lifecycle_test

import (
	"math"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/lifecycle"
	"pgregory.net/rapid"
)

var sonnetUnit = outcrop.UnitRates{Input: 180_000, Output: 36_000}

// An engine that reads 20,000 and writes 8,000 tokens a second is taken by a
// unit of Sonnet for 3,000/20,000 + 600/8,000 = 22.5 %.
var engine = lifecycle.Speed{Input: 20_000, Output: 8_000}

func TestAUnitTakesItsShareOfAnEngine(t *testing.T) {
	if got := engine.Share(sonnetUnit); math.Abs(got-.225) > 1e-12 {
		t.Errorf("share of Sonnet's unit = %v", got)
	}
	// 300,000 together are 250,000 of input and 50,000 of output.
	if got, want := engine.Share(outcrop.UnitRates{Together: 300_000}), (250_000/20_000.+50_000/8_000.)/60; math.Abs(got-want) > 1e-12 {
		t.Errorf("share of Titan's unit = %v, want %v", got, want)
	}
	if got := engine.Share(lifecycle.DefaultUnit(engine)); math.Abs(got-1./16) > 1e-6 {
		t.Errorf("share of a default unit = %v, want a sixteenth", got)
	}
}

func TestASpeedCountsWhatAStepComputes(t *testing.T) {
	// 100 steps a second, and 256 tokens at 25,600 a second: 20 ms for 256.
	if got := lifecycle.SpeedOf(25_600, 100, 256); math.Abs(got.Output-12_800) > 1e-6 || got.Input != 25_600 {
		t.Errorf("speed = %+v", got)
	}
}

func TestWhatSurvivesIsSoldButForTheHeadroom(t *testing.T) {
	for _, c := range []struct {
		name            string
		engines         int
		survive, sold   int
		headroom        float64
		want            int
		soldOf, request outcrop.UnitRates
	}{
		{"one engine cannot survive its loss", 1, 1, 0, .3, 3, sonnetUnit, sonnetUnit},                                          // .7/.225
		{"the third of three is not sold", 3, 1, 0, .3, 6, sonnetUnit, sonnetUnit},                                              // 2 x .7/.225
		{"nothing held back", 3, 0, 0, 0, 13, sonnetUnit, sonnetUnit},                                                           // 3/.225
		{"what is sold counts", 3, 1, 4, .3, 2, sonnetUnit, sonnetUnit},                                                         // 6.2 - 4
		{"more was sold than there is now", 1, 1, 9, .3, 0, sonnetUnit, sonnetUnit},                                             // an engine went
		{"other units on the same engines count", 3, 1, 8, .3, 3, outcrop.UnitRates{Input: 60_000, Output: 12_000}, sonnetUnit}, // 8 x .075/2 = .3; .4 x 8.9 = 3.6
		{"no engine", 0, 1, 0, 0, 0, sonnetUnit, sonnetUnit},
	} {
		s := lifecycle.Sale{Survive: c.survive, Headroom: c.headroom, Sold: []lifecycle.Units{{Number: c.sold, Rates: c.soldOf}}}
		for range c.engines {
			s.Engines = append(s.Engines, engine)
		}
		if got := s.Largest(c.request); got != c.want {
			t.Errorf("%s: %d more, want %d", c.name, got, c.want)
		}
	}
}

func TestTheEngineThatCarriesMostIsTheOneLost(t *testing.T) {
	s := lifecycle.Sale{Engines: []lifecycle.Speed{engine, {Input: 200_000, Output: 80_000}}, Survive: 1}
	if got := s.Largest(sonnetUnit); got != 4 { // 1/.225
		t.Errorf("largest = %d, want what the small engine carries", got)
	}
}

func TestNoSaleBreaksAPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := lifecycle.Sale{Survive: rapid.IntRange(0, 3).Draw(t, "survive"), Headroom: rapid.Float64Range(0, .9).Draw(t, "headroom")}
		speed := rapid.Custom(func(t *rapid.T) lifecycle.Speed {
			return lifecycle.Speed{Input: rapid.Float64Range(100, 1e6).Draw(t, "in"), Output: rapid.Float64Range(10, 1e5).Draw(t, "out")}
		})
		s.Engines = rapid.SliceOfN(speed, 1, 6).Draw(t, "engines")
		unit := outcrop.UnitRates{Input: rapid.Int64Range(1, 1e7).Draw(t, "input"), Output: rapid.Int64Range(1, 1e6).Draw(t, "output")}
		all := s.Largest(unit)
		some := rapid.IntRange(0, all).Draw(t, "some")
		s.Sold = []lifecycle.Units{{Number: some, Rates: unit}}
		if rest := s.Largest(unit); rest != all-some {
			t.Fatalf("of %d, %d are sold, and %d more are offered", all, some, rest)
		}
		s.Engines = s.Engines[:len(s.Engines)-min(s.Survive, len(s.Engines)-1)]
		room := 0.0
		for _, e := range s.Engines {
			room += 1 / e.Share(unit)
		}
		if float64(all) > room*(1-s.Headroom)*1.000001+1e-6 && s.Survive == 0 {
			t.Fatalf("%d units sold on engines that carry %v", all, room)
		}
	})
}
