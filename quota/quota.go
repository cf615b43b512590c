// Package quota decides whether an invocation may run, in which class and on
// whose account: on demand within an account's limits, on a provisioned unit,
// or on a reserved tier. It puts the pure kernels of ledger and bucket around
// a model: it estimates, reserves, tops up while the answer streams, and
// settles. docs/quotas.md tells how, with the formulas.
//
// A request is refused before it starts or not at all: what it uses beyond its
// estimate is charged and never cut. However an invocation ends, by an answer,
// an error, a panic or the caller's leaving, its reservation ends with it.
package quota

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
)

// The defaults of Settings.
const (
	// DefaultMaxWait is about five times the median of the waits that Azure
	// advises where it refuses provisioned requests at once.
	DefaultMaxWait = 250 * time.Millisecond
	// DefaultLease is longer than any answer takes. A reservation ends with
	// its invocation; the lease is for what was lost without an end.
	DefaultLease = time.Hour
)

// Settings are the limits. They are not modified and may be shared.
type Settings struct {
	// Ledger has the limits of on-demand use, and whether estimates are those
	// of Bedrock. Its Lease is by default DefaultLease.
	Ledger ledger.Config
	// Reserved is what accounts have reserved of the reserved tier. Of two
	// for the same account and model the later one counts.
	Reserved []Reserved
	// MaxWait is how long a request waits for its unit before it spills or is
	// refused, if that suffices; 0 means DefaultMaxWait, and less than 0 not
	// at all.
	MaxWait time.Duration
	// Window is how much of a unit's rate may come at once, see
	// bucket.NewDual; 0 means bucket.DefaultWindow.
	Window time.Duration
}

// A Reserved is a capacity of the reserved tier. A request over it overflows
// to the default tier.
type Reserved struct {
	Account, Model                              string // both set
	InputTokensPerMinute, OutputTokensPerMinute int64
}

// A Unit is a provisioned throughput with what one model unit of it carries.
type Unit struct {
	outcrop.Provisioned
	Rates bucket.Rates
}

// A Config configures a Limiter.
type Config struct {
	Settings
	// Units returns the unit with the ARN, as it is now; ok is false if there
	// is none. It is called for each request that names a unit, concurrently,
	// and must neither block nor call the Limiter. Nil means that there are
	// no units.
	Units func(arn string) (u Unit, ok bool)
	// Restore is where to go on; nil for a new start. What was in flight then
	// is settled at once, by what is known of it.
	Restore *ledger.Snapshot
}

// A Limiter keeps the limits of all models of a server. It is safe for
// concurrent use.
type Limiter struct {
	units func(arn string) (Unit, bool)
	epoch time.Duration // since 1970, when started
	start time.Time
	calls sync.Pool // of *call
	seed  maphash.Seed

	mu       sync.Mutex
	settings Settings
	ledger   *ledger.Ledger
	serial   uint64
	uses     map[key]*use
	bought   map[string]*unit // by ARN
	reserved map[key]*unit
	restored []string // units, by ARN, until ForgetUnits
	prefixes prefixes
	expired  uint64 // reservations
}

// A key is an account's use of a model.
type key struct{ account, model string }

// New returns a Limiter. An error means that Restore contradicts itself.
func New(c Config) (*Limiter, error) {
	start := time.Now()
	l := &Limiter{
		units: c.Units, epoch: time.Duration(start.UnixNano()), start: start, seed: maphash.MakeSeed(),
		settings: c.Settings.withDefaults(),
		uses:     map[key]*use{}, bought: map[string]*unit{}, reserved: map[key]*unit{},
	}
	if l.units == nil {
		l.units = func(string) (Unit, bool) { return Unit{}, false }
	}
	if err := l.open(c.Restore); err != nil {
		return nil, err
	}
	l.setReserved(l.now())
	return l, nil
}

func (l *Limiter) open(s *ledger.Snapshot) (err error) {
	if s == nil {
		l.ledger = ledger.New(l.settings.Ledger)
		return nil
	}
	if l.ledger, err = ledger.Restore(l.settings.Ledger, *s, l.now()); err != nil {
		return err
	}
	for _, lost := range s.Leases {
		used := lost.Estimate
		used.Output = lost.Produced
		l.ledger.Settle(lost.ID, used, l.now())
	}
	l.restoreUnits(s)
	return nil
}

// restoreUnits notes the units of s, which Config.Units may not know yet, and
// ends those of the reserved tier that are gone; Settings say which of these there are.
func (l *Limiter) restoreUnits(s *ledger.Snapshot) {
	kept := map[string]bool{}
	for _, r := range l.settings.Reserved {
		kept[reservedID(r)] = true
	}
	for i := range s.Meters {
		switch id := s.Meters[i].Scope.Unit; {
		case id == "" || kept[id]:
		case strings.HasPrefix(id, reservedPrefix):
			l.ledger.RemoveUnit(id)
		default:
			l.restored = append(l.restored, id)
		}
	}
}

// ForgetUnits ends the units that were restored and that Config.Units has no
// more. It is to be called once after New, as soon as Units knows them all;
// those that go later are noticed by themselves.
func (l *Limiter) ForgetUnits() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, arn := range l.restored {
		if _, ok := l.units(arn); !ok {
			l.ledger.RemoveUnit(arn)
		}
	}
	l.restored = nil
}

// reservedPrefix begins the ids of the units that are reserved capacities.
const reservedPrefix = "reserved/"

func reservedID(r Reserved) string { return reservedPrefix + r.Account + "/" + r.Model }

func (s Settings) withDefaults() Settings {
	if s.MaxWait == 0 {
		s.MaxWait = DefaultMaxWait
	}
	if s.Ledger.Lease <= 0 {
		s.Ledger.Lease = DefaultLease
	}
	return s
}

// Configure replaces the settings. Levels and what is in flight stay.
func (l *Limiter) Configure(s Settings) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	again := l.settings.Window != s.Window
	l.settings = s.withDefaults()
	l.ledger.Configure(l.settings.Ledger, now)
	if again {
		for _, u := range l.bought {
			u.set(l, now)
		}
	}
	l.setReserved(now)
}

// now is the time since 1970 by a clock that is never set back.
func (l *Limiter) now() time.Duration { return l.epoch + time.Since(l.start) }

// setReserved puts the reserved capacities of the settings in force.
func (l *Limiter) setReserved(now time.Duration) {
	gone := maps.Clone(l.reserved)
	for _, r := range l.settings.Reserved {
		k := key{r.Account, r.Model}
		delete(gone, k)
		u := l.reserved[k]
		if u == nil {
			u = &unit{id: reservedID(r), name: "reserved", model: r.Model, account: r.Account, burndown: reservedBurndown}
			l.reserved[k] = u
		}
		u.units = 1
		u.rates = bucket.Rates{Input: r.InputTokensPerMinute, Output: r.OutputTokensPerMinute}
		u.set(l, now)
	}
	for k, u := range gone {
		l.ledger.RemoveUnit(u.id)
		delete(l.reserved, k)
	}
}

// reservedBurndown counts what Bedrock's reserved tier is sized by: input and
// what is written to the cache, and output [Bedrock user guide].
var reservedBurndown = ledger.Burndown{Input: ledger.Once, Output: ledger.Once, CacheWrite: ledger.Once}

// A unit is what is kept of a provisioned unit or a reserved capacity.
type unit struct {
	id, name, account, model string
	rates                    bucket.Rates
	units                    int64
	burndown                 ledger.Burndown
	window                   usage
	counts                   unitCounts
}

func (u *unit) set(l *Limiter, now time.Duration) {
	l.ledger.SetUnit(ledger.Unit{ID: u.id, Rates: u.rates, Units: u.units, Window: l.settings.Window, Burndown: u.burndown}, now)
}

// unit returns what is kept of the unit, brought up to date; the caller holds
// the lock.
func (l *Limiter) unit(arn string, now *Unit, at time.Duration) *unit {
	u := l.bought[arn]
	if u != nil && u.rates == now.Rates && u.units == int64(now.Units) {
		u.name, u.model = now.Name, now.Model
		return u
	}
	if u == nil {
		l.forgetUnits(nil)
		arn = strings.Clone(arn)
		u = &unit{id: arn, account: now.ARN.Account}
		l.bought[arn] = u
	}
	u.name, u.model, u.rates, u.units = now.Name, now.Model, now.Rates, int64(now.Units)
	u.set(l, at)
	return u
}

// forgetUnits drops the units that are not there any more, and appends those
// that are to list; the caller holds the lock. A unit with the same ARN never
// comes again.
func (l *Limiter) forgetUnits(list []*unit) []*unit {
	for arn, u := range l.bought {
		if _, ok := l.units(arn); !ok {
			l.ledger.RemoveUnit(arn)
			delete(l.bought, arn)
			continue
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b *unit) int { return strings.Compare(a.id, b.id) })
	return list
}

// Snapshot returns the state of the limits, for Config.Restore.
func (l *Limiter) Snapshot() ledger.Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ledger.Snapshot()
}

// Tally returns what was reserved, held and settled over all limits.
func (l *Limiter) Tally() ledger.Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ledger.Tally()
}

// Check returns the first invariant of the ledger that does not hold, or nil.
// Its cost grows with the state; it is for tests and diagnosis.
func (l *Limiter) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ledger.Check()
}
