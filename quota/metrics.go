package quota

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// A collector turns a Status into metrics when they are asked for.
type collector struct {
	limiter *Limiter

	fullest, refused, admitted, tokens  *prometheus.Desc
	unitLevel, unitLimit, unitUsed      *prometheus.Desc
	unitRefused, unitAdmitted           *prometheus.Desc
	unitSpilled, unitWaited, unitWaitIn *prometheus.Desc
	inFlight, expired                   *prometheus.Desc
}

// Collector returns the metrics of the limits. They are read when they are
// collected and cost nothing in between. No label names an account, since
// whoever may read metrics may not know who calls: on demand all accounts are
// added up, and a unit goes by the id of its ARN. Reserved capacities are added
// up under the unit "reserved".
func (l *Limiter) Collector() prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("outcrop_"+name, help, labels, nil)
	}
	return &collector{
		limiter:  l,
		fullest:  desc("quota_fullest_ratio", "How full a limit on demand is for the account that is nearest to it; 1 is full.", "model", "limit"),
		refused:  desc("quota_refused_total", "Requests refused by a limit on demand.", "model", "limit"),
		admitted: desc("quota_admitted_total", "Requests admitted on demand.", "model"),
		tokens:   desc("quota_tokens_total", "Quota tokens of ended requests: reserved, used, overrun.", "model", "kind"),

		unitLevel:    desc("unit_level", "How full a unit is over the window of its bursts, in tokens.", "unit", "model", "limit"),
		unitLimit:    desc("unit_limit", "What the level of a unit must not exceed.", "unit", "model", "limit"),
		unitUsed:     desc("unit_used_ratio", "Share of a unit that was used over five minutes.", "unit", "model", "kind"),
		unitRefused:  desc("unit_refused_total", "Requests refused by a unit.", "unit", "model", "limit"),
		unitAdmitted: desc("unit_admitted_total", "Requests admitted by a unit.", "unit", "model"),
		unitSpilled:  desc("unit_spilled_total", "Requests over a unit that went to on-demand service, by class.", "unit", "model", "class"),
		unitWaited:   desc("unit_waited_total", "Requests that waited for a unit and were admitted.", "unit", "model"),
		unitWaitIn:   desc("unit_wait_seconds_total", "Time that admitted requests waited for a unit.", "unit", "model"),

		inFlight: desc("quota_in_flight", "Reservations that are open."),
		expired:  desc("quota_expired_total", "Reservations that ended by their lease."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.fullest, c.refused, c.admitted, c.tokens, c.unitLevel, c.unitLimit, c.unitUsed,
		c.unitRefused, c.unitAdmitted, c.unitSpilled, c.unitWaited, c.unitWaitIn, c.inFlight, c.expired} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.limiter.Status()
	t := totals{}
	t.set(c.inFlight, prometheus.GaugeValue, float64(s.InFlight))
	t.set(c.expired, prometheus.CounterValue, float64(s.Expired))
	for i := range s.Uses {
		c.use(t, &s.Uses[i])
	}
	for i := range s.Units {
		u := &s.Units[i]
		_, id, _ := strings.Cut(u.ARN, "/")
		c.unit(t, u, id)
		for _, l := range u.Levels {
			t.set(c.unitLevel, prometheus.GaugeValue, float64(l.Level), id, u.Model, l.Limit)
			t.set(c.unitLimit, prometheus.GaugeValue, float64(l.Max), id, u.Model, l.Limit)
		}
	}
	for i := range s.Reserved {
		c.unit(t, &s.Reserved[i], "reserved")
	}
	for s, m := range t {
		out <- prometheus.MustNewConstMetric(s.desc, m.kind, m.value, m.labels...)
	}
}

func (c *collector) use(t totals, u *UseStatus) {
	for _, l := range u.Levels {
		if l.Max > 0 {
			t.most(c.fullest, float64(l.Level)/float64(l.Max), u.Model, l.Limit)
		}
	}
	for _, n := range u.Refused {
		t.add(c.refused, float64(n.Count), u.Model, n.Name)
	}
	t.add(c.admitted, float64(u.Admitted), u.Model)
	t.add(c.tokens, float64(u.Reserved), u.Model, "reserved")
	t.add(c.tokens, float64(u.Used), u.Model, "used")
	t.add(c.tokens, float64(u.Overrun), u.Model, "overrun")
}

func (c *collector) unit(t totals, u *UnitStatus, id string) {
	if u.Input > 0 {
		t.most(c.unitUsed, float64(u.UsedInput)/100, id, u.Model, "input")
	}
	if u.Output > 0 {
		t.most(c.unitUsed, float64(u.UsedOutput)/100, id, u.Model, "output")
	}
	for _, n := range u.Refused {
		t.add(c.unitRefused, float64(n.Count), id, u.Model, n.Name)
	}
	for _, n := range u.Spilled {
		t.add(c.unitSpilled, float64(n.Count), id, u.Model, n.Name)
	}
	t.add(c.unitAdmitted, float64(u.Admitted), id, u.Model)
	t.add(c.unitWaited, float64(u.Waited), id, u.Model)
	t.add(c.unitWaitIn, u.WaitTime.Seconds(), id, u.Model)
}

// totals are the metrics of one collection, added up over accounts.
type totals map[series]*total

// A series is a metric with its labels, which hold no NUL.
type series struct {
	desc   *prometheus.Desc
	labels string
}

type total struct {
	kind   prometheus.ValueType
	labels []string
	value  float64
}

func (t totals) at(d *prometheus.Desc, kind prometheus.ValueType, labels []string) *total {
	key := series{d, strings.Join(labels, "\x00")}
	if t[key] == nil {
		t[key] = &total{kind: kind, labels: labels}
	}
	return t[key]
}

func (t totals) set(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
	t.at(d, kind, labels).value = v
}

func (t totals) add(d *prometheus.Desc, v float64, labels ...string) {
	t.at(d, prometheus.CounterValue, labels).value += v
}

// most keeps the largest of a gauge.
func (t totals) most(d *prometheus.Desc, v float64, labels ...string) {
	m := t.at(d, prometheus.GaugeValue, labels)
	m.value = max(m.value, v)
}
