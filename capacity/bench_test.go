package capacity_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
)

// atOnce sends an answer of eight tokens at once.
var atOnce = &engine{run: func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	r := outcrop.Receipt{Engine: "fake", Usage: outcrop.Usage{Input: 100, Output: 8}, Stop: outcrop.StopEndTurn}
	if err := out.Send(outcrop.Event{Kind: outcrop.EventStart}); err != nil {
		return r, err
	}
	for range 8 {
		if err := out.Send(outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: token}); err != nil {
			return r, err
		}
	}
	return r, out.Send(outcrop.Event{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopEndTurn}})
}}

var token = outcrop.Text("word")

type discard struct{}

func (discard) Send(outcrop.Event) error { return nil }

// BenchmarkUnloaded is what the scheduler adds to a request that needs not
// wait.
func BenchmarkUnloaded(b *testing.B) {
	p := pool(b, capacity.Config{}, small(64), atOnce)
	req := request(outcrop.ClassDefault, "111122223333", 100, 8)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Invoke(b.Context(), req, discard{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParallel(b *testing.B) {
	p := pool(b, capacity.Config{}, small(64), atOnce, atOnce, atOnce, atOnce)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		req := request(outcrop.ClassDefault, "111122223333", 100, 8)
		for pb.Next() {
			if _, err := p.Invoke(b.Context(), req, discard{}); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkBacklog is the cost of a request of one class while 10,000 of
// another wait.
func BenchmarkBacklog(b *testing.B) {
	hold := &engine{run: func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		if req.Class == outcrop.ClassProvisioned {
			return atOnce.run(ctx, req, out)
		}
		<-ctx.Done()
		return outcrop.Receipt{}, context.Cause(ctx)
	}}
	p := pool(b, capacity.Config{}, small(64), hold)
	ctx, cancel := context.WithCancel(b.Context())
	for range 10_000 {
		go p.Invoke(ctx, request(outcrop.ClassBatch, "1", 100, 8), discard{})
	}
	for p.State().Classes[outcrop.ClassBatch].Counts.Submitted < 10_000 {
		runtime.Gosched()
	}
	req := request(outcrop.ClassProvisioned, "111122223333", 100, 8)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Invoke(b.Context(), req, discard{}); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	for p.Held() > 0 {
		runtime.Gosched()
	}
}

func BenchmarkPrefix(b *testing.B) {
	req := request(outcrop.ClassDefault, "1", 10, 1)
	req.Conversation.Messages[0].Content[0].Text = make(outcrop.Text, 8192)
	b.ReportAllocs()
	for b.Loop() {
		capacity.Prefix(req)
	}
}
