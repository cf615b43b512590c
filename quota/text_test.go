package quota_test

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The texts of refusals begin with Bedrock's words, and go on with a sentence
// that names the limit, its level, the need, the wait and the request id.
func TestTextsOfRefusals(t *testing.T) {
	const golden = "testdata/refusals.txtar"
	have, err := txtar.ParseFile(golden)
	if err != nil && !*update {
		t.Fatal(err)
	}
	want := map[string]string{}
	if err == nil {
		for _, f := range have.Files {
			want[f.Name] = string(f.Data)
		}
	}
	got := &txtar.Archive{Comment: []byte("What callers are told who are refused.\n")}
	for _, c := range refusals {
		synctest.Test(t, func(t *testing.T) {
			text := refusalText(t, c.settings, c.unit, c.first, c.spill) + "\n"
			got.Files = append(got.Files, txtar.File{Name: c.name, Data: []byte(text)})
			if text != want[c.name] && !*update {
				t.Errorf("%s:\n got %s\nwant %s", c.name, text, want[c.name])
			}
		})
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log("rewritten")
	}
}

var refusals = []struct {
	name     string
	settings quota.Settings
	unit     bucket.Rates // none: on demand
	first    outcrop.Usage
	spill    outcrop.Spill
}{
	{name: "requests-per-minute", settings: limits(ledger.Limits{RequestsPerMinute: 2, Burst: 30 * time.Second}), first: outcrop.Usage{Input: 1}},
	{name: "tokens-per-minute", settings: limits(ledger.Limits{TokensPerMinute: 400_000}), first: outcrop.Usage{Input: 399_000, Output: 1000}},
	{name: "tokens-per-day", settings: limits(ledger.Limits{TokensPerDay: 2_000_000}), first: outcrop.Usage{Input: 2_000_000}},
	{name: "closed", settings: limits(ledger.Limits{TokensPerMinute: ledger.Closed})},
	{name: "unit-input", unit: bucket.Rates{Input: 180_000, Output: 36_000}, first: outcrop.Usage{Input: 61_234}},
	{name: "unit-output", unit: bucket.Rates{Input: 180_000, Output: 12_000}, first: outcrop.Usage{Output: 4380}},
	{name: "unit-tokens", unit: bucket.Rates{Together: 300_000}, first: outcrop.Usage{Input: 104_500, Output: 500}},
	{name: "unit-does-not-wait", settings: quota.Settings{MaxWait: -1}, unit: bucket.Rates{Together: 300_000}, first: outcrop.Usage{Input: 100_500, Output: 500}},
	{name: "unit-and-spill", settings: limits(ledger.Limits{TokensPerDay: ledger.Closed}), unit: bucket.Rates{Together: 300_000}, first: outcrop.Usage{Input: 110_000}, spill: outcrop.SpillPriority},
}

// refusalText uses the usage, and returns what the next request is told.
func refusalText(t *testing.T, s quota.Settings, rates bucket.Rates, first outcrop.Usage, to outcrop.Spill) string {
	t.Helper()
	l := newLimiter(t, quota.Config{Settings: s, Units: only(unit(rates, 1, to))})
	m := l.Model(uses(first))
	ask := func(id string) error {
		req := request("What is the capital of France?", 300)
		req.ID = id
		if rates != (bucket.Rates{}) {
			req = onUnit(req)
		}
		_, err := m.Invoke(t.Context(), req, discard)
		return err
	}
	if first != (outcrop.Usage{}) {
		if err := ask("first"); err != nil {
			t.Fatal(err)
		}
	}
	var e *outcrop.Error
	if !errors.As(ask("7f3a2c10-5b1e-4c0e-9a44-0d7f6a1b2c3d"), &e) || e.Code != outcrop.CodeThrottling {
		t.Fatalf("%+v", e)
	}
	rest, ok := strings.CutPrefix(e.Message, "Too many ")
	if !ok || strings.Count(rest, ". ") != 1 || !strings.HasSuffix(rest, ".") {
		t.Errorf("not Bedrock's words and one sentence: %s", e.Message)
	}
	return e.Message
}
