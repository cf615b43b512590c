package step_test

import (
	"testing"
	"time"

	"github.com/outcrop/outcrop/step"
	"pgregory.net/rapid"
)

// A ledger follows the events of an engine and knows what may come next.
type ledger struct {
	e      *step.Engine
	seqs   map[step.ID]*account
	at     time.Duration
	tokens int
}

type account struct {
	step.Sequence
	submitted time.Duration
	running   bool
	tokens    int
}

func (l *ledger) take(t *rapid.T, events []step.Event, now time.Duration) {
	for _, ev := range events {
		a, ok := l.seqs[ev.ID]
		if !ok {
			t.Fatalf("event %+v of a sequence that is not there", ev)
		}
		if ev.At < l.at || ev.At > now || ev.At < a.submitted {
			t.Fatalf("event %+v after %v, before %v, submitted %v", ev, l.at, now, a.submitted)
		}
		l.at = ev.At
		l.book(t, a, ev)
	}
}

func (l *ledger) book(t *rapid.T, a *account, ev step.Event) {
	switch ev.Kind {
	case step.Started:
		if a.running || ev.N >= a.Prompt+a.tokens || ev.N%step.BlockTokens != 0 {
			t.Fatalf("%+v of %+v", ev, a)
		}
		a.running = true
	case step.Preempted:
		if !a.running {
			t.Fatalf("%+v of %+v", ev, a)
		}
		a.running = false
	case step.Token:
		a.tokens++
		l.tokens++
		if !a.running || ev.N != a.tokens || a.tokens > a.Output {
			t.Fatalf("%+v of %+v", ev, a)
		}
	case step.Finished:
		if a.tokens != a.Output {
			t.Fatalf("%+v of %+v", ev, a)
		}
		delete(l.seqs, a.ID)
	}
}

func (l *ledger) check(t *rapid.T, c step.Constants) {
	s := l.e.State()
	running, waiting, least, most := 0, 0, 0, 0
	for _, a := range l.seqs {
		if !a.running {
			waiting++
			continue
		}
		running++
		most += (a.Prompt + a.tokens + step.BlockTokens - 1) / step.BlockTokens
		least = max(least, 1)
	}
	if s.Running != running || s.Waiting != waiting || running > max(1, c.MaxSeqs) {
		t.Fatalf("%d run and %d wait, but the state is %+v", running, waiting, s)
	}
	if s.BlocksUsed > s.Blocks || s.BlocksUsed > most || s.BlocksUsed < least {
		t.Fatalf("%d blocks in use of %d; the sequences need %d to %d", s.BlocksUsed, s.Blocks, least, most)
	}
	if s.OutputTokens != l.tokens {
		t.Fatalf("%d tokens seen, %d counted", l.tokens, s.OutputTokens)
	}
}

func anyConstants(t *rapid.T) step.Constants {
	return step.Constants{
		Entry:    time.Duration(rapid.IntRange(0, 5).Draw(t, "entry")) * ms,
		Overhead: ms,
		Weights:  time.Duration(rapid.IntRange(0, 5).Draw(t, "weights")) * ms,
		Token:    time.Duration(rapid.IntRange(0, 50).Draw(t, "token")) * ms,
		Context:  time.Duration(rapid.IntRange(0, 5).Draw(t, "context")) * ms,
		Noise:    rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "noise"),
		Budget:   rapid.IntRange(1, 64).Draw(t, "budget"),
		MaxSeqs:  rapid.IntRange(1, 6).Draw(t, "seqs"),
		KVTokens: rapid.IntRange(1, 12).Draw(t, "blocks") * step.BlockTokens,
	}
}

// anySequence shares its prefix with some of the others.
func anySequence(t *rapid.T, id step.ID) step.Sequence {
	s := step.Sequence{
		ID:       id,
		Prompt:   rapid.IntRange(1, 80).Draw(t, "prompt"),
		Output:   rapid.IntRange(1, 40).Draw(t, "output"),
		Priority: rapid.IntRange(-1, 1).Draw(t, "priority"),
	}
	family := rapid.Uint64Range(1, 3).Draw(t, "family")
	for i := range rapid.IntRange(0, s.Prompt/step.BlockTokens).Draw(t, "hashes") {
		s.Blocks = append(s.Blocks, family<<32|uint64(i+1))
	}
	return s
}

// Whatever is submitted and aborted, whenever: events come in order of time,
// each sequence gets each of its tokens once and in order, memory and places
// are never exceeded, and in the end all is done and all memory free.
func TestNothingIsLostOrDuplicated(t *testing.T) {
	preemptions, hits := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := anyConstants(t)
		l := &ledger{e: step.New(c), seqs: map[step.ID]*account{}}
		now, next := time.Duration(0), step.ID(0)
		t.Repeat(map[string]func(*rapid.T){
			"submit": func(t *rapid.T) {
				s := anySequence(t, next)
				next++
				fits := l.e.Fits(s.Prompt, s.Output)
				if err := l.e.Submit(now, s); (err == nil) != fits {
					t.Fatalf("Submit(%+v) = %v, fits %v", s, err, fits)
				}
				if fits {
					l.seqs[s.ID] = &account{Sequence: s, submitted: now}
				}
			},
			"abort": func(t *rapid.T) {
				id := step.ID(rapid.IntRange(0, int(next)).Draw(t, "id"))
				_, known := l.seqs[id]
				if l.e.Abort(now, id) != known {
					t.Fatalf("Abort(%d), known %v", id, known)
				}
				delete(l.seqs, id)
			},
			"advance": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(0, 100).Draw(t, "ms")) * ms
				l.take(t, l.e.Advance(now, nil), now)
			},
			"": func(t *rapid.T) { l.check(t, c) },
		})
		end := now + 24*time.Hour
		l.take(t, l.e.Advance(end, nil), end)
		l.check(t, c)
		s := l.e.State()
		if len(l.seqs) > 0 || s.BlocksUsed != 0 || s.Running+s.Waiting != 0 {
			t.Fatalf("left over: %v, state %+v", l.seqs, s)
		}
		if _, busy := l.e.NextAt(); busy {
			t.Fatal("the engine has more to do")
		}
		preemptions += s.Preemptions
		hits += s.PrefixHit
	})
	if preemptions == 0 || hits == 0 {
		t.Errorf("the runs saw %d preemptions and %d cached tokens: they prove nothing", preemptions, hits)
	}
}

// How often the caller looks does not change what happens.
func TestTheGrainOfAdvanceDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyConstants(t)
		var seqs []step.Sequence
		for i := range rapid.IntRange(1, 8).Draw(t, "n") {
			seqs = append(seqs, anySequence(t, step.ID(i)))
		}
		run := func(grain time.Duration) []step.Event {
			e := step.New(c)
			var events []step.Event
			for i, s := range seqs {
				at := time.Duration(i) * 7 * ms
				for now := at - 7*ms; grain > 0 && now < at; now += grain {
					events = e.Advance(now, events)
				}
				if e.Submit(at, s) != nil {
					continue
				}
			}
			return e.Advance(24*time.Hour, events)
		}
		coarse, fine := run(0), run(ms)
		if len(coarse) != len(fine) {
			t.Fatalf("%d events, %d in small steps", len(coarse), len(fine))
		}
		for i := range coarse {
			if coarse[i] != fine[i] {
				t.Fatalf("event %d is %+v, in small steps %+v", i, coarse[i], fine[i])
			}
		}
	})
}

func BenchmarkDecode256(b *testing.B) {
	c := step.H100Llama8B()
	e := step.New(c)
	var events []step.Event
	id, tokens := step.ID(0), 0
	for i := 0; b.Loop(); i++ {
		for e.State().Running+e.State().Waiting < 256 {
			if err := e.Submit(0, step.Sequence{ID: id, Prompt: 512, Output: 200}); err != nil {
				b.Fatal(err)
			}
			id++
		}
		at, _ := e.NextAt()
		events = e.Advance(at, events[:0])
		tokens += len(events)
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkOverload(b *testing.B) {
	c := step.H100Llama8B()
	c.KVTokens = 40_000
	e := step.New(c)
	var events []step.Event
	id, tokens := step.ID(0), 0
	for b.Loop() {
		for e.State().Waiting < 1000 {
			s := step.Sequence{ID: id, Prompt: 1000, Output: 200}
			for k := range uint64(62) {
				s.Blocks = append(s.Blocks, uint64(id%16)<<32|(k+1))
			}
			if err := e.Submit(0, s); err != nil {
				b.Fatal(err)
			}
			id++
		}
		at, _ := e.NextAt()
		events = e.Advance(at, events[:0])
		tokens += len(events)
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "events/s")
}
