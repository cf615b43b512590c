package ledger_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
)

const date = 24 * time.Hour

// A machine drives a ledger by random events and checks every invariant after
// each of them.
type machine struct {
	t       *rapid.T
	l       *ledger.Ledger
	config  ledger.Config
	now     time.Duration
	next    int
	open    []ledger.ID
	ended   map[ledger.ID]bool
	log     []ledger.Event // since the base
	base    ledger.Snapshot
	baseCfg ledger.Config
	oracle  oracle
	then    oracle // as it was at the base
	seen    map[string]int
}

// An oracle keeps every level of every scope for ever, in the plainest way,
// and says what a reservation would do. It follows the units and the limits
// that the test sets, by the formulas of docs/quotas.md.
type oracle struct {
	rpm, tpm map[ledger.Scope]*bucket.Leak
	tpd      map[ledger.Scope]*bucket.Day
	units    map[string]*bucket.Dual
	removed  map[string]bool
	held     map[ledger.ID]heldBy
	latest   time.Duration
}

type heldBy struct {
	scope     ledger.Scope
	day       int64
	requests  int64
	tokens    int64
	in, out   int64
	estimate  outcrop.Usage
	requested ledger.Request
}

func accounts() *rapid.Generator[string] { return rapid.SampledFrom([]string{"1", "2", "3"}) }
func models() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"titan", "claude-sonnet-4-x"})
}
func unitIDs() *rapid.Generator[string] { return rapid.SampledFrom([]string{"pt-a", "pt-b"}) }

func newMachine(t *rapid.T, seen map[string]int) *machine {
	c := ledger.Config{
		Rules: []ledger.Rule{
			{Limits: ledger.Limits{RequestsPerMinute: rapid.SampledFrom([]int64{1, 7, 60, 0}).Draw(t, "rpm"),
				TokensPerMinute: rapid.SampledFrom([]outcrop.QuotaTokens{1000, 12_345, 200_000, 0}).Draw(t, "tpm")}},
			{Model: "titan", Limits: ledger.Limits{TokensPerDay: rapid.SampledFrom([]outcrop.QuotaTokens{5000, 40_000}).Draw(t, "tpd"), Burst: 10 * time.Second}},
			{Account: "3", Limits: ledger.Limits{RequestsPerMinute: ledger.Unlimited}},
			{Account: "3", Model: "titan", Limits: ledger.Limits{TokensPerMinute: ledger.Closed}},
		},
		Parity: rapid.Bool().Draw(t, "parity"), Lease: time.Minute,
	}
	m := &machine{t: t, config: c, baseCfg: c, l: ledger.New(c), ended: map[ledger.ID]bool{}, seen: seen,
		now: 30*date - time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "before midnight"))}
	m.base = m.l.Snapshot()
	m.oracle = oracle{rpm: map[ledger.Scope]*bucket.Leak{}, tpm: map[ledger.Scope]*bucket.Leak{}, tpd: map[ledger.Scope]*bucket.Day{},
		units: map[string]*bucket.Dual{}, removed: map[string]bool{}, held: map[ledger.ID]heldBy{}}
	m.then = m.oracle.copy()
	return m
}

// apply applies e, then once more, and checks all there is to check.
func (m *machine) apply(e ledger.Event) ledger.Outcome {
	m.t.Helper()
	if e.Kind != ledger.RemoveUnit { // which takes no time
		m.oracle.latest = max(m.oracle.latest, e.Now)
	}
	o := m.l.Apply(e)
	m.log = append(m.log, e)
	m.check()
	hash := m.l.Hash()
	again := m.l.Apply(e)
	m.check()
	if m.l.Hash() != hash {
		m.t.Fatalf("I7: %+v applied twice is not once", e)
	}
	if e.Kind != ledger.Reserve && e.Kind != ledger.TopUp && (again.Known || again.Settlements != nil) {
		m.t.Fatalf("I3: %+v ended twice", e)
	}
	for _, s := range o.Settlements {
		m.end(s)
	}
	return o
}

func (m *machine) check() {
	m.t.Helper()
	if err := m.l.Check(); err != nil {
		m.t.Fatal(err)
	}
	if m.l.InFlight() == 0 && m.l.Tally().Held != (ledger.Amount{}) {
		m.t.Fatalf("I9: idle, but %+v is held", m.l.Tally().Held)
	}
}

func (m *machine) end(s ledger.Settlement) {
	m.t.Helper()
	if m.ended[s.ID] {
		m.t.Fatalf("I3: %s ended twice", s.ID)
	}
	m.ended[s.ID] = true
	i := slices.Index(m.open, s.ID)
	if i < 0 {
		m.t.Fatalf("%s ended but was not open", s.ID)
	}
	m.open = slices.Delete(m.open, i, i+1)
	for _, over := range [][3]int64{
		{s.Actual.Requests, s.Granted.Requests, s.Overrun.Requests}, {int64(s.Actual.Tokens), int64(s.Granted.Tokens), int64(s.Overrun.Tokens)},
		{int64(s.Actual.Input), int64(s.Granted.Input), int64(s.Overrun.Input)}, {int64(s.Actual.Output), int64(s.Granted.Output), int64(s.Overrun.Output)},
	} {
		if over[0] > over[1]+over[2] {
			m.t.Fatalf("I4: %+v", s)
		}
	}
}

func (m *machine) saw(what string) { m.seen[what]++ }

// pass lets time go by, mostly forward.
func (m *machine) Pass(t *rapid.T) {
	step := rapid.OneOf(rapid.Int64Range(0, 1e6), rapid.Int64Range(0, int64(30*time.Second)), rapid.Int64Range(-int64(time.Hour), 0),
		rapid.SampledFrom([]int64{int64(time.Minute), int64(time.Hour), int64(date), -int64(date)})).Draw(t, "step")
	if step < 0 {
		m.saw("clock back")
	}
	m.now = max(m.now+time.Duration(step), 0)
}

func (m *machine) Reserve(t *rapid.T) {
	m.next++
	r := ledger.Request{ID: ledger.ID(fmt.Sprintf("r%d", m.next)), Account: accounts().Draw(t, "account"), Model: models().Draw(t, "model"),
		Prompt:    outcrop.Usage{Input: rapid.IntRange(0, 4000).Draw(t, "input"), CacheRead: rapid.SampledFrom([]int{0, 0, 1500}).Draw(t, "read")},
		MaxTokens: rapid.SampledFrom([]int{-1, 0, 1, 300, 5000}).Draw(t, "max"), ModelMax: 8192,
		Lease: rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(t, "lease")}
	if rapid.Bool().Draw(t, "provisioned") {
		r.Unit = unitIDs().Draw(t, "unit")
	}
	estimate := m.estimate(r)
	limit, wait := m.oracle.ask(m, r, estimate)
	o := m.apply(ledger.Event{Kind: ledger.Reserve, Now: m.now, Request: r})
	if (o.Refusal == nil) != (limit == ledger.NoLimit) {
		t.Fatalf("refusal %+v, the oracle says %v for %v", o.Refusal, limit, wait)
	}
	if o.Refusal != nil {
		if r.Unit == "" && o.Refusal.Limit != limit {
			t.Fatalf("refusal %+v, the oracle says %v", o.Refusal, limit)
		}
		m.refused(r, o.Refusal, wait)
		return
	}
	m.saw("granted")
	if o.Grant.Output != estimate.Output || o.Grant.Until < m.now {
		t.Fatalf("grant %+v, want an output of %d", o.Grant, estimate.Output)
	}
	m.oracle.take(m, r, estimate)
	m.open = append(m.open, r.ID)
}

func (m *machine) estimate(r ledger.Request) outcrop.Usage {
	u := r.Prompt
	most := r.MaxTokens
	if most == 0 {
		most = r.ModelMax
	}
	switch {
	case most < 0:
	case m.config.Parity:
		u.Output = most
	default:
		learned, _ := m.l.Learned(r.Account, r.Model)
		u.Output = min(learned, most)
	}
	return u
}

// refused checks that the wait is the true one: that the very request is
// granted after it and refused a nanosecond before.
func (m *machine) refused(r ledger.Request, refusal *ledger.Refusal, wait time.Duration) {
	m.saw(refusal.Limit.String())
	if refusal.Wait != wait {
		m.t.Fatalf("%+v, the oracle says wait %v", refusal, wait)
	}
	if refusal.Wait == bucket.Never {
		m.saw("never")
		return
	}
	for _, at := range []time.Duration{m.now + wait - 1, m.now + wait} {
		l := m.copy()
		_, again := l.Reserve(&r, at)
		if granted := again == nil; granted != (at == m.now+wait) {
			m.t.Fatalf("%+v: granted after %v: %v", refusal, at-m.now, granted)
		}
	}
}

// copy is a ledger in the same state, by way of JSON.
func (m *machine) copy() *ledger.Ledger {
	l, err := ledger.Restore(m.config, throughJSON(m.t, m.l.Snapshot()), math.MaxInt64)
	if err != nil {
		m.t.Fatal(err)
	}
	return l
}

func throughJSON[T any](t rapid.TB, in T) T {
	var out T
	b, err := json.Marshal(in)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// some draws an id: mostly an open one, sometimes one that ended or never was.
func (m *machine) some(t *rapid.T) ledger.ID {
	if len(m.open) > 0 && rapid.IntRange(0, 4).Draw(t, "open") > 0 {
		return rapid.SampledFrom(m.open).Draw(t, "id")
	}
	return ledger.ID(fmt.Sprintf("r%d", rapid.IntRange(0, m.next+1).Draw(t, "any id")))
}

func (m *machine) Settle(t *rapid.T) {
	id := m.some(t)
	used := outcrop.Usage{Input: rapid.IntRange(0, 5000).Draw(t, "input"), Output: rapid.IntRange(0, 6000).Draw(t, "output"),
		CacheRead: rapid.IntRange(0, 10).Draw(t, "read"), CacheWrite: rapid.IntRange(0, 10).Draw(t, "written")}
	o := m.apply(ledger.Event{Kind: ledger.Settle, Now: m.now, ID: id, Usage: used})
	m.known(id, o)
	if o.Known {
		m.saw("settled")
		m.oracle.end(m, id, m.oracle.cost(m.oracle.held[id].requested, used, false))
	} else {
		m.saw("settled unknown")
	}
}

// known checks that exactly the open reservations can be ended.
func (m *machine) known(id ledger.ID, o ledger.Outcome) {
	if _, held := m.oracle.held[id]; o.Known != held {
		m.t.Fatalf("%s known: %v, held: %v", id, o.Known, held)
	}
}

func (m *machine) Release(t *rapid.T) {
	id := m.some(t)
	o := m.apply(ledger.Event{Kind: ledger.Release, Now: m.now, ID: id})
	m.known(id, o)
	if o.Known {
		m.saw("released")
		m.oracle.end(m, id, heldBy{})
	}
}

func (m *machine) TopUp(t *rapid.T) {
	id, output := m.some(t), rapid.IntRange(0, 9000).Draw(t, "output")
	before := m.l.Tally().Overrun
	o := m.apply(ledger.Event{Kind: ledger.TopUp, Now: m.now, ID: id, Output: output})
	m.known(id, o)
	if !o.Known {
		return
	}
	if m.l.Tally().Overrun != before {
		m.saw("topped up")
	}
	h := m.oracle.held[id]
	covered := h.estimate
	switch {
	case output > covered.Output:
		covered.Output += (output - covered.Output + ledger.Step - 1) / ledger.Step * ledger.Step
	default:
		covered.Output = min((output+ledger.Step-1)/ledger.Step*ledger.Step, covered.Output)
	}
	m.oracle.grow(m, id, m.oracle.cost(h.requested, covered, false))
}

func (m *machine) Expire(t *rapid.T) {
	if wait, ok := m.l.NextExpiry(m.now); ok && rapid.IntRange(0, 3).Draw(t, "just in time") == 0 {
		m.now += wait
	}
	// Before an event ends a reservation the oracle needs to know at what; it
	// believes the settlement and checks the levels that come of it.
	o := m.apply(ledger.Event{Kind: ledger.Expire, Now: m.now})
	for _, s := range o.Settlements {
		m.saw("expired")
		m.oracle.end(m, s.ID, heldBy{requests: s.Actual.Requests, tokens: int64(s.Actual.Tokens), in: int64(s.Actual.Input), out: int64(s.Actual.Output)})
	}
	if wait, ok := m.l.NextExpiry(m.now); ok && wait <= 0 {
		t.Fatalf("something is due after Expire, in %v", wait)
	}
}

func (m *machine) SetUnit(t *rapid.T) {
	m.setUnit(unitIDs().Draw(t, "unit"), rapid.Int64Range(1, 3).Draw(t, "units"))
}

func (m *machine) setUnit(id string, units int64) {
	u := ledger.Unit{ID: id, Units: units, Window: bucket.MinWindow}
	if u.ID == "pt-a" {
		u.Rates = bucket.Rates{Input: 5000, Output: 3000}
	} else {
		u.Rates = bucket.Rates{Together: 30_000}
	}
	if m.oracle.runs(id) {
		m.saw("unit resized in flight")
	}
	m.apply(ledger.Event{Kind: ledger.SetUnit, Now: m.now, Unit: u})
	d := m.oracle.units[u.ID]
	if d == nil || m.oracle.removed[u.ID] && !m.oracle.runs(u.ID) {
		d = &bucket.Dual{}
		m.oracle.units[u.ID] = d
	}
	d.Resize(m.oracle.latest, u.Rates.Times(u.Units), u.Window)
	m.oracle.removed[u.ID] = false
}

func (m *machine) RemoveUnit(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
		return
	}
	id := unitIDs().Draw(t, "unit")
	m.apply(ledger.Event{Kind: ledger.RemoveUnit, Now: m.now, ID: ledger.ID(id)})
	m.oracle.removed[id] = true
	m.saw("unit removed")
}

// Crash loses the ledger and brings it back from the snapshot and the log.
func (m *machine) Crash(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
		return
	}
	want := m.l.Hash()
	l, err := ledger.Restore(m.baseCfg, throughJSON(t, m.base), math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range throughJSON(t, m.log) {
		l.Apply(e)
	}
	if l.Hash() != want {
		t.Fatalf("I8: %s", cmp.Diff(m.l.Snapshot(), l.Snapshot()))
	}
	m.l = l
	m.save()
	m.saw("crashed")
}

// save makes what is the base.
func (m *machine) save() {
	m.base, m.baseCfg, m.log = m.l.Snapshot(), m.config, nil
	m.then = m.oracle.copy()
}

func (m *machine) Save(*rapid.T) { m.save() }

// CrashWithoutLog loses all since the base, as the server does. The requests
// that were in flight then are gone: they are settled by what is known of them,
// and nothing is held any more.
func (m *machine) CrashWithoutLog(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
		return
	}
	m.now = max(m.now, m.then.latest)
	saved := throughJSON(t, m.base)
	saved.Ended = nil
	l, err := ledger.Restore(m.baseCfg, saved, m.now)
	if err != nil {
		t.Fatal(err)
	}
	m.l, m.log, m.oracle, m.ended = l, nil, m.then.copy(), map[ledger.ID]bool{}
	m.open = nil
	for _, lost := range saved.Leases {
		m.open = append(m.open, lost.ID)
	}
	for _, lost := range saved.Leases {
		used := lost.Estimate
		used.Output = lost.Produced
		if o := m.apply(ledger.Event{Kind: ledger.Settle, Now: m.now, ID: lost.ID, Usage: used}); !o.Known {
			t.Fatalf("%+v is open in the snapshot, and not known after a crash", lost)
		}
		m.oracle.end(m, lost.ID, m.oracle.cost(m.oracle.held[lost.ID].requested, used, false))
		m.saw("settled after a crash")
	}
	if len(m.open) != 0 || m.l.InFlight() != 0 || m.l.Tally().Held != (ledger.Amount{}) {
		t.Fatalf("I9: after a crash %d are open, %d in flight, %+v held", len(m.open), m.l.InFlight(), m.l.Tally().Held)
	}
	m.save()
	m.saw("crashed without the log")
}

// Late delivers an event of the past once more, at its old time.
func (m *machine) Late(t *rapid.T) {
	if len(m.log) == 0 {
		return
	}
	e := rapid.SampledFrom(m.log).Draw(t, "event")
	ends := e.Kind == ledger.Settle || e.Kind == ledger.Release
	if !ends && e.Kind != ledger.Reserve {
		return
	}
	id := e.ID
	if e.Kind == ledger.Reserve {
		id = e.Request.ID
	}
	if !m.ended[id] {
		return
	}
	hash := m.l.Hash()
	o := m.l.Apply(e)
	if m.l.Hash() != hash || o.Known || e.Kind == ledger.Reserve && o.Refusal.Limit != ledger.SeenBefore {
		t.Fatalf("I7: %+v came late and did something: %+v", e, o)
	}
	m.saw("came late")
}

func TestEveryInvariantAfterEveryEvent(t *testing.T) {
	seen := map[string]int{}
	for range 6 { // of 100 runs each
		rapid.Check(t, func(t *rapid.T) { run(t, seen) })
	}
	for _, what := range []string{"granted", "settled", "settled unknown", "released", "topped up", "expired", "crashed", "came late", "clock back", "unit removed", "never",
		"crashed without the log", "settled after a crash", "unit resized in flight",
		"requests-per-minute", "tokens-per-minute", "tokens-per-day", "unit-input", "unit-output", "unit-tokens", "no-unit"} {
		if seen[what] == 0 {
			t.Errorf("never seen: %s", what)
		}
	}
}

func FuzzEveryInvariantAfterEveryEvent(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { run(t, map[string]int{}) }))
}

func run(t *rapid.T, seen map[string]int) {
	m := newMachine(t, seen)
	for _, id := range []string{"pt-a", "pt-b"} {
		m.setUnit(id, 1)
	}
	t.Repeat(map[string]func(*rapid.T){
		"pass": m.Pass, "reserve": m.Reserve, "reserve more": m.Reserve, "and more": m.Reserve, "settle": m.Settle, "release": m.Release, "top up": m.TopUp,
		"expire": m.Expire, "set unit": m.SetUnit, "remove unit": m.RemoveUnit, "crash": m.Crash, "save": m.Save, "crash without the log": m.CrashWithoutLog, "late": m.Late,
	})
	m.now = max(m.now, m.oracle.latest) + 48*time.Hour
	m.Expire(t)
	if m.l.InFlight() != 0 || m.l.Tally().Held != (ledger.Amount{}) {
		t.Fatalf("I9: %d in flight, %+v held at the end", m.l.InFlight(), m.l.Tally().Held)
	}
}
