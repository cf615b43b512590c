package ledger

import (
	"time"

	"github.com/outcrop/outcrop"
)

// A state is where a reservation is. Open is the only one that changes.
type state uint8

const (
	open state = iota
	settled
	released
	expired
)

// A lease is a reservation, or after its end the memory of its id.
type lease struct {
	id       ID
	state    state
	owner    Scope // account and model
	meter    *meter
	estimate outcrop.Usage
	produced int // output tokens reported
	granted  Amount
	held     Amount
	day      int64 // of the admission
	ttl      time.Duration
	until    time.Duration // by clock.Mono
	index    int           // in due
}

// due is a heap of the open leases by (until, id).
type due []*lease

func (d due) less(i, j int) bool {
	if d[i].until != d[j].until {
		return d[i].until < d[j].until
	}
	return d[i].id < d[j].id
}

func (d due) swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

func (d *due) push(x *lease) {
	x.index = len(*d)
	*d = append(*d, x)
	d.fix(x.index)
}

func (d *due) remove(i int) {
	last := len(*d) - 1
	d.swap(i, last)
	(*d)[last] = nil
	*d = (*d)[:last]
	if i < last {
		d.fix(i)
	}
}

// fix restores the order after the lease at i changed.
func (d due) fix(i int) {
	for i > 0 && d.less(i, (i-1)/2) {
		d.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := 2*i + 1
		if least >= len(d) {
			return
		}
		if right := least + 1; right < len(d) && d.less(right, least) {
			least = right
		}
		if !d.less(least, i) {
			return
		}
		d.swap(i, least)
		i = least
	}
}

// A ring holds the ended leases, oldest first.
type ring struct {
	items []*lease
	first int
}

func (r *ring) len() int { return len(r.items) - r.first }

func (r *ring) push(x *lease) { r.items = append(r.items, x) }

func (r *ring) pop() *lease {
	x := r.items[r.first]
	r.items[r.first] = nil
	r.first++
	if r.first > len(r.items)/2 {
		n := copy(r.items, r.items[r.first:])
		clear(r.items[n:])
		r.items, r.first = r.items[:n], 0
	}
	return x
}

func (r *ring) all() []*lease { return r.items[r.first:] }

// fresh returns a lease to be filled.
func (l *Ledger) fresh() *lease {
	if n := len(l.spare); n > 0 {
		x := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return x
	}
	return new(lease)
}

// end closes an open lease for good, with what it came to.
func (l *Ledger) end(x *lease, to state, actual Amount, t instant) Settlement {
	m := x.meter
	s := Settlement{ID: x.id, Account: x.owner.Account, Model: x.owner.Model, Unit: m.scope.Unit,
		Granted: x.granted, Held: x.held, Actual: actual, Overrun: actual.beyond(x.granted)}
	l.grow(x, actual, t)
	back := x.held.beyond(actual)
	m.refund(back, x.day, t)
	m.tally.Held = m.tally.Held.minus(x.held)
	m.tally.Returned = m.tally.Returned.plus(back)
	if to == expired {
		m.tally.Expired = m.tally.Expired.plus(actual)
	} else {
		m.tally.Settled = m.tally.Settled.plus(actual)
	}
	m.open--
	l.due.remove(x.index)
	*x = lease{id: x.id, state: to}
	l.ended.push(x)
	if l.ended.len() > l.config.Remember {
		l.forget(l.ended.pop())
	}
	return s
}

// grow reserves, without asking, what the amount is beyond what is held.
func (l *Ledger) grow(x *lease, to Amount, t instant) {
	more := to.beyond(x.held)
	if more == (Amount{}) {
		return
	}
	x.meter.charge(more, x.day, t)
	x.held = x.held.plus(more)
	tally := &x.meter.tally
	tally.Reserved = tally.Reserved.plus(more)
	tally.Held = tally.Held.plus(more)
	tally.Overrun = tally.Overrun.plus(more)
}

func (l *Ledger) forget(x *lease) {
	delete(l.leases, x.id)
	*x = lease{}
	l.spare = append(l.spare, x)
}
