package lifecycle

import (
	"time"

	"github.com/outcrop/outcrop"
)

// Month is the length of a commitment month where nothing else is configured.
const Month = 30 * 24 * time.Hour

// grace is how long after the end of a term a provisioned throughput may be
// deleted before the next term begins to bind.
const grace = 24 * time.Hour

// Terms say how long commitments run. The zero value is that of Month.
type Terms struct{ Month time.Duration }

// Length is the length of one term; 0 without a commitment.
func (t Terms) Length(c outcrop.Commitment) time.Duration {
	month := t.Month
	if month <= 0 {
		month = Month
	}
	switch c {
	case outcrop.CommitmentOneMonth:
		return month
	case outcrop.CommitmentSixMonths:
		return 6 * month
	}
	return 0
}

// End is the end of the term that counts at now: that of the term which runs,
// or of the last one as long as the next does not bind yet; zero without a
// commitment. Terms renew by themselves: each begins at the end of the one
// before, and binds from a day later on. Where a term is no longer than a day
// only the first one binds.
func (t Terms) End(p outcrop.Provisioned, now time.Time) time.Time {
	term := t.Length(p.Commitment)
	if p.Expires.IsZero() || term <= 0 || now.Before(p.Expires.Add(grace)) {
		return p.Expires
	}
	if term <= grace {
		return p.Expires
	}
	renewals := now.Sub(p.Expires.Add(grace))/term + 1
	return p.Expires.Add(renewals * term)
}

// Binding reports whether a commitment keeps p from being deleted at now.
func (t Terms) Binding(p outcrop.Provisioned, now time.Time) bool { return now.Before(t.End(p, now)) }
