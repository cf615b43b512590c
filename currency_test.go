package outcrop_test

import (
	"math"
	"testing"

	"github.com/outcrop/outcrop"
)

func TestMoneyIsWrittenWithoutRounding(t *testing.T) {
	for n, want := range map[outcrop.NanoDollars]string{
		0: "0", 1: "0.000000001", 375_000: "0.000375", 250_000_000: "0.25", 3_000_000_000: "3", 100_000_000_000: "100",
		10_000_000_010: "10.00000001", -1_500_000_000: "-1.5", math.MaxInt64: "9223372036.854775807", math.MinInt64: "-9223372036.854775808",
	} {
		if got := n.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(n), got, want)
		}
	}
}
