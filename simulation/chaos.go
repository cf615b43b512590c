package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/lifecycle"
)

// awaitFault lets the next fault of a kind happen when its stream has it so.
func (w *world) awaitFault(f Fault) {
	r := w.faults[f]
	gap := time.Duration(r.ExpFloat64() * float64(w.Every))
	w.at(w.now+gap, func() {
		if w.healed || w.violation != nil {
			return
		}
		w.note("fault "+f.String(), int64(f))
		w.mark(faultHappened + Mark(f))
		w.strike(f, r)
		w.awaitFault(f)
	})
}

// strike is a fault at a time of its own.
func (w *world) strike(f Fault, r *rand.Rand) {
	span := time.Duration(r.Int64N(int64(3 * time.Second)))
	switch f {
	case EngineLoss, EngineStall, EngineSlow, EngineDrain, Break, RateChange:
		w.strikeMachine(f, r, w.machines[r.IntN(len(w.machines))], span)
	case Crash:
		w.crash(span / 4)
	case Freeze:
		w.process.frozen = max(w.process.frozen, w.now+span)
	case ClockBack:
		w.clockBack(r, span)
	case ClockLeap:
		w.clockLeap(r)
	case FloorChange:
		if r.IntN(2) == 0 {
			w.setNeed([]float64{0, 1, 1000}[r.IntN(3)])
			return
		}
		w.setFloor(outcrop.Class(r.IntN(4)), []float64{0, .05, .3}[r.IntN(3)])
	case LimitChange:
		d := draw{r}
		w.Ledger.Rules = []ledger.Rule{w.limits(d, ""), w.limits(d, accounts[0])}
		w.apply(ledger.Event{Kind: ledger.Configure, Config: w.Ledger})
	default:
		w.strikeUnit(f, r, span)
	}
}

func (w *world) strikeMachine(f Fault, r *rand.Rand, m *machine, span time.Duration) {
	p := &w.process
	if m.engine == nil {
		return
	}
	switch f {
	case EngineLoss:
		notice := w.Network + time.Duration(r.Int64N(int64(time.Second)))
		m.die(notice)
		w.until(m, max(span, notice), m.comeBack)
	case EngineStall, EngineSlow:
		slow := 0
		if f == EngineSlow {
			slow = 1 << (1 + r.IntN(4))
		}
		m.pace(slow)
		w.until(m, span, func() { m.pace(1) })
	case EngineDrain:
		w.drain(m)
		w.until(m, span, func() { m.drained = false; m.comeBack() })
	case Break:
		if all := m.inOrder(); len(all) > 0 {
			a := all[r.IntN(len(all))]
			m.drop(a)
			m.send(func() { w.failed(a) })
		}
	case RateChange:
		c, factor := m.capacity(), .1+2*r.Float64()
		w.deliver(p.boots, 0, func() {
			w.tell()
			w.do(p.pool.Rate(w.poolNow(), m.id, c.PrefillRate*factor, c.DecodeRate*factor, p.out[:0]))
		})
	}
}

// until ends a fault of a machine after a while, unless it has another one by
// then.
func (w *world) until(m *machine, after time.Duration, what func()) {
	m.faults++
	number := m.faults
	w.at(w.now+after, func() {
		if m.faults == number {
			what()
		}
	})
}

func (w *world) drain(m *machine) {
	p := &w.process
	m.drained = true
	w.deliver(p.boots, 0, func() {
		w.tell()
		w.watch.drain(m)
		w.do(p.pool.Drain(w.poolNow(), m.id, p.out[:0]))
	})
}

func (w *world) setFloor(c outcrop.Class, share float64) {
	p := &w.process
	w.deliver(p.boots, 0, func() {
		w.tell()
		w.watch.floors[c] = share
		w.do(p.pool.SetFloor(w.poolNow(), c, share, p.out[:0]))
	})
}

func (w *world) setNeed(rate float64) {
	p := &w.process
	w.deliver(p.boots, 0, func() {
		w.tell()
		n := &w.watch.need
		n.requests, n.since, n.rate = n.until(w.watch.time), w.watch.time, rate
		w.do(p.pool.Need(w.poolNow(), rate, p.out[:0]))
	})
}

// clockBack sets the wall clock back, and for a while also the time that the
// scheduler is told.
func (w *world) clockBack(r *rand.Rand, span time.Duration) {
	p := &w.process
	p.skew -= time.Duration(r.Int64N(int64(time.Minute)))
	lag := time.Duration(r.Int64N(int64(time.Second)))
	boot := p.boots
	p.lag += lag
	w.at(w.now+span, func() {
		if p.boots == boot {
			p.lag = max(p.lag-lag, 0)
		}
	})
}

// clockLeap sets the wall clock forward, often over the next midnight.
func (w *world) clockLeap(r *rand.Rand) {
	if r.IntN(2) == 0 {
		w.process.skew += time.Duration(r.Int64N(int64(time.Minute)))
		return
	}
	const day = 24 * time.Hour
	w.process.skew += day - w.clock()%day + time.Duration(r.Int64N(int64(time.Second)))
}

func (w *world) strikeUnit(f Fault, r *rand.Rand, span time.Duration) {
	if len(w.deeds) == 0 {
		return
	}
	d := w.deeds[r.IntN(len(w.deeds))]
	units := 1 + r.IntN(4)
	switch f {
	case UnitResize:
		w.change(f, d, lifecycle.Change{Units: units})
	case UnitDelete:
		w.remove(d, units, span)
	case UnitRename:
		w.change(f, d, lifecycle.Change{Name: "name" + string(rune('a'+units)), Model: w.Model + []string{"", ":48k"}[r.IntN(2)]})
	}
}
