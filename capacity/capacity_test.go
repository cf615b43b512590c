package capacity_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/estimate"
	"github.com/outcrop/outcrop/fair"
)

func TestAnAnswerComesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(4), answers(100*time.Millisecond, 10*time.Millisecond, 50))
		var c counter
		r, err := p.Invoke(t.Context(), request(outcrop.ClassPriority, "1", 1000, 50), &c)
		if err != nil || c != (counter{1, 50, 1}) {
			t.Fatalf("%+v, error %v", c, err)
		}
		if !r.Scheduled || r.Class != outcrop.ClassPriority || r.Queued != 0 || r.Attempts != 1 || r.Engine != "fake" || r.Usage.Output != 50 {
			t.Errorf("receipt is %+v", r)
		}
		empty(t, p)
	})
}

func TestTheQueueKeepsTheOrderOfClasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fair.Default()
		c.MaxAborts, c.Floor = 0, [outcrop.NumClasses]float64{}
		p := pool(t, capacity.Config{Scheduler: c}, small(1), answers(time.Second, 0, 1))
		var mu sync.Mutex
		var order []outcrop.Class
		for _, class := range []outcrop.Class{outcrop.ClassDefault, outcrop.ClassBatch, outcrop.ClassDefault, outcrop.ClassFlex, outcrop.ClassPriority} {
			go func() {
				r, err := p.Invoke(t.Context(), request(class, "1", 100, 1), new(counter))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, r.Class)
				if want := time.Duration(len(order)-1) * time.Second; r.Queued > want {
					t.Errorf("number %d waited %v", len(order), r.Queued)
				}
			}()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if want := "[default priority default flex batch]"; fmt.Sprint(order) != want {
			t.Errorf("order is %v, want %v", order, want)
		}
		empty(t, p)
	})
}

func TestWaitsAreRefusedWithALimitAndAnHonestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fair.Default()
		c.Bound[outcrop.ClassDefault] = 3 * time.Second
		p := pool(t, capacity.Config{Model: "m.x-v1:0", Scheduler: c},
			small(1), answers(time.Minute, 0, 1))
		go p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 1), new(counter))
		synctest.Wait()
		r, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "2", 100, 1), new(counter))
		var e *outcrop.Error
		if !errors.As(err, &e) || e.Code != outcrop.CodeThrottling || e.RetryAfter <= 0 {
			t.Fatalf("error is %v", err)
		}
		for _, part := range []string{"Too many requests", "class default", "m.x-v1:0", "of 3 s", "waited 3 s", "retry in", "request id req-1"} {
			if !strings.Contains(e.Message, part) {
				t.Errorf("%q does not say %q", e.Message, part)
			}
		}
		if l := r.Limit; l == nil || l.Name != "scheduler-wait" || l.Account != "2" || l.Max != 3 || l.Waited != 3*time.Second || l.Wait != e.RetryAfter {
			t.Errorf("limit is %+v", l)
		}
		if r.Queued != 3*time.Second || r.Attempts != 0 {
			t.Errorf("receipt is %+v", r)
		}
		got := tries(r)
		if len(got) != 1 || got[0].Engine != "" || got[0].Queued != 3*time.Second || got[0].Code != outcrop.CodeThrottling || got[0].Held == nil {
			t.Fatalf("tries are %+v", got)
		}
		if held := got[0].Held; held.Class != outcrop.ClassDefault || held.Ahead <= 0 || !slices.Equal(held.Gates, []outcrop.Gate{{Engine: "a", Gate: "sequences"}}) {
			t.Errorf("held by %+v", held)
		}
		time.Sleep(2 * time.Minute)
		empty(t, p)
	})
}

func TestAFullQueueAndAPromptTooLargeAreRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fair.Default()
		c.Queue[outcrop.ClassFlex] = 1
		p := pool(t, capacity.Config{Scheduler: c}, small(1), answers(time.Minute, 0, 1))
		for range 2 {
			go p.Invoke(t.Context(), request(outcrop.ClassFlex, "1", 100, 1), new(counter))
			synctest.Wait()
		}
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassFlex, "2", 100, 1), new(counter)); !errors.Is(err, outcrop.CodeThrottling) {
			t.Errorf("a full queue: %v", err)
		}
		_, err := p.Invoke(t.Context(), request(outcrop.ClassProvisioned, "2", 200_000, 1), new(counter))
		if !errors.Is(err, outcrop.CodeValidation) || !strings.HasPrefix(err.(*outcrop.Error).Message, "Input is too long for requested model.") {
			t.Errorf("a prompt larger than the memory: %v", err)
		}
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "2", 90_000, 50_000), new(counter)); errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("a prediction refused a request: %v", err)
		}
		time.Sleep(5 * time.Minute)
		empty(t, p)
	})
}

func TestAnUnavailableEngineCostsATryAndRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, up := fails(unavailable(), 0), answers(0, 0, 3)
		p := pool(t, capacity.Config{}, small(8), down, up)
		invoke := func() (outcrop.Receipt, error) {
			var c counter
			r, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 3), &c)
			if err == nil && c != (counter{1, 3, 1}) {
				t.Errorf("got %+v", c)
			}
			return r, err
		}
		r, err := invoke()
		if err != nil || r.Attempts != 2 || r.Engine != "fake" {
			t.Fatalf("receipt %+v, error %v", r, err)
		}
		if got := tries(r); len(got) != 2 || got[0].Engine != "a" || got[0].Code != outcrop.CodeUnavailable || got[1].Engine != "b" || got[1].Code != "" || got[1].Held != nil {
			t.Errorf("tries are %+v", got)
		}
		if s := p.State().Engines[0]; s.Condition != estimate.Resting || s.RestsFor != time.Second || !s.Load.Draining {
			t.Errorf("engine is %+v", s)
		}
		if _, err = invoke(); err != nil || down.calls.Load() != 1 {
			t.Fatalf("a resting engine was tried: %d calls, error %v", down.calls.Load(), err)
		}
		time.Sleep(time.Second + time.Millisecond)
		if s := p.State().Engines[0]; s.Condition != estimate.Probing || s.Load.Capacity.MaxSeqs != 1 {
			t.Errorf("engine is %+v", s)
		}
		down.run = up.run
		for range 20 {
			if _, err = invoke(); err != nil {
				t.Fatal(err)
			}
		}
		if s := p.State().Engines[0]; s.Condition != estimate.Healthy || s.Load.Capacity.MaxSeqs != 8 || s.Failures != 0 {
			t.Errorf("engine is %+v", s)
		}
		empty(t, p)
	})
}

func TestTheLastEngineIsTriedAndItsErrorComesBack(t *testing.T) {
	for name, failure := range map[string]error{"unavailable": unavailable(), "throttled": throttled()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := fails(failure, 0), fails(failure, 0)
				p := pool(t, capacity.Config{}, small(8), a, b)
				began := time.Now()
				for i := range 3 {
					r, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 3), new(counter))
					if err != failure || r.Attempts != 2 && r.Attempts != 1 || i == 0 && r.Attempts != 2 {
						t.Fatalf("receipt %+v, error %v", r, err)
					}
				}
				if a.calls.Load()+b.calls.Load() < 4 || time.Since(began) != 0 {
					t.Errorf("%d and %d calls in %v", a.calls.Load(), b.calls.Load(), time.Since(began))
				}
				empty(t, p)
			})
		})
	}
}

func TestNoSecondTryAfterTheFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut, spare := fails(unavailable(), 3), answers(0, 0, 1)
		p := pool(t, capacity.Config{}, small(8), cut, spare)
		var c counter
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 3), &c); !errors.Is(err, outcrop.CodeUnavailable) {
			t.Fatal(err)
		}
		if spare.calls.Load() != 0 || c != (counter{1, 1, 0}) {
			t.Errorf("%d calls of the second engine, events %+v", spare.calls.Load(), c)
		}
		empty(t, p)
	})
}

func TestAStartAloneCommitsToNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		p := pool(t, capacity.Config{}, small(8), fails(unavailable(), 1), answers(0, 0, 2))
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 3), &c); err != nil || c != (counter{1, 2, 1}) {
			t.Errorf("events %+v, error %v", c, err)
		}
		c = counter{}
		p = pool(t, capacity.Config{}, small(8), fails(&outcrop.Error{Code: outcrop.CodeModelStream}, 1))
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 3), &c); !errors.Is(err, outcrop.CodeModelStream) || c.starts != 1 {
			t.Errorf("events %+v, error %v", c, err)
		}
	})
}

func TestTheCallersFaultIsNotTriedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, spare := fails(outcrop.Invalid("no"), 0), answers(0, 0, 1)
		p := pool(t, capacity.Config{}, small(8), bad, spare)
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 3), new(counter)); !errors.Is(err, outcrop.CodeValidation) {
			t.Fatal(err)
		}
		if spare.calls.Load() != 0 {
			t.Error("tried a second engine for an invalid request")
		}
		empty(t, p)
	})
}

func TestACallerThatGoesAwayIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		p := pool(t, capacity.Config{}, small(1), answers(10*time.Second, time.Second, 10))
		for _, when := range []time.Duration{time.Second, 15 * time.Second, 30 * time.Second} {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(when, func() { cancel(gone) })
			errs := make(chan error, 2)
			for range 2 { // one runs, one waits
				go func() {
					_, err := p.Invoke(ctx, request(outcrop.ClassFlex, "1", 100, 3), new(counter))
					errs <- err
				}()
				synctest.Wait()
			}
			first, second := <-errs, <-errs
			if when < 19*time.Second && !errors.Is(first, gone) || !errors.Is(second, gone) {
				t.Errorf("after %v: %v, %v", when, first, second)
			}
			empty(t, p)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		if _, err := p.Invoke(ctx, request(outcrop.ClassFlex, "1", 100, 3), new(counter)); !errors.Is(err, gone) {
			t.Error(err)
		}
		if s := p.State().Classes[outcrop.ClassFlex].Counts; s.Submitted != 6 || s.Aborted != 5 {
			t.Errorf("counts are %+v", s)
		}
	})
}

func TestAnEngineThatPanicsHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(1), &engine{run: func(context.Context, *outcrop.Request, outcrop.Sink) (outcrop.Receipt, error) { panic("boom") }})
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 3), new(counter))
		}()
		empty(t, p)
	})
}

func TestAPromptGivesWayToAHigherClassAndIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{},
			small(8), answers(5*time.Second, 10*time.Millisecond, 40))
		var low, high counter
		done := make(chan outcrop.Receipt, 1)
		go func() {
			r, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 50_000, 40), &low)
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		time.Sleep(100 * time.Millisecond)
		if r, err := p.Invoke(t.Context(), request(outcrop.ClassProvisioned, "2", 2000, 40), &high); err != nil || r.Queued != 0 {
			t.Fatalf("receipt %+v, error %v", r, err)
		}
		r := <-done
		if low != (counter{1, 40, 1}) || high != (counter{1, 40, 1}) {
			t.Errorf("events are %+v and %+v", low, high)
		}
		if r.Attempts != 2 || r.Queued <= 0 || p.State().Classes[outcrop.ClassDefault].Counts.Resumed != 1 {
			t.Errorf("receipt is %+v", r)
		}
		got := tries(r)
		if len(got) != 2 || !got[0].TakenBack || got[0].Ran != 100*time.Millisecond || got[0].Held != nil || got[0].Code != "" {
			t.Fatalf("tries are %+v", got)
		}
		again := got[1]
		if again.TakenBack || again.Queued != r.Queued || again.Held == nil || again.Ran <= 5*time.Second || !slices.Equal(again.Held.Gates, []outcrop.Gate{{Engine: "a", Gate: "reading"}}) {
			t.Errorf("the second try is %+v, held by %+v", again, again.Held)
		}
		empty(t, p)
	})
}

func TestARequestOverTheLastEngineWaitsForOneToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(8), answers(0, 0, 1))
		p.Drain("a", true)
		time.AfterFunc(2*time.Second, func() { p.Drain("a", false) })
		r, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 1), new(counter))
		if err != nil || r.Queued != 2*time.Second {
			t.Fatalf("receipt %+v, error %v", r, err)
		}
		p.Drain("a", true)
		time.Sleep(time.Second)
		_, err = p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 100, 1), new(counter))
		var e *outcrop.Error
		if !errors.As(err, &e) || e.Code != outcrop.CodeUnavailable || e.RetryAfter <= 0 || !strings.Contains(e.Message, "waited 4 s") {
			t.Fatalf("error is %v", err)
		}
		empty(t, p)
		if p.Drain("nobody", true) || p.Remove("nobody") {
			t.Error("an engine that is not there")
		}
	})
}

func TestAnEngineThatIsRemovedLosesOnlyWhatItHadBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(8), answers(time.Second, time.Second, 10), answers(time.Second, 0, 1))
		if !p.Drain("b", true) {
			t.Fatal("no engine b")
		}
		var errs [2]error
		var events [2]counter
		var all sync.WaitGroup
		for i := range 2 {
			all.Go(func() {
				_, errs[i] = p.Invoke(t.Context(), request(outcrop.ClassProvisioned, "1", 100, 1), &events[i])
			})
			time.Sleep(900 * time.Millisecond)
		}
		p.Drain("b", false)
		if !p.Remove("a") {
			t.Fatal("no engine a")
		}
		all.Wait()
		if !errors.Is(errs[0], outcrop.CodeModelStream) || events[0].starts != 1 || events[0].stops != 0 {
			t.Errorf("begun: %+v, %v", events[0], errs[0])
		}
		if errs[1] != nil || events[1] != (counter{1, 1, 1}) {
			t.Errorf("not begun: %+v, %v", events[1], errs[1])
		}
		empty(t, p)
	})
}

func TestUpdateLosesNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := answers(time.Second, time.Second, 5), answers(time.Second, 0, 5)
		p := pool(t, capacity.Config{}, small(2), one)
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				var c counter
				if _, err := p.Invoke(t.Context(), request(outcrop.ClassProvisioned, "1", 100, 1), &c); err != nil || c != (counter{1, 5, 1}) {
					t.Errorf("%+v, %v", c, err)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		if err := p.Update([]capacity.Engine{{Name: "b", Model: two, Capacity: small(2)}}); err != nil {
			t.Fatal(err)
		}
		if s := p.State().Engines; len(s) != 2 || s[0].Name != "b" || !s[1].Leaving || s[1].Load.Sequences != 2 {
			t.Errorf("engines are %+v", s)
		}
		all.Wait()
		if s := p.State().Engines; len(s) != 1 || one.calls.Load() != 2 || two.calls.Load() != 4 {
			t.Errorf("engines are %+v", s)
		}
		if err := p.Update([]capacity.Engine{{Name: "b", Model: two}, {Name: "b", Model: two}}); !errors.Is(err, capacity.ErrName) {
			t.Error(err)
		}
		empty(t, p)
	})
}

func TestCloseRefusesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(1), answers(time.Second, 0, 1))
		errs := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := p.Invoke(t.Context(), request(outcrop.ClassProvisioned, "1", 100, 1), new(counter))
				errs <- err
			}()
			synctest.Wait()
		}
		p.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, outcrop.CodeUnavailable) {
				t.Error(err)
			}
		}
		if err := <-errs; err != nil {
			t.Errorf("what ran was cut: %v", err)
		}
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassProvisioned, "1", 100, 1), new(counter)); !errors.Is(err, outcrop.CodeUnavailable) {
			t.Error(err)
		}
		empty(t, p)
	})
}

func TestTermsDecideAboutWaitAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		terms := map[string]capacity.Terms{
			"short": {MaxWait: 2 * time.Second}, "late": {Deadline: began.Add(9 * time.Second)}, "soon": {Deadline: began.Add(8 * time.Second)},
		}
		p := pool(t, capacity.Config{Terms: func(r *outcrop.Request) capacity.Terms { return terms[r.ID] }}, small(1), answers(3*time.Second, 0, 1))
		var all sync.WaitGroup
		queued := map[string]time.Duration{}
		var mu sync.Mutex
		for _, id := range []string{"none", "plain", "short", "late", "soon"} {
			all.Go(func() {
				req := request(outcrop.ClassFlex, "1", 100, 1)
				req.ID = id
				r, err := p.Invoke(t.Context(), req, new(counter))
				if (id == "short") != errors.Is(err, outcrop.CodeThrottling) {
					t.Errorf("%s: %v", id, err)
				}
				mu.Lock()
				defer mu.Unlock()
				queued[id] = r.Queued
			})
			synctest.Wait()
		}
		all.Wait()
		if queued["soon"] != 3*time.Second || queued["late"] != 6*time.Second || queued["plain"] != 9*time.Second || queued["short"] != 2*time.Second {
			t.Errorf("waits are %v", queued)
		}
	})
}

func TestRequestsOfAUnitAreATenantOfTheirOwn(t *testing.T) {
	var got []string
	p := pool(t, capacity.Config{}, small(8), answers(0, 0, 1))
	for _, class := range []outcrop.Class{outcrop.ClassProvisioned, outcrop.ClassDefault} {
		req := request(class, "111122223333", 10, 1)
		req.Unit = "arn:unit"
		got = append(got, p.Counted(req).Tenant)
	}
	if fmt.Sprint(got) != "[arn:unit 111122223333]" {
		t.Errorf("tenants are %v", got)
	}
}

func TestAnEngineThatStreamsIsAskedToForAll(t *testing.T) {
	var asked []bool
	e := answers(0, 0, 1)
	run := e.run
	e.run = func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		asked = append(asked, req.Streaming)
		return run(ctx, req, out)
	}
	p := pool(t, capacity.Config{}, small(8))
	if err := p.Update([]capacity.Engine{{Name: "a", Model: e, Capacity: small(8), Stream: true}}); err != nil {
		t.Fatal(err)
	}
	req := request(outcrop.ClassDefault, "1", 10, 1)
	req.Streaming = false
	native := request(outcrop.ClassDefault, "1", 10, 1)
	native.Streaming, native.Conversation, native.Native = false, nil, &outcrop.Native{Body: []byte("{}")}
	for _, r := range []*outcrop.Request{req, native} {
		if _, err := p.Invoke(t.Context(), r, new(counter)); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(asked) != "[true false]" || req.Streaming {
		t.Errorf("asked to stream: %v", asked)
	}
}

func TestPrefixesTellConversationsApart(t *testing.T) {
	base := func() *outcrop.Request { return request(outcrop.ClassDefault, "1", 10, 1) }
	next := base()
	next.Conversation.Messages = append(next.Conversation.Messages, outcrop.Message{Role: outcrop.RoleAssistant,
		Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text("hi")}}})
	if capacity.Prefix(base()) != capacity.Prefix(next) {
		t.Error("the next turn has another prefix")
	}
	seen := map[uint64]string{capacity.Prefix(base()): "base"}
	for name, change := range map[string]func(r *outcrop.Request){
		"account": func(r *outcrop.Request) { r.Principal = &outcrop.Principal{Account: "2"} },
		"text":    func(r *outcrop.Request) { r.Conversation.Messages[0].Content[0].Text = outcrop.Text("hello 2") },
		"system": func(r *outcrop.Request) {
			r.Conversation.System = []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text("be brief")}}
		},
		"tool": func(r *outcrop.Request) {
			r.Conversation.Tools = []outcrop.Tool{{Name: outcrop.Text("t"), Schema: outcrop.JSON("{}")}}
		},
		"native": func(r *outcrop.Request) { r.Conversation = nil },
	} {
		r := base()
		change(r)
		if before, taken := seen[capacity.Prefix(r)]; taken {
			t.Errorf("%s has the prefix of %s", name, before)
		}
		seen[capacity.Prefix(r)] = name
	}
}

func TestEventsCostNoAllocations(t *testing.T) {
	of := func(n int) float64 {
		e := &engine{run: func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
			for range n {
				if err := out.Send(outcrop.Event{Kind: outcrop.EventDelta, Text: token}); err != nil {
					return outcrop.Receipt{}, err
				}
			}
			return outcrop.Receipt{}, nil
		}}
		p := pool(t, capacity.Config{}, small(8), e)
		req := request(outcrop.ClassDefault, "1", 100, 8)
		return testing.AllocsPerRun(20, func() {
			if _, err := p.Invoke(t.Context(), req, discard{}); err != nil {
				t.Error(err)
			}
		})
	}
	if few, many := of(10), of(10_000); many > few+2 {
		t.Errorf("%v allocations for 10 events, %v for 10,000", few, many)
	}
}

func TestPromptsThatNobodyCountedAreMeasured(t *testing.T) {
	p := pool(t, capacity.Config{}, capacity.Unknown(0), answers(0, 0, 1))
	text := func(n int) outcrop.Block {
		return outcrop.Block{Kind: outcrop.BlockText, Text: outcrop.Text(strings.Repeat("a", n))}
	}
	req := request(outcrop.ClassDefault, "1", 0, 0)
	req.Conversation = &outcrop.Conversation{
		System:   []outcrop.Block{text(400), {Kind: outcrop.BlockDocument, Media: &outcrop.Media{Text: text(400).Text}}},
		Messages: []outcrop.Message{{Content: []outcrop.Block{{Kind: outcrop.BlockToolResult, Result: &outcrop.ToolResult{Content: []outcrop.Block{text(400)}}}}}},
		Tools:    []outcrop.Tool{{Schema: outcrop.JSON(text(400).Text)}},
	}
	native := request(outcrop.ClassDefault, "1", 0, 0)
	native.Conversation, native.Native = nil, &outcrop.Native{Body: make([]byte, 800)}
	for i, want := range []int{400, 200} {
		if r := p.Counted([]*outcrop.Request{req, native}[i]); r.Prompt != want || r.Output <= 0 {
			t.Errorf("counted with %+v, want a prompt of %d", r, want)
		}
	}
}

func TestWhatAnEngineCachesIsExpectedOfTheNextTurn(t *testing.T) {
	cached := 800
	e := &engine{run: func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		return outcrop.Receipt{Usage: outcrop.Usage{Input: 200, CacheRead: cached, Output: 1}}, out.Send(outcrop.Event{Kind: outcrop.EventStart})
	}}
	p := pool(t, capacity.Config{}, small(8), e)
	for i, want := range []int{0, 800, 300} {
		cached = []int{800, 300, 0}[i]
		req := request(outcrop.ClassDefault, "1", 1000, 1)
		if got := p.Counted(req).Cached; got != want {
			t.Errorf("turn %d: %d expected, want %d", i, got, want)
		}
		if _, err := p.Invoke(t.Context(), req, new(counter)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10_000 { // the memory is bounded
		cached = 1
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, fmt.Sprint(i+2), 1000, 1), new(counter)); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.Prefixes(); n != 4096 {
		t.Errorf("%d prefixes are kept", n)
	}
}

func TestARequestTooLargeForWhatStandsMayComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, capacity.Config{}, small(8))
		large, little := small(8), small(8)
		little.KVTokens = 1000
		m := answers(0, 0, 1)
		if err := p.Update([]capacity.Engine{{Name: "a", Model: m, Capacity: large}, {Name: "b", Model: m, Capacity: little}}); err != nil {
			t.Fatal(err)
		}
		p.Drain("a", true)
		_, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 5000, 1), new(counter))
		var e *outcrop.Error
		if !errors.As(err, &e) || e.Code != outcrop.CodeUnavailable || e.RetryAfter <= 0 {
			t.Error(err)
		}
		p.Drain("a", false)
		if _, err := p.Invoke(t.Context(), request(outcrop.ClassDefault, "1", 5000, 1), new(counter)); err != nil {
			t.Error(err)
		}
	})
}

func TestAFloorKeepsALowClassAlive(t *testing.T) {
	served := func(share float64) (n int) {
		synctest.Test(t, func(t *testing.T) {
			p := pool(t, capacity.Config{}, small(1), answers(100*time.Millisecond, 0, 1))
			p.SetFloor(outcrop.ClassBatch, share)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var all sync.WaitGroup
			for worker := range 8 {
				all.Go(func() {
					class := outcrop.ClassPriority
					if worker < 4 {
						class = outcrop.ClassBatch
					}
					for ctx.Err() == nil {
						_, err := p.Invoke(ctx, request(class, "1", 1000, 1), new(counter))
						if err != nil && ctx.Err() == nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			n = p.State().Classes[outcrop.ClassBatch].Counts.Finished
			empty(t, p)
		})
		return n
	}
	if without, with := served(0), served(.25); with < without+10 {
		t.Errorf("%d served with a floor, %d without", with, without)
	}
}
