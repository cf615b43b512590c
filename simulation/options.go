package simulation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/step"
)

// Options are one world. All of it is drawn from the seed; whoever changes a
// part gets another world with the same streams of randomness, of which there
// is one for each source of requests, each kind of fault and the engines.
type Options struct {
	Seed   uint64
	Faults Faults
	Until  time.Duration // of the phase with faults
	Every  time.Duration // mean time between two faults of a kind
	Rate   float64       // share of the messages and requests with a fault

	Model     string
	Engines   []Engine
	Sources   []Source
	Units     []Unit
	Reserved  bucket.Rates // of each account, in the tier of that name
	Scheduler fair.Config
	Ledger    ledger.Config
	UnitWait  time.Duration // longest wait of a request for its unit
	Network   time.Duration // one way
	Timer     time.Duration // by which the process's timer fires too late
	Report    int           // tokens between two messages of progress
	Save      time.Duration // between two snapshots of the ledger
	// Replay has a new process apply what was logged since the snapshot;
	// otherwise it is lost. SettleLost has it settle at once what was open,
	// as quota does; otherwise the leases run out.
	Replay, SettleLost bool
}

// An Engine is one engine of the pool.
type Engine struct {
	step.Constants
	Lane bool
}

// A Kind is what a source of requests asks for.
type Kind uint8

// The kinds of sources.
const (
	OnDemand Kind = iota
	Provisioned
	Greedy // asks its unit for more as soon as that has any
	Batch
)

// A Source is a tenant that sends requests.
type Source struct {
	Kind           Kind
	Account        string
	Tier           outcrop.ServiceTier // on demand
	Unit           int                 // of Options.Units; provisioned
	Spill          outcrop.Spill
	Rate           float64 // requests a second
	Prompt, Output int     // means, tokens
	Most           int     // the longest prompt
	Cached         int     // tokens of a prefix that all prompts share
	MaxWait        time.Duration
	Deadline       time.Duration // from the sending; 0 for none
	Rows           int           // of a batch job
}

// A Unit is a provisioned throughput.
type Unit struct {
	Account string
	Rates   bucket.Rates
	Units   int
	Window  time.Duration
	Spill   outcrop.Spill
}

// String returns the options in a few lines.
func (o Options) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, faults %s every %v at %.2f until %v\n", o.Seed, o.Faults, o.Every, o.Rate, o.Until)
	for i, e := range o.Engines {
		fmt.Fprintf(&b, "engine %d: budget %d, sequences %d, memory %d, lane %v\n", i, e.Budget, e.MaxSeqs, e.KVTokens, e.Lane)
	}
	for _, s := range o.Sources {
		fmt.Fprintf(&b, "source %+v\n", s)
	}
	for _, u := range o.Units {
		fmt.Fprintf(&b, "unit %+v\n", u)
	}
	fmt.Fprintf(&b, "scheduler %+v\nledger %+v\nreserved %+v, save every %v, replay %v, settle lost %v, report %d\n",
		o.Scheduler, o.Ledger, o.Reserved, o.Save, o.Replay, o.SettleLost, o.Report)
	return b.String()
}

// The streams of randomness of a seed; those of faults and sources follow.
const (
	ofOptions = iota
	ofWorkload
	ofEngines
	ofFaults  = 100
	ofSources = 200
)

func stream(seed, concern uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, concern)) }

// A draw is a stream of randomness from which options are drawn.
type draw struct{ *rand.Rand }

// between is a number from low to high.
func (d draw) between(low, high int) int { return low + d.IntN(high-low+1) }

// time is a time from low to high, the smaller ones more often.
func (d draw) time(low, high time.Duration) time.Duration {
	f := d.Float64()
	return low + time.Duration(f*f*f*float64(high-low))
}

func (d draw) chance(p float64) bool { return d.Float64() < p }

func one[T any](d draw, of ...T) T { return of[d.IntN(len(of))] }

// Draw returns the world of a seed: a random third of the faults, and sizes
// that are often too small.
func Draw(seed uint64) Options {
	d := draw{stream(seed, ofOptions)}
	o := Options{
		Seed: seed, Until: time.Duration(d.between(5, 15)) * time.Second,
		Every: d.time(300*time.Millisecond, 5*time.Second), Rate: one(d, .01, .05, .2),
		Model:    one(d, "amazon.titan-text-express-v1:0", "anthropic.claude-sonnet-4-20250514-v1:0"),
		UnitWait: one(d, 0, 250*time.Millisecond, 2*time.Second),
		Network:  d.time(50*time.Microsecond, 20*time.Millisecond),
		Timer:    one(d, 0, 200*time.Microsecond, 5*time.Millisecond),
		Report:   one(d, 1, 4, 16), Save: d.time(100*time.Millisecond, 10*time.Second),
		Replay: d.chance(.3), SettleLost: d.chance(.5),
	}
	for f := range numFaults {
		if d.chance(1. / 3) {
			o.Faults = o.Faults.With(f)
		}
	}
	o.drawEngines(d)
	o.drawScheduler(d)
	o.drawLedger(d)
	o.drawSources(d)
	return o
}

func (o *Options) drawEngines(d draw) {
	c := step.H100Llama8B()
	c.Noise = one(d, 0, .05, .3)
	for i := range d.between(1, 5) {
		if i == 0 || d.chance(.3) {
			c.Budget, c.MaxSeqs = one(d, 16, 64, 256), d.between(1, 12)
			c.KVTokens = one(d, 160, 800, 8000)
		}
		c.Seed = o.Seed<<8 + uint64(i)
		o.Engines = append(o.Engines, Engine{Constants: c, Lane: i > 0 && d.chance(.3)})
	}
}

func (o *Options) drawScheduler(d draw) {
	c := fair.Default()
	if d.chance(.3) {
		c = fair.Harvest()
	}
	for class := range outcrop.ClassProvisioned {
		c.Queue[class] = one(d, 2, 8, 100)
		if c.Bound[class] > 0 || d.chance(.1) {
			c.Bound[class] = d.time(10*time.Millisecond, 20*time.Second)
		}
		c.Floor[class] = one(d, c.Floor[class], 0, .05, .3)
	}
	c.GuardFor = d.time(10*time.Millisecond, time.Minute)
	c.LaneTokens, c.LaneSeqs, c.LaneEngines = one(d, 16, 64), one(d, 0, 1, 4), d.between(2, 4)
	c.AbortTokens, c.AbortEvery = one(d, 1, 16, 64), one(d, 0, 10*time.Millisecond, 100*time.Millisecond)
	c.MaxAborts, c.MaxLosses = d.between(0, 3), d.between(1, 3)
	c.Grace = d.time(time.Millisecond, 5*time.Second)
	o.Scheduler = c
}

func (o *Options) drawLedger(d draw) {
	o.Ledger = ledger.Config{
		Rules: []ledger.Rule{o.limits(d, ""), o.limits(d, accounts[0])},
		Lease: d.time(20*time.Millisecond, time.Minute), Parity: d.chance(.2),
		Remember: one(d, 2, 50, 0), Learned: one(d, 1, 0),
	}
	if d.chance(.1) {
		o.Ledger.Rules = append(o.Ledger.Rules, ledger.Rule{Account: accounts[1], Limits: ledger.Limits{RequestsPerMinute: ledger.Closed}})
	}
	o.Reserved = bucket.Rates{Input: int64(d.between(100, 6000)), Output: int64(d.between(100, 3000))}
}

func (o *Options) limits(d draw, account string) ledger.Rule {
	return ledger.Rule{Account: account, Limits: ledger.Limits{
		RequestsPerMinute: one[int64](d, ledger.Unlimited, 60, 300),
		TokensPerMinute:   one[outcrop.QuotaTokens](d, ledger.Unlimited, 5000, 20_000),
		TokensPerDay:      one[outcrop.QuotaTokens](d, ledger.Unlimited, ledger.Unlimited, 5000, 50_000),
		Burst:             one(d, time.Second, 10*time.Second, time.Minute),
	}}
}

var accounts = [...]string{"111111111111", "222222222222", "333333333333"}

// weights are the shares of the accounts between each other.
var weights = map[string]float64{accounts[0]: 1, accounts[1]: 1, accounts[2]: 2.5}

func (o *Options) drawSources(d draw) {
	for range d.between(1, 4) {
		s := o.source(d, OnDemand)
		s.Tier = one(d, outcrop.TierDefault, outcrop.TierDefault, outcrop.TierPriority, outcrop.TierFlex, outcrop.TierReserved)
		o.Sources = append(o.Sources, s)
	}
	for range d.between(0, 2) {
		o.addUnit(d, o.source(d, Provisioned))
	}
	if d.chance(.3) {
		s := o.source(d, Greedy)
		s.Spill, s.MaxWait, s.Deadline = outcrop.SpillNone, 0, 0
		o.addUnit(d, s)
	}
	for range d.between(0, 2) {
		s := o.source(d, Batch)
		s.Rows, s.MaxWait, s.Deadline = d.between(10, 80), 0, 0
		o.Sources = append(o.Sources, s)
	}
}

// source draws what all kinds have.
func (o *Options) source(d draw, k Kind) Source {
	s := Source{
		Kind: k, Account: accounts[d.IntN(len(accounts))],
		Rate: one(d, .5, 3, 12), Prompt: one(d, 8, 40, 150), Output: one(d, 3, 12, 40),
		Spill: one(d, "", outcrop.SpillNone, outcrop.SpillDefault, outcrop.SpillPriority, outcrop.SpillFlex),
	}
	s.Most = 4 * s.Prompt
	if d.chance(.2) {
		s.Cached = step.BlockTokens * d.between(1, 4)
	}
	if d.chance(.2) {
		s.MaxWait = d.time(time.Millisecond, 5*time.Second)
	}
	if d.chance(.2) {
		s.Deadline = d.time(time.Millisecond, 5*time.Second)
	}
	return s
}

func (o *Options) addUnit(d draw, s Source) {
	u := Unit{
		Account: s.Account, Units: d.between(1, 3), Window: bucket.MinWindow,
		Rates: bucket.Rates{Input: int64(d.between(300, 4000)), Output: int64(d.between(100, 2000))},
		Spill: one(d, outcrop.SpillNone, outcrop.SpillDefault, outcrop.SpillPriority, outcrop.SpillFlex),
	}
	if d.chance(.3) {
		u.Rates = bucket.Rates{Together: int64(d.between(300, 6000))}
	}
	s.Unit = len(o.Units)
	o.Units = append(o.Units, u)
	o.Sources = append(o.Sources, s)
}
