package batch

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the records of all jobs came to. It is a
// prometheus.Collector.
type Metrics struct {
	records, tokens, cost *prometheus.CounterVec
	retries, waits, taken *prometheus.CounterVec
}

// NewMetrics returns Metrics that stand at zero.
func NewMetrics() *Metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "outcrop", Subsystem: "batch", Name: name, Help: help}, labels)
	}
	return &Metrics{
		records: vec("records_total", "Records of batch jobs that were written down, by outcome.", "model", "outcome"),
		tokens:  vec("tokens_total", "Tokens of these records.", "model", "kind"),
		cost:    vec("cost_dollars_total", "What these records cost, in US dollars, of models that have a price.", "model"),
		retries: vec("retries_total", "Attempts at a record that failed and were followed by another one.", "model"),
		waits:   vec("waits_total", "Attempts at a record that the engines had no room for.", "model"),
		taken:   vec("turns_lost_total", "Turns whose work another turn had taken over."),
	}
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.records, m.tokens, m.cost, m.retries, m.waits, m.taken}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}

func (m *Metrics) saved(model string, b *batchOf) {
	m.records.WithLabelValues(model, "answered").Add(float64(b.counts.Succeeded))
	m.records.WithLabelValues(model, "failed").Add(float64(b.counts.Failed))
	m.cost.WithLabelValues(model).Add(float64(b.usage.Cost) / 1e9)
	m.tokens.WithLabelValues(model, "input").Add(float64(b.usage.Input))
	m.tokens.WithLabelValues(model, "output").Add(float64(b.usage.Output))
	m.tokens.WithLabelValues(model, "cache_read").Add(float64(b.usage.CacheRead))
	m.tokens.WithLabelValues(model, "cache_write").Add(float64(b.usage.CacheWrite))
}

func (m *Metrics) retried(model string) { m.retries.WithLabelValues(model).Inc() }
func (m *Metrics) waited(model string)  { m.waits.WithLabelValues(model).Inc() }
func (m *Metrics) lost()                { m.taken.WithLabelValues().Inc() }
