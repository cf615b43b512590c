// Package price turns tokens into money. It is the one conversion between the
// two, in whole nano-dollars and without any rounding but the last.
package price

import (
	"math"
	"math/bits"

	"github.com/outcrop/outcrop"
)

// Of returns what a request costs that was scheduled in the class and used so
// many tokens: the sum over their kinds of tokens x price of a million / 10^6,
// times the share of the class, rounded up once. What was scheduled as
// provisioned is paid for by the hour and costs nothing more. Negative counts
// count as none; a sum that does not fit is the largest that does.
func Of(p *outcrop.Price, class outcrop.Class, u outcrop.Usage) outcrop.NanoDollars {
	share := uint64(max(percent(p, class), 0))
	var high, low uint64
	for _, kind := range [...]struct {
		tokens int
		price  outcrop.NanoDollars
	}{{u.Input, p.Input}, {u.Output, p.Output}, {u.CacheRead, p.CacheRead}, {u.CacheWrite, p.CacheWrite}} {
		h, l := bits.Mul64(uint64(max(kind.tokens, 0)), uint64(max(kind.price, 0)))
		var carry uint64
		low, carry = bits.Add64(low, l, 0)
		high, carry = bits.Add64(high, h, carry)
		if carry > 0 {
			return math.MaxInt64
		}
	}
	return scaled(high, low, share)
}

// perShare is what a percentage of a price of a million tokens is divided by.
const perShare = 100 * 1_000_000

// scaled returns (high:low) x share / perShare, rounded up.
func scaled(high, low, share uint64) outcrop.NanoDollars {
	over, h := bits.Mul64(high, share)
	carried, l := bits.Mul64(low, share)
	h, carry := bits.Add64(h, carried, 0)
	if over > 0 || carry > 0 || h >= perShare {
		return math.MaxInt64
	}
	quotient, rest := bits.Div64(h, l, perShare)
	if rest > 0 {
		quotient++
	}
	if quotient > math.MaxInt64 {
		return math.MaxInt64
	}
	return outcrop.NanoDollars(quotient)
}

func percent(p *outcrop.Price, class outcrop.Class) int {
	switch class {
	case outcrop.ClassBatch:
		return p.Batch
	case outcrop.ClassFlex:
		return p.Flex
	case outcrop.ClassPriority:
		return p.Priority
	case outcrop.ClassProvisioned:
		return 0
	}
	return 100
}
