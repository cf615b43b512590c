package ledger_test

import (
	"maps"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
)

// limits are those that newMachine configures, resolved by hand.
func (m *machine) limits(s ledger.Scope) (rpm, tpm, tpd int64, burst time.Duration) {
	all := m.config.Rules[0].Limits
	rpm, tpm, burst = all.RequestsPerMinute, int64(all.TokensPerMinute), time.Minute
	if s.Account == "3" {
		rpm = ledger.Unlimited
	}
	if s.Model == "titan" {
		tpd, burst = int64(m.config.Rules[1].Limits.TokensPerDay), 10*time.Second
	} else if tpm > 0 {
		tpd = tpm * 1440
	}
	if s.Account == "3" && s.Model == "titan" {
		tpm = ledger.Closed
	}
	unlimited := func(n int64) int64 {
		if n == 0 {
			return ledger.Unlimited
		}
		return n
	}
	return unlimited(rpm), unlimited(tpm), unlimited(tpd), burst
}

func (o *oracle) levels(m *machine, s ledger.Scope) (rpm, tpm *bucket.Leak, tpd *bucket.Day) {
	r, t, d, burst := m.limits(s)
	leak := func(have map[ledger.Scope]*bucket.Leak, limit int64) *bucket.Leak {
		if limit == ledger.Unlimited {
			return nil
		}
		if have[s] == nil {
			limit = max(limit, 0)
			b := limit * int64(burst) / int64(time.Minute)
			if limit > 0 {
				b = max(b, 1)
			}
			l := bucket.NewLeak(limit, b)
			have[s] = &l
		}
		return have[s]
	}
	if d != ledger.Unlimited && o.tpd[s] == nil {
		day := bucket.NewDay(d)
		o.tpd[s] = &day
	}
	return leak(o.rpm, r), leak(o.tpm, t), o.tpd[s]
}

// cost weighs a usage by the formulas, model by model.
func (o *oracle) cost(r ledger.Request, u outcrop.Usage, parity bool) heldBy {
	ceil := func(thousandths int) int64 { return int64((thousandths + 999) / 1000) }
	if r.Unit != "" {
		return heldBy{in: ceil(1000*u.Input + 100*u.CacheRead + 1250*u.CacheWrite), out: int64(u.Output)}
	}
	if parity {
		return heldBy{requests: 1, tokens: int64(u.Input + u.Output + u.CacheRead + u.CacheWrite)}
	}
	k := 1
	if r.Model != "titan" {
		k = 5
	}
	return heldBy{requests: 1, tokens: int64(u.Input + u.CacheWrite + k*u.Output)}
}

// ask returns the limit that refuses, the one with the longest wait.
func (o *oracle) ask(m *machine, r ledger.Request, estimate outcrop.Usage) (ledger.Limit, time.Duration) {
	at := max(o.latest, m.now)
	late := at - m.now
	if r.Unit != "" {
		d := o.units[r.Unit]
		if d == nil || o.removed[r.Unit] {
			return ledger.NoUnit, bucket.Never
		}
		wait, _ := d.Wait(at)
		if wait == 0 {
			return ledger.NoLimit, 0
		}
		return ledger.UnitTokens, wait + late
	}
	c := o.cost(r, estimate, m.config.Parity)
	s := ledger.Scope{Account: r.Account, Model: r.Model}
	rpm, tpm, tpd := o.levels(m, s)
	limit, longest := ledger.NoLimit, time.Duration(0)
	note := func(l ledger.Limit, wait time.Duration, need, most int64) {
		if m.config.Parity && need > most {
			wait = bucket.Never
		}
		if wait > 0 && wait < bucket.Never {
			wait += late
		}
		if wait > longest {
			limit, longest = l, wait
		}
	}
	if rpm != nil {
		note(ledger.RequestsPerMinute, rpm.Would(at, 1), 1, rpm.Burst())
	}
	if tpm != nil {
		note(ledger.TokensPerMinute, tpm.Would(at, c.tokens), c.tokens, tpm.Burst())
	}
	if tpd != nil {
		note(ledger.TokensPerDay, tpd.Would(at, c.tokens), c.tokens, tpd.Limit())
	}
	return limit, longest
}

func (o *oracle) take(m *machine, r ledger.Request, estimate outcrop.Usage) {
	at := max(o.latest, m.now)
	h := o.cost(r, estimate, m.config.Parity)
	h.scope, h.estimate, h.requested, h.day = ledger.Scope{Account: r.Account, Model: r.Model}, estimate, r, int64(at/date)
	o.held[r.ID] = h
	o.move(m, h, h, at)
}

// grow raises what an id holds to what it costs now, where that is more.
func (o *oracle) grow(m *machine, id ledger.ID, to heldBy) {
	h := o.held[id]
	more := heldBy{requests: max(to.requests-h.requests, 0), tokens: max(to.tokens-h.tokens, 0), in: max(to.in-h.in, 0), out: max(to.out-h.out, 0)}
	o.move(m, h, more, max(o.latest, m.now))
	h.requests += more.requests
	h.tokens += more.tokens
	h.in += more.in
	h.out += more.out
	o.held[id] = h
}

func (o *oracle) end(m *machine, id ledger.ID, to heldBy) {
	h := o.held[id]
	delete(o.held, id)
	o.move(m, h, heldBy{requests: to.requests - h.requests, tokens: to.tokens - h.tokens, in: to.in - h.in, out: to.out - h.out}, max(o.latest, m.now))
}

// move changes all levels of the scope of h by a signed amount.
func (o *oracle) move(m *machine, h, by heldBy, at time.Duration) {
	if h.requested.Unit != "" {
		d := o.units[h.requested.Unit]
		d.Add(at, max(by.in, 0), max(by.out, 0))
		d.Return(at, max(-by.in, 0), max(-by.out, 0))
		return
	}
	rpm, tpm, tpd := o.levels(m, h.scope)
	for _, l := range []struct {
		level *bucket.Leak
		by    int64
	}{{rpm, by.requests}, {tpm, by.tokens}} {
		if l.level != nil {
			l.level.Add(at, l.by)
			l.level.Return(at, -l.by)
		}
	}
	if tpd != nil && h.day == tpd.Number(at) {
		tpd.Add(at, by.tokens)
		tpd.Return(at, -by.tokens, h.day)
	}
}

// copy shares nothing with o.
func (o *oracle) copy() oracle {
	c := oracle{
		rpm: map[ledger.Scope]*bucket.Leak{}, tpm: map[ledger.Scope]*bucket.Leak{}, tpd: map[ledger.Scope]*bucket.Day{},
		units: map[string]*bucket.Dual{}, removed: maps.Clone(o.removed), held: maps.Clone(o.held), latest: o.latest,
	}
	copyLevels(c.rpm, o.rpm)
	copyLevels(c.tpm, o.tpm)
	copyLevels(c.tpd, o.tpd)
	copyLevels(c.units, o.units)
	return c
}

func copyLevels[K comparable, V any](to, from map[K]*V) {
	for k, v := range from {
		level := *v
		to[k] = &level
	}
}

// runs reports whether something runs on the unit.
func (o *oracle) runs(id string) bool {
	for _, h := range o.held {
		if h.requested.Unit == id {
			return true
		}
	}
	return false
}
