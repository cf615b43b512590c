package config_test

import (
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/config"
)

func TestAPriceReachesTheCardExactly(t *testing.T) {
	m := config.Model{Price: config.Price{Input: 35_000_000, Output: 140_000_000, CacheWrite: 43_750_000, Batch: .29, Flex: .5, PrioritySurcharge: .75}}
	want := outcrop.Price{Input: 35_000_000, Output: 140_000_000, CacheRead: 35_000_000, CacheWrite: 43_750_000, Batch: 29, Flex: 50, Priority: 175}
	if card := m.Card(); card.Price == nil || *card.Price != want {
		t.Errorf("price %+v, want %+v", card.Price, want)
	}
	m.Price = config.Price{Batch: .5}
	if card := m.Card(); card.Price != nil {
		t.Errorf("a model without a price costs %+v", card.Price)
	}
}
