package ledger_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
)

const (
	account = "111111111111"
	haiku   = "anthropic.claude-3-haiku-20240307-v1:0"
	sonnet4 = "anthropic.claude-sonnet-4-20250514-v1:0"
)

func limited(l ledger.Limits) *ledger.Ledger {
	return ledger.New(ledger.Config{Rules: []ledger.Rule{{Limits: l}}})
}

func request(id string, input, most int) *ledger.Request {
	return &ledger.Request{ID: ledger.ID(id), Account: account, Model: haiku, Prompt: outcrop.Usage{Input: input}, MaxTokens: most}
}

func mustReserve(t testing.TB, l *ledger.Ledger, r *ledger.Request, now time.Duration) ledger.Grant {
	t.Helper()
	g, refusal := l.Reserve(r, now)
	if refusal != nil {
		t.Fatalf("%s: %+v", r.ID, refusal)
	}
	return g
}

func mustRefuse(t testing.TB, l *ledger.Ledger, r *ledger.Request, now time.Duration) *ledger.Refusal {
	t.Helper()
	g, refusal := l.Reserve(r, now)
	if refusal == nil {
		t.Fatalf("%s was granted %+v", r.ID, g)
	}
	return refusal
}

func TestNothingIsLimitedByDefault(t *testing.T) {
	l := ledger.New(ledger.Config{})
	for i := range 1000 {
		mustReserve(t, l, request(fmt.Sprint(i), math.MaxInt, math.MaxInt), 0)
	}
	if got := l.Status(ledger.Scope{Account: account, Model: haiku}, 0); got != nil {
		t.Errorf("limits %+v", got)
	}
}

func TestAllLimitsAreAskedBeforeAnyIsCharged(t *testing.T) {
	l := limited(ledger.Limits{RequestsPerMinute: 10, TokensPerMinute: 1000, TokensPerDay: 50})
	mustReserve(t, l, request("a", 40, -1), 0)
	before := l.Hash()
	if r := mustRefuse(t, l, request("b", 20, -1), 0); r.Limit != ledger.TokensPerDay || r.Wait != date {
		t.Errorf("%+v", r)
	}
	if l.Hash() != before {
		t.Error("the refusal left a trace")
	}
}

// Budgets that are checked and not reserved let parallel calls all pass.
func TestParallelCallsCannotOverdraw(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 1000})
	granted := 0
	for i := range 100 {
		if _, refusal := l.Reserve(request(fmt.Sprint(i), 90, 10), 0); refusal == nil {
			granted++
		}
	}
	if granted != 10 {
		t.Errorf("%d of 100 were granted, want 10", granted)
	}
}

func TestSettlementIsExact(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 10_000})
	mustReserve(t, l, request("a", 1000, 2000), 0)
	s, ok := l.Settle("a", outcrop.Usage{Input: 1100, Output: 50}, 0)
	if !ok || s.Actual.Tokens != 1150 || s.Granted.Tokens != 2024 || s.Overrun != (ledger.Amount{}) {
		t.Errorf("%+v", s)
	}
	if got := l.Status(ledger.Scope{Account: account, Model: haiku}, 0)[0]; got.Level != 1150 {
		t.Errorf("level %d", got.Level)
	}
}

// A stream that is cancelled pays for what it produced, and one that never
// ran pays nothing.
func TestCancelledStreamsPayForWhatTheyProduced(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 10_000, RequestsPerMinute: 10})
	scope := ledger.Scope{Account: account, Model: haiku}
	mustReserve(t, l, request("cancelled", 1000, 2000), 0)
	l.TopUp("cancelled", 17, 0)
	l.Settle("cancelled", outcrop.Usage{Input: 1000, Output: 17}, 0)
	mustReserve(t, l, request("never ran", 5000, 2000), 0)
	l.Release("never ran", 0)
	if got := l.Status(scope, 0); got[0].Level != 1 || got[1].Level != 1017 || got[2].Level != 1017 {
		t.Errorf("%+v", got)
	}
}

// Reservations that leak block those who pay.
func TestLostSettlementGivesBackWhatWasNotUsed(t *testing.T) {
	l := limited(ledger.Limits{TokensPerDay: 300_000})
	r := request("lost", 100, 9000)
	r.Lease = time.Minute
	for i := range 30 { // so that the estimate is 9000
		mustReserve(t, l, request(fmt.Sprint(i), 0, 1), 0)
		l.Settle(ledger.ID(fmt.Sprint(i)), outcrop.Usage{Output: 9000}, 0)
	}
	if g := mustReserve(t, l, r, 0); g.Output != 9000 || g.Until != time.Minute {
		t.Fatalf("%+v", g)
	}
	l.TopUp("lost", 300, 30*time.Second)
	if got := l.Expire(90*time.Second - 1); got != nil {
		t.Fatalf("expired too early: %+v", got)
	}
	got := l.Expire(90 * time.Second)
	if len(got) != 1 || got[0].ID != "lost" || got[0].Actual.Tokens != 400 || got[0].Held.Tokens != 9100 {
		t.Fatalf("%+v", got)
	}
	if _, ok := l.Settle("lost", outcrop.Usage{Output: 9000}, 91*time.Second); ok {
		t.Error("the late settlement counted")
	}
	if l.InFlight() != 0 || l.Tally().Held != (ledger.Amount{}) || l.Tally().Expired.Tokens != 400 {
		t.Errorf("%+v", l.Tally())
	}
}

func TestRunningRequestIsNeverCut(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 1100})
	mustReserve(t, l, request("a", 0, 100_000), 0)
	for produced := 0; produced <= 100_000; produced += 100 {
		if !l.TopUp("a", produced, 0) {
			t.Fatal("refused")
		}
	}
	got := l.Status(ledger.Scope{Account: account, Model: haiku}, 0)[0]
	if want := int64(1024 + (100_000-1024+255)/256*256); got.Level != want || got.Percent != want*100/1100 {
		t.Errorf("%+v, want level %d", got, want)
	}
	s, _ := l.Settle("a", outcrop.Usage{Output: 100_000}, 0)
	if s.Overrun.Tokens != 100_000-1024 {
		t.Errorf("%+v", s)
	}
}

func TestTopUpReservesInSteps(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 1 << 20})
	mustReserve(t, l, request("a", 10, 1000), 0)
	for _, c := range []struct{ produced, held int }{{0, 1010}, {999, 1010}, {1000, 1010}, {1001, 1266}, {1256, 1266}, {1257, 1522}, {5, 1522}} {
		l.TopUp("a", c.produced, 0)
		if got := l.Tally().Held.Tokens; got != outcrop.QuotaTokens(c.held) {
			t.Errorf("%d produced: %d held, want %d", c.produced, got, c.held)
		}
	}
}

func TestBurndown(t *testing.T) {
	for model, output := range map[string]ledger.Weight{
		haiku: 1000, sonnet4: 5000, "us.anthropic.claude-3-7-sonnet-20250219-v1:0": 5000, "anthropic.claude-opus-4-6-v1": 5000,
		"anthropic.claude-haiku-4-5-20251001-v1:0": 5000, "anthropic.claude-3-5-sonnet-20241022-v2:0": 1000, "amazon.nova-lite-v1:0": 1000,
	} {
		if got := ledger.DefaultBurndown(model).Output; got != output {
			t.Errorf("%s: %d", model, got)
		}
	}
	b := ledger.Burndown{Input: 1000, Output: 5000, CacheRead: 100, CacheWrite: 1250}
	if got := b.Tokens(outcrop.Usage{Input: 1000, Output: 100}); got != 1500 {
		t.Errorf("%d", got)
	}
	if got := b.Tokens(outcrop.Usage{CacheRead: 1, CacheWrite: 1}); got != 2 {
		t.Errorf("1.35 tokens count %d", got)
	}
	huge := outcrop.Usage{Input: math.MaxInt, Output: math.MaxInt, CacheRead: math.MaxInt, CacheWrite: math.MaxInt}
	if got := b.Tokens(huge); got <= 0 {
		t.Errorf("%d", got)
	}
	if got := b.Tokens(outcrop.Usage{Input: -5, Output: math.MinInt}); got != 0 {
		t.Errorf("%d", got)
	}
}

func TestParityReservesAsBedrockDoes(t *testing.T) {
	c := ledger.Config{Parity: true, Rules: []ledger.Rule{{Limits: ledger.Limits{TokensPerMinute: 2_000_000}}}}
	l := ledger.New(c)
	r := &ledger.Request{Account: account, Model: sonnet4, Prompt: outcrop.Usage{Input: 400, CacheRead: 60, CacheWrite: 40}, ModelMax: 64_000}
	granted := 0
	for i := range 1000 {
		r.ID = ledger.ID(fmt.Sprint(i))
		if _, refusal := l.Reserve(r, 0); refusal == nil {
			granted++
		}
	}
	if granted != 31 {
		t.Errorf("%d in flight, want 31", granted)
	}
	s, _ := l.Settle("0", outcrop.Usage{Input: 400, CacheRead: 60, CacheWrite: 40, Output: 100}, 0)
	if s.Granted.Tokens != 64_500 || s.Actual.Tokens != 940 {
		t.Errorf("%+v", s)
	}
	r.ID, r.MaxTokens = "too large", 2_000_001
	if refusal := mustRefuse(t, l, r, 0); refusal.Wait != bucket.Never {
		t.Errorf("%+v", refusal)
	}
}

func TestLargeRequestWaitsForAnEmptyLevel(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 600, TokensPerDay: 1 << 40})
	mustReserve(t, l, request("small", 100, -1), 0)
	refusal := mustRefuse(t, l, request("large", 6000, -1), 0)
	if refusal.Wait != 10*time.Second {
		t.Fatalf("%+v", refusal)
	}
	mustReserve(t, l, request("large", 6000, -1), 10*time.Second)
	if refusal := mustRefuse(t, l, request("next", 600, -1), 10*time.Second); refusal.Wait != 10*time.Minute || refusal.Percent != 1000 {
		t.Errorf("%+v", refusal)
	}
}

func TestRulesInheritFieldByField(t *testing.T) {
	c := ledger.Config{Rules: []ledger.Rule{
		{Limits: ledger.Limits{RequestsPerMinute: 10, TokensPerMinute: 1000}},
		{Model: haiku, Limits: ledger.Limits{TokensPerMinute: 2000, Burst: 30 * time.Second}},
		{Account: account, Limits: ledger.Limits{RequestsPerMinute: 30}},
		{Account: account, Model: haiku, Limits: ledger.Limits{TokensPerDay: 99}},
		{Account: "closed", Limits: ledger.Limits{RequestsPerMinute: ledger.Closed}},
		{Account: "free", Limits: ledger.Limits{RequestsPerMinute: ledger.Unlimited, TokensPerMinute: ledger.Unlimited}},
	}}
	l := ledger.New(c)
	for _, want := range []struct {
		scope         ledger.Scope
		rpm, tpm, tpd int64
	}{
		{ledger.Scope{Account: account, Model: haiku}, 15, 1000, 99},
		{ledger.Scope{Account: account, Model: sonnet4}, 30, 1000, 1_440_000},
		{ledger.Scope{Account: "2", Model: haiku}, 5, 1000, 2_880_000},
		{ledger.Scope{Account: "closed", Model: haiku}, 0, 1000, 2_880_000},
	} {
		got := l.Status(want.scope, 0)
		if len(got) != 3 || got[0].Max != want.rpm || got[1].Max != want.tpm || got[2].Max != want.tpd {
			t.Errorf("%+v: %+v", want.scope, got)
		}
	}
	if got := l.Status(ledger.Scope{Account: "free", Model: haiku}, 0); got != nil {
		t.Errorf("free: %+v", got)
	}
	r := request("a", 1, 1)
	r.Account = "closed"
	if refusal := mustRefuse(t, l, r, 0); refusal.Wait != bucket.Never || refusal.Limit != ledger.RequestsPerMinute {
		t.Errorf("%+v", refusal)
	}
}

func TestConfigureKeepsLevels(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 1000})
	mustReserve(t, l, request("a", 1000, -1), 0)
	rule := func(tpm outcrop.QuotaTokens) ledger.Config {
		return ledger.Config{Rules: []ledger.Rule{{Limits: ledger.Limits{TokensPerMinute: tpm}}}}
	}
	l.Configure(rule(4000), 0)
	mustReserve(t, l, request("b", 3000, -1), 0)
	l.Configure(rule(ledger.Closed), 0)
	if r := mustRefuse(t, l, request("c", 1, -1), time.Hour); r.Wait != bucket.Never {
		t.Errorf("%+v", r)
	}
	l.Configure(rule(ledger.Unlimited), 0)
	mustReserve(t, l, request("c", 1<<30, -1), time.Hour)
	l.Configure(rule(1000), time.Hour)
	mustReserve(t, l, request("d", 1000, -1), time.Hour)
	for _, id := range []ledger.ID{"a", "b", "c", "d"} {
		l.Settle(id, outcrop.Usage{}, time.Hour)
	}
	if err := l.Check(); err != nil || l.Tally().Held != (ledger.Amount{}) {
		t.Errorf("%v %+v", err, l.Tally())
	}
}

// A limit that is lifted is not measured any more, and what was used of it
// does not come back with it: neither here nor in a ledger that was restored
// in between.
func TestALiftedLimitIsForgotten(t *testing.T) {
	rule := func(l ledger.Limits) ledger.Config { return ledger.Config{Rules: []ledger.Rule{{Limits: l}}} }
	for name, limits := range map[string]ledger.Limits{
		"requests-per-minute": {RequestsPerMinute: 1},
		"tokens-per-minute":   {TokensPerMinute: 100},
		"tokens-per-day":      {TokensPerDay: 100},
	} {
		t.Run(name, func(t *testing.T) {
			l := limited(limits)
			mustReserve(t, l, request("a", 100, -1), 0)
			mustRefuse(t, l, request("b", 100, -1), 0)
			l.Configure(ledger.Config{}, 0)
			back, err := ledger.Restore(ledger.Config{}, l.Snapshot(), 0)
			if err != nil || back.Hash() != l.Hash() {
				t.Fatalf("restored as another ledger: %v", err)
			}
			for _, l := range []*ledger.Ledger{l, back} {
				l.Configure(rule(limits), 0)
				mustReserve(t, l, request("b", 100, -1), 0)
			}
		})
	}
}

func TestRefusalTellsAll(t *testing.T) {
	l := limited(ledger.Limits{RequestsPerMinute: 2, TokensPerMinute: 10_000})
	mustReserve(t, l, request("a", 9500, -1), 0)
	got := *mustRefuse(t, l, request("b", 800, -1), 0)
	want := ledger.Refusal{Scope: ledger.Scope{Account: account, Model: haiku}, Limit: ledger.TokensPerMinute,
		Level: 9500, Max: 10_000, Need: 800, Percent: 95, Wait: 1800 * time.Millisecond}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	mustReserve(t, l, request("c", 1, -1), 0)
	if got := mustRefuse(t, l, request("d", 1, -1), 0); got.Limit != ledger.RequestsPerMinute || got.Wait != 30*time.Second {
		t.Errorf("%+v", got)
	}
	l = limited(ledger.Limits{TokensPerDay: 1})
	mustReserve(t, l, request("a", 1, -1), date-time.Hour)
	if got := mustRefuse(t, l, request("b", 1, -1), date-time.Hour); got.Limit != ledger.TokensPerDay || got.Wait != time.Hour {
		t.Errorf("%+v", got)
	}
}

func TestEveryLimitHasItsOwnName(t *testing.T) {
	seen := map[string]bool{}
	for limit := ledger.NoLimit; limit <= ledger.SeenBefore; limit++ {
		if limit.String() == "" || seen[limit.String()] {
			t.Errorf("limit %d is called %q", limit, limit)
		}
		seen[limit.String()] = true
	}
	if got := ledger.Limit(200).String(); got != "" {
		t.Errorf("%q", got)
	}
}

func TestUnitFollowsAzuresRule(t *testing.T) {
	l := ledger.New(ledger.Config{})
	l.SetUnit(ledger.Unit{ID: "pt", Rates: bucket.Rates{Input: 180_000, Output: 36_000}, Units: 1, Window: 20 * time.Second}, 0)
	big := request("big", 500_000, 100)
	big.Unit = "pt"
	mustReserve(t, l, big, 0)
	next := request("next", 1, 1)
	next.Unit = "pt"
	refusal := mustRefuse(t, l, next, 0)
	if refusal.Limit != ledger.UnitInput || refusal.Max != 60_000 || refusal.Percent != 833 {
		t.Errorf("%+v", refusal)
	}
	if want := time.Duration(440_000)*time.Minute/180_000 + 1; refusal.Wait != want {
		t.Errorf("wait %v, want %v", refusal.Wait, want)
	}
	if _, ok := l.Settle("big", outcrop.Usage{Input: 1000, Output: 10}, 0); !ok {
		t.Fatal("unknown")
	}
	if g := mustReserve(t, l, next, 0); g.Reserved != (ledger.Amount{Input: 1, Output: 1}) {
		t.Errorf("%+v", g)
	}
}

func TestUnitIsRemovedWhenNothingRunsOnIt(t *testing.T) {
	l := ledger.New(ledger.Config{})
	unit := ledger.Unit{ID: "pt", Rates: bucket.Rates{Together: 600}, Units: 1}
	l.SetUnit(unit, 0)
	r := request("a", 1000, -1)
	r.Unit = "pt"
	mustReserve(t, l, r, 0)
	l.RemoveUnit("pt")
	l.RemoveUnit("unknown")
	r.ID = "b"
	if refusal := mustRefuse(t, l, r, 0); refusal.Limit != ledger.NoUnit {
		t.Errorf("%+v", refusal)
	}
	l.SetUnit(unit, 0)
	if refusal := mustRefuse(t, l, r, 0); refusal.Limit != ledger.UnitTokens {
		t.Errorf("what is owed was forgotten: %+v", refusal)
	}
	l.RemoveUnit("pt")
	if _, ok := l.Settle("a", outcrop.Usage{Input: 1000}, 0); !ok {
		t.Error("unknown")
	}
	mustReserve(t, l, request("c", 1, 1), 0) // sweeps
	if got := l.Status(ledger.Scope{Unit: "pt"}, 0); got != nil {
		t.Errorf("still there: %+v", got)
	}
	l.SetUnit(unit, 0)
	mustReserve(t, l, r, 0)
}

func TestMidnight(t *testing.T) {
	l := limited(ledger.Limits{TokensPerDay: 1000})
	mustReserve(t, l, request("before", 900, -1), date-1)
	mustRefuse(t, l, request("x", 900, -1), date-1)
	mustReserve(t, l, request("after", 900, -1), date)
	// What was admitted yesterday counts on no other day: neither what it
	// gives back nor what it uses beyond its estimate.
	l.Settle("before", outcrop.Usage{Input: 5000}, date)
	if got := l.Status(ledger.Scope{Account: account, Model: haiku}, date); got[0].Level != 900 {
		t.Errorf("%+v", got)
	}
	// The clock goes back over midnight.
	if r := mustRefuse(t, l, request("y", 900, -1), date-time.Hour); r.Wait != 25*time.Hour {
		t.Errorf("%+v", r)
	}
}

func TestRestoreAfterTheClockWasSetBack(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 600})
	start := 100 * date
	mustReserve(t, l, request("a", 600, -1), start)
	for _, c := range []struct {
		now, wait time.Duration
	}{{start, 60 * time.Second}, {start + 45*time.Second, 15 * time.Second}, {start - 5*date, 60 * time.Second}} {
		back, err := ledger.Restore(ledger.Config{Rules: []ledger.Rule{{Limits: ledger.Limits{TokensPerMinute: 600, TokensPerDay: ledger.Unlimited}}}}, l.Snapshot(), c.now)
		if err != nil {
			t.Fatal(err)
		}
		refusal := mustRefuse(t, back, request("b", 600, -1), c.now)
		if refusal.Wait != c.wait {
			t.Errorf("the clock shows %v: %+v", c.now-start, refusal)
		}
		mustReserve(t, back, request("b", 600, -1), c.now+c.wait)
	}
}

func TestRestoreRefusesContradictions(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 600})
	mustReserve(t, l, request("ended", 1, -1), 0)
	l.Settle("ended", outcrop.Usage{}, 0)
	mustReserve(t, l, request("open", 10, -1), 0)
	for name, spoil := range map[string]func(*ledger.Snapshot){
		"meter twice":   func(s *ledger.Snapshot) { s.Meters = append(s.Meters, s.Meters[0]) },
		"no meter":      func(s *ledger.Snapshot) { s.Meters = nil },
		"lease twice":   func(s *ledger.Snapshot) { s.Leases = append(s.Leases, s.Leases[0]) },
		"no lease":      func(s *ledger.Snapshot) { s.Leases = nil },
		"held":          func(s *ledger.Snapshot) { s.Leases[0].Held.Tokens++ },
		"ended twice":   func(s *ledger.Snapshot) { s.Ended = append(s.Ended, s.Ended[0]) },
		"ended is open": func(s *ledger.Snapshot) { s.Ended[0].How = 0 },
		"tally":         func(s *ledger.Snapshot) { s.Gone.Settled.Tokens++ },
		"negative":      func(s *ledger.Snapshot) { s.Gone.Settled.Tokens--; s.Gone.Reserved.Tokens-- },
		"time":          func(s *ledger.Snapshot) { s.Last = -1 },
		"day":           func(s *ledger.Snapshot) { s.Day = math.MaxInt64 },
		"unit":          func(s *ledger.Snapshot) { s.Meters[0].Unit = &ledger.Unit{} },
	} {
		s := throughJSON(t, l.Snapshot())
		spoil(&s)
		if _, err := ledger.Restore(ledger.Config{}, s, 0); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestLearnedEstimateIsThe95thPercentile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger.New(ledger.Config{})
		var outputs []int
		for i := range rapid.IntRange(0, 1200).Draw(t, "outputs") {
			id := fmt.Sprint(i)
			if _, refusal := l.Reserve(request(id, 1, 0), 0); refusal != nil {
				t.Fatal(refusal)
			}
			output := rapid.IntRange(0, 50).Draw(t, "output")
			l.Settle(ledger.ID(id), outcrop.Usage{Output: output}, 0)
			if output > 0 {
				outputs = append(outputs, output)
			}
		}
		last := slices.Sorted(slices.Values(outputs[max(0, len(outputs)-512):]))
		want := 1024
		if len(last) >= 20 {
			want = last[int(math.Ceil(0.95*float64(len(last))))-1]
		}
		got, n := l.Learned(account, haiku)
		if got != want || n != len(last) {
			t.Fatalf("%d of %d outputs, want %d of %d", got, n, want, len(last))
		}
		if g, _ := l.Reserve(request("clipped", 1, 10), 0); g.Output != min(want, 10) {
			t.Fatalf("reserved for %d", g.Output)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	l := ledger.New(ledger.Config{Rules: []ledger.Rule{{Limits: ledger.Limits{RequestsPerMinute: 600, TokensPerMinute: 60_000, TokensPerDay: ledger.Unlimited}}},
		Remember: 100, Learned: 50})
	most := 0
	for i := range 20_000 {
		now := time.Duration(i) * 10 * time.Millisecond
		r := request(fmt.Sprint(i), 100, 100)
		r.Account = fmt.Sprint("account ", i)
		mustReserve(t, l, r, now)
		l.Settle(r.ID, outcrop.Usage{Input: 100, Output: 50}, now)
		most = max(most, l.Meters())
	}
	// A request drains within 150 ms, which is the time of 15 requests.
	if most > 60 {
		t.Errorf("%d meters", most)
	}
	s := l.Snapshot()
	if len(s.Ended) != 100 || len(s.Learned) != 50 {
		t.Errorf("%d ended ids, %d learned", len(s.Ended), len(s.Learned))
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}

// I10: events of different scopes commute.
func TestIndependentEventsCommute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := ledger.Config{Rules: []ledger.Rule{{Limits: ledger.Limits{RequestsPerMinute: 5, TokensPerMinute: 3000, TokensPerDay: 9000}}}}
		draw := func(account string) []ledger.Event {
			var events []ledger.Event
			for i := range rapid.IntRange(0, 10).Draw(t, "events") {
				id := ledger.ID(fmt.Sprint(account, "-", rapid.IntRange(0, i).Draw(t, "id")))
				r := request(string(id), rapid.IntRange(0, 1000).Draw(t, "input"), 500)
				r.Account = account
				events = append(events, ledger.Event{Kind: rapid.SampledFrom([]ledger.Kind{ledger.Reserve, ledger.TopUp, ledger.Settle, ledger.Release}).Draw(t, "kind"),
					ID: id, Request: *r, Output: rapid.IntRange(0, 2000).Draw(t, "produced"), Usage: outcrop.Usage{Output: rapid.IntRange(0, 2000).Draw(t, "output")}})
			}
			return events
		}
		a, b := draw("a"), draw("b")
		one, two := ledger.New(config), ledger.New(config)
		for _, e := range slices.Concat(a, b) {
			one.Apply(e)
		}
		for len(a)+len(b) > 0 {
			from := &a
			if len(a) == 0 || len(b) > 0 && rapid.Bool().Draw(t, "b") {
				from = &b
			}
			two.Apply((*from)[0])
			*from = (*from)[1:]
		}
		if one.Hash() != two.Hash() {
			t.Fatalf("%+v\n%+v", one.Snapshot(), two.Snapshot())
		}
	})
}

// I11: the state depends on no clock but the argument, and a time before the
// latest one counts as that latest one.
func TestTimeIsClamped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := ledger.Config{Rules: []ledger.Rule{{Limits: ledger.Limits{RequestsPerMinute: 50, TokensPerMinute: 3000}}}}
		jumpy, clamped := ledger.New(config), ledger.New(config)
		latest := time.Duration(0)
		for i := range rapid.IntRange(1, 40).Draw(t, "events") {
			now := time.Duration(rapid.Int64Range(-int64(time.Second), int64(2*date)).Draw(t, "now"))
			latest = max(latest, now)
			id := ledger.ID(fmt.Sprint(rapid.IntRange(0, i).Draw(t, "id")))
			e := ledger.Event{Kind: rapid.SampledFrom([]ledger.Kind{ledger.Reserve, ledger.Reserve, ledger.Settle, ledger.Expire}).Draw(t, "kind"), ID: id,
				Request: *request(string(id), rapid.IntRange(0, 1000).Draw(t, "input"), 500), Now: now}
			jumpy.Apply(e)
			e.Now = latest
			clamped.Apply(e)
			if jumpy.Hash() != clamped.Hash() {
				t.Fatalf("%+v\n%+v", jumpy.Snapshot(), clamped.Snapshot())
			}
		}
	})
}

func TestUnknownIDsAreHarmless(t *testing.T) {
	l := ledger.New(ledger.Config{})
	before := l.Hash()
	if l.TopUp("x", 1, 0) {
		t.Error("topped up")
	}
	if _, ok := l.Settle("x", outcrop.Usage{Output: 1}, 0); ok {
		t.Error("settled")
	}
	if _, ok := l.Release("x", 0); ok {
		t.Error("released")
	}
	if _, ok := l.NextExpiry(0); ok || l.Expire(math.MaxInt64) != nil {
		t.Error("expired")
	}
	r := request("r", 1, 1)
	r.Unit = "x"
	if refusal := mustRefuse(t, l, r, 0); refusal.Limit != ledger.NoUnit || refusal.Wait != bucket.Never {
		t.Errorf("%+v", refusal)
	}
	l = ledger.New(ledger.Config{})
	if l.Hash() != before {
		t.Error("a new ledger has another hash")
	}
}
