package sim_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sim"
)

func TestFaultsByMetadata(t *testing.T) {
	for spec, want := range map[string]outcrop.Code{
		"throttling":            outcrop.CodeThrottling,
		"validation":            outcrop.CodeValidation,
		"model_error":           outcrop.CodeModelError,
		"timeout":               outcrop.CodeModelTimeout,
		"unavailable":           outcrop.CodeUnavailable,
		"internal":              outcrop.CodeInternal,
		"not_ready":             outcrop.CodeModelNotReady,
		"access_denied":         outcrop.CodeAccessDenied,
		"not_found":             outcrop.CodeNotFound,
		"quota":                 outcrop.CodeQuota,
		"stream_error":          outcrop.CodeModelStream,
		"ThrottlingException":   outcrop.CodeThrottling,
		"ModelTimeoutException": outcrop.CodeModelTimeout,
		"stream_cut:5":          outcrop.CodeModelStream,
		"nonsense":              outcrop.CodeValidation,
		"delay":                 outcrop.CodeValidation,
		"delay:-1s":             outcrop.CodeValidation,
		"delay:100h":            outcrop.CodeValidation,
		"cut:x":                 outcrop.CodeValidation,
	} {
		r, receipt, err := invoke(t, quick(t), ask(t, "Hi", meta(sim.MetadataFault, spec)))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %s", spec, err, want)
		}
		cut := spec == "stream_cut:5"
		if started := len(r.events) > 0; started != cut || cut != (receipt.Usage.Output == 5) {
			t.Errorf("%s: %d events, %+v", spec, len(r.events), receipt)
		}
	}
}

func TestAThrottledCallIsToldWhenToComeBack(t *testing.T) {
	_, _, err := invoke(t, quick(t), ask(t, "Hi", meta(sim.MetadataFault, "throttling:3s")))
	if e, ok := errors.AsType[*outcrop.Error](err); !ok || e.RetryAfter != 3*time.Second {
		t.Errorf("%v", err)
	}
}

func TestCutsAtTheEdges(t *testing.T) {
	e := quick(t)
	_, whole := mustInvoke(t, e, ask(t, "Hi"))
	for _, n := range []string{"0", "1"} {
		r, receipt, err := invoke(t, e, ask(t, "Hi", meta(sim.MetadataFault, "cut:"+n)))
		if !errors.Is(err, outcrop.CodeModelStream) || r.events[0] != outcrop.EventStart || receipt.Stop != "" {
			t.Errorf("cut:%s: %v, %v, %+v", n, err, r.events, receipt)
		}
	}
	if _, same := mustInvoke(t, e, ask(t, "Hi", meta(sim.MetadataFault, "cut:100000"))); same.Usage != whole.Usage {
		t.Errorf("a cut after the end changes %+v to %+v", whole.Usage, same.Usage)
	}
}

func TestFaultTimesLetTheRetryThrough(t *testing.T) {
	e := quick(t)
	request := func(id string) error {
		_, _, err := invoke(t, e, ask(t, "Hi", meta(sim.MetadataFault, "throttling"), meta(sim.MetadataFaultTimes, "2"), meta(sim.MetadataFaultID, id)))
		return err
	}
	for _, id := range []string{"", "a", "b"} {
		for round := range 2 {
			for i, want := range []bool{false, false, true} {
				if err := request(id); (err == nil) != want {
					t.Errorf("id %q, round %d, attempt %d: %v", id, round, i+1, err)
				}
			}
		}
	}
	_, _, err := invoke(t, e, ask(t, "Hi", meta(sim.MetadataFault, "throttling"), meta(sim.MetadataFaultTimes, "x")))
	if !errors.Is(err, outcrop.CodeValidation) {
		t.Errorf("times x: %v", err)
	}
}

func TestDelayAndSlowTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sim.New(sim.Config{Card: card(t, haiku), Speed: 0})
		r, _ := mustInvoke(t, e, ask(t, "Hi", maxTokens(4), meta(sim.MetadataFault, "delay:2s slow:200ms")))
		for i, want := range []time.Duration{2200, 2400, 2600, 2800} {
			if r.at[i] != want*time.Millisecond {
				t.Errorf("token %d after %v, want %d ms", i+1, r.at[i], want)
			}
		}
	})
}

func TestAHangingCallEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r := &recorder{t: t}
		_, err := quick(t).Invoke(ctx, ask(t, "Hi", meta(sim.MetadataFault, "hang")), r)
		if !errors.Is(err, context.DeadlineExceeded) || len(r.events) != 0 {
			t.Errorf("%v, %d events", err, len(r.events))
		}
	})
}

func TestMalformedOutputSaysSo(t *testing.T) {
	r, receipt := mustInvoke(t, quick(t), ask(t, "Hi", meta(sim.MetadataFault, "malformed")))
	if receipt.Stop != outcrop.StopMalformedOutput || r.said()[0] != '{' {
		t.Errorf("%+v: %s", receipt, r.said())
	}
	_, receipt = mustInvoke(t, quick(t), ask(t, "Hi", withTools(outcrop.ToolChoice{Kind: outcrop.ToolChoiceAny}), meta(sim.MetadataFault, "malformed")))
	if receipt.Stop != outcrop.StopMalformedToolUse {
		t.Errorf("with a forced tool: %+v", receipt)
	}
}

func TestFaultsByRate(t *testing.T) {
	hits := func(seed uint64, f sim.Fault, n int, change ...func(*outcrop.Request)) (count int) {
		e := quick(t, func(c *sim.Config) { c.Seed, c.Faults = seed, []sim.Fault{f} })
		for range n {
			if _, _, err := invoke(t, e, ask(t, "Hi", change...)); err != nil {
				if !errors.Is(err, f.Code) {
					t.Fatal(err)
				}
				count++
			}
		}
		return count
	}
	fault := sim.Fault{Kind: sim.FaultError, Code: outcrop.CodeUnavailable, Rate: 0.25}
	if got := hits(1, fault, 1000); got < 200 || got > 300 {
		t.Errorf("%d of 1,000 calls are hit, want about 250", got)
	}
	if a, b := hits(7, fault, 100), hits(7, fault, 100); a != b {
		t.Errorf("the same seed hits %d and %d", a, b)
	}
	fault.Rate = 1
	fault.Times = 3
	if got := hits(1, fault, 10); got != 3 {
		t.Errorf("%d calls are hit, want 3", got)
	}
	fault.Times, fault.Metadata = 0, outcrop.Metadata{Key: "test", Value: "yes"}
	if got := hits(1, fault, 5); got != 0 {
		t.Errorf("%d calls without the entry are hit", got)
	}
	if got := hits(1, fault, 5, meta("test", "yes")); got != 5 {
		t.Errorf("%d of 5 calls with the entry are hit", got)
	}
	fault.Rate, fault.Metadata = 0, outcrop.Metadata{}
	if got := hits(1, fault, 100); got != 0 {
		t.Errorf("%d calls are hit at rate 0", got)
	}
}

func FuzzFaultSpec(f *testing.F) {
	f.Add("delay:0s,throttling:1s slow:0s")
	f.Add("cut:5,cut:,:::")
	e := sim.New(sim.Config{})
	f.Fuzz(func(t *testing.T, spec string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // so that nothing hangs
		req := ask(t, "Hi", meta(sim.MetadataFault, spec))
		_, err := e.Invoke(ctx, req, &recorder{t: t})
		if !errors.Is(err, context.Canceled) && !errors.Is(err, outcrop.CodeValidation) && spec != "" {
			t.Fatalf("%q: %v", spec, err)
		}
	})
}
