package quota_test

import (
	"context"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

var generous = ledger.Limits{RequestsPerMinute: 1 << 40, TokensPerMinute: 1 << 40, TokensPerDay: 1 << 55}

func BenchmarkInvokeOnDemand(b *testing.B) {
	benchmarkInvoke(b, request("What is the capital of France?", 100))
}

func BenchmarkInvokeOnUnit(b *testing.B) {
	benchmarkInvoke(b, onUnit(request("What is the capital of France?", 100)))
}

func BenchmarkInvokeLongPrompt(b *testing.B) {
	benchmarkInvoke(b, request(strings.Repeat("All work and no play makes Jack a dull boy. ", 25_000), 100))
}

func benchmarkInvoke(b *testing.B, req *outcrop.Request) {
	l := newLimiter(b, quota.Config{Settings: limits(generous), Units: only(unit(bucket.Rates{Input: 1 << 40, Output: 1 << 40}, 1, ""))})
	m := l.Model(modelFunc(func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
		return outcrop.Receipt{Usage: outcrop.Usage{Input: 20, Output: 50}, Attempts: 1}, nil
	}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Invoke(b.Context(), req, discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	l := newLimiter(b, quota.Config{Settings: limits(generous)})
	delta := outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text(" word")}
	m := l.Model(modelFunc(func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		b.ReportAllocs()
		for b.Loop() {
			if err := out.Send(delta); err != nil {
				b.Fatal(err)
			}
		}
		return outcrop.Receipt{}, nil
	}))
	if _, err := m.Invoke(b.Context(), request("Hi", 100), discard); err != nil {
		b.Fatal(err)
	}
}
