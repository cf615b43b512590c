package quota_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/quota"
)

func TestModelKeepsTheContract(t *testing.T) {
	for name, mark := range map[string]func(*outcrop.Request) *outcrop.Request{
		"on demand": func(r *outcrop.Request) *outcrop.Request { return r },
		"on a unit": onUnit,
	} {
		t.Run(name, func(t *testing.T) {
			outcroptest.RunModel(t, func(t *testing.T) outcroptest.ModelFixture {
				l := newLimiter(t, quota.Config{Settings: limits(generous), Units: only(unit(bucket.Rates{Input: 1 << 40, Output: 1 << 40}, 1, ""))})
				t.Cleanup(func() { idle(t, l) })
				make := func(text string, streaming bool) *outcrop.Request {
					r := mark(request(text, 100))
					r.ID, r.Streaming = "the same each time", streaming
					return r
				}
				return outcroptest.ModelFixture{
					Model:   l.Model(modelFunc(talk)),
					Request: func(streaming bool) *outcrop.Request { return make("hello", streaming) },
					Endless: func(streaming bool) *outcrop.Request { return make("endless", streaming) },
					Failing: map[string]func() *outcrop.Request{
						"before": func() *outcrop.Request { return make("fail", true) },
						"within": func() *outcrop.Request { return make("break", true) },
					},
					Busy: func() int { return l.Status().InFlight },
				}
			})
		})
	}
}

// talk is an engine that does what the prompt says.
func talk(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	r := outcrop.Receipt{Usage: outcrop.Usage{Input: 10, Output: 3}, Engine: "engine-0", Attempts: 1, Stop: outcrop.StopEndTurn, FirstToken: 1}
	switch req.Conversation.Messages[0].Content[0].Text.String() {
	case "fail":
		return outcrop.Receipt{Attempts: 1}, &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "No."}
	case "break":
		if err := out.Send(outcrop.Event{Kind: outcrop.EventStart}); err != nil {
			return outcrop.Receipt{}, err
		}
		return r, &outcrop.Error{Code: outcrop.CodeModelStream, Message: "Broken."}
	case "endless":
		return endless(ctx, req, out)
	}
	return r, answer(out, "Hel", "lo.")
}

func endless(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	if req.Streaming {
		for _, e := range []outcrop.Event{{Kind: outcrop.EventStart}, {Kind: outcrop.EventBlockStart, Block: outcrop.BlockText}, {Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("x")}} {
			if err := out.Send(e); err != nil {
				return outcrop.Receipt{}, err
			}
		}
	}
	<-ctx.Done()
	return outcrop.Receipt{Attempts: 1}, context.Cause(ctx)
}

func TestInnerModelSeesClassEstimateAndTier(t *testing.T) {
	for _, c := range []struct {
		name string
		req  *outcrop.Request
		tier outcrop.ServiceTier // of req
		want outcrop.Class
		as   outcrop.ServiceTier
		unit string
	}{
		{name: "default", req: request("Hi", 9), want: outcrop.ClassDefault},
		{name: "named default", req: request("Hi", 9), tier: outcrop.TierDefault, want: outcrop.ClassDefault, as: outcrop.TierDefault},
		{name: "priority", req: request("Hi", 9), tier: outcrop.TierPriority, want: outcrop.ClassPriority, as: outcrop.TierPriority},
		{name: "flex", req: request("Hi", 9), tier: outcrop.TierFlex, want: outcrop.ClassFlex, as: outcrop.TierFlex},
		{name: "unit", req: onUnit(request("Hi", 9)), tier: outcrop.TierFlex, want: outcrop.ClassProvisioned, unit: unitARN},
		{name: "reserved without any", req: request("Hi", 9), tier: outcrop.TierReserved, want: outcrop.ClassDefault, as: outcrop.TierDefault},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLimiter(t, quota.Config{Settings: limits(generous), Units: only(unit(bucket.Rates{Input: 6000, Output: 6000}, 1, ""))})
			c.req.Tier, c.req.Latency = c.tier, outcrop.LatencyOptimized
			before := *c.req
			r, err := l.Model(modelFunc(func(_ context.Context, req *outcrop.Request, _ outcrop.Sink) (outcrop.Receipt, error) {
				if req.Class != c.want || req.Tier != c.as || req.Unit != c.unit || req.Latency != outcrop.LatencyOptimized {
					t.Errorf("class %v, tier %q, unit %q, latency %q", req.Class, req.Tier, req.Unit, req.Latency)
				}
				if want := (outcrop.Estimate{Input: 8, Output: 9}); req.Estimate != want {
					t.Errorf("estimate %+v, want %+v", req.Estimate, want)
				}
				return outcrop.Receipt{Usage: outcrop.Usage{Input: 1}, Latency: outcrop.LatencyStandard}, nil
			})).Invoke(t.Context(), c.req, discard)
			if err != nil || r.Class != c.want || r.Tier != c.as || r.Unit != c.unit || r.Spilled || r.Limit != nil || r.Latency != outcrop.LatencyStandard {
				t.Errorf("%+v, %v", r, err)
			}
			if c.req.Tier != before.Tier || c.req.Class != before.Class || c.req.Estimate != before.Estimate || c.req.Unit != before.Unit {
				t.Error("the request has changed")
			}
			idle(t, l)
		})
	}
}

func TestInnerModelKnowsBetterWhatServed(t *testing.T) {
	l := newLimiter(t, quota.Config{})
	req := request("Hi", 9)
	req.Tier = outcrop.TierPriority
	r, _ := l.Model(modelFunc(func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
		return outcrop.Receipt{Tier: outcrop.TierDefault, Class: outcrop.ClassDefault, Scheduled: true}, nil
	})).Invoke(t.Context(), req, discard)
	if r.Tier != outcrop.TierDefault || r.Class != outcrop.ClassDefault {
		t.Errorf("%+v", r)
	}
}

// What each end of an invocation is charged with.
func TestEveryEndSettles(t *testing.T) {
	oops := &outcrop.Error{Code: outcrop.CodeModelError, Message: "No."}
	for _, c := range []struct {
		name       string
		end        modelFunc
		rpm, tpm   int64
		panics, ok bool
	}{
		{name: "success", end: uses(outcrop.Usage{Input: 100, Output: 50}), rpm: 1, tpm: 150, ok: true},
		{name: "never at an engine", end: func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
			return outcrop.Receipt{}, oops
		}},
		{name: "the engine failed", end: func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
			return outcrop.Receipt{Attempts: 1}, oops
		}, rpm: 1},
		{name: "the engine failed half way", end: func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			_ = answer(out, "one")
			return outcrop.Receipt{Attempts: 1, Usage: outcrop.Usage{Input: 100, Output: 7}}, oops
		}, rpm: 1, tpm: 107},
		{name: "panic before the answer", end: func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) {
			panic("oops")
		}, panics: true},
		{name: "panic in the answer", end: func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			_ = answer(out, "one", " two", " three")
			panic("oops")
		}, panics: true, rpm: 1, tpm: 8 + 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{RequestsPerMinute: 1000, TokensPerMinute: 100_000})})
				defer func() {
					if v := recover(); (v != nil) != c.panics {
						t.Errorf("panic %v", v)
					}
					idle(t, l)
					if rpm, tpm := level(t, l, ledger.RequestsPerMinute), level(t, l, ledger.TokensPerMinute); rpm != c.rpm || tpm != c.tpm {
						t.Errorf("charged %d requests and %d tokens, want %d and %d", rpm, tpm, c.rpm, c.tpm)
					}
				}()
				_, err := l.Model(c.end).Invoke(t.Context(), request("Hi", 500), discard)
				if (err == nil) != c.ok {
					t.Error(err)
				}
			})
		})
	}
}

func TestEverySendMayFail(t *testing.T) {
	gone := errors.New("gone")
	for k := 1; ; k++ {
		l := newLimiter(t, quota.Config{Settings: limits(generous), Units: only(unit(bucket.Rates{Together: 60_000}, 1, ""))})
		n := 0
		_, err := l.Model(modelFunc(talk)).Invoke(t.Context(), onUnit(request("hello", 5)), sinkFunc(func(outcrop.Event) error {
			if n++; n == k {
				return gone
			}
			return nil
		}))
		idle(t, l)
		if n < k {
			if err != nil || k == 1 {
				t.Fatal(err)
			}
			return
		}
		if !errors.Is(err, gone) {
			t.Fatalf("Send %d: %v", k, err)
		}
	}
}

// A long answer is charged while it streams, in steps, and never cut.
func TestLongAnswerIsToppedUpAndNeverCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limits(ledger.Limits{TokensPerMinute: 2000})
		l := newLimiter(t, quota.Config{Settings: s})
		const words = 3000
		_, err := l.Model(modelFunc(func(_ context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			estimate := req.Estimate.Output
			for i := 1; i <= words; i++ {
				if err := out.Send(outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text(" word")}); err != nil {
					return outcrop.Receipt{}, err
				}
				held := l.Status().Held.Tokens
				produced := outcrop.QuotaTokens(8 + i)
				if i > estimate && (held < produced || held > produced+ledger.Step) {
					t.Fatalf("after %d tokens %d are held, the estimate was %d", i, held, estimate)
				}
			}
			return outcrop.Receipt{Usage: outcrop.Usage{Input: 8, Output: words}, Attempts: 1}, nil
		})).Invoke(t.Context(), request("Hi", 0), discard)
		if err != nil {
			t.Fatal(err)
		}
		if n := level(t, l, ledger.TokensPerMinute); n != words+8 {
			t.Errorf("level %d", n)
		}
		if u := l.Status().Uses[0]; u.Overrun != words-1024 || u.Used != words+8 {
			t.Errorf("%+v", u)
		}
		idle(t, l)
	})
}

func TestNativeAnswersAreCountedWhileTheyStream(t *testing.T) {
	l := newLimiter(t, quota.Config{Settings: limits(generous)})
	req := request("", 0)
	req.Conversation, req.Native = nil, &outcrop.Native{Dialect: outcrop.DialectAnthropic, Body: []byte(`{"max_tokens":10,"messages":[{"role":"user","content":"Hi"}]}`)}
	_, err := l.Model(modelFunc(func(_ context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		if want := (outcrop.Estimate{Input: 16, Output: 10}); req.Estimate != want {
			t.Errorf("estimate %+v, want %+v", req.Estimate, want)
		}
		for range 600 {
			if err := out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: outcrop.Text(`{"type":"content_block_delta"}`)}); err != nil {
				t.Fatal(err)
			}
		}
		if held := l.Status().Held.Tokens; held < 600 {
			t.Errorf("%d held", held)
		}
		return outcrop.Receipt{Usage: outcrop.Usage{Input: 5, Output: 600}, Attempts: 1}, nil
	})).Invoke(t.Context(), req, discard)
	if err != nil {
		t.Fatal(err)
	}
	idle(t, l)
}

func TestParityReservesAsBedrock(t *testing.T) {
	for _, c := range []struct{ max, reserved int }{{100, 108}, {0, 4096 + 8}} {
		s := limits(generous)
		s.Ledger.Parity = true
		l := newLimiter(t, quota.Config{Settings: s})
		_, err := l.Model(modelFunc(func(_ context.Context, req *outcrop.Request, _ outcrop.Sink) (outcrop.Receipt, error) {
			if held := l.Status().Held.Tokens; held != outcrop.QuotaTokens(c.reserved) {
				t.Errorf("%d held, want %d", held, c.reserved)
			}
			if req.Estimate.Output != min(c.reserved-8, ledger.Cold) {
				t.Errorf("the scheduler is told %d", req.Estimate.Output)
			}
			return outcrop.Receipt{}, nil
		})).Invoke(t.Context(), request("Hi", c.max), discard)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestEstimateLearns(t *testing.T) {
	l := newLimiter(t, quota.Config{})
	m := l.Model(uses(outcrop.Usage{Input: 10, Output: 40}))
	for range ledger.Enough {
		if _, err := m.Invoke(t.Context(), request("Hi", 0), discard); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = l.Model(modelFunc(func(_ context.Context, req *outcrop.Request, _ outcrop.Sink) (outcrop.Receipt, error) {
		if req.Estimate.Output != 40 {
			t.Errorf("estimate %d", req.Estimate.Output)
		}
		return outcrop.Receipt{}, nil
	})).Invoke(t.Context(), request("Hi", 0), discard)
}

// A prefix that the engine said it has cached is expected to be read from the
// cache, until it is over, or the engine says otherwise.
func TestCachedPrefixIsExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{})
		turn := func(account string, read, write int) (cached int) {
			req := request("What is new?", 10)
			req.Principal = &outcrop.Principal{Account: account}
			req.Conversation.System = []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Quote("You are a very long prompt.")}, {Kind: outcrop.BlockCachePoint}}
			_, err := l.Model(modelFunc(func(_ context.Context, req *outcrop.Request, _ outcrop.Sink) (outcrop.Receipt, error) {
				cached = req.Estimate.Cached
				return outcrop.Receipt{Usage: outcrop.Usage{Input: 10, CacheRead: read, CacheWrite: write}, Attempts: 1}, nil
			})).Invoke(t.Context(), req, discard)
			if err != nil {
				t.Fatal(err)
			}
			return cached
		}
		for i, c := range []struct {
			account     string
			after       time.Duration
			read, write int
			want        int
		}{
			{account, 0, 0, 12, 0},
			{account, time.Minute, 12, 0, 12},
			{"222222222222", 0, 0, 0, 0}, // another account
			{account, 4 * time.Minute, 12, 0, 12},
			{account, 5 * time.Minute, 0, 12, 0}, // over
			{account, time.Minute, 0, 0, 12},     // the engine lost it
			{account, time.Minute, 0, 0, 0},
		} {
			time.Sleep(c.after)
			if got := turn(c.account, c.read, c.write); got != c.want {
				t.Errorf("turn %d: %d cached, want %d", i, got, c.want)
			}
		}
	})
}

func TestReservedTierOverflowsToDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limits(ledger.Limits{TokensPerMinute: 10_000})
		s.Reserved = []quota.Reserved{{Account: account, Model: haiku, InputTokensPerMinute: 600, OutputTokensPerMinute: 600}}
		l := newLimiter(t, quota.Config{Settings: s})
		m := l.Model(uses(outcrop.Usage{Input: 300, CacheRead: 1000, Output: 50}))
		ask := func() outcrop.Receipt {
			req := request("Hi", 50)
			req.Tier = outcrop.TierReserved
			r, err := m.Invoke(t.Context(), req, discard)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := ask(); r.Tier != outcrop.TierReserved || r.Class != outcrop.ClassPriority || r.Limit != nil {
			t.Errorf("%+v", r)
		}
		if n := level(t, l, ledger.TokensPerMinute); n != 0 {
			t.Errorf("the on-demand level is %d", n)
		}
		r := ask()
		if r.Tier != outcrop.TierDefault || r.Class != outcrop.ClassDefault || r.Spilled || r.Limit == nil || r.Limit.Name != "unit-input" {
			t.Errorf("%+v", r)
		}
		if n := level(t, l, ledger.TokensPerMinute); n != 350 {
			t.Errorf("the on-demand level is %d", n)
		}
		time.Sleep(time.Minute)
		if r := ask(); r.Tier != outcrop.TierReserved {
			t.Errorf("%+v", r)
		}
		l.Configure(limits(ledger.Limits{}))
		if r := ask(); r.Tier != outcrop.TierDefault || len(l.Status().Reserved) != 0 {
			t.Errorf("%+v", r)
		}
		idle(t, l)
	})
}

func TestLimitsChangeLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{RequestsPerMinute: 1})})
		m := l.Model(uses(outcrop.Usage{Input: 1}))
		try := func(want bool) {
			t.Helper()
			if _, err := m.Invoke(t.Context(), request("Hi", 1), discard); (err == nil) != want {
				t.Errorf("got %v", err)
			}
		}
		try(true)
		try(false)
		l.Configure(limits(ledger.Limits{RequestsPerMinute: 2}))
		try(true) // what was used stays
		try(false)
		l.Configure(limits(ledger.Limits{}))
		try(true)
	})
}

func TestUnitIsResizedAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		u, there := unit(bucket.Rates{Together: 60}, 1, ""), true
		l := newLimiter(t, quota.Config{Units: func(string) (quota.Unit, bool) {
			mu.Lock()
			defer mu.Unlock()
			return u, there
		}})
		m := l.Model(uses(outcrop.Usage{Input: 30}))
		try := func() error {
			_, err := m.Invoke(t.Context(), onUnit(request("Hi", 1)), discard)
			return err
		}
		if err := try(); err != nil {
			t.Fatal(err)
		}
		if err := try(); !errors.Is(err, outcrop.CodeThrottling) {
			t.Fatalf("30 of 20 are used, and the answer is %v", err)
		}
		u.Units = 2 // 40 in the window
		if err := try(); err != nil {
			t.Fatal(err)
		}
		if s := l.Status().Units; len(s) != 1 || s[0].Units != 2 || s[0].Admitted != 2 || s[0].Input != 120 {
			t.Errorf("%+v", s)
		}
		there = false
		if err := try(); !errors.Is(err, outcrop.CodeNotFound) {
			t.Error(err)
		}
		if s := l.Status(); len(s.Units) != 0 {
			t.Errorf("%+v", s.Units)
		}
		idle(t, l)
	})
}

func TestStatusTellsWhatAUnitDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Units: only(unit(bucket.Rates{Input: 6000, Output: 600}, 1, ""))})
		if _, err := l.Model(uses(outcrop.Usage{Input: 3000, Output: 600})).Invoke(t.Context(), onUnit(request("Hi", 1)), discard); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Model(uses(outcrop.Usage{})).Invoke(t.Context(), onUnit(request("Hi", 1)), discard); err == nil {
			t.Fatal("it is not over")
		}
		u := l.Status().Units[0]
		if u.UsedInput != 10 || u.UsedOutput != 20 || u.Admitted != 1 || len(u.Refused) != 1 || u.Refused[0] != (quota.Count{Name: "unit-output", Count: 1}) {
			t.Errorf("%+v", u)
		}
		time.Sleep(6 * time.Minute)
		if u := l.Status().Units[0]; u.UsedInput != 0 || u.UsedOutput != 0 || u.Levels[0].Level != 0 {
			t.Errorf("%+v", u)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	l := newLimiter(t, quota.Config{
		Settings: limits(ledger.Limits{RequestsPerMinute: 500, TokensPerMinute: 20_000}),
		Units:    only(unit(bucket.Rates{Input: 60_000, Output: 60_000}, 1, outcrop.SpillFlex)),
	})
	m := l.Model(modelFunc(talk))
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 50 {
				req := request([]string{"hello", "fail", "break"}[i%3], 20)
				if worker%2 == 0 {
					req = onUnit(req)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if i%7 == 0 {
					cancel()
				}
				_, _ = m.Invoke(ctx, req, discard)
				cancel()
				if i%10 == 0 {
					l.Configure(limits(ledger.Limits{RequestsPerMinute: int64(i + 100), TokensPerMinute: 20_000}))
					l.Status()
				}
			}
		})
	}
	all.Wait()
	idle(t, l)
}

func TestLongTextsAreSampled(t *testing.T) {
	l := newLimiter(t, quota.Config{})
	long := ""
	for len(long) < 200_000 {
		long += "The quick brown fox jumps over 13 lazy dogs, again. "
	}
	var exact int
	estimate := func(text string) (n int) {
		_, _ = l.Model(modelFunc(func(_ context.Context, req *outcrop.Request, _ outcrop.Sink) (outcrop.Receipt, error) {
			n = req.Estimate.Input
			return outcrop.Receipt{}, nil
		})).Invoke(t.Context(), request(text, 1), discard)
		return n
	}
	for i := 0; i < len(long); i += 52 {
		exact += estimate(long[i:min(i+52, len(long))]) - 7
	}
	if got := estimate(long); math.Abs(float64(got)/float64(exact)-1) > 0.1 {
		t.Errorf("estimate %d, counted %d", got, exact)
	}
}
