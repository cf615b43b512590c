package ledger

import (
	"fmt"
)

// An Invariant is what holds of a ledger after every call. The numbers are
// those of the reliability programme; those that speak of two states (I7 once
// is twice, I8 replay, I10 commuting, I11 no clock but the argument) are
// properties of Apply and Hash and stand in the tests.
type Invariant struct {
	Name  string
	Check func(*Ledger) error
}

// Invariants returns all of them.
func Invariants() []Invariant {
	return []Invariant{
		{"I1 reserved = held + settled + expired + returned", checkConservation},
		{"I2 nothing is below zero", checkSigns},
		{"I3 a reservation is open or ended, once", checkStates},
		{"I4 charged <= reserved + overrun", checkOverrun},
		{"I9 held = what is in flight, and zero when idle", checkHeld},
	}
}

// Check returns the first invariant that does not hold, or nil. Its cost
// grows with the state.
func (l *Ledger) Check() error {
	for _, i := range Invariants() {
		if err := i.Check(l); err != nil {
			return fmt.Errorf("ledger: %s: %w", i.Name, err)
		}
	}
	return nil
}

func checkConservation(l *Ledger) error {
	sum := Tally{}
	for _, m := range l.order {
		if err := m.tally.balance(); err != nil {
			return fmt.Errorf("%v: %w", m.scope, err)
		}
		sum.add(m.tally)
	}
	sum.add(l.gone)
	return sum.balance()
}

func (t Tally) balance() error {
	if t.Reserved != t.Held.plus(t.Settled).plus(t.Expired).plus(t.Returned) {
		return fmt.Errorf("%+v", t)
	}
	return nil
}

func checkSigns(l *Ledger) error {
	for _, m := range l.order {
		if m.tally.negative() {
			return fmt.Errorf("%v: %+v", m.scope, m.tally)
		}
	}
	if l.gone.negative() {
		return fmt.Errorf("what is gone: %+v", l.gone)
	}
	for _, x := range l.due {
		if x.granted.beyond(x.held) != (Amount{}) || min(int64(x.granted.Tokens), int64(x.granted.Input), int64(x.granted.Output)) < 0 {
			return fmt.Errorf("%s: %+v of %+v", x.id, x.held, x.granted)
		}
	}
	return nil
}

func (t Tally) negative() bool {
	for _, a := range [...]Amount{t.Reserved, t.Held, t.Settled, t.Expired, t.Returned, t.Overrun} {
		if min(a.Requests, int64(a.Tokens), int64(a.Input), int64(a.Output)) < 0 {
			return true
		}
	}
	return false
}

func checkStates(l *Ledger) error {
	for i, x := range l.due {
		if x.index != i || x.state != open || x.meter == nil || l.leases[x.id] != x || i > 0 && l.due.less(i, (i-1)/2) {
			return fmt.Errorf("%s is not where it belongs", x.id)
		}
	}
	for _, x := range l.ended.all() {
		if x.state == open || x.meter != nil || l.leases[x.id] != x {
			return fmt.Errorf("%s has not ended", x.id)
		}
	}
	if len(l.leases) != len(l.due)+l.ended.len() {
		return fmt.Errorf("%d reservations, %d open, %d ended", len(l.leases), len(l.due), l.ended.len())
	}
	return nil
}

func checkOverrun(l *Ledger) error {
	for _, m := range l.order {
		t := m.tally
		asked := t.Reserved.minus(t.Overrun)
		over := t.Settled.plus(t.Expired).beyond(asked.plus(t.Overrun))
		if over != (Amount{}) || asked.beyond(Amount{}) != asked {
			return fmt.Errorf("%v: %+v", m.scope, t)
		}
	}
	return nil
}

func checkHeld(l *Ledger) error {
	held := make(map[*meter]Amount, len(l.order))
	open := make(map[*meter]int, len(l.order))
	for _, x := range l.due {
		held[x.meter] = held[x.meter].plus(x.held)
		open[x.meter]++
	}
	for _, m := range l.order {
		if m.tally.Held != held[m] || m.open != open[m] {
			return fmt.Errorf("%v holds %+v for %d requests, in flight are %+v of %d", m.scope, m.tally.Held, m.open, held[m], open[m])
		}
	}
	if l.gone.Held != (Amount{}) {
		return fmt.Errorf("what is gone holds %+v", l.gone.Held)
	}
	return nil
}
