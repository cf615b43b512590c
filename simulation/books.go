package simulation

import (
	"fmt"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/ledger"
)

// books are the ledger, what a crash leaves of it, and what the world itself
// knows of every settlement.
type books struct {
	ledger *ledger.Ledger
	saved  ledger.Snapshot
	config ledger.Config // with which it was saved
	log    []ledger.Event
	calls  int

	// Since the ledger was made or restored:
	before  ledger.Tally  // at that time
	charged ledger.Amount // by settlements that it returned
	ended   map[ledger.ID]bool
	terms   map[ledger.ID]terms // of what it granted
	mono    time.Duration       // that has passed on its clock
	last    time.Duration       // the latest time that it was told
}

// terms are what an end of a reservation must be computed by.
type terms struct {
	unit     bool
	burndown ledger.Burndown
	granted  ledger.Amount
	estimate outcrop.Usage
	produced int
	day      time.Duration // number of that of the grant
}

func (w *world) openBooks() {
	w.process.epoch = w.epoch()
	w.books.ledger = ledger.New(w.Ledger)
	w.books.start()
	for _, account := range accounts {
		w.apply(ledger.Event{Kind: ledger.SetUnit, Unit: w.reservedUnit(account)})
	}
	w.save()
}

// start begins to count anew, from the ledger as it is.
func (b *books) start() {
	b.before, b.charged = b.ledger.Tally(), ledger.Amount{}
	b.ended, b.terms = map[ledger.ID]bool{}, map[ledger.ID]terms{}
}

func (w *world) reservedUnit(account string) ledger.Unit {
	return ledger.Unit{ID: reservedOf(account), Rates: w.Reserved, Units: 1, Burndown: reservedBurndown}
}

// reservedBurndown is that of quota.
var reservedBurndown = ledger.Burndown{Input: ledger.Once, Output: ledger.Once, CacheWrite: ledger.Once}

// apply makes a call of the ledger now, logs it, and checks the ledger; one
// call in 64 is made twice (I7).
func (w *world) apply(e ledger.Event) ledger.Outcome {
	b := &w.books
	e.Now = w.clock()
	for unit := range w.watch.spans {
		w.forgetSpan(unit, false)
	}
	if e.Kind != ledger.RemoveUnit { // which takes no time
		b.pass(e.Now)
	}
	o := b.ledger.Apply(e)
	b.log = append(b.log, e)
	b.calls++
	for _, s := range o.Settlements {
		w.ended(e, s)
	}
	if t, ok := b.terms[e.ID]; ok && e.Kind == ledger.TopUp && o.Known {
		t.produced = max(t.produced, e.Output)
		b.terms[e.ID] = t
	}
	w.checkLedger(e)
	if b.calls%64 == 0 {
		w.applyAgain(e)
	}
	return o
}

// pass follows the ledger's clock.
func (b *books) pass(now time.Duration) {
	if now > b.last {
		if b.last > 0 {
			b.mono += now - b.last
		}
		b.last = now
	}
}

// granted notes a reservation.
func (w *world) granted(r *request, unit string, g ledger.Grant) {
	t := w.termsOf(ledger.Scope{Unit: unit})
	t.granted, t.estimate, t.day = g.Reserved, r.estimate, w.books.last/(24*time.Hour)
	w.books.terms[r.lease()] = t
	delete(w.books.ended, r.lease())
	w.checkGrant(r, g)
}

// termsOf are those of the scope's reservations.
func (w *world) termsOf(s ledger.Scope) terms {
	switch {
	case s.Unit == "":
		return terms{burndown: ledger.DefaultBurndown(w.Model)}
	case strings.HasPrefix(s.Unit, "reserved/"):
		return terms{unit: true, burndown: reservedBurndown}
	}
	return terms{unit: true, burndown: ledger.UnitBurndown}
}

// settle ends a reservation and checks what it came to.
func (w *world) settle(r *request, e ledger.Event, u outcrop.Usage) {
	o := w.apply(e)
	w.note("settle", int64(r.id), int64(u.Output), boolean(o.Known))
	if !o.Known {
		w.mark(lateSettle)
		return
	}
	s := o.Settlements[0]
	w.checkSettlement(e, s, u)
}

func (w *world) settleAgain(e ledger.Event) {
	w.mark(settledTwice)
	hash := w.books.ledger.Hash()
	if o := w.apply(e); o.Known || w.books.ledger.Hash() != hash {
		w.fail("I7", fmt.Errorf("%+v for the second time: %+v", e, o))
	}
}

// ended notes the end of a reservation, however it came (I3).
func (w *world) ended(e ledger.Event, s ledger.Settlement) {
	b := &w.books
	if b.ended[s.ID] {
		w.fail("I3", fmt.Errorf("%s ended twice, now by %+v", s.ID, e))
	}
	b.ended[s.ID] = true
	b.charged = add(b.charged, s.Actual)
	if e.Kind == ledger.Expire {
		w.mark(leaseExpired)
		w.note("expired", s.Actual.Requests, int64(s.Actual.Tokens))
		w.checkExpired(s)
	}
	if s.Unit != "" {
		w.forgetSpan(s.Unit, e.Kind == ledger.Expire)
	}
	if t := b.terms[s.ID]; t.day < b.last/(24*time.Hour) {
		w.mark(midnightInFlight)
	}
}

func add(a, b ledger.Amount) ledger.Amount {
	return ledger.Amount{Requests: a.Requests + b.Requests, Tokens: a.Tokens + b.Tokens, Input: a.Input + b.Input, Output: a.Output + b.Output}
}

// awaitSave saves the ledger from time to time.
func (w *world) awaitSave() {
	w.at(w.now+w.Save, func() {
		if w.healed {
			return
		}
		if !w.process.down {
			w.save()
		}
		w.awaitSave()
	})
}

func (w *world) save() {
	b := &w.books
	b.saved, b.config, b.log = b.ledger.Snapshot(), w.Ledger, nil
}
