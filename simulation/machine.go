package simulation

import (
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
)

// A machine is a host with an engine: what a process reaches over the network.
// Its engine has a clock of its own, which stands still while the machine
// stalls, and goes slowly while that is slow.
type machine struct {
	w      *world
	id     fair.EngineID
	c      Engine
	engine *step.Engine // nil while it is down
	runs   map[step.ID]*attempt
	events []step.Event

	since, base time.Duration // base is the engine's time at since
	slow        int           // by what factor; 0 stalls
	faults      int           // number of the latest fault, so that older ones do not end it
	drained     bool
}

// An attempt is one sending of a request to an engine.
type attempt struct {
	id     step.ID
	r      *request
	m      *machine
	number int // of the request's attempts
	boot   int // of the process that made it
	cached int // tokens of the prompt
	tokens int // produced
}

func newMachine(w *world, id fair.EngineID, c Engine) *machine {
	m := &machine{w: w, id: id, c: c, slow: 1, runs: map[step.ID]*attempt{}}
	m.start()
	return m
}

func (m *machine) start() {
	m.engine, m.since, m.base, m.slow = step.New(m.c.Constants), m.w.now, 0, 1
}

// capacity is what the scheduler is told of the machine.
func (m *machine) capacity() fair.Capacity {
	full := m.c.Time(m.c.Budget, 0, 0).Seconds()
	return fair.Capacity{
		KVTokens: m.c.KVTokens, MaxSeqs: m.c.MaxSeqs, StepBudget: m.c.Budget, Lane: m.c.Lane,
		PrefillRate: float64(m.c.Budget) / full, DecodeRate: 1 / m.c.Time(0, 1, 0).Seconds(), Priorities: true,
	}
}

// local is the engine's time.
func (m *machine) local() time.Duration {
	if m.slow == 0 {
		return m.base
	}
	return m.base + (m.w.now-m.since)/time.Duration(m.slow)
}

// pace changes how fast the machine works.
func (m *machine) pace(slow int) {
	m.base, m.since, m.slow = m.local(), m.w.now, slow
}

func (m *machine) nextAt() time.Duration {
	if m.engine == nil || m.slow == 0 {
		return never
	}
	at, ok := m.engine.NextAt()
	if !ok {
		return never
	}
	return m.since + (at-m.base)*time.Duration(m.slow)
}

// work lets the engine work until now.
func (m *machine) work() {
	m.events = m.engine.Advance(m.local(), m.events[:0])
	for _, e := range m.events {
		a := m.runs[e.ID]
		if a == nil {
			continue
		}
		switch e.Kind {
		case step.Started:
			a.cached = max(a.cached, e.N)
			if e.N > 0 {
				m.w.mark(prefixHit)
			}
		case step.Preempted:
			m.w.mark(preempted)
		case step.Token:
			m.token(a, e.N)
		case step.Finished:
			delete(m.runs, a.id)
			usage := m.usage(a)
			m.send(func() { m.w.finished(a, usage) })
		}
	}
}

func (m *machine) token(a *attempt, n int) {
	a.tokens = n
	if n == 1 || n%m.w.Report == 0 {
		m.send(func() { m.w.tokens(a, n) })
	}
}

// usage is what the engine says that it used.
func (m *machine) usage(a *attempt) outcrop.Usage {
	u := outcrop.Usage{Input: a.r.prompt - a.cached, CacheRead: a.cached, Output: a.tokens}
	if !m.w.befalls(WrongUsage) {
		return u
	}
	switch r := m.w.faults[WrongUsage]; r.IntN(3) {
	case 0:
		return outcrop.Usage{}
	case 1:
		u.Output += r.IntN(u.Output/2 + 1)
	default:
		u.Output -= r.IntN(u.Output/2 + 1)
	}
	return u
}

// send brings a message to the process, sometimes twice or late.
func (m *machine) send(what func()) {
	boot, delay := m.w.process.boots, m.w.Network
	if m.w.befalls(LateMessage) {
		delay += time.Duration(m.w.faults[LateMessage].Int64N(int64(300 * time.Millisecond)))
	}
	m.w.deliver(boot, delay, what)
	if m.w.befalls(TwiceMessage) {
		m.w.deliver(boot, delay+time.Duration(m.w.faults[TwiceMessage].Int64N(int64(100*time.Millisecond))), what)
	}
}

// take begins an attempt, or tells that it does not.
func (m *machine) take(a *attempt) {
	s := step.Sequence{
		ID: a.id, Prompt: a.r.prompt, Output: a.r.output, Priority: m.w.Scheduler.Priority[a.r.class],
		Blocks: a.r.source.blocks,
	}
	if m.engine == nil || m.w.befalls(Reject) || m.engine.Submit(m.local(), s) != nil {
		m.send(func() { m.w.failed(a) })
		return
	}
	m.runs[a.id] = a
}

// drop ends an attempt whose connection the process has closed.
func (m *machine) drop(a *attempt) {
	if m.runs[a.id] != a {
		return
	}
	delete(m.runs, a.id)
	if m.engine != nil {
		m.engine.Abort(m.local(), a.id)
	}
}

// die loses the engine and all that it has. The connections break at once,
// and the process learns that the engine is gone somewhat later.
func (m *machine) die(notice time.Duration) {
	w := m.w
	for _, a := range m.inOrder() {
		delete(m.runs, a.id)
		w.deliver(w.process.boots, w.Network, func() { w.failed(a) })
	}
	m.engine = nil
	w.deliver(w.process.boots, notice, func() { w.engineDown(m) })
}

// inOrder returns the attempts, oldest first.
func (m *machine) inOrder() (all []*attempt) {
	for id := range m.w.starts + 1 {
		if a := m.runs[step.ID(id)]; a != nil {
			all = append(all, a)
		}
	}
	return all
}

// comeBack starts a new engine and lets the process know.
func (m *machine) comeBack() {
	if m.engine == nil {
		m.start()
	}
	m.w.deliver(m.w.process.boots, m.w.Network, func() { m.w.engineUp(m) })
}

// recover ends all faults.
func (m *machine) recover() {
	m.faults++
	m.drained = false
	m.pace(1)
	m.comeBack()
}
