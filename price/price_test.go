package price_test

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/price"
)

// haiku is Claude 3 Haiku at its list price: $0.25 and $1.25 for a million.
var haiku = &outcrop.Price{Input: 250_000_000, Output: 1_250_000_000, CacheRead: 25_000_000, CacheWrite: 312_500_000, Batch: 50, Flex: 50, Priority: 175}

func TestWhatARequestCosts(t *testing.T) {
	thousand := outcrop.Usage{Input: 1000, Output: 100}
	for name, c := range map[string]struct {
		class outcrop.Class
		usage outcrop.Usage
		want  outcrop.NanoDollars
	}{
		"on demand":           {outcrop.ClassDefault, thousand, 375_000},
		"batch is half":       {outcrop.ClassBatch, thousand, 187_500},
		"flex is half":        {outcrop.ClassFlex, thousand, 187_500},
		"priority costs more": {outcrop.ClassPriority, thousand, 656_250},
		"provisioned":         {outcrop.ClassProvisioned, thousand, 0},
		"the cache":           {outcrop.ClassDefault, outcrop.Usage{CacheRead: 1000, CacheWrite: 1000}, 337_500},
		"rounded up once":     {outcrop.ClassBatch, outcrop.Usage{CacheRead: 1, CacheWrite: 1}, 169},
		"nothing":             {outcrop.ClassDefault, outcrop.Usage{}, 0},
	} {
		if got := price.Of(haiku, c.class, c.usage); got != c.want {
			t.Errorf("%s: %d nano-dollars, want %d", name, got, c.want)
		}
	}
}

func TestMoneyIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(-3, math.MaxInt64)
		p := &outcrop.Price{
			Input: outcrop.NanoDollars(n.Draw(t, "input")), Output: outcrop.NanoDollars(n.Draw(t, "output")),
			CacheRead: outcrop.NanoDollars(n.Draw(t, "read")), Batch: rapid.IntRange(0, 1000).Draw(t, "batch"),
		}
		tokens := rapid.IntRange(-3, 1<<40)
		u := outcrop.Usage{Input: tokens.Draw(t, "in"), Output: tokens.Draw(t, "out"), CacheRead: tokens.Draw(t, "cached")}
		got := price.Of(p, outcrop.ClassBatch, u)
		if want := exact(p, u); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	})
}

// exact is the same in numbers of any size.
func exact(p *outcrop.Price, u outcrop.Usage) outcrop.NanoDollars {
	sum := new(big.Int)
	for _, k := range [][2]int64{{int64(u.Input), int64(p.Input)}, {int64(u.Output), int64(p.Output)}, {int64(u.CacheRead), int64(p.CacheRead)}} {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(max(k[0], 0)), big.NewInt(max(k[1], 0))))
	}
	sum.Mul(sum, big.NewInt(int64(p.Batch)))
	sum.Add(sum, big.NewInt(99_999_999)).Quo(sum, big.NewInt(100_000_000))
	if !sum.IsInt64() {
		return math.MaxInt64
	}
	return outcrop.NanoDollars(sum.Int64())
}
