package simulation

import (
	"strconv"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/lifecycle"
)

// A deed is a provisioned throughput as the control plane has it. That is in a
// database: no crash loses it.
type deed struct {
	Unit
	number, serial int
	p              outcrop.Provisioned
	arn            string
	touched        bool // it was resized or deleted
}

func newDeed(w *world, number int, u Unit) *deed {
	d := &deed{Unit: u, number: number}
	d.buy(w, u.Units)
	return d
}

// buy creates the throughput and brings it into service.
func (d *deed) buy(w *world, units int) {
	d.serial++
	arn := outcrop.ARN{Partition: "aws", Service: "bedrock", Region: "us-east-1", Account: d.Account,
		Type: "provisioned-model", ID: "pt" + strconv.Itoa(d.number) + "n" + strconv.Itoa(d.serial)}
	d.arn = arn.String()
	d.p = w.must(lifecycle.Ready(lifecycle.Create(arn, "name", w.Model, units, "", w.date()), lifecycle.Terms{}, w.date()))
}

func (d *deed) id() string { return d.arn }

func (w *world) date() time.Time { return time.Unix(0, int64(w.clock())) }

// must takes the outcome of a step that the state allows.
func (w *world) must(p outcrop.Provisioned, err error) outcrop.Provisioned {
	w.fail("lifecycle", err)
	return p
}

// setUnit tells the ledger of the units that are bought, if it has another
// number, as quota does at the first request that meets them.
func (w *world) setUnit(d *deed) {
	sold := w.process.sold
	if sold[d.arn] == d.p.Units {
		return
	}
	sold[d.arn] = d.p.Units
	w.apply(ledger.Event{Kind: ledger.SetUnit, Unit: ledger.Unit{
		ID: d.arn, Rates: d.Rates, Units: int64(d.p.Units), Window: d.Window,
	}})
}

// change begins an update, which ends after a while, seldom well.
func (w *world) change(f Fault, d *deed, c lifecycle.Change) {
	if !d.p.Serves() || lifecycle.Pending(d.p) {
		return
	}
	d.touched = d.touched || f != UnitRename
	d.p = w.must(lifecycle.Update(d.p, c, lifecycle.Terms{}, w.date()))
	serial := d.serial
	after := time.Duration(w.faults[f].Int64N(int64(2 * time.Second)))
	fails := w.faults[f].IntN(4) == 0
	w.at(w.now+after, func() {
		if d.serial != serial || !lifecycle.Pending(d.p) {
			return
		}
		if fails {
			d.p = w.must(lifecycle.Fail(d.p, "no capacity", w.date()))
			return
		}
		if w.books.ledger.InFlight() > 0 && f == UnitResize {
			w.mark(unitResizedInFlight)
		}
		d.p = w.must(lifecycle.Updated(d.p, w.date()))
	})
}

// remove deletes the throughput; after a while another one is bought.
func (w *world) remove(d *deed, units int, after time.Duration) {
	if !d.p.Serves() || lifecycle.Delete(d.p, lifecycle.Terms{}, w.date()) != nil {
		return
	}
	d.touched, d.p = true, outcrop.Provisioned{}
	delete(w.process.sold, d.arn)
	w.apply(ledger.Event{Kind: ledger.RemoveUnit, ID: ledger.ID(d.arn)})
	w.at(w.now+after, func() { d.buy(w, units) })
}

// rates are what the units of a deed carry a minute.
func (d *deed) rates() bucket.Rates { return d.Rates.Times(int64(d.p.Units)) }
