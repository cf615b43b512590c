package simulation

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
)

// crash kills the process. Every caller loses the connection, every engine
// too; the scheduler is gone, and of the ledger the snapshot is left, and may
// be the log.
func (w *world) crash(downFor time.Duration) {
	p := &w.process
	if p.down {
		return
	}
	w.checkReplay()
	w.checkCommute()
	if len(p.jobs) > 0 {
		w.mark(crashedInFlight)
	}
	p.down = true
	for _, r := range slices.Clone(w.live) {
		if r.state == coming {
			continue
		}
		w.hangUp(r)
		w.answer(r, "connection reset")
	}
	boot := p.boots
	w.at(w.now+downFor, func() {
		if p.down && p.boots == boot {
			w.restart()
		}
	})
}

// restart starts a process that goes on from what is left.
func (w *world) restart() {
	w.mark(restored)
	w.note("restart", int64(w.process.boots))
	b := &w.books
	saved := throughJSON(b.saved)
	now := w.clock()
	l, err := ledger.Restore(b.config, saved, now)
	if err != nil {
		w.fail("I8", fmt.Errorf("restore: %w", err))
		return
	}
	b.ledger, b.last = l, min(saved.Last, now)
	b.start()
	w.remember(saved)
	if w.Replay {
		w.replay()
	} else {
		b.log = nil
	}
	w.afterRestore(saved)
	w.boot()
	w.wakeGreedy()
}

// remember takes over the terms of the reservations that are open.
func (w *world) remember(s ledger.Snapshot) {
	for _, x := range s.Leases {
		t := w.termsOf(x.Scope)
		t.granted, t.estimate, t.produced, t.day = x.Granted, x.Estimate, x.Produced, time.Duration(x.Day)
		w.books.terms[x.ID] = t
	}
}

// replay applies the log to the restored ledger, as apply did.
func (w *world) replay() {
	b := &w.books
	b.log = throughJSON(b.log)
	for _, e := range b.log {
		b.last = max(b.last, e.Now)
		b.ledger.Apply(e)
	}
	b.start()
	w.remember(b.ledger.Snapshot())
}

// afterRestore ends what was open, or leaves it to the end of its lease. Units
// that went meanwhile go again.
func (w *world) afterRestore(s ledger.Snapshot) {
	w.apply(ledger.Event{Kind: ledger.Configure, Config: w.Ledger})
	if len(s.Leases) > 0 && !w.SettleLost {
		w.mark(leaseOverRestart)
	}
	for _, x := range w.books.ledger.Snapshot().Leases {
		if !w.SettleLost {
			break
		}
		used := x.Estimate
		used.Output = x.Produced
		w.apply(ledger.Event{Kind: ledger.Settle, ID: x.ID, Usage: used})
	}
	for _, m := range s.Meters {
		if m.Unit != nil && !m.Removed && !w.exists(m.Scope.Unit) {
			w.apply(ledger.Event{Kind: ledger.RemoveUnit, ID: ledger.ID(m.Scope.Unit)})
		}
	}
	w.save()
}

func (w *world) exists(unit string) bool {
	for _, d := range w.deeds {
		if d.arn == unit && d.p.Serves() {
			return true
		}
	}
	return slices.ContainsFunc(accounts[:], func(a string) bool { return reservedOf(a) == unit })
}

// wakeGreedy has the greedy sources ask the new process.
func (w *world) wakeGreedy() {
	for _, s := range w.sources {
		if s.Kind == Greedy {
			w.wake(s, w.now)
		}
	}
}

// checkReplay holds the snapshot and the log against the ledger (I8).
func (w *world) checkReplay() {
	b := &w.books
	if len(b.log) > 0 {
		w.mark(replayChecked)
	}
	l, err := ledger.Restore(b.config, throughJSON(b.saved), bucket.Never)
	if err != nil {
		w.fail("I8", fmt.Errorf("restore: %w", err))
		return
	}
	for _, e := range throughJSON(b.log) {
		l.Apply(e)
	}
	if l.Hash() != b.ledger.Hash() {
		w.fail("I8", fmt.Errorf("%d events after the snapshot lead to another state", len(b.log)))
	}
}

// checkCommute settles two open reservations of different scopes in both
// orders (I10).
func (w *world) checkCommute() {
	s := w.books.ledger.Snapshot()
	for i := 1; i < len(s.Leases); i++ {
		a, b := s.Leases[0], s.Leases[i]
		if a.Scope == b.Scope || a.Account == b.Account {
			continue
		}
		events := [2]ledger.Event{
			{Kind: ledger.Settle, Now: w.clock(), ID: a.ID, Usage: a.Estimate},
			{Kind: ledger.Settle, Now: w.clock(), ID: b.ID, Usage: b.Estimate},
		}
		w.mark(commuteChecked)
		var hashes [2][32]byte
		for order := range 2 {
			l, err := ledger.Restore(w.config(), s, bucket.Never)
			if err != nil {
				w.fail("I8", fmt.Errorf("restore: %w", err))
				return
			}
			l.Apply(events[order])
			l.Apply(events[1-order])
			hashes[order] = l.Hash()
		}
		if hashes[0] != hashes[1] {
			w.fail("I10", fmt.Errorf("%+v and %+v do not commute", events[0], events[1]))
		}
		return
	}
}

// config is that which the ledger has, without the limits on memory, by which
// the order of ends counts.
func (w *world) config() ledger.Config {
	c := w.Ledger
	c.Remember, c.Learned = 0, 0
	return c
}

// throughJSON is v as it comes back from a disk.
func throughJSON[T any](v T) (back T) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil {
		panic(err)
	}
	return back
}
