package capacity_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

// A script writes down what the caller sees, flushes aside.
type script struct{ lines []string }

func (s *script) Send(e outcrop.Event) error {
	if e.Kind != outcrop.EventFlush {
		s.lines = append(s.lines, fmt.Sprintf("%d %d %d %s %s", e.Kind, e.Block, e.Index, e.Text, e.More().Stop))
	}
	return nil
}

// limited is the whole chain: a limiter, and a simulated engine behind the
// scheduler.
func limited(t *testing.T) (*quota.Limiter, *capacity.Pool) {
	t.Helper()
	p, _ := h100(t, capacity.Config{})
	l, err := quota.New(quota.Config{Settings: quota.Settings{Ledger: ledger.Config{
		Rules: []ledger.Rule{{Limits: ledger.Limits{TokensPerDay: 1 << 30}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return l, p
}

// ofToday is what counts against the account's tokens of the day.
func ofToday(l *quota.Limiter, account string) int64 {
	for _, u := range l.Status().Uses {
		for _, v := range u.Levels {
			if u.Account == account && v.Limit == ledger.TokensPerDay.String() {
				return v.Level
			}
		}
	}
	return -1
}

// A prompt that is taken back for the sake of a higher class is read again
// later. The caller sees the answer that he would have seen without, once; he
// and his tenant are charged for it once.
func TestARequestThatIsTakenBackIsAnsweredAndChargedOnce(t *testing.T) {
	low := simulated(outcrop.ClassDefault, "low", 20_000, 40)
	alone := &script{}
	synctest.Test(t, func(t *testing.T) {
		l, p := limited(t)
		if _, err := l.Model(p).Invoke(t.Context(), low, alone); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l, p := limited(t)
		running, leave := context.WithCancel(t.Context())
		go func() { // so that the class is never idle, and forgets no counter
			_, _ = p.Invoke(running, simulated(outcrop.ClassDefault, "other", 100, 50_000), new(counter))
		}()
		time.Sleep(100 * time.Millisecond)
		beside := &script{}
		done := make(chan outcrop.Receipt, 1)
		go func() {
			r, err := l.Model(p).Invoke(t.Context(), low, beside)
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		for range 2 {
			time.Sleep(150 * time.Millisecond)
			if _, err := p.Invoke(t.Context(), simulated(outcrop.ClassProvisioned, "high", 500, 5), new(counter)); err != nil {
				t.Error(err)
			}
		}
		r := <-done
		if n := p.State().Classes[outcrop.ClassDefault].Counts; n.Resumed != 2 || n.Finished != 1 || n.Lost+n.Refused+n.Aborted != 0 {
			t.Errorf("counts %+v", n)
		}
		if diff := cmp.Diff(alone.lines, beside.lines); diff != "" || r.Attempts != 3 {
			t.Errorf("attempt %d; the caller saw (-alone +taken back):\n%s", r.Attempts, diff)
		}
		if got := ofToday(l, "low"); got != int64(r.Usage.Total()) || r.Usage.Output != 40 {
			t.Errorf("%d tokens count against the quota; used %+v", got, r.Usage)
		}
		due := float64(r.Usage.Input) + fair.Default().OutputWeight*float64(r.Usage.Output)
		if got := p.Served(outcrop.ClassDefault, "low"); got != due {
			t.Errorf("the tenant was charged %v, want %v", got, due)
		}
		leave()
		synctest.Wait()
		empty(t, p)
		if err := l.Check(); err != nil || l.Status().InFlight != 0 {
			t.Errorf("%d in flight; %v", l.Status().InFlight, err)
		}
	})
}
