package ledger

import (
	"time"

	"github.com/outcrop/outcrop"
)

// A Kind says which call an Event is.
type Kind uint8

// The kinds of events.
const (
	Reserve Kind = iota + 1
	TopUp
	Settle
	Release
	Expire
	SetUnit
	RemoveUnit
	Configure
)

// An Event is one call of a ledger as data, to be logged and replayed. It
// goes through JSON unchanged.
type Event struct {
	Kind    Kind
	Now     time.Duration // of no account with RemoveUnit, which takes no time
	ID      ID            `json:",omitzero"` // TopUp, Settle, Release; RemoveUnit: of the unit
	Request Request       `json:",omitzero"` // Reserve
	Output  int           `json:",omitzero"` // TopUp
	Usage   outcrop.Usage `json:",omitzero"` // Settle
	Unit    Unit          `json:",omitzero"` // SetUnit
	Config  Config        `json:",omitzero"` // Configure
}

// An Outcome is what the call returned.
type Outcome struct {
	Grant       Grant
	Refusal     *Refusal
	Settlements []Settlement
	Known       bool // TopUp, Settle, Release: the id was that of an open reservation
}

// Apply makes the call that e stands for.
func (l *Ledger) Apply(e Event) Outcome {
	var o Outcome
	switch e.Kind {
	case Reserve:
		o.Grant, o.Refusal = l.Reserve(&e.Request, e.Now)
	case TopUp:
		o.Known = l.TopUp(e.ID, e.Output, e.Now)
	case Settle:
		o.ended(l.Settle(e.ID, e.Usage, e.Now))
	case Release:
		o.ended(l.Release(e.ID, e.Now))
	case Expire:
		o.Settlements = l.Expire(e.Now)
	case SetUnit:
		l.SetUnit(e.Unit, e.Now)
	case RemoveUnit:
		l.RemoveUnit(string(e.ID))
	case Configure:
		l.Configure(e.Config, e.Now)
	}
	return o
}

func (o *Outcome) ended(s Settlement, known bool) {
	if o.Known = known; known {
		o.Settlements = []Settlement{s}
	}
}
