package outcrop

import (
	"bytes"
	"strconv"
)

// The three currencies are three types, so that none is ever added to, or
// compared with, another. A conversion between two of them is a formula with a
// name, never a cast.

// QuotaTokens count against limits: tokens weighted by the burndown of the
// model, rounded up to whole ones for each request. They protect the bill and
// say nothing of what an engine does or of what a token costs.
type QuotaTokens int64

// ServiceTokens count what an engine does: tokens weighted by what they cost
// the engine, in units of one uncached token of a prompt. Capacity and
// fairness are measured in them.
type ServiceTokens int64

// NanoDollars are money, in units of 1e-9 US dollars. The range is about plus
// and minus 9.2 billion dollars.
type NanoDollars int64

// String returns the amount in dollars, as a decimal number without rounding.
func (n NanoDollars) String() string { return string(n.Append(nil)) }

// Append appends the amount as String returns it.
func (n NanoDollars) Append(b []byte) []byte {
	const dollar = 1_000_000_000
	rest := uint64(n)
	if n < 0 {
		b, rest = append(b, '-'), -rest
	}
	b = strconv.AppendUint(b, rest/dollar, 10)
	if rest %= dollar; rest == 0 {
		return b
	}
	point := len(b)
	b = strconv.AppendUint(b, dollar+rest, 10) // its first digit stands where the point goes
	b[point] = '.'
	return bytes.TrimRight(b, "0")
}
