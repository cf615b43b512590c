package quota_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

const (
	account = "111111111111"
	haiku   = "anthropic.claude-3-haiku-20240307-v1:0"
	unitARN = "arn:aws:bedrock:us-east-1:111111111111:provisioned-model/pt9k2pt9k2pt"
)

var card = &outcrop.Card{ID: haiku, Name: "Claude 3 Haiku", MaxOutput: 4096, Output: []outcrop.Modality{outcrop.ModalityText}}

type modelFunc func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error)

func (f modelFunc) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	return f(ctx, req, out)
}

type sinkFunc func(outcrop.Event) error

func (f sinkFunc) Send(e outcrop.Event) error { return f(e) }

var discard = sinkFunc(func(outcrop.Event) error { return nil })

func newLimiter(t testing.TB, c quota.Config) *quota.Limiter {
	t.Helper()
	l, err := quota.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// limits are settings with one set of limits for all.
func limits(l ledger.Limits) quota.Settings {
	return quota.Settings{Ledger: ledger.Config{Rules: []ledger.Rule{{Limits: l}}}}
}

var ids atomic.Int64

func request(text string, maxTokens int) *outcrop.Request {
	return &outcrop.Request{
		ID: fmt.Sprintf("req-%d", ids.Add(1)), Operation: outcrop.OpConverseStream, ModelID: haiku, Card: card, Streaming: true,
		Principal: &outcrop.Principal{Account: account, KeyID: "AKIAEXAMPLE"},
		Conversation: &outcrop.Conversation{
			Inference: outcrop.Inference{MaxTokens: maxTokens},
			Messages:  []outcrop.Message{{Role: outcrop.RoleUser, Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Quote(text)}}}},
		},
	}
}

func onUnit(r *outcrop.Request) *outcrop.Request {
	r.Unit = unitARN
	return r
}

func unit(rates bucket.Rates, units int, spill outcrop.Spill) quota.Unit {
	arn, _ := outcrop.ParseARN(unitARN)
	return quota.Unit{Rates: rates, Provisioned: outcrop.Provisioned{ARN: arn, Spill: spill, Name: "search", Model: haiku, Units: units, Served: time.Unix(1, 0)}}
}

// only returns a lookup that knows one unit.
func only(u quota.Unit) func(string) (quota.Unit, bool) {
	return func(arn string) (quota.Unit, bool) { return u, arn == unitARN }
}

// uses answers with the usage and one delta.
func uses(u outcrop.Usage) modelFunc {
	return func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		r := outcrop.Receipt{Usage: u, Engine: "engine-0", Attempts: 1, FirstToken: time.Nanosecond, Stop: outcrop.StopEndTurn}
		return r, answer(out, "Hello.")
	}
}

func answer(out outcrop.Sink, texts ...string) error {
	events := []outcrop.Event{{Kind: outcrop.EventStart}, {Kind: outcrop.EventBlockStart, Block: outcrop.BlockText}}
	for _, s := range texts {
		events = append(events, outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Quote(s)}, outcrop.Event{Kind: outcrop.EventFlush})
	}
	events = append(events, outcrop.Event{Kind: outcrop.EventBlockStop}, outcrop.Event{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopEndTurn}})
	for _, e := range events {
		if err := out.Send(e); err != nil {
			return err
		}
	}
	return nil
}

// idle checks that nothing is held.
func idle(t testing.TB, l *quota.Limiter) {
	t.Helper()
	if err := l.Check(); err != nil {
		t.Error(err)
	}
	s := l.Status()
	if s.InFlight != 0 || s.Held != (quota.Held{}) {
		t.Errorf("%d in flight, held %+v", s.InFlight, s.Held)
	}
	for _, u := range s.Uses {
		if u.InFlight != 0 {
			t.Errorf("%s has %d in flight", u.Model, u.InFlight)
		}
	}
	for _, u := range s.Units {
		if u.InFlight != 0 {
			t.Errorf("%s has %d in flight", u.ARN, u.InFlight)
		}
	}
}

// level returns a level of the use of haiku.
func level(t testing.TB, l *quota.Limiter, limit ledger.Limit) int64 {
	t.Helper()
	for _, u := range l.Status().Uses {
		for _, v := range u.Levels {
			if u.Model == haiku && v.Limit == limit.String() {
				return v.Level
			}
		}
	}
	t.Fatalf("no level of %v", limit)
	return 0
}
