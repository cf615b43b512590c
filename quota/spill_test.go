package quota_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

// Where a request goes that is over its unit, by what it says, what the unit
// says, and how long the unit would have it wait.
func TestSpillMatrix(t *testing.T) {
	const short, long = 249 * time.Millisecond, 251 * time.Millisecond
	for _, c := range []struct {
		asked, unit outcrop.Spill
		wait        time.Duration
		class       outcrop.Class // provisioned: on the unit after all
		refused     bool
	}{
		{"", "", short, outcrop.ClassProvisioned, false},
		{"", "", long, 0, true},
		{"", outcrop.SpillNone, long, 0, true},
		{"", outcrop.SpillDefault, long, outcrop.ClassDefault, false},
		{"", outcrop.SpillPriority, long, outcrop.ClassPriority, false},
		{"", outcrop.SpillFlex, long, outcrop.ClassFlex, false},
		{"", outcrop.SpillFlex, short, outcrop.ClassProvisioned, false},
		{outcrop.SpillNone, outcrop.SpillDefault, long, 0, true},
		{outcrop.SpillNone, "", long, 0, true},
		{outcrop.SpillFlex, outcrop.SpillDefault, long, outcrop.ClassFlex, false},
		{outcrop.SpillPriority, outcrop.SpillNone, long, outcrop.ClassPriority, false},
		{outcrop.SpillDefault, "", long, outcrop.ClassDefault, false},
		{outcrop.SpillDefault, "", short, outcrop.ClassProvisioned, false},
		{"reserved", "", long, 0, true},
		{"reserved", outcrop.SpillFlex, long, outcrop.ClassFlex, false},
	} {
		t.Run(string(c.asked)+" "+string(c.unit)+" "+c.wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{TokensPerMinute: 1 << 40}),
					Units: only(unit(bucket.Rates{Together: 60_000_000_000}, 1, c.unit))})
				fill(t, l, c.wait)
				req := onUnit(request("Hi", 1))
				req.Spill, req.Tier = c.asked, outcrop.TierPriority
				began := time.Now()
				r, err := l.Model(uses(outcrop.Usage{Input: 7, Output: 1})).Invoke(t.Context(), req, discard)
				if (err != nil) != c.refused {
					t.Fatal(err)
				}
				checkSpill(t, r, err, c.class, c.wait, time.Since(began))
				onDemand := level(t, l, ledger.TokensPerMinute)
				if want := map[bool]int64{true: 8}[r.Spilled]; onDemand != want {
					t.Errorf("%d tokens count on demand, want %d", onDemand, want)
				}
				idle(t, l)
			})
		})
	}
}

// fill uses the unit of 1e9 tokens a second until it is free only after wait.
func fill(t *testing.T, l *quota.Limiter, wait time.Duration) {
	t.Helper()
	over := int64(20*time.Second+wait) / int64(time.Second/1e9)
	for over > 0 {
		n := min(over, 1_999_999_999) // so that the level is never just full
		over -= n
		req := onUnit(request("Hi", 1))
		if _, err := l.Model(uses(outcrop.Usage{Input: int(n)})).Invoke(t.Context(), req, discard); err != nil {
			t.Fatal(err)
		}
	}
}

func checkSpill(t *testing.T, r outcrop.Receipt, err error, class outcrop.Class, wait, took time.Duration) {
	t.Helper()
	if r.Limit == nil || r.Limit.Unit != unitARN || r.Limit.Next != nil {
		t.Fatalf("the limit is %+v", r.Limit)
	}
	var e *outcrop.Error
	switch {
	case errors.As(err, &e):
		if e.Code != outcrop.CodeThrottling || e.RetryAfter != wait+time.Millisecond || r.Spilled || r.Unit != "" || took != 0 {
			t.Errorf("%+v, %+v", r, e)
		}
	case class == outcrop.ClassProvisioned:
		if r.Class != class || r.Spilled || r.Unit != unitARN || took != wait+1 || r.Limit.Waited != took {
			t.Errorf("%+v after %v", r, took)
		}
	default:
		tier := outcrop.ServiceTier(class.String())
		if r.Class != class || !r.Spilled || r.Unit != "" || r.Tier != tier || took != 0 {
			t.Errorf("%+v after %v", r, took)
		}
	}
}

// A retry at the time that was told succeeds, and one just before does not.
func TestRetryAfterIsExact(t *testing.T) {
	for _, c := range []struct {
		name string
		unit bool
		s    quota.Settings
		use  outcrop.Usage
	}{
		{name: "requests", s: limits(ledger.Limits{RequestsPerMinute: 7, Burst: time.Second}), use: outcrop.Usage{Input: 1}},
		{name: "tokens", s: limits(ledger.Limits{TokensPerMinute: 70}), use: outcrop.Usage{Input: 69}},
		{name: "today", s: limits(ledger.Limits{TokensPerDay: 70}), use: outcrop.Usage{Input: 69}},
		{name: "unit", unit: true, use: outcrop.Usage{Input: 300, Output: 7}, s: quota.Settings{MaxWait: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, quota.Config{Settings: c.s, Units: only(unit(bucket.Rates{Input: 70, Output: 7000}, 1, ""))})
				m := l.Model(uses(c.use))
				ask := func() error {
					req := request("Hi", 1)
					if c.unit {
						req = onUnit(req)
					}
					_, err := m.Invoke(t.Context(), req, discard)
					return err
				}
				if err := ask(); err != nil {
					t.Fatal(err)
				}
				var e *outcrop.Error
				if !errors.As(ask(), &e) || e.Code != outcrop.CodeThrottling || e.RetryAfter <= time.Millisecond {
					t.Fatalf("%+v", e)
				}
				time.Sleep(e.RetryAfter - time.Millisecond)
				if ask() == nil {
					t.Error("it succeeds before")
				}
				time.Sleep(time.Millisecond)
				if err := ask(); err != nil {
					t.Error(err)
				}
				idle(t, l)
			})
		})
	}
}

func TestCallerWhoLeavesWhileWaitingIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Units: only(unit(bucket.Rates{Together: 60_000_000_000}, 1, outcrop.SpillFlex))})
		fill(t, l, 200*time.Millisecond)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		go func() {
			time.Sleep(100 * time.Millisecond)
			cancel(gone)
		}()
		began := time.Now()
		r, err := l.Model(uses(outcrop.Usage{})).Invoke(ctx, onUnit(request("Hi", 1)), discard)
		if !errors.Is(err, gone) || time.Since(began) != 100*time.Millisecond || r.Limit == nil {
			t.Errorf("%+v, %v after %v", r, err, time.Since(began))
		}
		idle(t, l)
	})
}

// Many wait for the same drop: those whom it does not reach within the
// longest wait are refused, all the others are served, and none waits longer.
func TestWaitersNeverWaitLongerThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Units: only(unit(bucket.Rates{Together: 60_000_000_000}, 1, ""))})
		fill(t, l, 100*time.Millisecond)
		m := l.Model(uses(outcrop.Usage{Input: 20_000_000})) // 20 ms of the unit
		var mu sync.Mutex
		served, refused := 0, 0
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				began := time.Now()
				_, err := m.Invoke(t.Context(), onUnit(request("Hi", 1)), discard)
				if took := time.Since(began); took > quota.DefaultMaxWait {
					t.Errorf("waited %v", took)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					served++
				} else {
					refused++
				}
			})
		}
		all.Wait()
		if served < 7 || served+refused != 30 {
			t.Errorf("%d served, %d refused", served, refused)
		}
		if u := l.Status().Units[0]; u.Waited != uint64(served) || u.WaitTime < 100*time.Millisecond {
			t.Errorf("%+v", u)
		}
		idle(t, l)
	})
}

func TestSpillMayBeRefusedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, quota.Config{Settings: limits(ledger.Limits{TokensPerDay: ledger.Closed}),
			Units: only(unit(bucket.Rates{Together: 60_000_000_000}, 1, outcrop.SpillDefault))})
		fill(t, l, time.Second)
		r, err := l.Model(uses(outcrop.Usage{})).Invoke(t.Context(), onUnit(request("Hi", 1)), discard)
		var e *outcrop.Error
		if !errors.As(err, &e) || e.RetryAfter != time.Second+time.Millisecond {
			t.Errorf("%+v", e)
		}
		if r.Limit == nil || r.Limit.Unit != unitARN || r.Limit.Next == nil || r.Limit.Next.Name != "tokens-per-day" || r.Limit.Next.Wait >= 0 {
			t.Errorf("%+v", r.Limit)
		}
		idle(t, l)
	})
}
