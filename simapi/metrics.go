package simapi

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sim"
	"github.com/outcrop/outcrop/step"
)

// A collector gives the engines' figures under the names that vLLM's V1
// engine has for them, so that dashboards and routers made for vLLM work.
type collector struct{ models []Model }

func gatherer(models []Model) prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{models})
	return registry
}

var labels = []string{"model_name", "engine"}

func describe(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append(slices.Clone(labels), more...), nil)
}

// A figure is a metric that is one number of the engine's.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*sim.Stats) float64
}

var figures = []figure{
	gauge("vllm:num_requests_running", "Requests that take part in steps.", func(s *sim.Stats) float64 { return float64(s.Running) }),
	gauge("vllm:num_requests_waiting", "Requests that wait to be scheduled.", func(s *sim.Stats) float64 { return float64(s.Waiting) }),
	gauge("vllm:kv_cache_usage_perc", "Share of the KV cache in use; 1 is all of it.", func(s *sim.Stats) float64 { return s.KVUsage }),
	counter("vllm:num_preemptions_total", "Times that a request gave up its memory.", func(s *sim.Stats) int { return s.Preemptions }),
	counter("vllm:prompt_tokens_total", "Tokens of prompts processed.", func(s *sim.Stats) int { return s.PromptTokens }),
	counter("vllm:generation_tokens_total", "Tokens generated.", func(s *sim.Stats) int { return s.GenerationTokens }),
	counter("vllm:prefix_cache_queries_total", "Tokens looked up in the prefix cache.", func(s *sim.Stats) int { return s.PrefixQueries }),
	counter("vllm:prefix_cache_hits_total", "Tokens found in the prefix cache.", func(s *sim.Stats) int { return s.PrefixHits }),
	counter("outcrop_sim_steps_total", "Steps of the simulated engine.", func(s *sim.Stats) int { return s.Steps }),
	gauge("outcrop_simulated", "1: the figures of this server are simulated.", func(*sim.Stats) float64 { return 1 }),
}

func gauge(name, help string, value func(*sim.Stats) float64) figure {
	return figure{describe(name, help), prometheus.GaugeValue, value}
}

func counter(name, help string, value func(*sim.Stats) int) figure {
	return figure{describe(name, help), prometheus.CounterValue, func(s *sim.Stats) float64 { return float64(value(s)) }}
}

// histograms hold some figures twice: vLLM renamed time_per_output_token to
// inter_token_latency, and dashboards know one or the other.
var histograms = []struct {
	desc *prometheus.Desc
	of   func(*sim.Stats) *sim.Histogram
}{
	{describe("vllm:time_to_first_token_seconds", "Time to the first token."), func(s *sim.Stats) *sim.Histogram { return &s.FirstToken }},
	{describe("vllm:inter_token_latency_seconds", "Time between two tokens."), func(s *sim.Stats) *sim.Histogram { return &s.BetweenTokens }},
	{describe("vllm:time_per_output_token_seconds", "Time between two tokens."), func(s *sim.Stats) *sim.Histogram { return &s.BetweenTokens }},
	{describe("vllm:e2e_request_latency_seconds", "Time to the last token."), func(s *sim.Stats) *sim.Histogram { return &s.EndToEnd }},
	{describe("vllm:request_queue_time_seconds", "Time until a request is scheduled."), func(s *sim.Stats) *sim.Histogram { return &s.Queued }},
}

var (
	success = describe("vllm:request_success_total", "Requests that ended, by reason.", "finished_reason")
	cache   = describe("vllm:cache_config_info", "Size of the KV cache, in the labels.", "block_size", "num_gpu_blocks")
)

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range figures {
		out <- f.desc
	}
	for _, h := range histograms {
		out <- h.desc
	}
	out <- success
	out <- cache
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for i := range c.models {
		if m := &c.models[i]; m.Stats != nil {
			s := m.Stats()
			collect(out, m.Name, &s)
		}
	}
}

func collect(out chan<- prometheus.Metric, model string, s *sim.Stats) {
	for _, f := range figures {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(s), model, "0")
	}
	for _, h := range histograms {
		out <- histogram(h.desc, h.of(s), model)
	}
	for reason, n := range reasons(s) {
		out <- prometheus.MustNewConstMetric(success, prometheus.CounterValue, float64(n), model, "0", reason)
	}
	out <- prometheus.MustNewConstMetric(cache, prometheus.GaugeValue, 1, model, "0",
		strconv.Itoa(step.BlockTokens), strconv.Itoa(s.KVTokens/step.BlockTokens))
}

func histogram(desc *prometheus.Desc, h *sim.Histogram, model string) prometheus.Metric {
	buckets := map[float64]uint64{}
	total := uint64(0)
	for i, bound := range h.Bounds {
		total += uint64(h.Counts[i])
		buckets[bound.Seconds()] = total
	}
	total += uint64(h.Counts[len(h.Bounds)])
	return prometheus.MustNewConstHistogram(desc, total, h.Sum.Seconds(), buckets, model, "0")
}

// reasons are vLLM's words for how requests ended.
func reasons(s *sim.Stats) map[string]int {
	all := map[string]int{"stop": 0, "length": 0, "abort": s.Aborted, "error": s.Failed}
	for reason, n := range s.Finished {
		switch reason {
		case outcrop.StopMaxTokens, outcrop.StopContextExceeded:
			all["length"] += n
		default:
			all["stop"] += n
		}
	}
	return all
}
