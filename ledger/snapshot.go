package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
)

// A Snapshot is the whole state of a ledger but its Config. It shares nothing
// with the ledger and goes through JSON unchanged.
type Snapshot struct {
	Last, Mono time.Duration // see clock
	Day        int64
	Meters     []MeterState  // those that are not idle, by scope
	Leases     []LeaseState  // the open ones, by id
	Ended      []EndedState  // oldest first
	Learned    []LengthState // the least recently taught first
	Gone       Tally         // of the meters that are idle or were dropped
}

// A MeterState is the state of one scope.
type MeterState struct {
	Scope            Scope
	Requests, Tokens bucket.State
	Today            int64 // quota tokens used on Snapshot.Day
	// Unit is set for units alone, as are the next three.
	Unit                  *Unit `json:",omitempty"`
	UnitInput, UnitOutput bucket.State
	Removed               bool `json:",omitempty"`
	Tally                 Tally
}

// A LeaseState is one open reservation.
type LeaseState struct {
	ID             ID
	Account, Model string
	Scope          Scope // that it counts on
	Estimate       outcrop.Usage
	Produced       int
	Granted, Held  Amount
	Day            int64
	Lease, Until   time.Duration
}

// An EndedState is the memory of an ended reservation.
type EndedState struct {
	ID  ID
	How uint8
}

// A LengthState holds the latest outputs of one account and model, oldest
// first.
type LengthState struct {
	Account, Model string
	Outputs        []uint32
}

// Snapshot returns the state.
func (l *Ledger) Snapshot() Snapshot {
	t := l.clock.latest()
	s := Snapshot{Last: l.clock.Last, Mono: l.clock.Mono, Day: l.clock.Day, Gone: l.gone}
	for _, m := range l.order {
		if m.idle(t) {
			s.Gone.add(m.tally)
			continue
		}
		s.Meters = append(s.Meters, m.state(t))
	}
	slices.SortFunc(s.Meters, func(a, b MeterState) int { return compareScopes(a.Scope, b.Scope) })
	for _, x := range l.due {
		s.Leases = append(s.Leases, LeaseState{ID: x.id, Account: x.owner.Account, Model: x.owner.Model, Scope: x.meter.scope,
			Estimate: x.estimate, Produced: x.produced, Granted: x.granted, Held: x.held, Day: x.day, Lease: x.ttl, Until: x.until})
	}
	slices.SortFunc(s.Leases, func(a, b LeaseState) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for _, x := range l.ended.all() {
		s.Ended = append(s.Ended, EndedState{x.id, uint8(x.state)})
	}
	for el := l.learned.order.Front(); el != nil; el = el.Next() {
		x := el.Value.(*lengths)
		s.Learned = append(s.Learned, LengthState{x.scope.Account, x.scope.Model, x.inOrder()})
	}
	return s
}

func (m *meter) state(t instant) MeterState {
	s := MeterState{Scope: m.scope, Tally: m.tally, Requests: m.rpm.State(t.mono), Tokens: m.tpm.State(t.mono), Today: m.tpd.Used(t.wall)}
	if m.unit != nil {
		u := m.unit.Unit
		s.Unit, s.Removed = &u, m.unit.removed
		s.UnitInput, s.UnitOutput = m.unit.level.Input().State(t.mono), m.unit.level.Output().State(t.mono)
	}
	return s
}

func compareScopes(a, b Scope) int {
	return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Model, b.Model), strings.Compare(a.Unit, b.Unit))
}

// errSnapshot says that a snapshot is not one that Snapshot returned.
var errSnapshot = errors.New("ledger: the snapshot contradicts itself")

// Restore returns a ledger that goes on where the snapshot was taken. The
// clock shows now; the time since the snapshot passes with the first call,
// and if the clock was set back meanwhile, none has passed. It returns an
// error if the snapshot breaks an invariant.
func Restore(c Config, s Snapshot, now time.Duration) (*Ledger, error) {
	if min(s.Last, s.Mono) < 0 || s.Day < 0 || s.Day > int64(bucket.Never/day) {
		return nil, errSnapshot
	}
	l := New(c)
	l.clock = clock{Last: s.Last, Mono: s.Mono, Day: s.Day}
	l.gone = s.Gone
	t := l.clock.latest()
	for _, ms := range s.Meters {
		if l.meters[ms.Scope] != nil || (ms.Unit == nil) != (ms.Scope.Unit == "") {
			return nil, errSnapshot
		}
		l.restoreMeter(ms, t)
	}
	for _, ls := range s.Leases {
		m := l.meters[ls.Scope]
		if m == nil || l.leases[ls.ID] != nil {
			return nil, errSnapshot
		}
		m.open++
		x := &lease{id: ls.ID, owner: Scope{Account: ls.Account, Model: ls.Model}, meter: m, estimate: ls.Estimate,
			produced: ls.Produced, granted: ls.Granted, held: ls.Held, day: ls.Day, ttl: ls.Lease, until: ls.Until}
		l.leases[ls.ID] = x
		l.due.push(x)
	}
	for _, es := range s.Ended {
		if l.leases[es.ID] != nil || state(es.How) == open || state(es.How) > expired {
			return nil, errSnapshot
		}
		x := &lease{id: es.ID, state: state(es.How)}
		l.leases[es.ID] = x
		l.ended.push(x)
	}
	for _, es := range s.Learned {
		for _, tokens := range es.Outputs {
			l.learned.observe(Scope{Account: es.Account, Model: es.Model}, int(tokens), l.config.Learned)
		}
	}
	for l.ended.len() > l.config.Remember {
		l.forget(l.ended.pop())
	}
	if err := l.Check(); err != nil {
		return nil, err
	}
	l.clock.rebase(now)
	return l, nil
}

func (l *Ledger) restoreMeter(s MeterState, t instant) {
	if s.Unit != nil {
		l.setUnit(*s.Unit, t)
	}
	m := l.meters[s.Scope]
	if m == nil {
		m = l.meter(s.Scope)
		m.limit(l.limits(s.Scope), t)
	}
	m.tally = s.Tally
	if m.unit != nil {
		m.unit.removed = s.Removed
		m.unit.level.Input().Restore(t.mono, s.UnitInput)
		m.unit.level.Output().Restore(t.mono, s.UnitOutput)
		return
	}
	if m.limits.RequestsPerMinute > 0 {
		m.rpm.Restore(t.mono, s.Requests)
	}
	if m.limits.TokensPerMinute > 0 {
		m.tpm.Restore(t.mono, s.Tokens)
	}
	if m.limits.TokensPerDay > 0 {
		m.tpd.Add(t.wall, s.Today)
	}
}

// Hash is a digest of all that the ledger will do by, and of what it did. It
// is the same for two ledgers that differ only in what cannot be observed:
// which idle meters were dropped yet, and in which order independent events
// came, except for the order in which memory that is full forgets.
func (l *Ledger) Hash() [sha256.Size]byte {
	s := l.Snapshot()
	for i := range s.Meters {
		s.Gone.add(s.Meters[i].Tally)
		s.Meters[i].Tally = Tally{}
	}
	slices.SortFunc(s.Ended, func(a, b EndedState) int { return strings.Compare(string(a.ID), string(b.ID)) })
	slices.SortFunc(s.Learned, func(a, b LengthState) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Model, b.Model))
	})
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // the types above hold nothing that JSON cannot
	}
	return sha256.Sum256(b)
}
