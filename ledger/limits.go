package ledger

import (
	"strings"
	"time"

	"github.com/outcrop/outcrop"
)

// Values of a limit that are not numbers. 0 inherits.
const (
	Unlimited = -1 // there is no limit
	Closed    = -2 // nothing is admitted
)

// Limits are those of one account's on-demand use of one model. A field that
// is 0 inherits, in this order: from the rule for the account and the model,
// the account, the model, all; and in the end the default named at the field.
type Limits struct {
	RequestsPerMinute int64               // Unlimited
	TokensPerMinute   outcrop.QuotaTokens // Unlimited
	// TokensPerDay is by default TokensPerMinute x 1440, as on Bedrock
	// [service quotas of Amazon Bedrock].
	TokensPerDay outcrop.QuotaTokens
	// Burst is how much of a limit per minute may come at once: one minute's
	// worth by default, and at least one request.
	Burst time.Duration
	// Burndown is by default DefaultBurndown of the model.
	Burndown Burndown
}

// A Rule sets limits for a scope. An empty Account or Model stands for all.
type Rule struct {
	Account, Model string
	Limits         Limits
}

// A Scope is what a limit belongs to: an account's use of a model, or a
// provisioned unit.
type Scope struct{ Account, Model, Unit string }

// A Weight is what a token counts, in thousandths: 1000 counts it once.
// Weights are clamped to 0 and 1,000,000.
type Weight int64

// Once counts each token once.
const Once Weight = 1000

// A Burndown is what the tokens of a request count as quota tokens:
//
//	ceil((Input*input + Output*output + CacheRead*read + CacheWrite*written) / 1000)
type Burndown struct{ Input, Output, CacheRead, CacheWrite Weight }

// UnitBurndown is the default of provisioned units: cached tokens of a prompt
// count a tenth, those written to the cache a quarter more, as with
// Anthropic's priority tier.
var UnitBurndown = Burndown{Input: Once, Output: Once, CacheRead: 100, CacheWrite: 1250}

// unweighted is what Bedrock reserves by [Bedrock user guide, token burndown].
var unweighted = Burndown{Input: Once, Output: Once, CacheRead: Once, CacheWrite: Once}

// DefaultBurndown returns Bedrock's burndown of a model: an output token
// counts five times for Claude 3.7 and all of Claude 4, and once for all
// others; tokens read from the cache do not count [Bedrock user guide].
func DefaultBurndown(model string) Burndown {
	b := Burndown{Input: Once, Output: Once, CacheWrite: Once}
	for _, family := range []string{"claude-3-7-", "claude-sonnet-4", "claude-opus-4", "claude-haiku-4"} {
		if strings.Contains(model, family) {
			b.Output = 5 * Once
		}
	}
	return b
}

// Tokens returns the quota tokens of u, rounded up.
func (b Burndown) Tokens(u outcrop.Usage) outcrop.QuotaTokens {
	return quota(up(b.prompt(u) + tokens(u.Output)*int64(b.Output)))
}

// parts returns the quota tokens of the prompt and of the output apart, each
// rounded up.
func (b Burndown) parts(u outcrop.Usage) (input, output outcrop.QuotaTokens) {
	return quota(up(b.prompt(u))), quota(up(tokens(u.Output) * int64(b.Output)))
}

func (b Burndown) prompt(u outcrop.Usage) int64 {
	return tokens(u.Input)*int64(b.Input) + tokens(u.CacheRead)*int64(b.CacheRead) + tokens(u.CacheWrite)*int64(b.CacheWrite)
}

func up(thousandths int64) int64 { return (thousandths + 999) / 1000 }

func (b Burndown) bounded() Burndown {
	bound := func(w Weight) Weight { return min(max(w, 0), 1000*Once) }
	return Burndown{bound(b.Input), bound(b.Output), bound(b.CacheRead), bound(b.CacheWrite)}
}

// limits resolves the limits of a scope.
func (l *Ledger) limits(s Scope) Limits {
	var got Limits
	for _, scope := range [...]Scope{{Account: s.Account, Model: s.Model}, {Account: s.Account}, {Model: s.Model}, {}} {
		got.inherit(l.rules[scope])
	}
	if got.TokensPerDay == 0 && got.TokensPerMinute > 0 {
		got.TokensPerDay = min(got.TokensPerMinute, 1<<50) * 1440
	}
	if got.Burst < 0 {
		got.Burst = 0
	}
	got.inherit(Limits{
		RequestsPerMinute: Unlimited, TokensPerMinute: Unlimited, TokensPerDay: Unlimited,
		Burst: time.Minute, Burndown: DefaultBurndown(s.Model),
	})
	got.Burndown = got.Burndown.bounded()
	return got
}

func (l *Limits) inherit(from Limits) {
	if l.RequestsPerMinute == 0 {
		l.RequestsPerMinute = from.RequestsPerMinute
	}
	if l.TokensPerMinute == 0 {
		l.TokensPerMinute = from.TokensPerMinute
	}
	if l.TokensPerDay == 0 {
		l.TokensPerDay = from.TokensPerDay
	}
	if l.Burst == 0 {
		l.Burst = from.Burst
	}
	if l.Burndown == (Burndown{}) {
		l.Burndown = from.Burndown
	}
}
