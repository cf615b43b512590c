package main

import "testing"

func TestASmallHeapIsLeftAloneAndALargeOneCollectedAsEver(t *testing.T) {
	for live, want := range map[uint64]int{0: 100, 1: 1600, 2 << 20: 1500, 8 << 20: 300, 12 << 20: 166, 16 << 20: 100, 1 << 30: 100} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d", live, got, want)
		}
	}
}
