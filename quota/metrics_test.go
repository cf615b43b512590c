package quota_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limits(ledger.Limits{RequestsPerMinute: 2})
		s.Reserved = []quota.Reserved{{Account: account, Model: haiku, InputTokensPerMinute: 600, OutputTokensPerMinute: 600}}
		l := newLimiter(t, quota.Config{Settings: s, Units: only(unit(bucket.Rates{Input: 600, Output: 600}, 2, outcrop.SpillFlex))})
		reg := prometheus.NewPedanticRegistry()
		if err := reg.Register(l.Collector()); err != nil {
			t.Fatal(err)
		}
		m := l.Model(uses(outcrop.Usage{Input: 600, Output: 100}))
		for range 4 { // 1 on the unit, 2 spilled, 1 refused
			_, _ = m.Invoke(t.Context(), onUnit(request("Hi", 10)), discard)
		}
		other := request("Hi", 10)
		other.Principal = &outcrop.Principal{Account: "222222222222"}
		if _, err := m.Invoke(t.Context(), other, discard); err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, x := range f.GetMetric() {
				name := f.GetName()
				for _, p := range x.GetLabel() {
					if strings.Contains(p.GetValue(), account) || strings.Contains(p.GetValue(), other.Principal.Account) {
						t.Errorf("%s names an account: %v", name, x)
					}
					if p.GetName() == "limit" || p.GetName() == "class" || p.GetName() == "kind" {
						name += " " + p.GetValue()
					}
				}
				got[name] += x.GetCounter().GetValue() + x.GetGauge().GetValue()
			}
		}
		for name, want := range map[string]float64{
			"outcrop_unit_admitted_total":                     1,
			"outcrop_unit_spilled_total flex":                 3,
			"outcrop_quota_admitted_total":                    3, // of two accounts
			"outcrop_quota_refused_total requests-per-minute": 1,
			"outcrop_quota_fullest_ratio requests-per-minute": 1,
			"outcrop_quota_tokens_total used":                 2100,
			"outcrop_quota_in_flight":                         0,
			"outcrop_unit_limit unit-input":                   400,
			"outcrop_unit_level unit-input":                   600,
			"outcrop_unit_used_ratio output":                  0.01,
		} {
			if v, ok := got[name]; !ok || v != want {
				t.Errorf("%s is %v, want %v", name, v, want)
			}
		}
	})
}
