package catalog

import "github.com/outcrop/outcrop"

// A listPrice is what a million tokens cost, in micro-dollars. What is read
// from a cache costs as much as other input where that is zero; what is
// written to one costs a quarter more than other input, which is what the
// vendors ask that ask anything.
type listPrice struct{ input, output, cacheRead int64 }

// prices are those of the service on demand, regional where they differ, as
// collected in August 2026 from public lists. Models that are not here have no
// price: what they cost is unknown, and not nothing.
var prices = map[string]listPrice{
	"amazon.nova-micro-v1:0":                    {35_000, 140_000, 8_750},
	"amazon.nova-lite-v1:0":                     {60_000, 240_000, 15_000},
	"amazon.nova-pro-v1:0":                      {800_000, 3_200_000, 200_000},
	"amazon.nova-premier-v1:0":                  {2_500_000, 12_500_000, 625_000},
	"amazon.nova-2-lite-v1:0":                   {330_000, 2_750_000, 82_500},
	"amazon.titan-text-lite-v1":                 {150_000, 200_000, 0},
	"amazon.titan-text-express-v1":              {200_000, 600_000, 0},
	"anthropic.claude-3-haiku-20240307-v1:0":    {250_000, 1_250_000, 0},
	"anthropic.claude-3-sonnet-20240229-v1:0":   {3_000_000, 15_000_000, 0},
	"anthropic.claude-3-opus-20240229-v1:0":     {15_000_000, 75_000_000, 0},
	"anthropic.claude-3-5-haiku-20241022-v1:0":  {800_000, 4_000_000, 80_000},
	"anthropic.claude-3-5-sonnet-20240620-v1:0": {3_000_000, 15_000_000, 0},
	"anthropic.claude-3-5-sonnet-20241022-v2:0": {3_000_000, 15_000_000, 300_000},
	"anthropic.claude-3-7-sonnet-20250219-v1:0": {3_000_000, 15_000_000, 300_000},
	"anthropic.claude-sonnet-4-20250514-v1:0":   {3_000_000, 15_000_000, 300_000},
	"anthropic.claude-sonnet-4-5-20250929-v1:0": {3_000_000, 15_000_000, 300_000},
	"anthropic.claude-sonnet-4-6":               {3_000_000, 15_000_000, 300_000},
	"anthropic.claude-haiku-4-5-20251001-v1:0":  {1_000_000, 5_000_000, 100_000},
	"anthropic.claude-opus-4-20250514-v1:0":     {15_000_000, 75_000_000, 1_500_000},
	"anthropic.claude-opus-4-1-20250805-v1:0":   {15_000_000, 75_000_000, 1_500_000},
	"anthropic.claude-opus-4-5-20251101-v1:0":   {5_000_000, 25_000_000, 500_000},
	"anthropic.claude-opus-4-6-v1":              {5_000_000, 25_000_000, 500_000},
	"anthropic.claude-opus-4-7":                 {5_000_000, 25_000_000, 500_000},
	"anthropic.claude-opus-4-8":                 {5_000_000, 25_000_000, 500_000},
	"deepseek.r1-v1:0":                          {1_350_000, 5_400_000, 0},
	"meta.llama3-1-8b-instruct-v1:0":            {220_000, 220_000, 0},
	"meta.llama3-1-70b-instruct-v1:0":           {720_000, 720_000, 0},
	"meta.llama3-2-1b-instruct-v1:0":            {100_000, 100_000, 0},
	"meta.llama3-2-3b-instruct-v1:0":            {150_000, 150_000, 0},
	"meta.llama3-2-11b-instruct-v1:0":           {160_000, 160_000, 0},
	"meta.llama3-2-90b-instruct-v1:0":           {720_000, 720_000, 0},
	"meta.llama3-3-70b-instruct-v1:0":           {720_000, 720_000, 0},
	"meta.llama4-scout-17b-instruct-v1:0":       {170_000, 660_000, 0},
	"meta.llama4-maverick-17b-instruct-v1:0":    {240_000, 970_000, 0},
	"mistral.mistral-7b-instruct-v0:2":          {150_000, 200_000, 0},
	"mistral.mixtral-8x7b-instruct-v0:1":        {450_000, 700_000, 0},
	"mistral.mistral-large-2402-v1:0":           {4_000_000, 12_000_000, 0},
	"mistral.mistral-large-3-675b-instruct":     {500_000, 1_500_000, 0},
	"openai.gpt-oss-20b-1:0":                    {70_000, 300_000, 0},
	"openai.gpt-oss-120b-1:0":                   {150_000, 600_000, 0},
	"qwen.qwen3-32b-v1:0":                       {150_000, 600_000, 0},
	"qwen.qwen3-coder-480b-a35b-v1:0":           {450_000, 1_800_000, 0},
}

// The shares of the price on demand that other ways of service cost, as the
// service publishes them.
const (
	batchShare    = 50
	flexShare     = 50
	priorityShare = 175
)

// priceOf returns the built-in price of a model, nil if there is none.
func priceOf(id string) *outcrop.Price {
	list, ok := prices[id]
	if !ok {
		return nil
	}
	const nano = 1000
	p := &outcrop.Price{
		Input: outcrop.NanoDollars(list.input * nano), Output: outcrop.NanoDollars(list.output * nano),
		CacheRead: outcrop.NanoDollars(list.cacheRead * nano), CacheWrite: outcrop.NanoDollars(list.input * nano * 5 / 4),
		Batch: batchShare, Flex: flexShare, Priority: priorityShare,
	}
	if p.CacheRead == 0 {
		p.CacheRead = p.Input
	}
	return p
}
