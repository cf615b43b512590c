package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
)

// The tests of this file compute the examples of docs/quotas.md, under its
// headings.

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, docs/quotas.md says %v", what, got, want)
	}
}

func TestDocsQuotaTokens(t *testing.T) {
	used := outcrop.Usage{Input: 1000, CacheRead: 200, CacheWrite: 100, Output: 100}
	equal(t, "on demand", ledger.DefaultBurndown(sonnet4).Tokens(used), 1600)
	l := ledger.New(ledger.Config{})
	l.SetUnit(ledger.Unit{ID: "pt", Rates: bucket.Rates{Input: 1, Output: 1}, Units: 1}, 0)
	mustReserve(t, l, &ledger.Request{ID: "a", Account: account, Model: sonnet4, Unit: "pt"}, 0)
	s, _ := l.Settle("a", used, 0)
	equal(t, "provisioned", s.Actual, ledger.Amount{Input: 1145, Output: 100})
}

func TestDocsReservation(t *testing.T) {
	l := ledger.New(ledger.Config{})
	r := &ledger.Request{Account: account, Model: sonnet4, Prompt: outcrop.Usage{Input: 1000}, MaxTokens: 500, ModelMax: 64_000}
	for i := range 40 {
		r.ID = ledger.ID(fmt.Sprint(i))
		mustReserve(t, l, r, 0)
		l.Settle(r.ID, outcrop.Usage{Output: 313 + i}, 0) // the 38th is 350
	}
	r.ID = "learned"
	equal(t, "learned", mustReserve(t, l, r, 0).Reserved.Tokens, 2750)
	s, _ := l.Settle("learned", outcrop.Usage{Input: 1000, Output: 120}, 0)
	equal(t, "goes back", s.Held.Tokens-s.Actual.Tokens, 1150)

	l = ledger.New(ledger.Config{Parity: true, Rules: []ledger.Rule{{Limits: ledger.Limits{TokensPerMinute: 2_000_000}}}})
	r.ID = "parity"
	equal(t, "parity", mustReserve(t, l, r, 0).Reserved.Tokens, 1500)
	l.Release("parity", 0)
	r.MaxTokens = 0
	granted := 0
	for i := range 100 {
		r.ID = ledger.ID(fmt.Sprint(i))
		if g, refusal := l.Reserve(r, 0); refusal == nil {
			equal(t, "without max_tokens", g.Reserved.Tokens, 65_000)
			granted++
		}
	}
	equal(t, "at a time", granted, 30)
}

func TestDocsByTheMinute(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 10_000})
	mustReserve(t, l, request("a", 9500, -1), 0)
	equal(t, "800", mustRefuse(t, l, request("b", 800, -1), 0).Wait, 1800*time.Millisecond)
	equal(t, "15,000", mustRefuse(t, l, request("c", 15_000, -1), 0).Wait, 57*time.Second)
	mustReserve(t, l, request("c", 15_000, -1), 57*time.Second)
	equal(t, "after it", mustRefuse(t, l, request("d", 800, -1), 57*time.Second).Wait, 34_800*time.Millisecond)

	l = limited(ledger.Limits{RequestsPerMinute: 60, Burst: 10 * time.Second})
	for i := range 10 {
		mustReserve(t, l, request(fmt.Sprint(i), 1, -1), 0)
	}
	equal(t, "the eleventh", mustRefuse(t, l, request("eleventh", 1, -1), 0).Wait, time.Second)
	mustReserve(t, l, request("eleventh", 1, -1), time.Second)
	equal(t, "the twelfth", mustRefuse(t, l, request("twelfth", 1, -1), time.Second).Wait, time.Second)
}

func TestDocsByTheDay(t *testing.T) {
	l := limited(ledger.Limits{TokensPerMinute: 10_000})
	mustReserve(t, l, request("a", 14_399_500, -1), 0)
	at := 22*time.Hour + 30*time.Minute
	refusal := mustRefuse(t, l, request("c", 800, -1), at)
	equal(t, "limit", refusal.Limit, ledger.TokensPerDay)
	equal(t, "of", refusal.Max, 14_400_000)
	equal(t, "wait", refusal.Wait, 90*time.Minute)
}

func TestDocsProvisioned(t *testing.T) {
	d := bucket.NewDual(bucket.Rates{Input: 180_000, Output: 36_000}.Times(2), bucket.DefaultWindow)
	equal(t, "input", d.Input().Burst(), 120_000)
	equal(t, "output", d.Output().Burst(), 24_000)
	d.Add(0, 50_400, 24_720)
	in, out := d.Percent(0)
	equal(t, "levels", fmt.Sprint(in, out), "42 103")
	wait, output := d.Wait(0)
	equal(t, "wait", wait, 600*time.Millisecond+1)
	equal(t, "for the output", output, true)
	four := d
	four.Resize(0, bucket.Rates{Input: 180_000, Output: 36_000}.Times(4), bucket.DefaultWindow)
	_, out = four.Percent(0)
	equal(t, "four units", out, 51)
	equal(t, "four units take", four.Take(0, 1, 1), 0)
	d.Take(600*time.Millisecond+1, 200_000, 0)
	in, _ = d.Percent(600*time.Millisecond + 1)
	equal(t, "after a large one", in, 205)
}

func TestDocsWhileItRuns(t *testing.T) {
	l := ledger.New(ledger.Config{})
	mustReserve(t, l, request("a", 0, 1000), 0)
	for _, c := range [][2]int64{{1001, 1256}, {1256, 1256}, {1257, 1512}} {
		l.TopUp("a", int(c[0]), 0)
		equal(t, fmt.Sprint("at ", c[0]), int64(l.Tally().Held.Tokens), c[1])
	}
}

func TestDocsLostLease(t *testing.T) {
	l := ledger.New(ledger.Config{})
	g := mustReserve(t, l, request("a", 100, 1000), 0)
	l.TopUp("a", 300, 0)
	s := l.Expire(g.Until)
	equal(t, "charged", s[0].Actual.Tokens, 400)
	equal(t, "back", s[0].Held.Tokens-s[0].Actual.Tokens, 700)
}
