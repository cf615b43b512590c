package quota

import "github.com/prometheus/client_golang/prometheus"

// A collector turns a Status into metrics when they are asked for.
type collector struct {
	limiter *Limiter

	level, limit, refused, admitted, tokens *prometheus.Desc
	unitLevel, unitLimit, unitUsed          *prometheus.Desc
	unitRefused, unitAdmitted, unitSpilled  *prometheus.Desc
	unitWaited, unitWaitTime                *prometheus.Desc
	inFlight, expired                       *prometheus.Desc
}

// Collector returns the metrics of the limits. They are read when they are
// collected and cost nothing in between.
func (l *Limiter) Collector() prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("outcrop_"+name, help, labels, nil)
	}
	return &collector{
		limiter:  l,
		level:    desc("quota_level", "How full a limit is, in requests or quota tokens.", "account", "model", "limit"),
		limit:    desc("quota_limit", "What the level must not exceed.", "account", "model", "limit"),
		refused:  desc("quota_refused_total", "Requests refused by a limit.", "account", "model", "limit"),
		admitted: desc("quota_admitted_total", "Requests admitted on demand.", "account", "model"),
		tokens:   desc("quota_tokens_total", "Quota tokens of ended requests: reserved, used, overrun.", "account", "model", "kind"),

		unitLevel:    desc("unit_level", "How full a unit is over the window of its bursts, in tokens.", "unit", "model", "limit"),
		unitLimit:    desc("unit_limit", "What the level of a unit must not exceed.", "unit", "model", "limit"),
		unitUsed:     desc("unit_used_ratio", "Share of a unit that was used over five minutes.", "unit", "model", "kind"),
		unitRefused:  desc("unit_refused_total", "Requests refused by a unit.", "unit", "model", "limit"),
		unitAdmitted: desc("unit_admitted_total", "Requests admitted by a unit.", "unit", "model"),
		unitSpilled:  desc("unit_spilled_total", "Requests over a unit that went to on-demand service, by class.", "unit", "model", "class"),
		unitWaited:   desc("unit_waited_total", "Requests that waited for a unit and were admitted.", "unit", "model"),
		unitWaitTime: desc("unit_wait_seconds_total", "Time that admitted requests waited for a unit.", "unit", "model"),

		inFlight: desc("quota_in_flight", "Reservations that are open."),
		expired:  desc("quota_expired_total", "Reservations that ended by their lease."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.level, c.limit, c.refused, c.admitted, c.tokens, c.unitLevel, c.unitLimit, c.unitUsed,
		c.unitRefused, c.unitAdmitted, c.unitSpilled, c.unitWaited, c.unitWaitTime, c.inFlight, c.expired} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	s := c.limiter.Status()
	gauge(c.inFlight, float64(s.InFlight))
	counter(c.expired, float64(s.Expired))
	for _, u := range s.Uses {
		for _, l := range u.Levels {
			gauge(c.level, float64(l.Level), u.Account, u.Model, l.Limit)
			gauge(c.limit, float64(l.Max), u.Account, u.Model, l.Limit)
		}
		for _, n := range u.Refused {
			counter(c.refused, float64(n.Count), u.Account, u.Model, n.Name)
		}
		counter(c.admitted, float64(u.Admitted), u.Account, u.Model)
		counter(c.tokens, float64(u.Reserved), u.Account, u.Model, "reserved")
		counter(c.tokens, float64(u.Used), u.Account, u.Model, "used")
		counter(c.tokens, float64(u.Overrun), u.Account, u.Model, "overrun")
	}
	for _, u := range s.Units {
		c.unit(&u, u.ARN, gauge, counter)
	}
	for _, u := range s.Reserved {
		c.unit(&u, "reserved/"+u.Account, gauge, counter)
	}
}

func (c *collector) unit(u *UnitStatus, id string, gauge, counter func(d *prometheus.Desc, v float64, labels ...string)) {
	for _, l := range u.Levels {
		gauge(c.unitLevel, float64(l.Level), id, u.Model, l.Limit)
		gauge(c.unitLimit, float64(l.Max), id, u.Model, l.Limit)
	}
	if u.Input > 0 {
		gauge(c.unitUsed, float64(u.UsedInput)/100, id, u.Model, "input")
	}
	if u.Output > 0 {
		gauge(c.unitUsed, float64(u.UsedOutput)/100, id, u.Model, "output")
	}
	for _, n := range u.Refused {
		counter(c.unitRefused, float64(n.Count), id, u.Model, n.Name)
	}
	for _, n := range u.Spilled {
		counter(c.unitSpilled, float64(n.Count), id, u.Model, n.Name)
	}
	counter(c.unitAdmitted, float64(u.Admitted), id, u.Model)
	counter(c.unitWaited, float64(u.Waited), id, u.Model)
	counter(c.unitWaitTime, u.WaitTime.Seconds(), id, u.Model)
}
