package capacity_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/estimate"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/sim"
	"github.com/outcrop/outcrop/step"
)

var simulatedOnes atomic.Int64

// simulated is a request to simulated engines, of about so many tokens.
func simulated(class outcrop.Class, account string, input, output int) *outcrop.Request {
	r := request(class, account, input, output)
	r.Card = &outcrop.Card{ID: "model", MaxOutput: 100_000}
	words := strings.Repeat("word ", max(input-16, 1))
	r.Conversation.Messages[0].Content[0].Text = outcrop.Text(strconv.Itoa(int(simulatedOnes.Add(1))) + " " + words) // no two share a prefix
	r.Metadata = []outcrop.Metadata{{Key: sim.MetadataOutputTokens, Value: strconv.Itoa(output)}}
	return r
}

func TestAPoolKeepsTheContractOfModel(t *testing.T) {
	outcroptest.RunModel(t, func(t *testing.T) outcroptest.ModelFixture {
		faults := []sim.Fault{
			{Kind: sim.FaultError, Rate: 1, Code: outcrop.CodeUnavailable, Metadata: outcrop.Metadata{Key: "fault", Value: "unavailable"}},
			{Kind: sim.FaultError, Rate: 1, Code: outcrop.CodeThrottling, Metadata: outcrop.Metadata{Key: "fault", Value: "throttling"}},
			{Kind: sim.FaultError, Rate: 1, Code: outcrop.CodeValidation, Metadata: outcrop.Metadata{Key: "fault", Value: "validation"}},
			{Kind: sim.FaultCut, Rate: 1, Tokens: 3, Metadata: outcrop.Metadata{Key: "fault", Value: "cut"}},
		}
		var models []outcrop.Model
		var engines []*sim.Engine
		for range 2 {
			e := sim.New(sim.Config{Speed: 200, Faults: faults})
			engines, models = append(engines, e), append(models, e)
		}
		p := pool(t, capacity.Config{}, small(16), models...)
		t.Cleanup(func() { empty(t, p) })
		ask := func(streaming bool) *outcrop.Request {
			r := request(outcrop.ClassDefault, "1", 10, 20)
			r.Streaming = streaming
			r.Card = &outcrop.Card{ID: "model", MaxOutput: 1_000_000}
			r.Metadata = []outcrop.Metadata{{Key: sim.MetadataOutputTokens, Value: "20"}}
			return r
		}
		f := outcroptest.ModelFixture{
			Model:   p,
			Request: ask,
			Endless: func(streaming bool) *outcrop.Request {
				r := ask(streaming)
				r.Metadata[0].Value = "100000"
				return r
			},
			Failing: map[string]func() *outcrop.Request{},
			Busy: func() (n int) {
				for _, e := range engines {
					n += e.Stats().Running + e.Stats().Waiting
				}
				return n + p.Held()
			},
		}
		for _, fault := range faults {
			f.Failing[fault.Metadata.Value] = func() *outcrop.Request {
				r := ask(true)
				r.Metadata = append(r.Metadata, fault.Metadata)
				return r
			}
		}
		return f
	})
}

// TestNothingIsLostUnderStress has requests come, go away, meet engines that
// fail, and engines come and go. Each Invoke returns, with an answer that is
// whole if it says so, and nothing is left behind.
func TestNothingIsLostUnderStress(t *testing.T) {
	c := fair.Default()
	c.Grace = 50 * time.Millisecond
	c.AbortTokens, c.AbortEvery = 16, time.Millisecond
	for i := range c.Bound {
		c.Bound[i] = 300 * time.Millisecond
	}
	flaky := func(seed uint64) *engine {
		var mu sync.Mutex
		rng := rand.New(rand.NewPCG(seed, 1))
		roll := func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return rng.IntN(n)
		}
		return &engine{run: func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			switch roll(12) {
			case 0:
				return fails(unavailable(), roll(4)).run(ctx, req, out)
			case 1:
				return fails(throttled(), 0).run(ctx, req, out)
			case 2:
				return fails(&outcrop.Error{Code: outcrop.CodeModelStream}, roll(4)).run(ctx, req, out)
			case 3:
				return fails(outcrop.Invalid("no"), 0).run(ctx, req, out)
			}
			return answers(time.Duration(roll(3))*time.Millisecond, time.Duration(roll(300))*time.Microsecond, 20).run(ctx, req, out)
		}}
	}
	p := pool(t, capacity.Config{Scheduler: c}, small(3), flaky(1), flaky(2))
	rounds := 80
	if testing.Short() {
		rounds = 30
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	for worker := range 16 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 2))
			for range rounds {
				ctx, cancel := context.WithCancelCause(t.Context())
				if rng.IntN(5) == 0 {
					time.AfterFunc(time.Duration(rng.IntN(5000))*time.Microsecond, func() { cancel(errors.New("gone")) })
				}
				req := request(outcrop.Class(rng.IntN(outcrop.NumClasses)), strconv.Itoa(rng.IntN(4)), 1+rng.IntN(3000), 20)
				var got counter
				r, err := p.Invoke(ctx, req, &got)
				cancel(nil)
				outcome := "answered"
				if err != nil {
					outcome = "failed"
				} else if got != (counter{1, 20, 1}) {
					t.Errorf("an answer of %+v", got)
				}
				if got.starts > 1 || got.deltas > 20 || r.Queued < 0 || !r.Scheduled {
					t.Errorf("events %+v, receipt %+v", got, r)
				}
				mu.Lock()
				outcomes[outcome]++
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	churn(t, p, flaky, done)
	if outcomes["answered"] == 0 || outcomes["failed"] == 0 || outcomes["answered"]+outcomes["failed"] != 16*rounds {
		t.Errorf("outcomes are %v", outcomes)
	}
	empty(t, p)
}

// churn drains, removes, resizes and adds engines until done.
func churn(t *testing.T, p *capacity.Pool, flaky func(uint64) *engine, done chan struct{}) {
	rng := rand.New(rand.NewPCG(7, 3))
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(rng.IntN(3000)) * time.Microsecond):
		}
		if err := p.Check(); err != nil {
			t.Error(err)
		}
		name := string(rune('a' + rng.IntN(4)))
		switch rng.IntN(6) {
		case 0:
			p.Drain(name, true)
		case 1, 2:
			p.Drain(name, false)
		case 3:
			p.Remove(name)
		default:
			var engines []capacity.Engine
			for i := range 1 + rng.IntN(4) {
				engines = append(engines, capacity.Engine{Name: string(rune('a' + i)), Model: flaky(rng.Uint64()), Capacity: small(1 + rng.IntN(4))})
			}
			if err := p.Update(engines); err != nil {
				t.Error(err)
			}
		}
		p.State()
	}
}

// A world is requests over simulated engines, in virtual time.
type world struct {
	mu    sync.Mutex
	first map[outcrop.Class][]time.Duration
	all   sync.WaitGroup
}

// arrive has requests of a class come with exponential gaps.
func (w *world) arrive(t *testing.T, m outcrop.Model, seed uint64, class outcrop.Class, account string, rate float64, until time.Duration) {
	rng := rand.New(rand.NewPCG(seed, uint64(class)))
	began := time.Now()
	w.all.Go(func() {
		for {
			time.Sleep(time.Duration(rng.ExpFloat64() / rate * float64(time.Second)))
			if time.Since(began) > until {
				return
			}
			req := simulated(class, account, 100+rng.IntN(2000), 20+rng.IntN(200))
			w.all.Go(func() {
				r, err := m.Invoke(t.Context(), req, discard{})
				w.mu.Lock()
				defer w.mu.Unlock()
				if err == nil {
					w.first[class] = append(w.first[class], r.FirstToken)
				} else if class == outcrop.ClassProvisioned {
					t.Errorf("a provisioned request failed: %v", err)
				}
			})
		}
	})
}

func (w *world) percentile(class outcrop.Class, share float64) time.Duration {
	list := w.first[class]
	slices.Sort(list)
	return list[int(math.Ceil(share*float64(len(list))))-1]
}

func h100(t *testing.T, c capacity.Config) (*capacity.Pool, *sim.Engine) {
	constants := step.H100Llama8B()
	e := sim.New(sim.Config{Constants: constants, Speed: 1, FirstToken: 10 * time.Millisecond})
	return pool(t, c, capacity.Of(constants), e), e
}

func TestProvisionedTrafficKeepsItsLatencyBesideAnOverload(t *testing.T) {
	const span = 20 * time.Second
	run := func(overload float64, direct bool) (p50, p99 time.Duration, others int) {
		synctest.Test(t, func(t *testing.T) {
			p, e := h100(t, capacity.Config{})
			w := &world{first: map[outcrop.Class][]time.Duration{}}
			var m outcrop.Model = p
			if direct {
				m = e
			}
			w.arrive(t, m, 7, outcrop.ClassProvisioned, "1", 4, span)
			if overload > 0 {
				w.arrive(t, m, 11, outcrop.ClassDefault, "2", overload, span)
			}
			w.all.Wait()
			empty(t, p)
			p50, p99 = w.percentile(outcrop.ClassProvisioned, .5), w.percentile(outcrop.ClassProvisioned, .99)
			others = len(w.first[outcrop.ClassDefault])
		})
		return p50, p99, others
	}
	alone50, alone99, _ := run(0, false)
	beside50, beside99, served := run(40, false)
	_, naive99, _ := run(40, true)
	t.Logf("alone p50 %v p99 %v; beside an overload p50 %v p99 %v, %d others served; without scheduler p99 %v",
		alone50, alone99, beside50, beside99, served, naive99)
	if beside99 > 2*alone99 || beside50 > 5*alone50/2 {
		t.Errorf("alone p50 %v p99 %v, beside an overload p50 %v p99 %v", alone50, alone99, beside50, beside99)
	}
	if naive99 < 4*beside99 || served < 50 {
		t.Errorf("the load is none: p99 without scheduler %v, %d others served", naive99, served)
	}
}

func TestTheRatesOfAnEngineAreLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		constants := step.H100Llama8B()
		e := sim.New(sim.Config{Constants: constants, Speed: 1, FirstToken: 10 * time.Millisecond})
		truth := capacity.Of(constants)
		wrong := truth
		wrong.PrefillRate, wrong.DecodeRate = truth.PrefillRate/4, truth.DecodeRate*3
		p := pool(t, capacity.Config{}, wrong, e)
		w := &world{first: map[outcrop.Class][]time.Duration{}}
		w.arrive(t, p, 3, outcrop.ClassProvisioned, "1", 3, time.Minute)
		w.all.Wait()
		s := p.State().Engines[0]
		t.Logf("prefill %.0f, truly %.0f; decode %.0f, truly %.0f; from %d", s.Prefill, truth.PrefillRate, s.Decode, truth.DecodeRate, s.Samples)
		if s.Prefill < truth.PrefillRate/1.5 || s.Prefill > truth.PrefillRate*1.5 {
			t.Errorf("prefill %.0f, truly %.0f", s.Prefill, truth.PrefillRate)
		}
		if s.Decode < truth.DecodeRate/1.5 || s.Decode > truth.DecodeRate*1.5 {
			t.Errorf("decode %.0f, truly %.0f", s.Decode, truth.DecodeRate)
		}
		if got := s.Load.Capacity.PrefillRate; math.Abs(got/s.Prefill-1) > .06 {
			t.Errorf("the scheduler counts with %.0f, the estimate is %.0f", got, s.Prefill)
		}
	})
}

// Short prompts are read several in a step, which looks as if each was read
// faster than it is.
func TestPromptsReadTogetherDoNotFlatterAnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := h100(t, capacity.Config{})
		truth := capacity.Of(step.H100Llama8B()).PrefillRate
		rng := rand.New(rand.NewPCG(1, 2))
		var all sync.WaitGroup
		for range 2000 {
			time.Sleep(time.Duration(rng.ExpFloat64() / 50 * float64(time.Second)))
			req := simulated(outcrop.ClassDefault, "1", 50+rng.IntN(500), 20)
			all.Go(func() {
				if _, err := p.Invoke(t.Context(), req, discard{}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := p.State().Engines[0].Prefill; got > 1.5*truth || got < truth/1.5 {
			t.Errorf("prefill is taken to be %.0f tokens a second, it is %.0f", got, truth)
		}
	})
}

// reads reads one prompt after the other, so many tokens a second, and answers
// after that.
func reads(rate int) *engine {
	reading := make(chan struct{}, 1)
	return &engine{run: func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		reading <- struct{}{}
		time.Sleep(time.Duration(req.Estimate.Input) * time.Second / time.Duration(rate))
		<-reading
		return answers(0, time.Millisecond, 5).run(ctx, req, out)
	}}
}

// What was read of the prompt that a new one meets must not count as time that
// went into it.
func TestTheRateOfAnEngineIsLearnedFromPromptsThatMeetOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const truth = 30_000
		p := pool(t, capacity.Config{}, small(8), reads(truth))
		rng := rand.New(rand.NewPCG(1, 2))
		var all sync.WaitGroup
		for i := range 400 {
			time.Sleep(time.Duration(5+i%2*150+rng.IntN(20)) * time.Millisecond)
			req := request(outcrop.ClassProvisioned, "1", 800+rng.IntN(1200), 5)
			all.Go(func() {
				if _, err := p.Invoke(t.Context(), req, new(counter)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := p.State().Engines[0].Prefill; math.Abs(got/truth-1) > .05 {
			t.Errorf("prefill is taken to be %.0f tokens a second, it is %d", got, truth)
		}
	})
}

// Small differences between the estimates of engines that are alike must not
// send everything to the one that was overrated; one that lags is known to.
func TestEnginesOfAKindAreRatedAlikeUnlessOneLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(8), reads(20_000), reads(17_000), reads(18_000), reads(5_000))
		var all sync.WaitGroup
		for i := range 600 {
			time.Sleep(25 * time.Millisecond)
			all.Go(func() {
				if _, err := p.Invoke(t.Context(), request(outcrop.ClassProvisioned, strconv.Itoa(i), 500+i%7*300, 5), new(counter)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		e := p.State().Engines
		counted := func(i int) float64 { return e[i].Load.Capacity.PrefillRate }
		for i := range 3 {
			t.Logf("engine %d served %d: estimate %.0f, counted with %.0f", i, e[i].Served, e[i].Prefill, counted(i))
			if math.Abs(counted(i)/counted(0)-1) > .06 {
				t.Errorf("the scheduler counts with %.0f of engine %d and %.0f of the first", counted(i), i, counted(0))
			}
		}
		if spread := e[0].Prefill / e[1].Prefill; spread < 1.06 {
			t.Errorf("the estimates differ by x%.2f only, which shows nothing", spread)
		}
		if counted(3) > counted(0)/1.5 {
			t.Errorf("the engine that lags is counted with %.0f, the others with %.0f", counted(3), counted(0))
		}
		empty(t, p)
	})
}

func TestAnEngineThatBecomesSlowIsProbedAndRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		quick, dragging := answers(50*time.Millisecond, time.Millisecond, 5), answers(2*time.Second, time.Millisecond, 5)
		changing := &engine{run: func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			if slow.Load() {
				return dragging.run(ctx, req, out)
			}
			return quick.run(ctx, req, out)
		}}
		p := pool(t, capacity.Config{}, small(8), changing, quick)
		seen := map[estimate.Condition]bool{}
		load := func(n int) {
			var all sync.WaitGroup
			for i := range n {
				time.Sleep(40 * time.Millisecond)
				all.Go(func() {
					req := request(outcrop.ClassDefault, strconv.Itoa(i), 500, 5)
					if _, err := p.Invoke(t.Context(), req, new(counter)); err != nil {
						t.Error(err)
					}
				})
				seen[p.State().Engines[0].Condition] = true
			}
			all.Wait()
		}
		load(200)
		if len(seen) != 1 || !seen[estimate.Healthy] {
			t.Fatalf("conditions are %v", seen)
		}
		slow.Store(true)
		load(400)
		if !seen[estimate.Probing] || !seen[estimate.Resting] {
			t.Errorf("conditions are %v", seen)
		}
		slow.Store(false)
		load(2000)
		if s := p.State().Engines[0]; s.Condition != estimate.Healthy || s.Load.Draining {
			t.Errorf("engine is %+v", s)
		}
		empty(t, p)
	})
}

func TestMetricsOfAnEngineInTroubleHaveItTakeLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		scrape, failure := estimate.Scrape{KVUsage: .95}, error(nil)
		say := func(s estimate.Scrape, err error) {
			mu.Lock()
			defer mu.Unlock()
			scrape, failure = s, err
		}
		p := pool(t, capacity.Config{}, small(8))
		engine := capacity.Engine{Name: "a", Model: answers(0, 0, 1), Capacity: small(100), Metrics: func(ctx context.Context) (estimate.Scrape, error) {
			mu.Lock()
			defer mu.Unlock()
			return scrape, failure
		}}
		if err := p.Update([]capacity.Engine{engine}); err != nil {
			t.Fatal(err)
		}
		look := func(after time.Duration) capacity.EngineState {
			time.Sleep(after)
			synctest.Wait()
			return p.State().Engines[0]
		}
		if s := look(1500 * time.Millisecond); s.Factor != .9 || s.Load.Capacity.MaxSeqs != 90 || s.Scraped != 500*time.Millisecond {
			t.Errorf("after one scrape: %+v", s)
		}
		say(estimate.Scrape{}, errors.New("no answer"))
		if s := look(time.Minute); s.Factor != .9 {
			t.Errorf("without scrapes the factor moved: %+v", s)
		}
		say(estimate.Scrape{}, nil)
		if s := look(3 * time.Second); s.Factor <= .9 || s.Factor >= 1 {
			t.Errorf("the factor is %v", s.Factor)
		}
		if s := look(10 * time.Second); s.Factor != 1 || s.Load.Capacity.MaxSeqs != 100 {
			t.Errorf("the engine did not come back: %+v", s)
		}
	})
}

func TestMetricsAreReadOverHTTP(t *testing.T) {
	page := "vllm:num_requests_waiting{model_name=\"m\"} 3\n"
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, page)
	}))
	defer server.Close()
	read := capacity.VLLM(server.Client(), server.URL)
	if s, err := read(t.Context()); err != nil || s.Waiting != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	page = "up 1\n"
	if _, err := read(t.Context()); !errors.Is(err, capacity.ErrMetrics) {
		t.Error(err)
	}
	status = http.StatusNotFound
	if _, err := read(t.Context()); err == nil {
		t.Error("a missing page is no error")
	}
	if _, err := capacity.VLLM(server.Client(), "::")(t.Context()); err == nil {
		t.Error("no error for a bad address")
	}
	server.CloseClientConnections()
}
