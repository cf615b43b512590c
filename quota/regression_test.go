package quota_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

// What goes wrong elsewhere, each as a test.

// Gateways check budgets and do not reserve, so that calls in parallel all
// pass.
func TestParallelCallsDoNotAllPassOneLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 8 of the prompt and 92 of the answer are 100 tokens each
		l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{TokensPerMinute: 1000})})
		hold := make(chan struct{})
		m := l.Model(modelFunc(func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
			<-hold
			return outcrop.Receipt{Usage: outcrop.Usage{Input: 8, Output: 92}}, nil
		}))
		var passed, refused atomic.Int64
		for range 50 {
			go func() {
				if _, err := m.Invoke(t.Context(), request("Hi", 92), discard); err == nil {
					passed.Add(1)
				} else {
					refused.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := l.Status().InFlight; n != 10 || refused.Load() != 40 {
			t.Errorf("%d run, %d were refused", n, refused.Load())
		}
		close(hold)
		synctest.Wait()
		if passed.Load() != 10 || level(t, l, ledger.TokensPerMinute) != 1000 {
			t.Errorf("%d passed", passed.Load())
		}
		idle(t, l)
	})
}

// Reservations leak, and block callers who have not used anything.
func TestLostReservationEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limits(ledger.Limits{RequestsPerMinute: 1000})
		s.Ledger.Lease = time.Minute
		l := newLimiter(t, quota.Config{Settings: s})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _ = l.Model(modelFunc(func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
				<-t.Context().Done() // an engine that hears nothing
				return outcrop.Receipt{}, nil
			})).Invoke(ctx, request("Hi", 10), discard)
		}()
		synctest.Wait()
		cancel()
		if n := l.Status().InFlight; n != 1 {
			t.Fatal(n)
		}
		time.Sleep(time.Minute)
		if s := l.Status(); s.InFlight != 0 || s.Expired != 1 || s.Held != (quota.Held{}) {
			t.Errorf("%+v", s)
		}
	})
}

// A stream that is alive keeps its reservation, however long it takes.
func TestLeaseOfALivingStreamGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limits(generous)
		s.Ledger.Lease = time.Minute
		l := newLimiter(t, quota.Config{Settings: s})
		_, err := l.Model(modelFunc(func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			for range 300 {
				time.Sleep(time.Second)
				for range 10 {
					if err := out.Send(outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text(" word")}); err != nil {
						return outcrop.Receipt{}, err
					}
				}
				if l.Status().InFlight != 1 {
					t.Fatal("the reservation is gone")
				}
			}
			return outcrop.Receipt{Usage: outcrop.Usage{Input: 8, Output: 3000}}, nil
		})).Invoke(t.Context(), request("Hi", 0), discard)
		if err != nil {
			t.Fatal(err)
		}
		idle(t, l)
	})
}

// A crash loses neither what was used nor the room that was reserved.
func TestRestartSettlesWhatWasInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limits(ledger.Limits{TokensPerMinute: 600, TokensPerDay: 100_000})
		l := newLimiter(t, quota.Config{Settings: s})
		var snapshot ledger.Snapshot
		_, err := l.Model(modelFunc(func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			for range ledger.Step {
				_ = out.Send(outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text(" word")})
			}
			snapshot = l.Snapshot()
			return outcrop.Receipt{}, errors.New("crash")
		})).Invoke(t.Context(), request("Hi", 500), discard)
		if err == nil || len(snapshot.Leases) != 1 {
			t.Fatal(err, snapshot)
		}
		again := newLimiter(t, quota.Config{Settings: s, Restore: &snapshot})
		idle(t, again)
		if n := again.Tally().Settled.Tokens; n != 8+ledger.Step {
			t.Errorf("settled %d", n)
		}
		if _, err := again.Model(uses(outcrop.Usage{Input: 8})).Invoke(t.Context(), request("Hi", 300), discard); err != nil {
			t.Error(err)
		}
		if n := level(t, again, ledger.TokensPerDay); n != 8+ledger.Step+8 {
			t.Errorf("today %d", n)
		}
	})
}

// A window that turns over while requests run loses or doubles what they use.
func TestMidnightChargesEachRequestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{TokensPerDay: 10_000})})
		time.Sleep(24*time.Hour - time.Second)
		m := l.Model(modelFunc(func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
			time.Sleep(2 * time.Second)
			return outcrop.Receipt{Usage: outcrop.Usage{Input: 3000}}, nil
		}))
		if _, err := m.Invoke(t.Context(), request("Hi", 10), discard); err != nil {
			t.Fatal(err)
		}
		if n := level(t, l, ledger.TokensPerDay); n != 0 {
			t.Errorf("yesterday's request counts %d today", n)
		}
		if _, err := m.Invoke(t.Context(), request("Hi", 10), discard); err != nil {
			t.Fatal(err)
		}
		if n := level(t, l, ledger.TokensPerDay); n != 3000 {
			t.Errorf("today %d", n)
		}
		idle(t, l)
	})
}

// Routes that pass bodies through skip the budget.
func TestNativeBodiesCountLikeOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{TokensPerMinute: 100})})
		m := l.Model(uses(outcrop.Usage{Input: 60, Output: 40}))
		native := func() *outcrop.Request {
			r := request("", 0)
			r.Conversation, r.Native = nil, &outcrop.Native{Dialect: outcrop.DialectAnthropic, Body: []byte(`{"max_tokens":5}`)}
			return r
		}
		if _, err := m.Invoke(t.Context(), native(), discard); err != nil {
			t.Fatal(err)
		}
		for _, req := range []*outcrop.Request{native(), request("Hi", 5)} {
			if _, err := m.Invoke(t.Context(), req, discard); !errors.Is(err, outcrop.CodeThrottling) {
				t.Errorf("%v", err)
			}
		}
	})
}

// A rule fires long before its budget is used.
func TestLimitIsUsedToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{TokensPerMinute: 10_000})})
		m := l.Model(uses(outcrop.Usage{Input: 8, Output: 2}))
		n := 0
		for ; n < 2000; n++ {
			if _, err := m.Invoke(t.Context(), request("Hi", 2), discard); err != nil {
				break
			}
		}
		if n != 1000 {
			t.Errorf("%d of 1000 passed", n)
		}
	})
}

// Cancelled streams are not charged, or the whole prompt is for nothing.
func TestCancelledStreamsAreChargedForWhatTheyUsed(t *testing.T) {
	for _, c := range []struct {
		name      string
		streaming bool
		charged   int64
	}{{"in the answer", true, 8 + 1}, {"before the answer", false, 0}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{TokensPerMinute: 10_000})})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				req := request("Hi", 1000)
				req.Streaming = c.streaming
				if _, err := l.Model(modelFunc(endless)).Invoke(ctx, req, discard); err == nil {
					t.Fatal("no error")
				}
				if n := l.Tally().Settled.Tokens; int64(n) != c.charged {
					t.Errorf("charged %d", n)
				}
				idle(t, l)
			})
		})
	}
}

// Tokens of the cache are counted twice, or not at all.
func TestCacheTokensCountByTheirOwnWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Settings: limits(generous), Units: only(unit(bucket.Rates{Input: 1 << 40, Output: 1 << 40}, 1, ""))})
		m := l.Model(uses(outcrop.Usage{Input: 1000, Output: 10, CacheRead: 2000, CacheWrite: 400}))
		if _, err := m.Invoke(t.Context(), request("Hi", 10), discard); err != nil {
			t.Fatal(err)
		}
		if n := l.Tally().Settled.Tokens; n != 1000+10+400 {
			t.Errorf("on demand %d", n)
		}
		if _, err := m.Invoke(t.Context(), onUnit(request("Hi", 10)), discard); err != nil {
			t.Fatal(err)
		}
		if n := l.Tally().Settled; n.Input != 1000+200+500 || n.Output != 10 || n.Tokens != 1410 || n.Requests != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// Nothing tries the provisioned capacity first and on-demand service second,
// or it spills unseen.
func TestProvisionedFirstThenOnDemandAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Units: only(unit(bucket.Rates{Together: 300}, 1, outcrop.SpillDefault))})
		m := l.Model(uses(outcrop.Usage{Input: 150}))
		var spilled []bool
		for range 3 {
			r, err := m.Invoke(t.Context(), onUnit(request("Hi", 1)), discard)
			if err != nil {
				t.Fatal(err)
			}
			spilled = append(spilled, r.Spilled)
			time.Sleep(4 * time.Second)
		}
		if spilled[0] || !spilled[1] || !spilled[2] {
			t.Errorf("%v", spilled)
		}
		u := l.Status().Units[0]
		if u.Admitted != 1 || len(u.Spilled) != 1 || u.Spilled[0] != (quota.Count{Name: "default", Count: 2}) {
			t.Errorf("%+v", u)
		}
	})
}

// The guarantee of a unit: what stays inside its rate is never refused, and
// never counts against the limits on demand.
func TestRequestsInsideTheirUnitAreNeverRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{RequestsPerMinute: ledger.Closed}),
			Units: only(unit(bucket.Rates{Input: 60_000, Output: 60_000}, 1, ""))})
		m := l.Model(uses(outcrop.Usage{Input: 100, Output: 100}))
		var all sync.WaitGroup
		for range 10_000 {
			time.Sleep(100 * time.Millisecond)
			all.Go(func() {
				if _, err := m.Invoke(t.Context(), onUnit(request("Hi", 100)), discard); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if u := l.Status().Units[0]; u.UsedInput < 99 || u.UsedInput > 100 {
			t.Errorf("used %d %%", u.UsedInput)
		}
		idle(t, l)
	})
}
