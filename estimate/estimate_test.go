package estimate_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop/estimate"
)

const ms = time.Millisecond

// truth is an engine with given coefficients and noise.
type truth struct {
	rng                      *rand.Rand
	base, read, step, seq, k float64 // ms; read per 1,000 tokens
	noise                    float64
}

func (x *truth) noisy(v float64) time.Duration {
	return time.Duration(v * math.Exp(x.noise*x.rng.NormFloat64()) * float64(ms))
}

func (x *truth) feed(r *estimate.Rates, n int) {
	for range n {
		ahead, own := x.rng.IntN(2)*x.rng.IntN(4000), 50+x.rng.IntN(4000)
		r.FirstToken(x.noisy(x.base+x.read*float64(ahead+own)/1e3), ahead, own)
		seqs, context := 1+x.rng.IntN(100), x.rng.IntN(300_000)
		r.Gap(x.noisy(x.step+x.seq*float64(seqs)/10+x.k*float64(context)/1e5), seqs, context)
	}
}

func close(got, want, factor float64) bool { return got < want*factor && got > want/factor }

func TestRatesComeCloseToTheTruth(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		x := &truth{rng: rng, base: 5 + 50*rng.Float64(), read: 10 + 100*rng.Float64(), step: 4 + 20*rng.Float64(), seq: rng.Float64(), k: rng.Float64(), noise: .1}
		prefill, decode := 1e6/x.read, 1e3/(x.step+x.seq/10)
		r := estimate.NewRates(prefill*math.Exp(2*rng.Float64()-1), decode*math.Exp(2*rng.Float64()-1))
		x.feed(&r, 300)
		if !close(r.Prefill(), prefill, 1.15) || !close(r.Decode(), decode, 1.15) {
			t.Errorf("seed %d: prefill %.0f for %.0f, decode %.1f for %.1f", seed, r.Prefill(), prefill, r.Decode(), decode)
		}
		if got, want := r.Predict(1000, 2000), x.base+3*x.read; !close(float64(got), want*float64(ms), 1.15) {
			t.Errorf("seed %d: 3,000 tokens are predicted to take %v, not %.0f ms", seed, got, want)
		}
		x.read *= 2
		x.feed(&r, 500)
		if !close(r.Prefill(), prefill/2, 1.2) {
			t.Errorf("seed %d: after the change prefill is %.0f for %.0f", seed, r.Prefill(), prefill/2)
		}
	}
}

func TestAFewWildSamplesDoNotTurnTheRatesOver(t *testing.T) {
	x := &truth{rng: rand.New(rand.NewPCG(1, 1)), base: 10, read: 35, step: 7, seq: .2, noise: .05}
	r := estimate.NewRates(28_000, 140)
	x.feed(&r, 200)
	before := r.Prefill()
	for range 3 {
		r.FirstToken(time.Minute, 0, 1000)
		r.Gap(time.Minute, 1, 1000)
	}
	if !close(r.Prefill(), before, 1.3) || r.PredictGap(1, 0) > 20*ms {
		t.Errorf("prefill went from %.0f to %.0f, the gap is %v", before, r.Prefill(), r.PredictGap(1, 0))
	}
}

func TestRatesStaySane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := estimate.NewRates(rapid.Float64Range(1, 1e9).Draw(t, "prefill"), rapid.Float64Range(1e-3, 1e6).Draw(t, "decode"))
		for range rapid.IntRange(0, 200).Draw(t, "samples") {
			took := time.Duration(rapid.Int64Range(-1, int64(time.Hour)).Draw(t, "took"))
			a, b := rapid.IntRange(-1, 1<<31).Draw(t, "a"), rapid.IntRange(-1, 1<<31).Draw(t, "b")
			if rapid.Bool().Draw(t, "first") {
				r.FirstToken(took, a, b)
			} else {
				r.Gap(took, a, b)
			}
			for _, v := range []float64{r.Prefill(), r.Decode()} {
				if !(v > 0) || math.IsInf(v, 0) {
					t.Fatalf("prefill %v, decode %v", r.Prefill(), r.Decode())
				}
			}
			if r.Predict(1, 1) < 0 || r.PredictGap(1, 1) < 0 {
				t.Fatal("a negative time")
			}
		}
	})
}

func TestACorrectionFallsAtOnceAndRisesSlowly(t *testing.T) {
	for name, trouble := range map[string]estimate.Scrape{
		"memory": {KVUsage: .95}, "waiting": {Waiting: 4}, "preemptions": {Preemptions: 5},
	} {
		var c estimate.Correction
		c.Scraped(0, estimate.Scrape{Waiting: 4}, 4)
		if c.Factor() != 1 {
			t.Errorf("%s: factor %v at first", name, c.Factor())
		}
		for i := range 20 {
			trouble.Preemptions *= 2
			c.Scraped(time.Duration(i+1)*time.Second, trouble, 3)
		}
		if got := c.Factor(); math.Abs(got-.81) > 1e-9 {
			t.Errorf("%s: factor %v after 20 s of trouble", name, got)
		}
		good := estimate.Scrape{Preemptions: trouble.Preemptions}
		for i := range 15 {
			c.Scraped(time.Duration(i+40)*time.Second, good, 0)
		}
		if got := c.Factor(); got != 1 {
			t.Errorf("%s: factor %v at last", name, got)
		}
	}
}

func TestOnlyEnginesWithoutMetricsGrowByWhatTheyServe(t *testing.T) {
	var with, without estimate.Correction
	with.Scraped(0, estimate.Scrape{}, 0)
	for _, c := range []*estimate.Correction{&with, &without} {
		c.Throttled(time.Second)
		for i := range 100 {
			c.Served(time.Duration(i) * time.Second)
		}
	}
	if with.Factor() != .9 || without.Factor() != 1 {
		t.Errorf("factors are %v and %v", with.Factor(), without.Factor())
	}
	for i := range 100 {
		without.Throttled(time.Duration(100+20*i) * time.Second)
	}
	if f := without.Factor(); f < .19 || f > .21 {
		t.Errorf("the least factor is %v", f)
	}
}

func TestAnEngineThatIsDownRestsLongerEachTime(t *testing.T) {
	var h estimate.Health
	now := time.Duration(0)
	for _, rest := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		h.Unavailable(now)
		if h.Condition() != estimate.Resting || h.Until() != now+rest*time.Second {
			t.Fatalf("it is %v until %v at %v", h.Condition(), h.Until(), now)
		}
		if h.Tick(h.Until() - 1) {
			t.Fatal("the rest ended early")
		}
		now = h.Until()
		if !h.Tick(now) || h.Condition() != estimate.Probing {
			t.Fatalf("it is %v", h.Condition())
		}
	}
	h.Succeeded()
	if h.Condition() != estimate.Healthy || h.Failures() != 0 {
		t.Errorf("it is %v", h.Condition())
	}
}

func TestOneBrokenAnswerIsNotADownEngine(t *testing.T) {
	var h estimate.Health
	for i := range 10 {
		h.Broke(0)
		if i%2 == 1 {
			h.Succeeded()
		}
	}
	if h.Condition() != estimate.Healthy {
		t.Errorf("it is %v", h.Condition())
	}
	h.Broke(0)
	h.Broke(0)
	h.Broke(0)
	if h.Condition() != estimate.Resting {
		t.Errorf("it is %v", h.Condition())
	}
	h.Spare()
	if h.Condition() != estimate.Healthy {
		t.Errorf("it is %v", h.Condition())
	}
}

func TestAFullEngineComesBackWhole(t *testing.T) {
	var h estimate.Health
	h.Full(0, 2*time.Second)
	if h.Condition() != estimate.Resting || h.Until() != 2*time.Second {
		t.Errorf("it is %v until %v", h.Condition(), h.Until())
	}
	h.Tick(h.Until())
	if h.Condition() != estimate.Healthy {
		t.Errorf("it is %v", h.Condition())
	}
	h.Full(0, time.Hour)
	if h.Until() != 30*time.Second {
		t.Errorf("it rests until %v", h.Until())
	}
}

func TestASlowEngineIsProbedRestsAndIsJudgedAnewAtLast(t *testing.T) {
	var h estimate.Health
	now, seen := time.Duration(0), ""
	last := h.Condition()
	for range 100 {
		h.FirstToken(now, 4*time.Second, time.Second)
		h.Succeeded()
		now += 40 * time.Second
		if h.Condition() != last {
			last = h.Condition()
			seen += last.String() + " "
		}
		h.Tick(now)
		last = h.Condition()
	}
	if want := "probing resting resting resting resting healthy "; len(seen) < len(want) || seen[:len(want)] != want {
		t.Errorf("it was %s", seen)
	}
	var once estimate.Health
	for range 1000 {
		once.FirstToken(0, 4*time.Second, time.Second)
		once.FirstToken(0, time.Second, time.Second)
		once.FirstToken(0, 40*ms, 10*ms) // thrice as long, but short
	}
	if once.Condition() != estimate.Healthy {
		t.Errorf("it is %v", once.Condition())
	}
}

const page = `# HELP vllm:num_requests_running Number of requests
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a {b} c"} 3.0
vllm:num_requests_running{engine="1"} 2
vllm:num_requests_waiting{engine="0"} 7.0 1700000000000
vllm:num_preemptions_total{engine="0"} 1.2e+01
vllm:kv_cache_usage_perc{engine="0"} 0.5
vllm:kv_cache_usage_perc{engine="1"} 0.75
vllm:cache_config_info{block_size="16",cache_dtype="auto",num_gpu_blocks="1000",num_gpu_blocks_override="None"} 1.0
vllm:cache_config_info{num_gpu_blocks="500",block_size="16"} 1.0
vllm:cache_config_info{num_gpu_blocks="None",block_size="16"} 1.0
vllm:num_requests_waiting_by_reason{reason="x"} 99
vllm:num_requests_waiting{engine="9"} NaN
vllm:num_requests_waiting{engine="9"
other 1
`

func TestMetricsOfVLLMAreRead(t *testing.T) {
	s, ok := estimate.ParseMetrics([]byte(page))
	if want := (estimate.Scrape{Running: 5, Waiting: 7, KVUsage: .75, Preemptions: 12, KVTokens: 24_000}); !ok || s != want {
		t.Errorf("got %+v, %v, want %+v", s, ok, want)
	}
	if _, ok := estimate.ParseMetrics([]byte("llamacpp:requests_processing 1\n")); ok {
		t.Error("metrics of another server were taken for vLLM's")
	}
}

func FuzzParseMetrics(f *testing.F) {
	f.Add([]byte(page))
	f.Add([]byte("vllm:num_requests_waiting} 1\nvllm:num_requests_waiting{} -1 \nvllm:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := estimate.ParseMetrics(b)
		if s.Running < 0 || s.Waiting < 0 || !(s.KVUsage >= 0 && s.KVUsage <= 1) || !(s.Preemptions >= 0) || s.KVTokens < 0 {
			t.Errorf("got %+v, %v", s, ok)
		}
	})
}

// Estimates of engines that are alike differ by what they were given to do; an
// engine that lags behind differs by more.
func TestAnEngineIsRatedAsItsKindUnlessItIsFarOff(t *testing.T) {
	for name, c := range map[string]struct {
		own   float64
		alike []float64
		want  float64
	}{
		"alone":                {100, []float64{100}, 100},
		"none of its kind":     {100, nil, 100},
		"two":                  {110, []float64{110, 90}, 100},
		"the highest of four":  {140, []float64{90, 140, 110, 100}, 105},
		"the lowest of three":  {70, []float64{100, 70, 101}, 100},
		"far slower":           {60, []float64{100, 60, 101}, 60},
		"far faster":           {160, []float64{100, 160, 101}, 160},
		"beside a broken one":  {100, []float64{1, 100, 102}, 100},
		"between two far ones": {100, []float64{1, 100, 1000}, 100},
	} {
		if got := estimate.Among(c.own, c.alike); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestWhatWasMeasuredCountsUnlessItIsFarOff(t *testing.T) {
	for _, c := range []struct{ measured, seen, want float64 }{
		{100, 100, 100}, {100, 140, 100}, {100, 70, 100}, {100, 160, 160}, {100, 60, 60},
	} {
		if got := estimate.Against(c.measured, c.seen); got != c.want {
			t.Errorf("measured %v, seen %v: %v, want %v", c.measured, c.seen, got, c.want)
		}
	}
}
