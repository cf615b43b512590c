package capacity_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/estimate"
	"github.com/outcrop/outcrop/fair"
)

// aState is a pool of two engines: one at work, of known memory and scraped;
// one that rests.
func aState() capacity.State {
	s := capacity.State{Model: "m", Rate: 20_000, Guarded: true, Need: fair.NeedState{Told: 1.5, Rate: 2700}, Engines: []capacity.EngineState{
		{Name: "a", Load: fair.EngineState{Sequences: 3, Unread: 1820, KV: 62_000, Capacity: small(8)}, Factor: 0.9, Prefill: 21_000, Decode: 95, Served: 40, Failed: 2,
			Scraped: 200 * time.Millisecond, Said: estimate.Scrape{Running: 2, Waiting: 1, KVUsage: 0.5}},
		{Name: "b", Load: fair.EngineState{Capacity: capacity.Unknown(0)}, Condition: estimate.Resting, RestsFor: time.Second, Factor: 1, Scraped: -1},
	}}
	s.Classes[outcrop.ClassDefault] = fair.ClassState{Queued: 14, Flying: 3, Cost: 50_000, Rate: 10_000, Oldest: 3100 * time.Millisecond, Pace: 8500, Served: 123_456,
		Counts: fair.Counts{Finished: 40, Failed: 3, Refused: 7, Aborted: 2, Lost: 1}}
	return s
}

func TestMetricsOfPools(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(capacity.Collector(func() []capacity.State { return []capacity.State{aState()} }))
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "outcrop_")
			for _, l := range m.GetLabel() {
				if l.GetName() != "model" {
					name += " " + l.GetValue()
				}
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"guarded": 1, "batch_needed_per_second": 1.5, "batch_floor_tokens_per_second": 2700, "queue_length default": 14, "queue_length flex": 0, "running default": 3,
		"queue_oldest_wait_seconds default": 3.1, "queue_expected_wait_seconds default": 5, "queue_expected_wait_seconds batch": 2.5, "queue_expected_wait_seconds priority": 0,
		"service_tokens_per_second default": 8500, "service_tokens_total default": 123_456,
		"scheduled_total default finished": 40, "scheduled_total default failed": 3, "scheduled_total default refused": 7, "scheduled_total default aborted": 2, "scheduled_total default lost": 1,
		"engine_condition healthy a": 1, "engine_condition resting a": 0, "engine_condition resting b": 1, "engine_condition draining b": 0,
		"engine_factor a": 0.9, "engine_running a": 3, "engine_running_limit a": 8, "engine_kv_tokens a": 62_000, "engine_kv_limit_tokens a": 100_000,
		"engine_prefill_backlog_tokens a": 1820, "engine_prefill_tokens_per_second a": 21_000, "engine_steps_per_second a": 95,
		"engine_requests_total a served": 40, "engine_requests_total a failed": 2,
		"engine_scrape_age_seconds a": 0.2, "engine_reported_running a": 2, "engine_reported_waiting a": 1, "engine_reported_kv_ratio a": 0.5,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	for _, name := range []string{"engine_kv_limit_tokens b", "engine_scrape_age_seconds b"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s is %v, though that is not known", name, v)
		}
	}
}

func TestAnEngineThatDrainsSaysSo(t *testing.T) {
	for _, e := range []capacity.EngineState{{Drained: true}, {Leaving: true, Condition: estimate.Resting}} {
		if e.Is() != capacity.Draining {
			t.Errorf("%+v is %s", e, e.Is())
		}
	}
	if e := (capacity.EngineState{Condition: estimate.Probing}); e.Is() != "probing" {
		t.Error(e.Is())
	}
}

// TestStateKeepsUpWithTheTime: nothing happens in the pool, and the wait grows.
func TestStateKeepsUpWithTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(1), answers(time.Minute, 0, 1))
		ctx, leave := context.WithCancel(t.Context())
		for range 2 {
			go func() { _, _ = p.Invoke(ctx, request(outcrop.ClassProvisioned, "a", 10, 1), &counter{}) }()
			synctest.Wait()
		}
		time.Sleep(7 * time.Second)
		if got := p.State().Classes[outcrop.ClassProvisioned].Oldest; got != 7*time.Second {
			t.Errorf("the longest wait is %v", got)
		}
		leave()
		synctest.Wait()
	})
}
