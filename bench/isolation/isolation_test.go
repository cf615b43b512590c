package isolation_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/fair"
)

// short is a run of a minute or so. It is in virtual time, so that the figures
// of a seed are always the same; the limits below leave room for what the
// seeds 1 to 5 differ by.
func short(engines int) isolation.Setup {
	s := isolation.Base(engines)
	s.Duration = s.Warmup + 240*time.Second/time.Duration(engines)
	return s
}

func policy(t *testing.T, name string) isolation.Case {
	t.Helper()
	for _, c := range isolation.Policies() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no policy %q", name)
	return isolation.Case{}
}

func TestProvisionedRequestsKeepTheirLatency(t *testing.T) {
	four := isolation.NewBench(short(4))
	one := isolation.NewBench(short(1))
	for _, load := range isolation.Loads() {
		t.Run(load.Name, func(t *testing.T) {
			capped := four.Row(policy(t, "outcrop"), load)
			if capped.Ratio99 > 1.3 || capped.Ratio50 > 1.25 {
				t.Errorf("four engines, default: p50 x%.2f, p99 x%.2f", capped.Ratio50, capped.Ratio99)
			}
			open := one.Row(policy(t, "outcrop harvest"), load)
			if open.Ratio99 > 1.55 {
				t.Errorf("one engine, harvest: p99 x%.2f", open.Ratio99)
			}
			if n := capped.ProvisionedRefused + open.ProvisionedRefused; n > 0 {
				t.Errorf("%d provisioned requests were refused", n)
			}
			if capped.RefusedOnDemand > .01 {
				t.Errorf("%.1f %% of the requests of well-behaved tenants were refused", capped.RefusedOnDemand*100)
			}
		})
	}
}

func TestBatchGetsTheIdleCapacity(t *testing.T) {
	b := isolation.NewBench(short(4))
	load := isolation.Loads()[1]
	harvest, capped := b.Row(policy(t, "outcrop harvest"), load), b.Row(policy(t, "outcrop"), load)
	if harvest.Harvest < .92 || harvest.Ratio99 > 1.5 {
		t.Errorf("harvest: %.2f of the idle capacity at x%.2f", harvest.Harvest, harvest.Ratio99)
	}
	if capped.Harvest < .7 || capped.Ratio99 > 1.3 {
		t.Errorf("default: %.2f of the idle capacity at x%.2f", capped.Harvest, capped.Ratio99)
	}
	if capped.Ratio99 >= harvest.Ratio99 || capped.Harvest >= harvest.Harvest {
		t.Errorf("the knob has no effect: %+v, %+v", capped, harvest)
	}
}

func TestTheBaselinesAreWorse(t *testing.T) {
	b := isolation.NewBench(short(4))
	load := isolation.Loads()[0]
	ours := b.Row(policy(t, "outcrop"), load)
	if fifo := b.Row(policy(t, "fifo"), load); fifo.Ratio99 < 10 {
		t.Errorf("first come, first served at x%.2f", fifo.Ratio99)
	}
	if r := b.Row(policy(t, "engine priority"), load); r.Ratio99 < 1.5*ours.Ratio99 {
		t.Errorf("engine priority at x%.2f, ours x%.2f", r.Ratio99, ours.Ratio99)
	}
	r := b.Row(policy(t, "static cap"), load)
	if r.Ratio99 < ours.Ratio99 || r.Throughput > .85*ours.Throughput {
		t.Errorf("static cap x%.2f at %.0f tokens/s, ours x%.2f at %.0f", r.Ratio99, r.Throughput, ours.Ratio99, ours.Throughput)
	}
}

func TestALightTenantKeepsItsShare(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		if n := isolation.LightTenant(seed, 1, 2, fair.Default()); n.Ratio() > 1.3 {
			t.Errorf("seed %d: p99 %.3f s beside a heavy tenant, %.3f s on half an engine: x%.2f", seed, n.Light, n.Alone, n.Ratio())
		}
	}
}

func TestARunIsTheSameEveryTime(t *testing.T) {
	s := short(2)
	s.Duration = 60 * time.Second
	isolation.Loads()[2].Apply(&s)
	a, b := isolation.Run(s), isolation.Run(s)
	if a.Tokens != b.Tokens || a.Sent != b.Sent || a.Percentile(99, isolation.Provisioned) != b.Percentile(99, isolation.Provisioned) {
		t.Errorf("%v and %v tokens/s", a.Tokens, b.Tokens)
	}
	if a.Sent[isolation.Provisioned] == 0 || a.Tokens[isolation.OnDemand] == 0 {
		t.Errorf("nothing happened: %v", a.Tokens)
	}
}

func TestTheTableHasTheMeansOfTheTrace(t *testing.T) {
	in, out := isolation.Means(isolation.Conversation)
	if math.Abs(in-1155) > 25 || math.Abs(out-211) > 4 {
		t.Errorf("means %.0f and %.0f, want 1155 and 211", in, out)
	}
}

func TestReadTrace(t *testing.T) {
	good := "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n2023-11-16 18:15:50.99,0,9\n2023-11-16 18:15:51.00,396,109\n"
	pairs, err := isolation.ReadTrace(strings.NewReader(good))
	if err != nil || len(pairs) != 2 || pairs[1] != [2]int{396, 109} {
		t.Errorf("%v, %v", pairs, err)
	}
	for _, bad := range []string{
		"", "a,b\n1,2\n", "ContextTokens,GeneratedTokens\n", "ContextTokens,GeneratedTokens\n1\n",
		"ContextTokens,GeneratedTokens\n1,x\n", "ContextTokens,GeneratedTokens\n1,99999999999\n",
	} {
		if _, err := isolation.ReadTrace(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// Times between requests are drawn with the rate and the scatter asked for.
func TestArrivalsHaveTheirRateAndScatter(t *testing.T) {
	for _, cv := range []float64{1, 3} {
		s := isolation.Base(2)
		s.CV, s.Units = cv, 1
		source := s.Sources()[0]
		const n = 200_000
		var sum, squares float64
		for last := time.Duration(0); source.At() < n*time.Second/8; {
			gap := (source.At() - last).Seconds()
			last = source.At()
			sum, squares = sum+gap, squares+gap*gap
			source.Take()
		}
		count := 8 * sum // at 4 requests a second on each of two engines
		mean, deviation := sum/count, math.Sqrt(squares/count-sum*sum/count/count)
		if math.Abs(mean-1./8) > .002 || math.Abs(deviation/mean-cv) > .05*cv {
			t.Errorf("CV %v: mean %.4f s, CV %.2f", cv, mean, deviation/mean)
		}
	}
}

func TestSourcesAreTheSameForASeed(t *testing.T) {
	s := isolation.Base(1)
	isolation.Loads()[0].Apply(&s)
	a, b := s.Sources(), s.Sources()
	s.Seed++
	c := s.Sources()
	if len(a) != 2+9+1 {
		t.Fatalf("%d sources", len(a))
	}
	for i := range a {
		p1, o1 := a[i].Take()
		p2, o2 := b[i].Take()
		if p1 != p2 || o1 != o2 || a[i].At() != b[i].At() || a[i].Tenant != b[i].Tenant {
			t.Errorf("source %d differs", i)
		}
		if c[i].Take(); c[i].At() == a[i].At() {
			t.Errorf("source %d is the same for another seed", i)
		}
	}
}

func TestPercentilesKeepWhatNeverCame(t *testing.T) {
	var r isolation.Result
	for range 98 {
		r.First[isolation.Provisioned] = append(r.First[isolation.Provisioned], .1)
	}
	r.First[isolation.Provisioned] = append(r.First[isolation.Provisioned], math.Inf(1), math.Inf(1))
	if p := r.Percentile(97, isolation.Provisioned); p != .1 {
		t.Errorf("p97 is %v", p)
	}
	if p := r.Percentile(99, isolation.Provisioned); !math.IsInf(p, 1) {
		t.Errorf("p99 is %v", p)
	}
	if p := r.Percentile(50, isolation.OnDemand); !math.IsNaN(p) {
		t.Errorf("p50 of nothing is %v", p)
	}
}

func TestFiguresSurviveJSON(t *testing.T) {
	in := []isolation.Figure{1.25, isolation.Figure(math.Inf(1)), isolation.Figure(math.NaN())}
	b, err := json.Marshal(in)
	if err != nil || string(b) != `[1.25,"never",null]` {
		t.Fatalf("%s, %v", b, err)
	}
	out := make([]isolation.Figure, 3)
	if err := json.Unmarshal(b, &out); err != nil || out[0] != in[0] || out[1] != in[1] || out[2] == out[2] {
		t.Errorf("%v, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`["soon"]`), &out); err == nil {
		t.Error("a word is a figure")
	}
}
