package quota_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

// An order is what a running invocation is told to do next.
type order struct {
	produce int // tokens to send
	end     bool
	usage   outcrop.Usage
	err     error
	panics  bool
}

// A running is an invocation under way.
type running struct {
	orders chan order
	cancel context.CancelCauseFunc
	done   chan outcrop.Receipt
}

var errStop = errors.New("stop")

// obey runs an invocation by its orders.
func obey(orders chan order) modelFunc {
	return func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		sent := 0
		for {
			select {
			case <-ctx.Done():
				return outcrop.Receipt{Attempts: 1, Usage: outcrop.Usage{Input: 8, Output: sent}}, context.Cause(ctx)
			case o := <-orders:
				for range o.produce {
					if err := out.Send(outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text(" word")}); err != nil {
						return outcrop.Receipt{Attempts: 1}, err
					}
				}
				sent += o.produce
				if o.panics {
					panic("ordered")
				}
				if o.end {
					return outcrop.Receipt{Attempts: 1, Usage: o.usage}, o.err
				}
			}
		}
	}
}

// Whatever happens in whatever order: what is held is what is in flight, the
// ledger's invariants hold after each step, and when all has ended nothing is
// held and the sum of what was charged is the sum of what was used.
func TestAnyOrderOfEventsSettles(t *testing.T) {
	seen := map[string]uint64{}
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) { runMachine(t, rt, seen) })
	})
	for _, rare := range []string{"refused", "overrun", "unit", "waited", "spilled", "unit refused", "reserved", "reserved overflowed"} {
		if seen[rare] == 0 {
			t.Errorf("this never happened: %s", rare)
		}
	}
}

type machine struct {
	t       *testing.T
	rt      *rapid.T
	limiter *quota.Limiter
	model   func(chan order) outcrop.Model
	running []*running
}

func runMachine(t *testing.T, rt *rapid.T, seen map[string]uint64) {
	rates := bucket.Rates{Input: rapid.SampledFrom([]int64{60, 600, 6000}).Draw(rt, "unit in"), Output: rapid.SampledFrom([]int64{60, 600, 6000}).Draw(rt, "unit out")}
	spill := rapid.SampledFrom([]outcrop.Spill{"", outcrop.SpillDefault, outcrop.SpillFlex}).Draw(rt, "spill")
	s := limits(ledger.Limits{RequestsPerMinute: rapid.Int64Range(1, 100).Draw(rt, "rpm"), TokensPerMinute: outcrop.QuotaTokens(rapid.Int64Range(1, 10_000).Draw(rt, "tpm"))})
	s.MaxWait = time.Duration(rapid.SampledFrom([]int64{int64(10 * time.Minute), int64(time.Hour), 1}).Draw(rt, "longest wait"))
	s.Ledger.Parity = rapid.Bool().Draw(rt, "parity")
	s.Reserved = []quota.Reserved{{Account: account, Model: haiku, InputTokensPerMinute: 500, OutputTokensPerMinute: 500}}
	l := newLimiter(t, quota.Config{Settings: s, Units: only(unit(rates, 1, spill))})
	m := &machine{t: t, rt: rt, limiter: l, model: func(o chan order) outcrop.Model { return l.Model(obey(o)) }}
	for range rapid.SampledFrom([]int{5, 20, 60}).Draw(rt, "steps") {
		m.step(s)
		synctest.Wait()
		m.reap()
		m.check()
	}
	for _, r := range m.running {
		r.cancel(errStop)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	m.reap()
	m.check()
	idle(t, l)
	m.checkTotals()
	observe(seen, l.Status())
}

// observe adds up what happened.
func observe(seen map[string]uint64, s quota.Status) {
	sum := func(all []quota.Count) (n uint64) {
		for _, c := range all {
			n += c.Count
		}
		return n
	}
	for _, u := range s.Uses {
		seen["refused"] += sum(u.Refused)
		seen["overrun"] += uint64(u.Overrun)
	}
	for _, u := range s.Units {
		seen["unit"] += u.Admitted
		seen["waited"] += u.Waited
		seen["spilled"] += sum(u.Spilled)
		seen["unit refused"] += sum(u.Refused)
	}
	for _, u := range s.Reserved {
		seen["reserved"] += u.Admitted
		seen["reserved overflowed"] += sum(u.Spilled)
	}
}

func (m *machine) step(s quota.Settings) {
	rt := m.rt
	kind := rapid.SampledFrom([]string{"invoke", "invoke", "invoke", "produce", "end", "fail", "panic", "cancel", "sleep", "sleep", "configure"}).Draw(rt, "step")
	if len(m.running) == 0 && kind != "sleep" && kind != "configure" {
		kind = "invoke"
	}
	switch kind {
	case "invoke":
		m.invoke()
		return
	case "sleep":
		time.Sleep(rapid.SampledFrom([]time.Duration{time.Minute, time.Second, 5 * time.Minute}).Draw(rt, "sleep"))
		return
	case "configure":
		s.Ledger.Rules = []ledger.Rule{{Limits: ledger.Limits{TokensPerMinute: outcrop.QuotaTokens(rapid.Int64Range(1, 20_000).Draw(rt, "new tpm"))}}}
		m.limiter.Configure(s)
		return
	}
	r := m.running[rapid.IntRange(0, len(m.running)-1).Draw(rt, "which")]
	if kind == "cancel" {
		r.cancel(errStop)
		return
	}
	o := order{produce: rapid.IntRange(0, 600).Draw(rt, "tokens"), end: kind != "produce", panics: kind == "panic",
		usage: outcrop.Usage{Input: rapid.IntRange(0, 50).Draw(rt, "in"), Output: rapid.IntRange(0, 800).Draw(rt, "out"), CacheRead: rapid.IntRange(0, 50).Draw(rt, "read")}}
	if kind == "fail" {
		o.err = &outcrop.Error{Code: outcrop.CodeModelStream, Message: "ordered"}
	}
	select {
	case r.orders <- o:
	default: // it waits for its unit
	}
}

func (m *machine) invoke() {
	rt := m.rt
	r := &running{orders: make(chan order), done: make(chan outcrop.Receipt, 1)}
	var ctx context.Context
	ctx, r.cancel = context.WithCancelCause(m.t.Context())
	req := request("Hi", rapid.IntRange(0, 1000).Draw(rt, "max"))
	req.Tier = rapid.SampledFrom([]outcrop.ServiceTier{"", outcrop.TierFlex, outcrop.TierReserved}).Draw(rt, "tier")
	if rapid.Bool().Draw(rt, "on unit") {
		req = onUnit(req)
	}
	m.running = append(m.running, r)
	go func() {
		defer func() {
			if v := recover(); v != nil && v != "ordered" {
				panic(fmt.Sprint(v))
			}
			close(r.done)
		}()
		_, _ = m.model(r.orders).Invoke(ctx, req, discard)
	}()
}

// reap takes those that have ended off the list.
func (m *machine) reap() {
	still := m.running[:0]
	for _, r := range m.running {
		select {
		case <-r.done:
			r.cancel(errStop)
		default:
			still = append(still, r)
		}
	}
	m.running = still
}

func (m *machine) check() {
	if err := m.limiter.Check(); err != nil {
		m.rt.Fatal(err)
	}
	s := m.limiter.Status()
	var inFlight int64
	for _, u := range s.Uses {
		inFlight += u.InFlight
	}
	if int64(s.InFlight) != inFlight || s.InFlight > len(m.running) {
		m.rt.Fatalf("%d reservations, %d in flight, %d running", s.InFlight, inFlight, len(m.running))
	}
}

// checkTotals compares what the ledger settled with what the uses and units
// were counted.
func (m *machine) checkTotals() {
	tally := m.limiter.Tally()
	if tally.Held != (ledger.Amount{}) {
		m.rt.Errorf("%+v is held", tally.Held)
	}
	var used outcrop.QuotaTokens
	for _, u := range m.limiter.Status().Uses {
		used += u.Used
	}
	if tally.Settled.Tokens != used {
		m.rt.Errorf("settled %d tokens, used %d", tally.Settled.Tokens, used)
	}
}
