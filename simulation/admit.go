package simulation

import (
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

// admit decides by the limits, as quota does, and hands r to the scheduler or
// answers that it is refused.
func (w *world) admit(r *request) {
	w.apply(ledger.Event{Kind: ledger.Expire})
	s := r.source
	switch {
	case s.Kind == Batch:
		w.enqueue(r, outcrop.ClassBatch, r.most)
	case s.Kind == Provisioned, s.Kind == Greedy:
		w.admitUnit(r)
	default:
		r.tier = s.Tier
		w.admitOnDemand(r)
	}
}

// admitUnit reserves on the unit that the request names. Over it, the request
// waits, spills or is refused.
func (w *world) admitUnit(r *request) {
	d := w.deeds[r.source.Unit]
	r.unit = d.id()
	if d.p.Serves() {
		w.setUnit(d)
	} else {
		w.mark(unitUsedAfterDelete)
	}
	refusal := w.reserve(r, r.unit)
	if refusal == nil {
		if r.state == asking {
			w.mark(waitedForUnit)
		}
		w.enqueue(r, outcrop.ClassProvisioned, r.estimate.Output)
		w.askOn(r)
		return
	}
	if refusal.Limit == ledger.NoUnit || refusal.Limit == ledger.SeenBefore {
		w.refuse(r, refusal)
		return
	}
	to := quota.SpillTo(r.source.Spill, d.Spill)
	switch quota.Over(refusal.Wait, w.now-r.born, w.unitWait(r), to) {
	case quota.Wait:
		r.state = asking
		w.deliver(w.process.boots, refusal.Wait, func() {
			if r.state == asking {
				w.admitUnit(r)
			}
		})
	case quota.Spill:
		w.mark(spilledTo(to))
		r.unit, r.spilled, r.tier = "", true, outcrop.ServiceTier(to)
		w.admitOnDemand(r)
	default:
		w.refuse(r, refusal)
	}
}

// askOn has a greedy source ask for more at once, or after a while if the
// scheduler refused what the unit granted.
func (w *world) askOn(r *request) {
	switch {
	case r.source.Kind != Greedy:
	case r.state == over:
		w.wake(r.source, w.now+100*time.Millisecond)
	default:
		w.wake(r.source, w.now)
	}
}

// unitWait is for how long r may wait for its unit. A greedy source does that
// itself.
func (w *world) unitWait(r *request) time.Duration {
	if r.source.Kind == Greedy {
		return 0
	}
	return w.UnitWait
}

func spilledTo(s outcrop.Spill) Mark {
	switch s {
	case outcrop.SpillPriority:
		return spilledToPriority
	case outcrop.SpillFlex:
		return spilledToFlex
	}
	return spilledToDefault
}

// admitOnDemand reserves by the account's limits; the reserved tier tries what
// the account has reserved of it first.
func (w *world) admitOnDemand(r *request) {
	if r.tier == outcrop.TierReserved {
		r.unit = reservedOf(r.source.Account)
		refusal := w.reserve(r, r.unit)
		if refusal == nil {
			w.mark(reservedServed)
			w.enqueue(r, quota.ClassOf(outcrop.TierReserved), r.estimate.Output)
			return
		}
		w.mark(reservedOverflow)
		r.unit, r.tier = "", outcrop.TierDefault
	}
	if refusal := w.reserve(r, ""); refusal != nil {
		w.refuse(r, refusal)
		return
	}
	w.enqueue(r, quota.ClassOf(r.tier), r.estimate.Output)
}

func reservedOf(account string) string { return "reserved/" + account }

// reserve asks the ledger, and checks that a unit refuses exactly if one of
// its levels is at 100 % or above (I13).
func (w *world) reserve(r *request, unit string) *ledger.Refusal {
	b := &w.books
	e := ledger.Event{Kind: ledger.Reserve, Request: ledger.Request{
		ID: r.lease(), Account: r.source.Account, Model: w.Model, Unit: unit, MaxTokens: r.most, ModelMax: 1024,
		Prompt: outcrop.Usage{Input: r.prompt - r.source.Cached, CacheRead: r.source.Cached},
	}}
	if unit != "" {
		w.watch.full = w.fullest(unit)
	}
	open := b.ledger.InFlight()
	o := w.apply(e)
	fresh := b.ledger.InFlight() > open
	w.note("reserve", int64(r.id), int64(o.Grant.Output), boolean(o.Refusal == nil))
	if o.Refusal != nil {
		w.mark(refusedByLimit + Mark(o.Refusal.Limit) - 1)
		if o.Refusal.Wait == bucket.Never {
			w.mark(refusedForever)
		}
		w.checkUnit(unit, o.Refusal)
		return o.Refusal
	}
	r.estimate = e.Request.Prompt
	r.estimate.Output = o.Grant.Output
	r.reportAt = w.nextReport(r)
	if !fresh {
		w.mark(sameGrantAgain)
		return nil
	}
	w.checkUnit(unit, nil)
	r.holds = true
	w.granted(r, unit, o.Grant)
	return nil
}

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// lease is the name of the reservation.
func (r *request) lease() ledger.ID { return ledger.ID(fmt.Sprintf("r%d", r.id)) }

func (w *world) refuse(r *request, refusal *ledger.Refusal) {
	w.answer(r, "throttled")
	if s := r.source; s.Kind == Greedy && refusal.Wait < bucket.Never {
		w.wake(s, w.now+refusal.Wait)
	}
}

// topUp tells the ledger how far the answer has come, as seldom as quota does.
func (w *world) topUp(r *request) {
	if !r.holds || r.state != flying || r.tokens < r.reportAt {
		return
	}
	before := w.books.ledger.Tally().Overrun
	w.apply(ledger.Event{Kind: ledger.TopUp, ID: r.lease(), Output: r.tokens})
	if w.books.ledger.Tally().Overrun != before {
		w.mark(toppedUpBeyond)
	}
	r.reportAt = w.nextReport(r)
}

func (w *world) nextReport(r *request) int {
	next := r.tokens + ledger.Step
	if r.tokens <= r.estimate.Output && next > r.estimate.Output {
		return r.estimate.Output + 1
	}
	return next
}

// known is what an engine was seen to do for r: nothing before its first
// token.
func (w *world) known(r *request) outcrop.Usage {
	if r.tokens == 0 {
		return outcrop.Usage{}
	}
	u := r.estimate
	if r.source.Kind == Batch {
		u = outcrop.Usage{Input: r.prompt}
	}
	u.Output = r.tokens
	return u
}

// release gives back what was reserved for a request that never ran.
func (w *world) release(r *request) {
	if !r.holds {
		return
	}
	r.holds = false
	if w.befalls(LostSettle) {
		return
	}
	w.mark(released)
	w.settle(r, ledger.Event{Kind: ledger.Release, ID: r.lease()}, outcrop.Usage{})
}

// charge settles what a request used.
func (w *world) charge(r *request, u outcrop.Usage) {
	if !r.holds {
		return
	}
	r.holds = false
	if w.befalls(LostSettle) {
		return
	}
	e := ledger.Event{Kind: ledger.Settle, ID: r.lease(), Usage: u}
	w.settle(r, e, u)
	if w.befalls(TwiceSettle) {
		w.settleAgain(e)
	}
	if s := r.source; s.Kind == Greedy {
		w.wake(s, w.now)
	}
}
