package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
)

// The figures are pairs of Reserve and Settle. 1,000 requests are in flight
// at any time, of 100 accounts; ids are as long as Bedrock's.

func BenchmarkReserveSettleOnDemand(b *testing.B) {
	benchmarkPairs(b, ledger.Config{Rules: generous}, "")
}
func BenchmarkReserveSettleProvisioned(b *testing.B) { benchmarkPairs(b, ledger.Config{}, "pt") }
func BenchmarkReserveSettleParity(b *testing.B) {
	benchmarkPairs(b, ledger.Config{Parity: true, Rules: generous}, "")
}

var generous = []ledger.Rule{{Limits: ledger.Limits{RequestsPerMinute: 1 << 40, TokensPerMinute: 1 << 40, TokensPerDay: 1 << 55}}}

func benchmarkPairs(b *testing.B, c ledger.Config, unit string) {
	l := ledger.New(c)
	l.SetUnit(ledger.Unit{ID: "pt", Rates: bucket.Rates{Input: 1 << 40, Output: 1 << 40}, Units: 1}, 0)
	const inFlight, known = 1000, 1 << 15
	requests := make([]ledger.Request, known)
	for i := range requests {
		requests[i] = ledger.Request{ID: ledger.ID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)), Account: fmt.Sprintf("%012d", i%100),
			Model: haiku, Unit: unit, Prompt: outcrop.Usage{Input: 1000}, MaxTokens: 1000, Lease: time.Duration(i%97) * time.Minute}
	}
	usage := outcrop.Usage{Input: 1000, Output: 300}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		now := time.Duration(i) * time.Microsecond
		if _, refusal := l.Reserve(&requests[i%known], now); refusal != nil {
			b.Fatalf("%+v", refusal)
		}
		if i >= inFlight {
			usage.Output = i & 511
			if _, ok := l.Settle(requests[(i-inFlight)%known].ID, usage, now); !ok {
				b.Fatal("unknown")
			}
		}
		i++
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "pairs/s")
}

func BenchmarkRefuse(b *testing.B) {
	l := limited(ledger.Limits{RequestsPerMinute: 1, TokensPerMinute: 1000})
	r := request("a", 1000, 1)
	l.Reserve(r, 0)
	r.ID = "b"
	b.ReportAllocs()
	for b.Loop() {
		if _, refusal := l.Reserve(r, 1); refusal == nil {
			b.Fatal("granted")
		}
	}
}
