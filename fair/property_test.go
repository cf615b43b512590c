package fair_test

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"pgregory.net/rapid"
)

// A book follows the actions of a pool and knows what each may be.
type book struct {
	pool    *fair.Pool
	config  fair.Config
	now     time.Duration
	live    map[fair.ID]*entry
	ended   map[fair.ID]string
	engines map[fair.EngineID]*machine
	highest int  // class that is sent
	need    bool // something was guaranteed to those that hurry at some time
	seen    map[string]int
	nextID  fair.ID
}

type entry struct {
	fair.Request
	came           time.Duration
	engine         fair.EngineID // -1 in the queue
	fresh, output  int
	aborts, losses int
}

type machine struct {
	fair.Capacity
	draining bool
}

const nowhere = fair.EngineID(-1)

func newBook(c fair.Config) *book {
	return &book{
		pool: fair.New(c), config: c, live: map[fair.ID]*entry{}, ended: map[fair.ID]string{},
		engines: map[fair.EngineID]*machine{}, seen: map[string]int{},
	}
}

func (b *book) standing() (n int) {
	for _, m := range b.engines {
		if !m.draining {
			n++
		}
	}
	return n
}

// load returns n, K and U of an engine, by the book.
func (b *book) load(id fair.EngineID) (n, kv, unread int) {
	for _, e := range b.live {
		if e.engine != id {
			continue
		}
		n++
		kv += e.Prompt + max(e.Output, e.output)
		if e.output == 0 {
			unread += e.fresh
		}
	}
	return n, kv, unread
}

func (b *book) take(t *rapid.T, out []fair.Action) {
	for _, a := range out {
		e := b.live[a.ID]
		if e == nil {
			t.Fatalf("%+v of a request that is not there (%q)", a, b.ended[a.ID])
		}
		b.seen[[...]string{"", "dispatch", "resume", "refuse", "requeue", "lost"}[a.Kind]]++
		switch a.Kind {
		case fair.Dispatch:
			b.dispatch(t, a, e)
		case fair.AbortAndResume:
			e.aborts++
			if e.engine != a.Engine || e.output > 0 || e.Class >= outcrop.ClassPriority || e.aborts > b.config.MaxAborts {
				t.Fatalf("%+v of %+v", a, e)
			}
			e.engine = nowhere
		case fair.Requeue, fair.Lost:
			b.lost(t, a, e)
		case fair.Refuse:
			b.refuse(t, a, e)
		}
	}
}

// dispatch checks the gates by the book's own count.
func (b *book) dispatch(t *rapid.T, a fair.Action, e *entry) {
	m := b.engines[a.Engine]
	if m == nil || m.draining || e.engine != nowhere {
		t.Fatalf("%+v of %+v to %+v", a, e, m)
	}
	factor, box := b.config.Factor[e.Class], b.config.Box[e.Class]
	if b.config.Floor[e.Class] > 0 {
		factor, box = 1, 1e18 // the floor may be due; provisioned prompts do not count then
	}
	if b.need && e.Hurry {
		factor, box = max(factor, b.config.Factor[outcrop.ClassDefault]), max(box, b.config.Box[outcrop.ClassDefault])
	}
	n, kv, unread := b.load(a.Engine)
	need := e.Prompt + e.Output
	if need > m.KVTokens || n > 0 && float64(kv+need) > factor*float64(m.KVTokens) {
		t.Fatalf("class %v: K %d + %d of %d", e.Class, kv, need, m.KVTokens)
	}
	if float64(n) >= factor*float64(m.MaxSeqs) {
		t.Fatalf("class %v: n %d of %d", e.Class, n, m.MaxSeqs)
	}
	e.fresh = e.Prompt - min(e.Cached, e.Prompt-1)
	if unread > 0 && float64(unread+e.fresh) > box*float64(m.StepBudget) {
		t.Fatalf("class %v: U %d + %d", e.Class, unread, e.fresh)
	}
	if a.Wait != b.now-e.came {
		t.Fatalf("%+v came at %v, now %v", a, e.came, b.now)
	}
	if m.Optimized && !e.Optimized && b.config.Floor[e.Class] == 0 && !(b.need && e.Hurry) && b.kept(m, e) {
		t.Fatalf("%+v of %+v to an engine that is kept", a, e.Request)
	}
	if e.Optimized {
		b.seen[map[bool]string{true: "optimized", false: "optimized elsewhere"}[m.Optimized]]++
	}
	e.engine, e.output = a.Engine, 0
}

// kept reports whether m, which is marked, is surely kept from e: e fits an
// engine without the mark, no lane plays a part, and each request of a class
// that waits for optimized latency fits m.
func (b *book) kept(m *machine, e *entry) bool {
	elsewhere := false
	for _, o := range b.engines {
		elsewhere = elsewhere || !o.Optimized && !o.draining && !o.Lane && e.Prompt+e.Output <= o.KVTokens
	}
	for class := e.Class; elsewhere && !m.Lane && class < outcrop.NumClasses; class++ {
		waiting, fitting := 0, 0
		for _, o := range b.live {
			if o.Class == class && o.Optimized && o.engine == nowhere {
				waiting++
				fitting += map[bool]int{true: 1}[o.Prompt+o.Output <= m.KVTokens]
			}
		}
		if waiting > 0 && waiting == fitting {
			return true
		}
	}
	return false
}

func (b *book) lost(t *rapid.T, a fair.Action, e *entry) {
	e.losses++
	final := e.output > 0 || e.losses >= b.config.MaxLosses
	if e.engine != a.Engine || final != (a.Kind == fair.Lost) {
		t.Fatalf("%+v of %+v", a, e)
	}
	e.engine = nowhere
	if final {
		b.end(a.ID, "lost")
	}
}

func (b *book) refuse(t *rapid.T, a fair.Action, e *entry) {
	b.seen["refuse "+a.Bound.String()]++
	if e.engine != nowhere || a.Retry < 0 || a.Bound != fair.BoundSize && a.Retry == 0 {
		t.Fatalf("%+v of %+v", a, e)
	}
	own := a.Bound == fair.BoundDeadline && e.Deadline > 0 || a.Bound == fair.BoundWait && e.MaxWait > 0
	if e.Class == outcrop.ClassProvisioned && a.Bound != fair.BoundSize && b.standing() > 0 && !own {
		t.Fatalf("%+v of provisioned %+v while engines stand", a, e)
	}
	if a.Bound == fair.BoundEngines && b.standing() > 0 {
		t.Fatalf("%+v while engines stand", a)
	}
	b.end(a.ID, "refused")
}

func (b *book) end(id fair.ID, how string) {
	delete(b.live, id)
	b.ended[id] = how
}

func (b *book) check(t *rapid.T) {
	if err := b.pool.Check(); err != nil {
		t.Fatal(err)
	}
	queued, flying := 0, 0
	s := b.pool.State()
	if s.Need.Started > 0 {
		b.seen["need"]++
	}
	for _, c := range s.Classes {
		queued += c.Queued
		flying += c.Flying
	}
	if queued+flying != len(b.live) {
		t.Fatalf("%d queued, %d on engines; %d in the book", queued, flying, len(b.live))
	}
	for id := range b.live {
		x, _ := b.pool.Explain(id)
		for _, g := range x.Gates {
			b.seen["gate "+g.Gate.String()]++
		}
	}
	for _, e := range s.Engines {
		n, kv, unread := b.load(e.ID)
		if e.Sequences != n || e.KV != kv || e.Unread != unread {
			t.Fatalf("engine %d: n %d of %d, K %d of %d, U %d of %d", e.ID, e.Sequences, n, e.KV, kv, e.Unread, unread)
		}
	}
}

func (b *book) submit(t *rapid.T) {
	b.nextID++
	r := fair.Request{
		ID:     b.nextID,
		Tenant: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "tenant"),
		Weight: rapid.SampledFrom([]float64{0, 1, 2.5}).Draw(t, "weight"),
		Class:  outcrop.Class(rapid.IntRange(0, b.highest).Draw(t, "class")),
		Prompt: rapid.IntRange(1, 120).Draw(t, "prompt"),
		Cached: rapid.SampledFrom([]int{0, 0, 10, 500}).Draw(t, "cached"),
		Output: rapid.IntRange(0, 60).Draw(t, "output"),

		Optimized: rapid.IntRange(0, 2).Draw(t, "optimized") == 0,
		Hurry:     rapid.IntRange(0, 2).Draw(t, "hurry") == 0,
	}
	if rapid.IntRange(0, 3).Draw(t, "bounded") == 0 {
		r.MaxWait = time.Duration(rapid.IntRange(1, 3000).Draw(t, "max wait")) * time.Millisecond
	}
	if rapid.IntRange(0, 3).Draw(t, "dead") == 0 {
		r.Deadline = b.now + time.Duration(rapid.IntRange(0, 3000).Draw(t, "deadline"))*time.Millisecond
	}
	b.live[r.ID] = &entry{Request: r, came: b.now, engine: nowhere}
	out, err := b.pool.Submit(b.now, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.take(t, out)
	if again, err := b.pool.Submit(b.now, r, nil); b.live[r.ID] != nil && (err != fair.ErrInUse || len(again) > 0) {
		t.Fatalf("the same id again: %v, %v", again, err)
	} else if err == nil {
		// It was refused, so that the id was free: that is a second request.
		b.live[r.ID] = &entry{Request: r, came: b.now, engine: nowhere}
		delete(b.ended, r.ID)
		b.take(t, again)
	}
}

// any draws a request that satisfies the condition.
func (b *book) any(t *rapid.T, ok func(*entry) bool) (fair.ID, *entry) {
	ids := slices.Sorted(maps.Keys(b.live))
	ids = slices.DeleteFunc(ids, func(id fair.ID) bool { return !ok(b.live[id]) })
	if len(ids) == 0 {
		t.Skip()
	}
	id := rapid.SampledFrom(ids).Draw(t, "id")
	return id, b.live[id]
}

func flying(e *entry) bool { return e.engine != nowhere }

func (b *book) progress(t *rapid.T) {
	id, e := b.any(t, flying)
	if e.output == 0 {
		e.output = 1
		b.take(t, b.pool.FirstToken(b.now, id, nil))
		return
	}
	e.output += rapid.IntRange(0, 40).Draw(t, "tokens")
	b.take(t, b.pool.Progress(b.now, id, e.output, nil))
}

func (b *book) finish(t *rapid.T, id fair.ID) {
	e := b.live[id]
	u := outcrop.Usage{}
	if rapid.Bool().Draw(t, "usage") {
		u = outcrop.Usage{Input: e.Prompt, Output: e.output}
	}
	b.end(id, "finished")
	if rapid.Bool().Draw(t, "failed") {
		b.take(t, b.pool.GaveUp(b.now, id, u, nil))
		return
	}
	b.take(t, b.pool.Finished(b.now, id, u, nil))
}

func (b *book) up(t *rapid.T) {
	id := fair.EngineID(rapid.IntRange(0, 4).Draw(t, "engine"))
	m := &machine{Capacity: fair.Capacity{
		KVTokens:    rapid.IntRange(100, 500).Draw(t, "kv"),
		MaxSeqs:     rapid.IntRange(1, 6).Draw(t, "seqs"),
		StepBudget:  rapid.IntRange(20, 100).Draw(t, "budget"),
		PrefillRate: float64(rapid.IntRange(10, 1000).Draw(t, "prefill")),
		DecodeRate:  10,
		Lane:        rapid.IntRange(0, 3).Draw(t, "lane") == 0,
		Optimized:   rapid.IntRange(0, 2).Draw(t, "marked") == 0,
	}}
	if was := b.engines[id]; was != nil {
		b.resized(id, was, m)
	}
	b.engines[id] = m
	b.take(t, b.pool.Up(b.now, id, m.Capacity, nil))
}

// resized notes that an engine which has something to do is another size now.
func (b *book) resized(id fair.EngineID, was, is *machine) {
	n, kv, _ := b.load(id)
	switch {
	case n == 0:
	case n > is.MaxSeqs || kv > is.KVTokens:
		b.seen["shrunk below its load"]++
	case is.MaxSeqs > was.MaxSeqs && is.KVTokens > was.KVTokens:
		b.seen["grown under load"]++
	}
}

// crash throws the scheduler away with all that it knew. The callers of what
// it had lose their connections; the next one knows the engines that stand, and
// its time and its ids begin anew. What is told of requests that it does not
// know it ignores.
func (b *book) crash(t *rapid.T) {
	gone := slices.Sorted(maps.Keys(b.live))
	for _, e := range b.live {
		b.seen[map[bool]string{true: "crash with a request on an engine", false: "crash with one in the queue"}[flying(e)]]++
	}
	clear(b.live)
	clear(b.ended)
	b.pool, b.now, b.nextID = fair.New(b.config), 0, 0
	for _, id := range slices.Sorted(maps.Keys(b.engines)) {
		m := b.engines[id]
		m.draining = false
		b.take(t, b.pool.Up(b.now, id, m.Capacity, nil))
	}
	if b.need {
		b.take(t, b.pool.Need(b.now, 1e9, nil))
	}
	for _, id := range gone {
		b.take(t, b.pool.Progress(b.now, id, 1, nil))
		b.take(t, b.pool.Failed(b.now, id, nil))
		b.take(t, b.pool.Finished(b.now, id, outcrop.Usage{Output: 1}, nil))
		b.take(t, b.pool.Abort(b.now, id, nil))
	}
	for _, c := range b.pool.State().Classes {
		if c.Queued+c.Flying+c.Tenants != 0 || c.Cost != 0 || c.Credit != 0 || c.Counts != (fair.Counts{}) {
			t.Fatalf("after a crash: %+v", c)
		}
	}
}

func (b *book) pass(t *rapid.T, d time.Duration) {
	for {
		at, ok := b.pool.NextAt()
		if !ok || at > b.now+d {
			break
		}
		d -= at - b.now
		b.now = at
		b.take(t, b.pool.Tick(b.now, nil))
	}
	b.now += d
	b.take(t, b.pool.Tick(b.now, nil))
}

func anyConfig(t *rapid.T) fair.Config {
	c := fair.Default()
	if rapid.Bool().Draw(t, "harvest") {
		c = fair.Harvest()
	}
	c.LaneTokens, c.AbortTokens, c.LaneEngines = 20, 5, 3
	c.LaneSeqs = rapid.IntRange(0, 3).Draw(t, "lane requests")
	c.Bound = [...]time.Duration{0, 20 * time.Second, 4 * time.Second, 2 * time.Second, 0}
	c.Queue = [...]int{4, 4, 4, 4, 0}
	c.Floor[outcrop.ClassBatch] = rapid.SampledFrom([]float64{0, .2}).Draw(t, "floor")
	c.MostNeed = rapid.SampledFrom([]float64{.3, 10}).Draw(t, "most need") // 10: due at once
	c.GuardFor = time.Second
	return c
}

// Whatever happens in whatever order: each request ends once, the gates are
// never exceeded, marked engines are kept, no engine is idle beside a request that it would take,
// provisioned requests are not refused for load, and in the end nothing is
// left. Engines come, go and change their size under load, and the process
// crashes.
func TestNothingIsLostOrDuplicated(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		b := newBook(anyConfig(t))
		b.highest = rapid.SampledFrom([]int{outcrop.NumClasses - 1, int(outcrop.ClassPriority)}).Draw(t, "highest class")
		b.up(t)
		if b.need = rapid.Bool().Draw(t, "in a hurry"); b.need {
			b.take(t, b.pool.Need(b.now, 1e9, nil))
		}
		actions := map[string]func(*rapid.T){
			"submit": b.submit, "submit more": b.submit,
			"burst": func(t *rapid.T) {
				for range 8 {
					b.submit(t)
				}
			},
			"progress": b.progress, "progress more": b.progress,
			"finish": func(t *rapid.T) {
				id, _ := b.any(t, func(e *entry) bool { return flying(e) && e.output > 0 })
				b.finish(t, id)
			},
			"abort": func(t *rapid.T) {
				id, _ := b.any(t, func(*entry) bool { return true })
				b.end(id, "aborted")
				b.take(t, b.pool.Abort(b.now, id, nil))
			},
			"failed": func(t *rapid.T) {
				id, _ := b.any(t, flying)
				b.take(t, b.pool.Failed(b.now, id, nil))
			},
			"up":    b.up,
			"drain": func(t *rapid.T) { b.drain(t) },
			"down":  func(t *rapid.T) { b.down(t) },
			"all down": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					t.Skip()
				}
				for id := range fair.EngineID(5) {
					delete(b.engines, id)
					b.take(t, b.pool.Down(b.now, id, nil))
				}
				b.pass(t, time.Duration(rapid.IntRange(0, 8000).Draw(t, "ms"))*time.Millisecond)
			},
			"rate": func(t *rapid.T) {
				id := fair.EngineID(rapid.IntRange(0, 4).Draw(t, "engine"))
				rate := rapid.SampledFrom([]float64{0, 1, 50, 5000}).Draw(t, "rate")
				b.take(t, b.pool.Rate(b.now, id, rate, 10, nil))
			},
			"floor": func(t *rapid.T) {
				b.config.Floor[outcrop.ClassBatch] = .3
				b.take(t, b.pool.SetFloor(b.now, outcrop.ClassBatch, .3, nil))
			},
			"need": func(t *rapid.T) {
				rate := rapid.SampledFrom([]float64{0, .1, 3, 1e9, math.NaN()}).Draw(t, "need")
				b.need = b.need || rate > 0
				b.take(t, b.pool.Need(b.now, rate, nil))
			},
			"pass": func(t *rapid.T) {
				b.pass(t, time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms"))*time.Millisecond)
			},
			"crash": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "really") > 0 {
					t.Skip()
				}
				b.crash(t)
			},
			"clock back": func(t *rapid.T) { b.take(t, b.pool.Tick(b.now-time.Hour, nil)) },
			"":           b.check,
		}
		for range 5 {
			t.Repeat(actions)
		}
		b.wind(t)
		for k, n := range b.seen {
			seen[k] += n
		}
	})
	for _, what := range []string{
		"dispatch", "resume", "requeue", "lost", "refuse wait", "refuse deadline", "refuse queue",
		"refuse tenant-queue", "refuse size", "refuse engines", "optimized", "optimized elsewhere", "gate kept", "need",
		"shrunk below its load", "grown under load", "crash with a request on an engine", "crash with one in the queue",
	} {
		if seen[what] == 0 {
			t.Errorf("no run saw %q: the runs prove nothing about it (%v)", what, seen)
		}
	}
}

func (b *book) drain(t *rapid.T) {
	id := fair.EngineID(rapid.IntRange(0, 4).Draw(t, "engine"))
	if m := b.engines[id]; m != nil {
		m.draining = true
	}
	b.take(t, b.pool.Drain(b.now, id, nil))
}

func (b *book) down(t *rapid.T) {
	id := fair.EngineID(rapid.IntRange(0, 4).Draw(t, "engine"))
	delete(b.engines, id)
	b.take(t, b.pool.Down(b.now, id, nil))
}

// wind brings a good engine and lets all requests end.
func (b *book) wind(t *rapid.T) {
	m := &machine{Capacity: fair.Capacity{KVTokens: 1000, MaxSeqs: 8, StepBudget: 100, PrefillRate: 1000, DecodeRate: 10}}
	b.engines[9] = m
	b.take(t, b.pool.Up(b.now, 9, m.Capacity, nil))
	for range 10_000 {
		if len(b.live) == 0 {
			break
		}
		ids := slices.Sorted(maps.Keys(b.live))
		for _, id := range ids {
			if e := b.live[id]; e != nil && flying(e) {
				e.output++
				b.take(t, b.pool.Progress(b.now, id, e.output, nil))
				b.end(id, "finished")
				b.take(t, b.pool.Finished(b.now, id, outcrop.Usage{}, nil))
			}
		}
		b.pass(t, time.Second)
		b.check(t)
	}
	s := b.pool.State()
	for _, c := range s.Classes {
		if c.Queued+c.Flying+c.Tenants != 0 || c.Cost != 0 {
			t.Fatalf("left over: %+v", c)
		}
		if n := c.Counts; n.Submitted != n.Finished+n.Failed+n.Refused+n.Aborted+n.Lost {
			t.Fatalf("the counts do not add up: %+v", n)
		}
	}
	if at, ok := b.pool.NextAt(); ok || len(b.live) > 0 {
		t.Fatalf("something is to happen at %v; %d requests live", at, len(b.live))
	}
}
