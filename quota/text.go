package quota

import (
	"strconv"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/ledger"
)

// Bedrock's words for throttling. SDKs and programs match them.
const (
	tooManyRequests = "Too many requests, please wait before trying again."
	tooManyTokens   = "Too many tokens, please wait before trying again."
	tooManyToday    = "Too many tokens per day, please wait before trying again."
)

func bedrockText(l ledger.Limit) string {
	switch l {
	case ledger.RequestsPerMinute:
		return tooManyRequests
	case ledger.TokensPerDay:
		return tooManyToday
	}
	return tooManyTokens
}

// A refused holds what the text of a refusal tells.
type refused struct {
	text    string         // Bedrock's
	limit   *outcrop.Limit // the first that the request met; the last one refused it
	unit    *unit          // that it named; nil on demand
	maxWait time.Duration  // at the unit
	id      string         // of the request
}

// err is the error that the caller is told: Bedrock's text, and one sentence
// that says which limit it is, how full, what was needed, when to come back,
// and the request id. It may be tried again as soon as any of the limits lets
// it pass.
func (r *refused) err() *outcrop.Error {
	last, wait := r.limit, time.Duration(-1)
	for l := r.limit; l != nil; l = l.Next {
		if last = l; l.Wait >= 0 && (wait < 0 || l.Wait < wait) {
			wait = l.Wait
		}
	}
	b := append(make([]byte, 0, 512), r.text...)
	b = append(b, " Limit: "...)
	b = r.appendLimit(b, last)
	b = append(append(b, "; needed "...), grouped(last.Need)...)
	b = append(append(b, "; "...), free(last.Wait)...)
	switch {
	case last != r.limit:
		b = append(b, "; it came there from the "...)
		b = r.appendLimit(b, r.limit)
		b = append(append(b, ", "...), free(r.limit.Wait)...)
	case r.unit != nil:
		b = r.appendPolicy(b)
	}
	b = append(append(append(b, "; request id "...), r.id...), '.')
	return &outcrop.Error{Code: outcrop.CodeThrottling, Message: string(b), RetryAfter: ceil(max(wait, 0))}
}

// appendLimit appends whose limit it is and how full, as in "tokens per minute
// of account 111111111111 for MODEL, at 398,112 of 400,000 (99 %)".
func (r *refused) appendLimit(b []byte, l *outcrop.Limit) []byte {
	b = append(b, limitName(l.Name)...)
	switch {
	case l.Unit == "":
		b = append(append(append(append(b, " of account "...), l.Account...), " for "...), l.Model...)
	case r.unit != nil:
		_, id, _ := strings.Cut(l.Unit, "/")
		b = append(append(append(append(b, " of unit "...), r.unit.name...), " ("...), id...)
		b = append(b, ')')
	default:
		b = append(b, " of the reserved tier"...)
	}
	b = append(append(b, ", at "...), grouped(l.Level)...)
	b = append(append(b, " of "...), grouped(l.Max)...)
	b = append(append(b, " ("...), strconv.FormatInt(l.Percent, 10)...)
	b = append(b, " %)"...)
	if r.unit != nil && l.Unit != "" {
		b = append(append(append(b, ", which drain at "...), grouped(r.unit.rate(l.Name))...), " a minute"...)
	}
	return b
}

// appendPolicy appends why the request neither waited nor spilled.
func (r *refused) appendPolicy(b []byte) []byte {
	if r.maxWait > 0 {
		b = append(append(append(b, ", longer than the "...), r.maxWait.String()...), " that a request may wait"...)
	}
	if waited := r.limit.Waited.Truncate(time.Millisecond); waited > 0 {
		b = append(append(b, "; waited "...), waited.String()...)
	}
	return append(b, "; spill is off"...)
}

// rate is what the limit of the unit with the name carries in a minute.
func (u *unit) rate(name string) int64 {
	r := u.rates.Times(u.units)
	switch name {
	case ledger.UnitInput.String():
		return r.Input
	case ledger.UnitOutput.String():
		return r.Output
	}
	return r.Together
}

// limitName is a limit's name in a sentence.
func limitName(name string) string {
	switch name {
	case ledger.UnitInput.String():
		return "input tokens"
	case ledger.UnitOutput.String():
		return "output tokens"
	case ledger.UnitTokens.String():
		return "tokens"
	}
	return strings.ReplaceAll(name, "-", " ")
}

func free(wait time.Duration) string {
	if wait < 0 {
		return "not to be had while the limit stays as it is"
	}
	return "free in " + ceil(wait).String()
}

// ceil rounds up to milliseconds, in which retry headers count.
func ceil(d time.Duration) time.Duration {
	if up := d + time.Millisecond - 1; up > d {
		return up.Truncate(time.Millisecond)
	}
	return d
}

// grouped is n with commas between the thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
