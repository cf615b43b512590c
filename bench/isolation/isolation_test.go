package isolation_test

import (
	"math"
	"math/rand/v2"
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
	r := rand.New(rand.NewPCG(1, 2))
	var in, out float64
	const n = 100_000
	for range n {
		a, b := isolation.Conversation.Draw(r)
		in, out = in+float64(a)/n, out+float64(b)/n
	}
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
