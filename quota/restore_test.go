package quota_test

import (
	"slices"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/quota"
)

func TestUnitsThatAreGoneAreNotRestored(t *testing.T) {
	const other = unitARN + "2"
	there := map[string]bool{unitARN: true, other: true}
	units := func(arn string) (quota.Unit, bool) {
		u := quota.Unit{Rates: bucket.Rates{Input: 6000, Output: 6000}}
		u.Units = 1
		return u, there[arn]
	}
	s := quota.Settings{Reserved: []quota.Reserved{
		{Account: account, Model: haiku, InputTokensPerMinute: 6000, OutputTokensPerMinute: 6000},
		{Account: account, Model: "gone", InputTokensPerMinute: 6000, OutputTokensPerMinute: 6000},
	}}
	l := newLimiter(t, quota.Config{Settings: s, Units: units})
	for arn := range there {
		req := request("Hi", 10)
		req.Unit = arn
		if _, err := l.Model(uses(outcrop.Usage{Input: 8})).Invoke(t.Context(), req, discard); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := l.Snapshot()

	there[other], s.Reserved = false, s.Reserved[:1]
	again := newLimiter(t, quota.Config{Settings: s, Units: units, Restore: &snapshot})
	again.ForgetUnits()
	if err := again.Check(); err != nil {
		t.Error(err)
	}
	var kept []string
	for _, m := range again.Snapshot().Meters {
		if m.Scope.Unit != "" {
			kept = append(kept, m.Scope.Unit)
		}
	}
	if want := []string{unitARN, "reserved/" + account + "/" + haiku}; !slices.Equal(kept, want) {
		t.Errorf("%v are kept, want %v", kept, want)
	}
}
