package quota

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/ledger"
)

// A Status tells how full all limits are, and what they did since the start.
type Status struct {
	InFlight int    `json:"in_flight"` // reservations
	Expired  uint64 `json:"expired"`   // reservations that ended by their lease
	// Held is what is reserved and not settled.
	Held Held `json:"held"`
	// Uses are the accounts' uses of models on demand, by account and model.
	// When there are too many, new ones are added up under account "other".
	Uses     []UseStatus  `json:"uses"`
	Units    []UnitStatus `json:"units"`    // by ARN
	Reserved []UnitStatus `json:"reserved"` // capacities of the reserved tier
}

// Held is what is reserved and not settled, in requests and quota tokens.
type Held struct {
	Requests   int64               `json:"requests"`
	Tokens     outcrop.QuotaTokens `json:"tokens"`
	UnitInput  outcrop.QuotaTokens `json:"unit_input"`
	UnitOutput outcrop.QuotaTokens `json:"unit_output"`
}

// A Level is how full a limit is.
type Level struct {
	Limit   string `json:"limit"`
	Level   int64  `json:"level"`
	Max     int64  `json:"max"`
	Percent int64  `json:"percent"`
}

// A Count counts what a limit, or a tier, had happen.
type Count struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// A UseStatus is the state of an account's use of a model on demand.
type UseStatus struct {
	Account  string  `json:"account"`
	Model    string  `json:"model"`
	Levels   []Level `json:"levels"`
	InFlight int64   `json:"in_flight"`
	Admitted uint64  `json:"admitted"`
	Refused  []Count `json:"refused"` // by limit; those that never refused are left out
	// Reserved, Used and Overrun are quota tokens of ended requests: what was
	// estimated, what was used, and what of this was beyond the estimate.
	Reserved outcrop.QuotaTokens `json:"reserved_tokens"`
	Used     outcrop.QuotaTokens `json:"used_tokens"`
	Overrun  outcrop.QuotaTokens `json:"overrun_tokens"`
}

// A UnitStatus is the state of a unit.
type UnitStatus struct {
	ARN     string `json:"arn,omitempty"` // empty for reserved capacities
	Name    string `json:"name"`
	Account string `json:"account"`
	Model   string `json:"model"`
	Units   int64  `json:"units"`
	// Levels are those by which requests are admitted: over a few seconds.
	Levels []Level `json:"levels"`
	// Input and Output are what a minute carries, and UsedInput and UsedOutput
	// the share of it in percent that was used over the last five minutes, as
	// far as it is settled. Where input and output are limited together, so
	// they are here, as Input. 0 is no limit.
	Input      int64 `json:"input_tokens_per_minute"`
	Output     int64 `json:"output_tokens_per_minute"`
	UsedInput  int64 `json:"used_input_percent"`
	UsedOutput int64 `json:"used_output_percent"`

	InFlight int64         `json:"in_flight"`
	Admitted uint64        `json:"admitted"`
	Waited   uint64        `json:"waited"`               // of these, those that had to wait
	WaitTime time.Duration `json:"wait_ms,format:milli"` // of all these together
	Refused  []Count       `json:"refused"`              // by limit
	Spilled  []Count       `json:"spilled"`              // by the class that they went to
}

// Status returns the state of everything. Requests wait for it only as long as
// it takes to copy that.
func (l *Limiter) Status() Status {
	s := l.copyStatus()
	slices.SortFunc(s.Uses, func(a, b UseStatus) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Model, b.Model))
	})
	slices.SortFunc(s.Reserved, func(a, b UnitStatus) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Model, b.Model))
	})
	return s
}

// copyStatus returns the state in no order but for that of the units.
func (l *Limiter) copyStatus() Status {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expired += uint64(len(l.ledger.Expire(now)))
	held := l.ledger.Tally().Held
	s := Status{InFlight: l.ledger.InFlight(), Expired: l.expired,
		Held: Held{held.Requests, held.Tokens, held.Input, held.Output}, Uses: make([]UseStatus, 0, len(l.uses))}
	for k, u := range l.uses {
		s.Uses = append(s.Uses, u.status(k, l.levels(ledger.Scope{Account: k.account, Model: k.model}, now)))
	}
	for _, u := range l.forgetUnits(nil) {
		s.Units = append(s.Units, u.status(u.id, l.levels(ledger.Scope{Unit: u.id}, now), now))
	}
	for _, u := range l.reserved {
		s.Reserved = append(s.Reserved, u.status("", l.levels(ledger.Scope{Unit: u.id}, now), now))
	}
	return s
}

func (l *Limiter) levels(s ledger.Scope, now time.Duration) []Level {
	have := l.ledger.Status(s, now)
	all := make([]Level, 0, len(have))
	for _, x := range have {
		all = append(all, Level{x.Limit.String(), x.Level, x.Max, x.Percent})
	}
	return all
}

// limits is how many kinds of limits there are.
const limits = int(ledger.SeenBefore) + 1

// A use counts what an account does with a model.
type use struct {
	inFlight                int64
	admitted                uint64
	refused                 [limits]uint64
	reserved, used, overrun outcrop.QuotaTokens
}

func (u *use) count(s *ledger.Settlement) {
	u.reserved += s.Granted.Tokens
	u.used += s.Actual.Tokens
	u.overrun += s.Overrun.Tokens
}

func (u *use) status(k key, levels []Level) UseStatus {
	return UseStatus{Account: k.account, Model: k.model, Levels: levels, InFlight: u.inFlight, Admitted: u.admitted,
		Refused: refusals(&u.refused), Reserved: u.reserved, Used: u.used, Overrun: u.overrun}
}

func refusals(by *[limits]uint64) (all []Count) {
	for limit, n := range by {
		if n > 0 {
			all = append(all, Count{ledger.Limit(limit).String(), n})
		}
	}
	return all
}

// maxUses bounds how many pairs of account and model are counted apart.
const maxUses = 8192

// useOf returns the counts of the account's use of the model; the caller holds
// the lock.
func (l *Limiter) useOf(account, model string) *use {
	u := l.uses[key{account, model}]
	if u != nil {
		return u
	}
	k := key{strings.Clone(account), strings.Clone(model)}
	if len(l.uses) >= maxUses {
		k = key{account: "other"}
	}
	if u = l.uses[k]; u == nil {
		u = &use{}
		l.uses[k] = u
	}
	return u
}

type unitCounts struct {
	inFlight         int64
	admitted, waited uint64
	waitTime         time.Duration
	refused          [limits]uint64
	spilled          [outcrop.NumClasses]uint64
}

func (c *unitCounts) admit(waited time.Duration, had bool) {
	c.admitted++
	if had {
		c.waited++
		c.waitTime += waited
	}
}

func (u *unit) status(arn string, levels []Level, now time.Duration) UnitStatus {
	c := &u.counts
	s := UnitStatus{ARN: arn, Name: u.name, Account: u.account, Model: u.model, Units: u.units, Levels: levels,
		InFlight: c.inFlight, Admitted: c.admitted, Waited: c.waited, WaitTime: c.waitTime, Refused: refusals(&c.refused)}
	for class, n := range c.spilled {
		if n > 0 {
			s.Spilled = append(s.Spilled, Count{outcrop.Class(class).String(), n})
		}
	}
	rates := u.rates.Times(u.units)
	in, out := u.window.sum(now)
	if rates.Together > 0 {
		rates.Input, in = rates.Together, in+out
	}
	s.Input, s.Output = rates.Input, rates.Output
	span := (slots-1)*slot + now%slot
	s.UsedInput, s.UsedOutput = share(in, rates.Input, span), share(out, rates.Output, span)
	return s
}

// share is what part of the rate was used in the time span, in percent.
func share(used, rate int64, span time.Duration) int64 {
	if rate <= 0 {
		return 0
	}
	return int64(float64(used) / (float64(rate) * span.Minutes()) * 100)
}

// A usage adds up tokens over a sliding window of slots x slot.
type usage struct {
	in, out [slots]int64
	last    int64 // the number of the latest slot
}

const (
	slots = 30
	slot  = 10 * time.Second
)

func (u *usage) turn(now time.Duration) {
	n := int64(now / slot)
	if n-u.last > slots {
		u.last = n - slots
	}
	for u.last < n {
		u.last++
		u.in[u.last%slots], u.out[u.last%slots] = 0, 0
	}
}

func (u *usage) add(now time.Duration, in, out int64) {
	u.turn(now)
	u.in[u.last%slots] += in
	u.out[u.last%slots] += out
}

func (u *usage) sum(now time.Duration) (in, out int64) {
	u.turn(now)
	for i := range slots {
		in += u.in[i]
		out += u.out[i]
	}
	return in, out
}
