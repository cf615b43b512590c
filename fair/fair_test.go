package fair_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

const ms = time.Millisecond

// small is an engine with round figures: 1,000 tokens of prompt a second.
var small = fair.Capacity{KVTokens: 1000, MaxSeqs: 10, StepBudget: 100, PrefillRate: 1000, DecodeRate: 100}

func pool(t *testing.T, c fair.Config, engines ...fair.Capacity) *fair.Pool {
	t.Helper()
	p := fair.New(c)
	for i, e := range engines {
		if out := p.Up(0, fair.EngineID(i), e, nil); len(out) > 0 {
			t.Fatal(out)
		}
	}
	return p
}

func submit(t *testing.T, p *fair.Pool, now time.Duration, r fair.Request) []fair.Action {
	t.Helper()
	if r.Prompt == 0 {
		r.Prompt = 10
	}
	out, err := p.Submit(now, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	return out
}

// ids lists the requests that were dispatched, in order.
func ids(out []fair.Action) (l []fair.ID) {
	for _, a := range out {
		if a.Kind == fair.Dispatch {
			l = append(l, a.ID)
		}
	}
	return l
}

func mustBe(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestARequestStartsAtOnceWhereThereIsRoom(t *testing.T) {
	p := pool(t, fair.Default(), small)
	for c := outcrop.ClassBatch; c <= outcrop.ClassProvisioned; c++ {
		out := submit(t, p, 0, fair.Request{ID: fair.ID(c), Class: c})
		want := []fair.Action{{Kind: fair.Dispatch, ID: fair.ID(c), Priority: []int{100, 30, 20, 10, 0}[c]}}
		mustBe(t, c.String(), out, want)
		p.Progress(0, fair.ID(c), 1, nil)
	}
}

func TestInvalidRequestsAreNotTaken(t *testing.T) {
	p := pool(t, fair.Default(), small)
	for _, r := range []fair.Request{
		{}, {Prompt: -1}, {Prompt: 1, Class: outcrop.NumClasses}, {Prompt: 1, Output: -1},
		{Prompt: 1, Cached: -1}, {Prompt: 1, MaxWait: -1}, {Prompt: 1, Deadline: -1}, {Prompt: 1 << 40},
	} {
		if out, err := p.Submit(0, r, nil); err != fair.ErrRequest || len(out) > 0 {
			t.Errorf("Submit(%+v) = %v, %v", r, out, err)
		}
	}
}

func TestClassesAreServedInOrder(t *testing.T) {
	one := small
	one.MaxSeqs = 1
	c := fair.Default()
	c.LowCap = 0
	p := pool(t, c, one)
	submit(t, p, 0, fair.Request{ID: 99, Class: outcrop.ClassDefault})
	for i, rank := range []outcrop.Class{0, 3, 1, 4, 2} {
		if out := submit(t, p, 0, fair.Request{ID: fair.ID(i), Class: rank}); len(ids(out)) > 0 && rank < outcrop.ClassPriority {
			t.Fatal(out)
		}
	}
	var order []fair.ID
	running := fair.ID(99)
	for len(order) < 6 {
		s := p.State()
		if s.Classes[2].Flying+s.Classes[3].Flying+s.Classes[4].Flying+s.Classes[1].Flying+s.Classes[0].Flying != 1 {
			t.Fatalf("%+v", s)
		}
		for id := range fair.ID(100) {
			if x, ok := p.Explain(id); ok && x.Started {
				running = id
			}
		}
		order = append(order, running)
		p.Progress(0, running, 1, nil)
		p.Finished(0, running, outcrop.Usage{}, nil)
	}
	// 99 was reading its prompt when priority came, and is aborted for it; it
	// came before 4, which is of its class.
	mustBe(t, "order", order, []fair.ID{1, 3, 99, 4, 2, 0})
}

func TestATenantIsServedByDeadlineThenArrival(t *testing.T) {
	one := small
	one.MaxSeqs = 1
	p := pool(t, fair.Default(), one)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassFlex})
	for i, d := range []time.Duration{0, 9, 5, 0, 7} {
		submit(t, p, 0, fair.Request{ID: fair.ID(10 + i), Class: outcrop.ClassFlex, Deadline: d * time.Second})
	}
	var order []fair.ID
	for next := []fair.ID{1}; len(next) > 0; {
		order = append(order, next...)
		next = ids(p.Finished(0, next[0], outcrop.Usage{}, nil))
	}
	mustBe(t, "order", order, []fair.ID{1, 12, 14, 11, 10, 13})
}

func TestALightTenantDoesNotWaitBehindAHeavyOne(t *testing.T) {
	one := small
	one.MaxSeqs = 1
	p := pool(t, fair.Default(), one)
	for i := range fair.ID(10) {
		submit(t, p, 0, fair.Request{ID: i, Tenant: "heavy", Class: outcrop.ClassDefault})
	}
	submit(t, p, 0, fair.Request{ID: 50, Tenant: "light", Class: outcrop.ClassDefault})
	if got := ids(p.Finished(0, 0, outcrop.Usage{}, nil)); len(got) != 1 || got[0] != 50 {
		t.Errorf("after the first of ten %v is next, want 50", got)
	}
}

func TestNobodySavesUpService(t *testing.T) {
	one := small
	one.MaxSeqs = 1
	p := pool(t, fair.Default(), one)
	now, running := time.Duration(0), fair.ID(0)
	for i := range fair.ID(40) {
		submit(t, p, now, fair.Request{ID: i, Tenant: "busy", Class: outcrop.ClassFlex})
	}
	for range 20 {
		running = ids(p.Finished(now, running, outcrop.Usage{}, nil))[0]
	}
	for i := range fair.ID(20) {
		submit(t, p, now, fair.Request{ID: 100 + i, Tenant: "new", Class: outcrop.ClassFlex})
	}
	late := 0
	for range 10 {
		running = ids(p.Finished(now, running, outcrop.Usage{}, nil))[0]
		if running >= 100 {
			late++
		}
	}
	if late < 4 || late > 6 {
		t.Errorf("the newcomer got %d of 10", late)
	}
}

func TestEachGateHolds(t *testing.T) {
	long := fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 80}
	for _, c := range []struct {
		name  string
		first fair.Request
		next  fair.Request
		gate  fair.Gate
	}{
		{"prefill", long, fair.Request{Class: outcrop.ClassDefault, Prompt: 10}, fair.GatePrefill},
		{"prefill of priority", long, fair.Request{Class: outcrop.ClassPriority, Prompt: 120}, fair.GateOpen},
		{"memory", fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 10, Output: 700}, fair.Request{Class: outcrop.ClassDefault, Prompt: 10, Output: 40}, fair.GateKV},
		{"memory of provisioned", fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 10, Output: 700}, fair.Request{Class: outcrop.ClassProvisioned, Prompt: 10, Output: 280}, fair.GateOpen},
		{"reading for a high class", fair.Request{ID: 1, Class: outcrop.ClassPriority, Prompt: 10}, fair.Request{Class: outcrop.ClassDefault, Prompt: 10}, fair.GateReading},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pool(t, fair.Default(), small)
			submit(t, p, 0, c.first)
			c.next.ID = 2
			submit(t, p, 0, c.next)
			x, ok := p.Explain(2)
			if started := c.gate == fair.GateOpen; !ok || x.Started != started || !started && x.Gates[0].Gate != c.gate {
				t.Errorf("Explain: %+v, %v, want gate %v", x, ok, c.gate)
			}
		})
	}
}

func TestANumberBoundsLowerClassesWhereThatIsAskedFor(t *testing.T) {
	c := fair.Default()
	c.LowSeqs = 2
	p := pool(t, c, small)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassPriority, Prompt: 10}) // does not count, and holds nobody up
	for id := fair.ID(2); id <= 4; id++ {
		submit(t, p, 0, fair.Request{ID: id, Class: outcrop.ClassDefault, Prompt: 90})
	}
	if x, _ := p.Explain(3); !x.Started {
		t.Errorf("the second: %+v", x)
	}
	if x, _ := p.Explain(4); x.Started || x.Gates[0].Gate != fair.GateSeqs {
		t.Errorf("the third: %+v", x)
	}
	if out := p.Finished(1, 2, outcrop.Usage{Input: 90, Output: 1}, nil); len(ids(out)) != 1 || ids(out)[0] != 4 {
		t.Errorf("after the end of one: %v", out)
	}
}

func TestLongPromptsMayReadAlone(t *testing.T) {
	p := pool(t, fair.Default(), small)
	if out := submit(t, p, 0, fair.Request{ID: 1, Prompt: 900}); len(ids(out)) != 1 {
		t.Errorf("a batch row of 9 steps on an idle engine: %v", out)
	}
}

func TestAHighClassTakesBackWhatIsBeingRead(t *testing.T) {
	c := fair.Default()
	c.AbortTokens = 50
	p := pool(t, c, small)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 500})
	out := submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassProvisioned})
	mustBe(t, "actions", out, []fair.Action{{Kind: fair.AbortAndResume, ID: 1}, {Kind: fair.Dispatch, ID: 2}})
	out = p.FirstToken(20*ms, 2, nil)
	mustBe(t, "after the first token", out, []fair.Action{{Kind: fair.Dispatch, ID: 1, Priority: 20, Wait: 20 * ms}})
	if s := p.State().Classes[outcrop.ClassDefault].Counts; s.Resumed != 1 || s.Dispatched != 2 {
		t.Errorf("counts %+v", s)
	}
}

func TestNothingIsAbortedAfterItsFirstToken(t *testing.T) {
	c := fair.Default()
	c.AbortTokens = 50
	p := pool(t, c, small)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassBatch, Prompt: 500})
	p.FirstToken(ms, 1, nil)
	out := submit(t, p, ms, fair.Request{ID: 2, Class: outcrop.ClassProvisioned})
	mustBe(t, "actions", out, []fair.Action{{Kind: fair.Dispatch, ID: 2}})
}

func TestARequestIsAbortedThreeTimesAtMost(t *testing.T) {
	c := fair.Default()
	c.AbortTokens = 50
	p := pool(t, c, small)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassBatch, Prompt: 500})
	aborts, now := 0, time.Duration(0)
	for i := range fair.ID(6) {
		now += time.Second
		for _, a := range submit(t, p, now, fair.Request{ID: 10 + i, Class: outcrop.ClassPriority}) {
			if a.Kind == fair.AbortAndResume {
				aborts++
			}
		}
		p.FirstToken(now, 10+i, nil)
		p.Finished(now, 10+i, outcrop.Usage{}, nil)
		p.Tick(now+900*ms, nil)
	}
	if aborts != 3 {
		t.Errorf("%d aborts, want 3", aborts)
	}
}

func TestHighClassesGoWhereTheyStartFirst(t *testing.T) {
	p := pool(t, fair.Default(), small, small, small)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassProvisioned, Prompt: 300})
	submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassProvisioned, Prompt: 100})
	submit(t, p, 0, fair.Request{ID: 3, Class: outcrop.ClassProvisioned, Prompt: 200})
	out := submit(t, p, 0, fair.Request{ID: 4, Class: outcrop.ClassPriority, Prompt: 50})
	mustBe(t, "engine", out[0].Engine, fair.EngineID(1))
	out = submit(t, p, 250*ms, fair.Request{ID: 5, Class: outcrop.ClassPriority, Prompt: 50})
	mustBe(t, "engine once the prompts are read", out[0].Engine, fair.EngineID(1))
}

func TestLowClassesGoWhereTheirPrefixIs(t *testing.T) {
	p := pool(t, fair.Default(), small, small)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 40, Prefix: 7})
	submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassDefault, Prompt: 40, Prefix: 8})
	p.FirstToken(0, 1, nil)
	p.FirstToken(0, 2, nil)
	p.Finished(0, 1, outcrop.Usage{}, nil)
	out := submit(t, p, 0, fair.Request{ID: 3, Class: outcrop.ClassDefault, Prompt: 40, Cached: 32, Prefix: 8})
	mustBe(t, "engine", out[0].Engine, fair.EngineID(1))
}

func TestTheLaneIsForShortPrompts(t *testing.T) {
	c := fair.Default()
	c.LaneTokens, c.Clear = 50, 0
	lane := small
	lane.Lane = true
	p := pool(t, c, small, small, small, lane)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassProvisioned})
	p.FirstToken(0, 1, nil)
	for i := range fair.ID(4) {
		submit(t, p, 0, fair.Request{ID: 10 + i, Class: outcrop.ClassDefault, Prompt: 100})
	}
	x, _ := p.Explain(13)
	if x.Started || x.Gates[3].Gate != fair.GateLane {
		t.Errorf("the fourth long prompt: %+v", x)
	}
	out := submit(t, p, 0, fair.Request{ID: 20, Class: outcrop.ClassBatch, Prompt: 40})
	mustBe(t, "a short batch row beside a long default prompt", out,
		[]fair.Action{{Kind: fair.Dispatch, ID: 20, Engine: 3, Priority: 100}})
}

func TestTheLaneTakesAFewRequestsOfLowClasses(t *testing.T) {
	c := fair.Default()
	c.LaneTokens, c.LaneSeqs, c.Clear, c.LowCap = 50, 2, 0, 0
	lane, full := small, small
	lane.Lane, full.MaxSeqs = true, 1
	p := pool(t, c, full, full, full, lane)
	for i := range fair.ID(3) {
		submit(t, p, 0, fair.Request{ID: i, Class: outcrop.ClassProvisioned})
		p.FirstToken(0, i, nil)
	}
	for i := range fair.ID(3) {
		submit(t, p, 0, fair.Request{ID: 10 + i, Class: outcrop.ClassDefault, Prompt: 10})
		p.FirstToken(0, 10+i, nil)
	}
	x, _ := p.Explain(12)
	if x.Started || x.Gates[3].Gate != fair.GateLane {
		t.Errorf("the third short prompt: %+v", x)
	}
	out := submit(t, p, 0, fair.Request{ID: 20, Class: outcrop.ClassProvisioned})
	mustBe(t, "a provisioned request", out[0].Engine, fair.EngineID(3))
	out = p.Finished(0, 10, outcrop.Usage{}, nil)
	mustBe(t, "the end of one while a prompt of a provisioned request is read", ids(out), []fair.ID(nil))
	out = p.FirstToken(0, 20, nil)
	mustBe(t, "what starts then", ids(out), []fair.ID{12})
}

// A long prompt takes several steps, and each of them is as much longer as the
// engine has in its memory.
func TestHighClassesGoWhereStepsAreShort(t *testing.T) {
	big := fair.Capacity{KVTokens: 10_000, MaxSeqs: 100, StepBudget: 100, PrefillRate: 1000, DecodeRate: 100}
	p := pool(t, fair.Default(), big, big)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassPriority, Prompt: 1, Output: 5000})
	p.FirstToken(0, 1, nil)
	submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassPriority, Prompt: 30})
	x, _ := p.Explain(2)
	mustBe(t, "a short prompt", x.Engine, fair.EngineID(1))
	out := submit(t, p, 0, fair.Request{ID: 3, Class: outcrop.ClassProvisioned, Prompt: 10})
	mustBe(t, "one that would wait for that", out[0].Engine, fair.EngineID(0))
	out = submit(t, p, 0, fair.Request{ID: 4, Class: outcrop.ClassProvisioned, Prompt: 1000})
	mustBe(t, "a long one", out[0].Engine, fair.EngineID(1))
}

// Of two engines that are as good, a prompt that takes several steps goes to the
// lane and a shorter one does not.
func TestTheLaneIsForLongPromptsOfHighClasses(t *testing.T) {
	lane := fair.Capacity{KVTokens: 10_000, MaxSeqs: 100, StepBudget: 100, PrefillRate: 1000, DecodeRate: 100, Lane: true}
	busy := lane
	busy.Lane = false
	p := pool(t, fair.Default(), lane, busy, busy, busy)
	for i := fair.ID(1); i <= 3; i++ {
		submit(t, p, 0, fair.Request{ID: i, Class: outcrop.ClassProvisioned, Prompt: 1})
		p.FirstToken(0, i, nil)
		x, _ := p.Explain(i)
		mustBe(t, "a short prompt", x.Engine, fair.EngineID(i))
	}
	out := submit(t, p, 0, fair.Request{ID: 10, Class: outcrop.ClassProvisioned, Prompt: 200})
	mustBe(t, "a long prompt", out[0].Engine, fair.EngineID(0))
}

func TestEnginesAreKeptClearWhileAHighClassIsActive(t *testing.T) {
	p := pool(t, fair.Default(), small, small, small, small)
	for i := range fair.ID(4) {
		if out := submit(t, p, 0, fair.Request{ID: i, Prompt: 100}); len(ids(out)) != 1 {
			t.Fatalf("row %d without a guard: %v", i, out)
		}
	}
	p = pool(t, fair.Default(), small, small, small, small)
	submit(t, p, 0, fair.Request{ID: 100, Class: outcrop.ClassProvisioned})
	p.FirstToken(0, 100, nil)
	for i := range fair.ID(4) {
		submit(t, p, 0, fair.Request{ID: i, Prompt: 100})
	}
	if got := p.State().Classes[outcrop.ClassBatch].Flying; got != 2 {
		t.Errorf("%d long prompts on 4 engines, want 2: a long one leaves two clear", got)
	}
	p.Finished(0, 100, outcrop.Usage{}, nil)
	at, ok := p.NextAt()
	if !ok || at > time.Minute {
		t.Fatalf("NextAt %v, %v", at, ok)
	}
	if out := p.Tick(time.Minute, nil); len(ids(out)) != 2 {
		t.Errorf("a minute after the last of a high class: %v", out)
	}
}

func TestTheLowCapIsARate(t *testing.T) {
	c := fair.Default()
	c.LowCap = .5
	r := newRig(t, 1, c)
	r.submit(fair.Request{Class: outcrop.ClassProvisioned, Prompt: 10, Output: 5000}, 0)
	r.backlog(150, func() fair.Request { return fair.Request{Tenant: "batch", Prompt: 1000, Output: 1} })
	r.done = func(f *flight) {
		if f.Tenant == "batch" {
			r.submit(f.Request, 0)
		}
	}
	r.run(10 * time.Second)
	rate := r.service["batch"] / 10 / 28_571
	if rate < .47 || rate > .53 {
		t.Errorf("batch prompts at %.2f of the prefill rate, want 0.5", rate)
	}
}

func TestARefusalNamesItsBoundAndAnHonestTime(t *testing.T) {
	c := fair.Default()
	c.Bound[outcrop.ClassDefault] = time.Second
	one := small
	one.MaxSeqs, one.KVTokens = 1, 100_000
	p := pool(t, c, one)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault})
	submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassDefault, Prompt: 1900})
	out := submit(t, p, 0, fair.Request{ID: 3, Class: outcrop.ClassDefault, Prompt: 5000})
	// 1,900 tokens over 1,000 a second, corrected by what the first took: the
	// meter saw 10 tokens in no time.
	rate := 1010.0
	wait := 1900 / rate
	if len(out) != 1 || out[0].Bound != fair.BoundWait || out[0].Limit != 1 {
		t.Fatalf("%+v", out)
	}
	if got := out[0].Level - wait; got < -1e-6 || got > 1e-6 {
		t.Errorf("expected wait %v s, want %v", out[0].Level, wait)
	}
	if got := out[0].Retry.Seconds() - (wait - 1); got < -1e-6 || got > 1e-6 {
		t.Errorf("retry after %v, want %v s", out[0].Retry, wait-1)
	}
}

func TestAnExpiredRequestIsRefused(t *testing.T) {
	one := small
	one.MaxSeqs = 1
	p := pool(t, fair.Default(), one)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassFlex})
	submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassFlex, MaxWait: 300 * ms})
	at, ok := p.NextAt()
	if !ok || at != 300*ms {
		t.Fatalf("NextAt %v, %v", at, ok)
	}
	out := p.Tick(at, nil)
	if len(out) != 1 || out[0].Kind != fair.Refuse || out[0].Bound != fair.BoundWait || out[0].Wait != 300*ms || out[0].Retry <= 0 {
		t.Errorf("%+v", out)
	}
}

func TestALostEngineGivesBackWhatHasNoFirstToken(t *testing.T) {
	p := pool(t, fair.Default(), small, small)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassProvisioned})
	submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassProvisioned})
	submit(t, p, 0, fair.Request{ID: 3, Class: outcrop.ClassProvisioned})
	p.FirstToken(0, 1, nil)
	x, _ := p.Explain(1)
	out := p.Down(ms, x.Engine, nil)
	kinds := map[fair.ActionKind]int{}
	for _, a := range out {
		kinds[a.Kind]++
	}
	mustBe(t, "kinds of actions", kinds, map[fair.ActionKind]int{fair.Lost: 1, fair.Requeue: 1, fair.Dispatch: 1})
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}

func TestARequestThatKillsEnginesIsGivenUp(t *testing.T) {
	p := fair.New(fair.Default())
	p.Up(0, 0, small, nil)
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassProvisioned})
	var last []fair.Action
	for range 3 {
		last = p.Down(0, 0, nil)
		p.Up(0, 0, small, nil)
	}
	mustBe(t, "after the third", last, []fair.Action{{Kind: fair.Lost, ID: 1}})
}

// Two classes flood one engine: the lower one still gets its floor.
func TestTheFloorHolds(t *testing.T) {
	for _, above := range []outcrop.Class{outcrop.ClassPriority, outcrop.ClassProvisioned} {
		c := fair.Default()
		c.Bound = [outcrop.NumClasses]time.Duration{}
		r := newRig(t, 1, c)
		r.done = func(f *flight) { r.submit(f.Request, 0) }
		r.backlog(600, func() fair.Request { return fair.Request{Tenant: "high", Class: above, Prompt: 1000, Output: 200} })
		r.backlog(200, func() fair.Request {
			return fair.Request{Tenant: "low", Class: outcrop.ClassDefault, Prompt: 1000, Output: 200}
		})
		r.run(20 * time.Second)
		clear(r.service)
		r.run(60 * time.Second)
		share := r.service["low"] / (r.service["low"] + r.service["high"])
		if share < .045 || share > .08 {
			t.Errorf("beside %v, default got %.3f of the service; its floor is 0.05", above, share)
		}
	}
}

// The floor of batch is set for a deadline while default floods the engine.
func TestTheBatchFloorCanBeSet(t *testing.T) {
	c := fair.Default()
	c.Bound = [outcrop.NumClasses]time.Duration{}
	r := newRig(t, 1, c)
	r.done = func(f *flight) { r.submit(f.Request, 0) }
	r.do(r.pool.SetFloor(0, outcrop.ClassBatch, .3, nil))
	r.backlog(200, func() fair.Request {
		return fair.Request{Tenant: "default", Class: outcrop.ClassDefault, Prompt: 1000, Output: 200}
	})
	r.backlog(200, func() fair.Request { return fair.Request{Tenant: "batch", Prompt: 1000, Output: 200} })
	r.run(60 * time.Second)
	if share := r.service["batch"] / (r.service["batch"] + r.service["default"]); share < .28 || share > .36 {
		t.Errorf("batch got %.3f of the service; its floor is 0.3", share)
	}
}

// Four backlogged tenants with demands of 7:1:1:1 and requests of different
// shapes are served alike, within two requests of the largest size at any
// time; a fifth with weight 3 gets three times as much.
func TestBackloggedTenantsAreServedAlike(t *testing.T) {
	c := fair.Default()
	c.Bound = [outcrop.NumClasses]time.Duration{}
	r := newRig(t, 1, c)
	r.done = func(f *flight) { r.submit(f.Request, 0) }
	names := []string{"a", "b", "c", "d", "heavy"}
	shapes := [][2]int{{2000, 100}, {200, 300}, {1000, 200}, {4000, 50}, {500, 400}}
	weights := []float64{1, 1, 1, 1, 3}
	for i, n := range []int{420, 60, 60, 60, 200} {
		r.backlog(n, func() fair.Request {
			return fair.Request{
				Tenant: names[i], Class: outcrop.ClassDefault, Weight: weights[i],
				Prompt: shapes[i][0], Output: shapes[i][1],
			}
		})
	}
	most := 4000.0 + 4*400
	shares := func() (v []float64) {
		for i, n := range names {
			v = append(v, r.service[n]/weights[i])
		}
		return v
	}
	r.run(10 * time.Second)
	clear(r.service) // what is under way then and at the end is nearly the same
	var widest float64
	for range 60 {
		r.run(time.Second)
		var counters []float64
		for _, n := range names {
			served, ok := r.pool.Served(outcrop.ClassDefault, n)
			if !ok {
				t.Fatalf("tenant %s has no counter", n)
			}
			counters = append(counters, served)
		}
		widest = max(widest, spread(counters))
	}
	if widest > 2*most {
		t.Errorf("counters were %.0f apart, more than two requests of %.0f", widest, most)
	}
	if got := jain(shares()); got < .999 {
		t.Errorf("Jain's index %.5f of %.0f", got, shares())
	}
	t.Logf("counters at most %.0f apart; service %.0f apart, Jain %.6f", widest, spread(shares()), jain(shares()))
}

// Provisioned requests wait for no prompt box and no bound.
func TestProvisionedRequestsAreNeverRefusedWhileAnEngineStands(t *testing.T) {
	p := pool(t, fair.Default(), small)
	for i := range fair.ID(1000) {
		submit(t, p, time.Duration(i)*ms, fair.Request{ID: i, Class: outcrop.ClassProvisioned, Prompt: 50, Output: 50})
	}
	if got := p.State().Classes[outcrop.ClassProvisioned].Counts; got.Refused != 0 || got.Submitted != 1000 {
		t.Errorf("%+v", got)
	}
	if out := p.Tick(time.Hour, nil); len(out) != 0 {
		t.Errorf("after an hour: %v", out)
	}
}

func TestWithoutEnginesRequestsWaitForTheGraceAlone(t *testing.T) {
	p := fair.New(fair.Default())
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassProvisioned})
	at, ok := p.NextAt()
	if !ok || at != 5*time.Second {
		t.Fatalf("NextAt %v, %v", at, ok)
	}
	out := p.Tick(at, nil)
	if len(out) != 1 || out[0].Bound != fair.BoundEngines {
		t.Errorf("%+v", out)
	}
	if out := submit(t, p, at, fair.Request{ID: 2}); len(out) != 1 || out[0].Bound != fair.BoundEngines {
		t.Errorf("%+v", out)
	}
}

func TestARefusedTenantLeavesNothing(t *testing.T) {
	p := pool(t, fair.Default(), small)
	submit(t, p, 0, fair.Request{ID: 1, Tenant: "x", Prompt: 5000})
	if got := p.State().Classes[0].Tenants; got != 0 {
		t.Errorf("%d tenants", got)
	}
}
