package ledger

import (
	"strings"

	"github.com/outcrop/outcrop"
)

// awsLimits are the limits on demand that AWS gives accounts in its largest
// regions, by a part of the model's id; the first that fits counts. AWS
// publishes them by model and region, changes them without notice, and gives
// new accounts less: these are round figures from memory, good for seeing a
// program meet them, and not for planning.
var awsLimits = []struct {
	part     string
	requests int64
	tokens   outcrop.QuotaTokens
}{
	{"claude-3-haiku", 1000, 2_000_000},
	{"claude-3-5-haiku", 1000, 2_000_000},
	{"claude-3-sonnet", 500, 1_000_000},
	{"claude-3-5-sonnet", 50, 400_000},
	{"claude-3-7-sonnet", 250, 1_000_000},
	{"claude-3-opus", 50, 400_000},
	{"claude-", 200, 200_000},
	{"nova-micro", 2000, 4_000_000},
	{"nova-lite", 2000, 4_000_000},
	{"nova-", 250, 1_000_000},
	{"titan-text-lite", 800, 300_000},
	{"titan-text-premier", 100, 300_000},
	{"titan-text", 400, 300_000},
	{"llama3-1-405b", 200, 400_000},
	{"llama3-8b", 800, 300_000},
	{"llama3-1-8b", 800, 300_000},
	{"llama", 400, 300_000},
	{"mistral-7b", 800, 300_000},
	{"mistral", 400, 300_000},
	{"", 200, 200_000},
}

// AWSLimits returns the limits on demand that AWS gives accounts for the
// model, as far as they are known. Those by the day follow from those by the
// minute.
func AWSLimits(model string) Limits {
	for _, l := range awsLimits {
		if strings.Contains(model, l.part) {
			return Limits{RequestsPerMinute: l.requests, TokensPerMinute: l.tokens}
		}
	}
	return Limits{} // not reached: the last part is in every id
}
