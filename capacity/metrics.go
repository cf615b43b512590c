package capacity

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/estimate"
)

// A collector turns the States of pools into metrics when they are asked for.
type collector struct {
	pools func() []State

	queue, running, oldest, expected *prometheus.Desc
	pace, served, ended              *prometheus.Desc
	guarded, needed, floor           *prometheus.Desc

	condition, factor                       *prometheus.Desc
	sequences, maxSequences                 *prometheus.Desc
	kv, maxKV, backlog                      *prometheus.Desc
	prefill, decode                         *prometheus.Desc
	scrapedAge, said, saidWaiting, saidUsed *prometheus.Desc
	requests                                *prometheus.Desc
}

// Collector returns the metrics of the pools that pools returns, of different
// models each. They are read when they are collected and cost nothing in
// between. Their labels are models, engines and classes, and no callers.
func Collector(pools func() []State) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("outcrop_"+name, help, labels, nil)
	}
	return &collector{
		pools:    pools,
		queue:    desc("queue_length", "Requests that wait for an engine.", "model", "class"),
		running:  desc("running", "Requests that are on an engine.", "model", "class"),
		oldest:   desc("queue_oldest_wait_seconds", "The longest wait in the queue now.", "model", "class"),
		expected: desc("queue_expected_wait_seconds", "How long a request that came now would wait at most.", "model", "class"),
		pace:     desc("service_tokens_per_second", "Service tokens given lately, with a time constant of ten seconds.", "model", "class"),
		served:   desc("service_tokens_total", "Service tokens given to requests that have ended: uncached prompt tokens, and output tokens by their weight.", "model", "class"),
		ended:    desc("scheduled_total", "Requests that the scheduler let go, by outcome: finished, failed (with an error of the engines), refused, aborted (the caller left), lost (the engine was taken out of service).", "model", "class", "outcome"),
		guarded:  desc("guarded", "1 while low classes are held back for the sake of higher ones.", "model"),
		needed:   desc("batch_needed_per_second", "Records a second that batch jobs which hurry need to be done in time.", "model"),
		floor:    desc("batch_floor_tokens_per_second", "Service tokens a second that records of these jobs are guaranteed while some wait.", "model"),

		condition:    desc("engine_condition", "1 for the condition that the engine is in: healthy, probing, resting, draining.", "model", "engine", "condition"),
		factor:       desc("engine_factor", "Share of its capacity that the engine is given.", "model", "engine"),
		sequences:    desc("engine_running", "Requests on the engine.", "model", "engine"),
		maxSequences: desc("engine_running_limit", "Most requests that the engine takes at a time; absent if that is not known.", "model", "engine"),
		kv:           desc("engine_kv_tokens", "Tokens in the engine's memory, by what was sent and predicted.", "model", "engine"),
		maxKV:        desc("engine_kv_limit_tokens", "Tokens that the engine's memory holds; absent if that is not known.", "model", "engine"),
		backlog:      desc("engine_prefill_backlog_tokens", "Uncached prompt tokens that were sent and have no first token yet.", "model", "engine"),
		prefill:      desc("engine_prefill_tokens_per_second", "Estimated rate at which the engine reads prompts.", "model", "engine"),
		decode:       desc("engine_steps_per_second", "Estimated rate of the engine's steps.", "model", "engine"),
		scrapedAge:   desc("engine_scrape_age_seconds", "How old what the engine's own metrics said is.", "model", "engine"),
		said:         desc("engine_reported_running", "Requests that run by the engine's own metrics.", "model", "engine"),
		saidWaiting:  desc("engine_reported_waiting", "Requests that wait inside the engine by its own metrics.", "model", "engine"),
		saidUsed:     desc("engine_reported_kv_ratio", "Share of the memory in use by the engine's own metrics.", "model", "engine"),
		requests:     desc("engine_requests_total", "Requests that the engine ended, by outcome: served, failed.", "model", "engine", "outcome"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.queue, c.running, c.oldest, c.expected, c.pace, c.served, c.ended, c.guarded, c.needed, c.floor,
		c.condition, c.factor, c.sequences, c.maxSequences, c.kv, c.maxKV, c.backlog, c.prefill, c.decode,
		c.scrapedAge, c.said, c.saidWaiting, c.saidUsed, c.requests} {
		out <- d
	}
}

// A metricSink takes the metrics of one collection.
type metricSink chan<- prometheus.Metric

func (s metricSink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s metricSink) counter(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	out := metricSink(metrics)
	for _, s := range c.pools() {
		out.gauge(c.guarded, one(s.Guarded), s.Model)
		out.gauge(c.needed, s.Need.Told, s.Model)
		out.gauge(c.floor, s.Need.Rate, s.Model)
		for class := range outcrop.Class(outcrop.NumClasses) {
			c.class(out, &s, class)
		}
		for i := range s.Engines {
			c.engine(out, s.Model, &s.Engines[i])
		}
	}
}

func (c *collector) class(out metricSink, s *State, class outcrop.Class) {
	q, model, name := &s.Classes[class], s.Model, class.String()
	out.gauge(c.queue, float64(q.Queued), model, name)
	out.gauge(c.running, float64(q.Flying), model, name)
	out.gauge(c.oldest, q.Oldest.Seconds(), model, name)
	out.gauge(c.expected, s.ExpectedWait(class).Seconds(), model, name)
	out.gauge(c.pace, q.Pace, model, name)
	out.counter(c.served, float64(q.Served), model, name)
	out.counter(c.ended, float64(q.Counts.Finished), model, name, "finished")
	out.counter(c.ended, float64(q.Counts.Failed), model, name, "failed")
	out.counter(c.ended, float64(q.Counts.Refused), model, name, "refused")
	out.counter(c.ended, float64(q.Counts.Aborted), model, name, "aborted")
	out.counter(c.ended, float64(q.Counts.Lost), model, name, "lost")
}

func (c *collector) engine(out metricSink, model string, e *EngineState) {
	name := e.Name
	for _, condition := range [...]string{estimate.Healthy.String(), estimate.Probing.String(), estimate.Resting.String(), Draining} {
		out.gauge(c.condition, one(condition == e.Is()), model, name, condition)
	}
	out.gauge(c.factor, e.Factor, model, name)
	out.gauge(c.sequences, float64(e.Load.Sequences), model, name)
	if most, known := e.Places(); known {
		out.gauge(c.maxSequences, float64(most), model, name)
	}
	out.gauge(c.kv, float64(e.Load.KV), model, name)
	if most, known := e.Memory(); known {
		out.gauge(c.maxKV, float64(most), model, name)
	}
	out.gauge(c.backlog, float64(e.Load.Unread), model, name)
	out.gauge(c.prefill, e.Prefill, model, name)
	out.gauge(c.decode, e.Decode, model, name)
	out.counter(c.requests, float64(e.Served), model, name, "served")
	out.counter(c.requests, float64(e.Failed), model, name, "failed")
	if e.Scraped < 0 {
		return
	}
	out.gauge(c.scrapedAge, e.Scraped.Seconds(), model, name)
	out.gauge(c.said, float64(e.Said.Running), model, name)
	out.gauge(c.saidWaiting, float64(e.Said.Waiting), model, name)
	out.gauge(c.saidUsed, e.Said.KVUsage, model, name)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
