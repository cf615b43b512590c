package simulation

import (
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
)

// checkLedger asserts after every call of the ledger:
//
//   - I1: for each scope and over all, reserved = held + settled + expired +
//     returned.
//   - I2: no sum is below zero.
//   - I3: a reservation is open or ended, and is in one place.
//   - I4: what was charged is at most what was reserved with the overrun.
//   - I6: what the settlements that the ledger returned add up to is what it
//     says that it settled and expired.
//   - I9: what is held is what is in flight.
//   - I11: a call at an earlier time moves no lease: no open one is over that
//     was not over at the latest time.
func (w *world) checkLedger(e ledger.Event) {
	b := &w.books
	w.fail("I1-I4, I9", b.ledger.Check())
	t := b.ledger.Tally()
	want := add(add(b.before.Settled, b.before.Expired), b.charged)
	if got := add(t.Settled, t.Expired); got != want {
		w.fail("I6", fmt.Errorf("after %+v: settled and expired are %+v, the settlements come to %+v", e, got, want))
	}
	if wait, ok := b.ledger.NextExpiry(b.last); ok && wait <= 0 && e.Kind == ledger.Expire {
		w.fail("I11", fmt.Errorf("a lease is over, after Expire"))
	}
}

// applyAgain asserts I7: a call of the ledger that is made twice has been made
// once, and says so.
func (w *world) applyAgain(e ledger.Event) {
	l := w.books.ledger
	hash := l.Hash()
	o := l.Apply(e)
	w.books.log = append(w.books.log, e)
	if l.Hash() != hash || e.Kind != ledger.Reserve && e.Kind != ledger.TopUp && (o.Known || o.Settlements != nil) {
		w.fail("I7", fmt.Errorf("%+v twice is not once: %+v", e, o))
	}
}

// checkGrant asserts I11 for a new reservation: its lease ends after the time
// that the caller told, however far that is behind.
func (w *world) checkGrant(r *request, g ledger.Grant) {
	if g.Until < w.clock() {
		w.fail("I11", fmt.Errorf("the lease of request %d ended at %v, now %v", r.id, g.Until, w.clock()))
	}
	t := w.books.terms[r.lease()]
	burndown := t.burndown
	if w.Ledger.Parity && !t.unit {
		burndown = ledger.Burndown{Input: ledger.Once, Output: ledger.Once, CacheRead: ledger.Once, CacheWrite: ledger.Once}
	}
	if want := t.cost(burndown, r.estimate); g.Reserved != want {
		w.fail("I5", fmt.Errorf("request %d reserves %+v for %+v, want %+v", r.id, g.Reserved, r.estimate, want))
	}
}

// cost is what a usage counts, by the formula of docs/quotas.md.
func (t terms) cost(b ledger.Burndown, u outcrop.Usage) ledger.Amount {
	up := func(thousandths int64) outcrop.QuotaTokens { return outcrop.QuotaTokens((thousandths + 999) / 1000) }
	prompt := int64(u.Input)*int64(b.Input) + int64(u.CacheRead)*int64(b.CacheRead) + int64(u.CacheWrite)*int64(b.CacheWrite)
	output := int64(u.Output) * int64(b.Output)
	if t.unit {
		return ledger.Amount{Input: up(prompt), Output: up(output)}
	}
	return ledger.Amount{Requests: 1, Tokens: up(prompt + output)}
}

// checkSettlement asserts I5: what a settlement charges follows from the usage
// in the receipt and the burndown alone; and I4 of one reservation: it is at
// most what was granted with the overrun that it declares.
func (w *world) checkSettlement(e ledger.Event, s ledger.Settlement, u outcrop.Usage) {
	t := w.books.terms[s.ID]
	want := ledger.Amount{}
	if e.Kind == ledger.Settle {
		want = t.cost(t.burndown, u)
	}
	if s.Actual != want {
		w.fail("I5", fmt.Errorf("%+v charges %+v, want %+v", e, s.Actual, want))
	}
	w.checkOverrun(s)
}

func (w *world) checkOverrun(s ledger.Settlement) {
	for _, n := range [...][3]int64{
		{s.Actual.Requests, s.Granted.Requests, s.Overrun.Requests},
		{int64(s.Actual.Tokens), int64(s.Granted.Tokens), int64(s.Overrun.Tokens)},
		{int64(s.Actual.Input), int64(s.Granted.Input), int64(s.Overrun.Input)},
		{int64(s.Actual.Output), int64(s.Granted.Output), int64(s.Overrun.Output)},
	} {
		if n[0] > n[1]+n[2] || n[2] < 0 || n[2] > 0 && n[0] != n[1]+n[2] {
			w.fail("I4", fmt.Errorf("%+v", s))
		}
	}
}

// checkExpired asserts I5 for a lease that ran out: it is charged for its
// prompt as estimated and the output that was reported.
func (w *world) checkExpired(s ledger.Settlement) {
	t, known := w.books.terms[s.ID]
	if !known {
		w.fail("I3", fmt.Errorf("%+v of an unknown reservation", s))
		return
	}
	u := t.estimate
	u.Output = t.produced
	if want := t.cost(t.burndown, u); s.Actual != want {
		w.fail("I5", fmt.Errorf("%+v, want %+v", s, want))
	}
	w.checkOverrun(s)
}

// fullest is the level of the fullest limit of a unit in percent.
func (w *world) fullest(unit string) (percent int64) {
	for _, s := range w.books.ledger.Status(ledger.Scope{Unit: unit}, w.clock()) {
		percent = max(percent, s.Percent)
		if s.Percent > 100 {
			w.mark(levelBeyondFull)
		}
	}
	return percent
}

// checkUnit asserts the half of I13 that is the ledger's: a unit that is there
// refuses if one of its levels is at 100 % or above, and otherwise never; and
// while it has to refuse, it is charged its full rate.
func (w *world) checkUnit(unit string, r *ledger.Refusal) {
	switch {
	case unit == "" || r != nil && r.Limit == ledger.SeenBefore:
		return
	case r != nil && r.Limit == ledger.NoUnit:
		if w.exists(unit) {
			w.fail("I13", fmt.Errorf("unit %s is there: %+v", unit, r))
		}
		return
	case (r != nil) != (w.watch.full >= 100):
		w.fail("I13", fmt.Errorf("unit %s at %d %%: %+v", unit, w.watch.full, r))
	}
	if r != nil {
		w.checkRate(unit, r)
		w.checkFull(unit, r)
	}
}

// checkFull asserts that 100 % is what the rates carry in the window, by the
// formula of docs/quotas.md.
func (w *world) checkFull(unit string, r *ledger.Refusal) {
	rates, window := w.Reserved, bucket.DefaultWindow
	for _, d := range w.deeds {
		if d.arn == unit {
			rates, window = d.Rates.Times(int64(w.process.sold[unit])), d.Window
		}
	}
	want := max(rateOf(rates, r.Limit)*int64(window)/int64(time.Minute), 1)
	if r.Max != want {
		w.fail("I13", fmt.Errorf("unit %s: %+v, want a limit of %d", unit, r, want))
	}
}

// rateOf is the one of the rates that the limit is for.
func rateOf(r bucket.Rates, l ledger.Limit) int64 {
	switch l {
	case ledger.UnitInput:
		return r.Input
	case ledger.UnitOutput:
		return r.Output
	}
	return r.Together
}

// checkRate asserts of a unit that is asked for more as soon as it has any:
// between two refusals by the same limit it was charged its rate, to the
// token, whatever else went on.
func (w *world) checkRate(unit string, r *ledger.Refusal) {
	d := w.greedy(unit)
	if d == nil || d.touched || w.Faults&(1<<Freeze|1<<Crash|1<<ClockLeap) != 0 {
		return
	}
	now := span{limit: r.Limit, mono: w.books.mono, level: r.Level, total: w.charged(unit, r.Limit)}
	was, had := w.watch.spans[unit]
	if !had || was.limit != now.limit {
		w.watch.spans[unit] = now
		return
	}
	if now.mono > was.mono {
		w.mark(rateChecked)
	}
	rate := rateOf(d.rates(), r.Limit)
	drained := int64((now.mono - was.mono).Minutes() * float64(rate))
	if got, want := now.total-was.total, drained+now.level-was.level-2; got < want {
		w.fail("I13", fmt.Errorf("unit %s was charged %d by %v in %v, want %d", unit, got, r.Limit, now.mono-was.mono, want))
	}
}

// greedy returns the deed with that id if a greedy source has it.
func (w *world) greedy(unit string) *deed {
	for _, s := range w.sources {
		if s.Kind == Greedy && w.deeds[s.Unit].arn == unit {
			return w.deeds[s.Unit]
		}
	}
	return nil
}

// charged is what a unit was charged so far, of what the limit counts.
func (w *world) charged(unit string, l ledger.Limit) int64 {
	for _, m := range w.books.ledger.Snapshot().Meters {
		if m.Scope.Unit != unit {
			continue
		}
		in := int64(m.Tally.Reserved.Input - m.Tally.Returned.Input)
		out := int64(m.Tally.Reserved.Output - m.Tally.Returned.Output)
		switch l {
		case ledger.UnitInput:
			return in
		case ledger.UnitOutput:
			return out
		}
		return in + out
	}
	return 0
}

// forgetSpan begins the measure of checkRate anew if a level is at zero, or may
// have been: what had drained by then was not owed. A refund can leave so little
// that it drains before the next request, which was told a time to wait.
func (w *world) forgetSpan(unit string, always bool) {
	for _, s := range w.books.ledger.Status(ledger.Scope{Unit: unit}, w.clock()) {
		if s.Level == 0 || always {
			delete(w.watch.spans, unit)
		}
	}
}
