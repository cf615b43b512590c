package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/step"
)

// Stats is what an engine holds and did, at one moment. Its times are those
// of the simulation, Speed included.
type Stats struct {
	Running, Waiting int
	KVTokens         int     // that fit the memory
	KVUsage          float64 // share of the memory in use, 0 to 1

	Steps, Preemptions int
	PromptTokens       int
	GenerationTokens   int
	PrefixQueries      int // tokens of prompts looked up in the prefix cache
	PrefixHits         int // tokens of prompts found there
	Finished           map[outcrop.StopReason]int
	Aborted            int // ended by the caller
	Failed             int // ended by an error, an injected one among them

	FirstToken    Histogram // from arrival
	BetweenTokens Histogram
	EndToEnd      Histogram // from arrival to the last token
	Queued        Histogram // from arrival to the first step
}

// A Histogram counts durations by size. It is a copy that the caller owns.
type Histogram struct {
	Bounds []time.Duration // upper and inclusive, in order
	Counts []int           // one more than Bounds; not cumulative
	Sum    time.Duration
}

// Count is how many durations were added.
func (h *Histogram) Count() (n int) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

func (h *Histogram) add(d time.Duration) {
	i, _ := slices.BinarySearch(h.Bounds, d)
	h.Counts[i]++
	h.Sum += d
}

func (h *Histogram) copy() Histogram {
	return Histogram{Bounds: h.Bounds, Counts: slices.Clone(h.Counts), Sum: h.Sum}
}

func newHistogram(seconds ...float64) Histogram {
	h := Histogram{Counts: make([]int, len(seconds)+1)}
	for _, s := range seconds {
		h.Bounds = append(h.Bounds, time.Duration(s*float64(time.Second)))
	}
	return h
}

// A tally gathers what the step.Engine does not count by itself.
type tally struct {
	prompt, generated int
	finished          map[outcrop.StopReason]int
	aborted, failed   int

	firstToken, between, endToEnd, queued Histogram
}

// init sets the bounds of vLLM's histograms.
func (t *tally) init() {
	t.finished = map[outcrop.StopReason]int{}
	t.firstToken = newHistogram(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
		1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560)
	t.between = newHistogram(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75,
		1, 2.5, 5, 7.5, 10, 20, 40, 80)
	t.endToEnd = newHistogram(0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60,
		120, 240, 480, 960, 1920, 7680)
	t.queued = t.endToEnd.copy()
}

func (t *tally) start(c *call, ev step.Event) {
	if c.started {
		return
	}
	c.started = true
	t.queued.add(ev.At - c.arrived)
}

func (t *tally) token(c *call, ev step.Event) {
	t.generated++
	if ev.N == 1 {
		t.prompt += c.prompt
		t.firstToken.add(ev.At - c.arrived)
		c.first = ev.At
	} else {
		t.between.add(ev.At - c.last)
	}
	c.last, c.tokens = ev.At, ev.N
}

// Stats returns a snapshot.
func (e *Engine) Stats() Stats {
	m := &e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.epoch.IsZero() {
		now := m.since()
		m.catchUp(now)
		m.arm(now)
	}
	s, t := m.engine.State(), &m.stats
	return Stats{
		Running: s.Running, Waiting: s.Waiting,
		KVTokens: s.Blocks * step.BlockTokens, KVUsage: s.UsedShare(),
		Steps: s.Steps, Preemptions: s.Preemptions,
		PromptTokens: t.prompt, GenerationTokens: t.generated,
		PrefixQueries: s.PrefixQueried, PrefixHits: s.PrefixHit,
		Finished: maps.Clone(t.finished), Aborted: t.aborted, Failed: t.failed,
		FirstToken: t.firstToken.copy(), BetweenTokens: t.between.copy(),
		EndToEnd: t.endToEnd.copy(), Queued: t.queued.copy(),
	}
}
