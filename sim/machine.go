package sim

import (
	"sync"
	"time"

	"github.com/outcrop/outcrop/step"
)

// A machine drives a step.Engine in real time. It has no goroutine: a timer
// runs while there is work, and whoever calls lets the engine catch up.
type machine struct {
	instant bool

	mu     sync.Mutex
	engine *step.Engine
	epoch  time.Time
	timer  *time.Timer
	calls  map[step.ID]*call
	nextID step.ID
	events []step.Event
	stats  tally
}

// A call is one request on the machine. Its fields belong to the machine's
// mutex; wake is signalled when they changed.
type call struct {
	id       step.ID
	wake     chan struct{}
	arrived  time.Duration
	started  bool
	first    time.Duration
	last     time.Duration
	tokens   int // that the engine yielded
	prompt   int
	finished bool
}

func (m *machine) init(k step.Constants, instant bool) {
	m.instant = instant
	m.engine = step.New(k)
	m.calls = map[step.ID]*call{}
	m.stats.init()
}

// since is the engine's time. The epoch is the first request's, so that an
// engine may be made outside the bubble in which a test runs it.
func (m *machine) since() time.Duration {
	if m.epoch.IsZero() {
		m.epoch = time.Now()
	}
	return time.Since(m.epoch)
}

// begin hands a request to the engine.
func (m *machine) begin(s step.Sequence) (*call, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &call{id: m.nextID, wake: make(chan struct{}, 1), prompt: s.Prompt}
	m.nextID++
	if m.instant {
		m.finishAtOnce(c, s)
		return c, nil
	}
	now := m.since()
	m.catchUp(now)
	s.ID, c.arrived = c.id, now
	if err := m.engine.Submit(now, s); err != nil {
		return nil, err
	}
	m.calls[c.id] = c
	m.catchUp(now)
	m.arm(now)
	return c, nil
}

func (m *machine) finishAtOnce(c *call, s step.Sequence) {
	c.tokens, c.finished = s.Output, true
	m.stats.prompt += s.Prompt
	m.stats.generated += s.Output
	m.stats.firstToken.add(0)
}

// end takes a request off the machine, whether it is finished or not.
func (m *machine) end(c *call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.finished {
		return
	}
	now := m.since()
	m.catchUp(now)
	if m.engine.Abort(now, c.id) {
		delete(m.calls, c.id)
	}
	m.arm(now)
}

// yielded returns how many tokens there are by now.
func (m *machine) yielded(c *call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return c.tokens
}

func (m *machine) tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.since()
	m.catchUp(now)
	m.arm(now)
}

// arm sets the timer for the engine's next event.
func (m *machine) arm(now time.Duration) {
	at, ok := m.engine.NextAt()
	switch {
	case !ok && m.timer != nil:
		m.timer.Stop()
		m.timer = nil
	case ok && m.timer == nil:
		m.timer = time.AfterFunc(at-now, m.tick)
	case ok:
		m.timer.Reset(at - now)
	}
}

// catchUp lets the engine work until now and tells the calls what came.
func (m *machine) catchUp(now time.Duration) {
	m.events = m.engine.Advance(now, m.events[:0])
	for _, ev := range m.events {
		c := m.calls[ev.ID]
		if c == nil {
			continue
		}
		switch ev.Kind {
		case step.Started:
			m.stats.start(c, ev)
		case step.Token:
			m.stats.token(c, ev)
			c.signal()
		case step.Finished:
			m.stats.endToEnd.add(ev.At - c.arrived)
			c.finished = true
			delete(m.calls, ev.ID)
			c.signal()
		}
	}
}

func (c *call) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
