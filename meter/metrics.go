package meter

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
)

// metrics holds the collectors, and for each combination of labels that has
// occurred the resolved children, so that recording looks nothing up by
// string.
type metrics struct {
	requests   *prometheus.CounterVec
	tokens     *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	first      *prometheus.HistogramVec
	between    *prometheus.HistogramVec
	queue      *prometheus.HistogramVec
	classFirst *prometheus.HistogramVec
	simulated  *prometheus.CounterVec
	spilled    *prometheus.CounterVec
	cost       *prometheus.CounterVec

	mu       sync.RWMutex
	resolved map[labels]*children
}

type labels struct {
	model     string
	operation outcrop.Operation
	outcome   outcrop.Code
	class     string // empty if the request was not scheduled
	spilled   bool
}

type children struct {
	requests, simulated        prometheus.Counter
	input, output, read, write prometheus.Counter
	cost                       prometheus.Counter
	duration, first, between   prometheus.Observer
	spilled                    prometheus.Counter  // nil if they did not
	queue, classFirst          prometheus.Observer // nil if they were not scheduled
}

// outcomeOK is the outcome label of a success.
const outcomeOK outcrop.Code = "ok"

// unknownModel is the model label of requests that named no known model, so
// that callers cannot make up label values.
const unknownModel = "unknown"

func newMetrics(reg prometheus.Registerer) *metrics {
	by := []string{"model", "operation", "outcome"}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "outcrop_requests_total", Help: "Invocations by model, operation and outcome (ok or the error's code)."}, by),
		simulated: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "outcrop_simulated_requests_total", Help: "Invocations that the simulated engine served."}, by),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "outcrop_tokens_total", Help: "Tokens by model, outcome and class (input, output, cache_read, cache_write)."},
			[]string{"model", "outcome", "class"}),
		spilled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "outcrop_spilled_requests_total", Help: "Invocations over their provisioned throughput that were served on demand, by model and class."},
			[]string{"model", "to"}),
		cost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "outcrop_cost_dollars_total", Help: "What the tokens cost, in US dollars, of models that have a price."}, []string{"model", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "outcrop_request_duration_seconds", Help: "Time from a request's arrival to its answer's end.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 18)}, by),
		first: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "outcrop_first_token_seconds", Help: "Time to the first token of an answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 17)}, []string{"model", "outcome"}),
		between: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "outcrop_time_between_tokens_seconds", Help: "Mean time between the output tokens of an answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}, []string{"model", "outcome"}),
		queue: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "outcrop_queue_seconds", Help: "Time in the queue for an engine, of all requests that came there, by class.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 20)}, []string{"model", "class"}),
		classFirst: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "outcrop_class_first_token_seconds", Help: "Time to the first token of an answer, by class.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 17)}, []string{"model", "class"}),
		resolved: map[labels]*children{},
	}
	reg.MustRegister(m.requests, m.simulated, m.tokens, m.duration, m.first, m.between, m.queue, m.classFirst, m.spilled, m.cost)
	return m
}

func (m *metrics) record(e *Entry) {
	c := m.resolve(labelsOf(e))
	c.requests.Inc()
	c.duration.Observe(e.Duration.Seconds())
	u := e.Receipt.Usage
	add(c.input, u.Input)
	add(c.output, u.Output)
	add(c.read, u.CacheRead)
	add(c.write, u.CacheWrite)
	if e.Receipt.Cost > 0 {
		c.cost.Add(float64(e.Receipt.Cost) / 1e9)
	}
	if e.Receipt.Simulated {
		c.simulated.Inc()
	}
	if c.spilled != nil {
		c.spilled.Inc()
	}
	if e.Receipt.FirstToken > 0 {
		c.first.Observe(e.Receipt.FirstToken.Seconds())
	}
	if d, ok := e.betweenTokens(); ok {
		c.between.Observe(d.Seconds())
	}
	if c.queue == nil {
		return
	}
	c.queue.Observe(e.Receipt.Queued.Seconds())
	if e.Receipt.FirstToken > 0 {
		c.classFirst.Observe(e.Receipt.FirstToken.Seconds())
	}
}

func add(c prometheus.Counter, n int) {
	if n > 0 {
		c.Add(float64(n))
	}
}

func labelsOf(e *Entry) labels {
	l := labels{model: e.Model, operation: e.Operation, outcome: e.Code, spilled: e.Receipt.Spilled}
	if class, ok := e.class(); ok {
		l.class = class.String()
	}
	if l.model == "" {
		l.model = unknownModel
	}
	if l.outcome == "" {
		l.outcome = outcomeOK
	}
	return l
}

func (m *metrics) resolve(l labels) *children {
	m.mu.RLock()
	c := m.resolved[l]
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	model, operation, outcome := l.model, string(l.operation), string(l.outcome)
	c = &children{
		requests:  m.requests.WithLabelValues(model, operation, outcome),
		simulated: m.simulated.WithLabelValues(model, operation, outcome),
		input:     m.tokens.WithLabelValues(model, outcome, "input"),
		output:    m.tokens.WithLabelValues(model, outcome, "output"),
		read:      m.tokens.WithLabelValues(model, outcome, "cache_read"),
		write:     m.tokens.WithLabelValues(model, outcome, "cache_write"),
		cost:      m.cost.WithLabelValues(model, outcome),
		duration:  m.duration.WithLabelValues(model, operation, outcome),
		first:     m.first.WithLabelValues(model, outcome),
		between:   m.between.WithLabelValues(model, outcome),
	}
	if l.class != "" {
		c.queue, c.classFirst = m.queue.WithLabelValues(model, l.class), m.classFirst.WithLabelValues(model, l.class)
	}
	if l.spilled {
		c.spilled = m.spilled.WithLabelValues(model, l.class)
	}
	m.mu.Lock()
	m.resolved[l] = c
	m.mu.Unlock()
	return c
}
