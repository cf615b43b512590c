package step

import (
	"container/heap"
	"errors"
	"math"
	"slices"
	"time"
)

// The reasons for which Submit refuses a sequence.
var (
	ErrSequence = errors.New("step: a sequence needs a prompt and an output of at least one token")
	ErrInUse    = errors.New("step: the id is in use")
	ErrTooLong  = errors.New("step: the sequence does not fit the engine's memory")
)

// An Engine is the state of one engine. Times are distances from an origin of
// the caller's choice and must not decrease from call to call; an earlier
// time counts as the latest one seen. An Engine is not safe for concurrent
// use.
type Engine struct {
	c      Constants
	memory memory
	byID   map[ID]*sequence
	spare  []*sequence

	entering []*sequence // not yet ready; by time
	waiting  queue
	running  []*sequence // in the order of admission
	arrivals uint64

	now     time.Duration // the latest time seen
	free    time.Duration // when the last step ended
	busy    bool          // a step is under way
	end     time.Duration // when it ends
	events  []Event       // where compose and finish append
	counter State
}

type place uint8

const (
	atEntry place = iota
	inQueue
	inBatch
	gone
)

type sequence struct {
	Sequence
	place    place
	index    int // in the queue
	arrival  uint64
	ready    time.Duration
	computed int // tokens whose context is in memory
	produced int // tokens of output
	chunk    int // tokens that the step under way computes
	blocks   []int32
	checked  bool // the prefix cache was asked
}

// New returns an idle engine.
func New(c Constants) *Engine {
	c = c.normal()
	return &Engine{c: c, memory: newMemory(c.KVTokens), byID: map[ID]*sequence{}}
}

// Constants returns the engine's constants.
func (e *Engine) Constants() Constants { return e.c }

// Submit hands a sequence to the engine at the time now. It becomes part of
// the first step that begins after now and Entry, if there is room.
func (e *Engine) Submit(now time.Duration, s Sequence) error {
	if s.Prompt < 1 || s.Output < 1 {
		return ErrSequence
	}
	if !e.Fits(s.Prompt, s.Output) {
		return ErrTooLong
	}
	if _, ok := e.byID[s.ID]; ok {
		return ErrInUse
	}
	e.now = max(e.now, now)
	q := e.reuse()
	q.Sequence, q.arrival, q.ready = s, e.arrivals, e.now+e.c.Entry
	e.arrivals++
	e.byID[s.ID] = q
	e.entering = append(e.entering, q)
	return nil
}

// Fits reports whether a sequence of that size can be run at all.
func (e *Engine) Fits(prompt, output int) bool {
	return prompt <= e.c.KVTokens && output <= e.c.KVTokens && blocksFor(prompt+output-1) <= e.memory.limit
}

func (e *Engine) reuse() *sequence {
	n := len(e.spare)
	if n == 0 {
		return &sequence{}
	}
	q := e.spare[n-1]
	e.spare = e.spare[:n-1]
	*q = sequence{blocks: q.blocks[:0]}
	return q
}

// maxSpare bounds the records that are kept for reuse.
const maxSpare = 1024

// Abort takes a sequence out of the engine and frees its memory at once. The
// step under way ends when it would have ended. It reports whether the
// sequence was there; no event follows.
func (e *Engine) Abort(now time.Duration, id ID) bool {
	q, ok := e.byID[id]
	if !ok {
		return false
	}
	e.now = max(e.now, now)
	e.counter.AbortedSequences++
	switch q.place {
	case atEntry:
		e.entering = slices.DeleteFunc(e.entering, func(o *sequence) bool { return o == q })
	case inQueue:
		heap.Remove(&e.waiting, q.index)
	case inBatch:
		e.running = slices.DeleteFunc(e.running, func(o *sequence) bool { return o == q })
	}
	e.forget(q)
	return true
}

// forget ends q, which is in no list any more.
func (e *Engine) forget(q *sequence) {
	e.release(q)
	delete(e.byID, q.ID)
	q.place, q.Blocks = gone, nil
	if len(e.spare) < maxSpare {
		e.spare = append(e.spare, q)
	}
}

// release gives the memory of q back, the end of its context first, so that
// the beginning, which others may share, is kept the longest.
func (e *Engine) release(q *sequence) {
	for _, b := range slices.Backward(q.blocks) {
		e.memory.release(b)
	}
	q.blocks = q.blocks[:0]
}

// NextAt returns the time at which something happens next, if nothing is
// submitted or aborted before; ok is false if the engine is idle.
func (e *Engine) NextAt() (at time.Duration, ok bool) {
	switch {
	case e.busy:
		return e.end, true
	case len(e.entering) > 0:
		return max(e.free, e.entering[0].ready), true
	}
	return 0, false
}

// Advance lets the engine work until now, and appends to events what happened,
// in the order in which it did.
func (e *Engine) Advance(now time.Duration, events []Event) []Event {
	e.now = max(e.now, now)
	e.events = events
	for {
		at, ok := e.NextAt()
		if !ok || at > e.now {
			break
		}
		if e.busy {
			e.finish()
		}
		e.compose(at)
	}
	events, e.events = e.events, nil
	return events
}

// State returns what the engine holds and did until the latest time seen.
func (e *Engine) State() State {
	s := e.counter
	s.Running, s.Waiting = len(e.running), len(e.waiting)+len(e.entering)
	s.BlocksUsed, s.Blocks = e.memory.numUsed, e.memory.limit
	return s
}

// compose begins a step at the time at, if there is anything to do.
func (e *Engine) compose(at time.Duration) {
	e.enter(at)
	plan := plan{at: at, budget: e.c.Budget}
	preempted := e.scheduleRunning(&plan)
	if !preempted {
		e.admit(&plan)
	}
	if plan.tokens == 0 {
		return
	}
	e.counter.Steps++
	e.busy = true
	e.end = at + e.noisy(e.c.Time(plan.tokens, 0, plan.context))
}

// A plan is a step in the making.
type plan struct {
	at      time.Duration
	budget  int // tokens left
	tokens  int
	context int
}

// enter moves the sequences that are ready to the queue.
func (e *Engine) enter(at time.Duration) {
	n := 0
	for n < len(e.entering) && e.entering[n].ready <= at {
		q := e.entering[n]
		q.place = inQueue
		heap.Push(&e.waiting, q)
		n++
	}
	e.entering = slices.Delete(e.entering, 0, n)
}

// scheduleRunning gives each running sequence its part of the step, and
// preempts where the memory does not suffice.
func (e *Engine) scheduleRunning(p *plan) (preempted bool) {
	for i := 0; i < len(e.running) && p.budget > 0; {
		q := e.running[i]
		n := min(q.needs(), p.budget)
		missing := blocksFor(q.computed+n) - len(q.blocks)
		if missing <= e.memory.available() {
			e.schedule(q, n, missing, p)
			i++
			continue
		}
		preempted = true
		if at := e.preempt(p); at < i {
			i--
		}
	}
	return preempted
}

func (q *sequence) needs() int { return q.Prompt + q.produced - q.computed }

func blocksFor(tokens int) int { return (tokens + BlockTokens - 1) / BlockTokens }

func (e *Engine) schedule(q *sequence, n, missing int, p *plan) {
	for range missing {
		q.blocks = append(q.blocks, e.memory.take())
	}
	q.chunk = n
	p.budget -= n
	p.tokens += n
	p.context += q.computed
}

// preempt sends the running sequence of the least priority and the latest
// arrival back to the queue and returns which one it was.
func (e *Engine) preempt(p *plan) int {
	at := 0
	for i, q := range e.running {
		if e.running[at].before(q) {
			at = i
		}
	}
	q := e.running[at]
	if q.chunk > 0 {
		p.budget += q.chunk
		p.tokens -= q.chunk
		p.context -= q.computed
	}
	e.release(q)
	q.computed, q.chunk, q.place = 0, 0, inQueue
	e.running = slices.Delete(e.running, at, at+1)
	heap.Push(&e.waiting, q)
	e.counter.Preemptions++
	e.emit(Preempted, q, p.at, q.produced)
	return at
}

// admit takes sequences from the queue into the batch, in order, until
// something is short: places, budget or memory.
func (e *Engine) admit(p *plan) {
	for len(e.waiting) > 0 && len(e.running) < e.c.MaxSeqs && p.budget > 0 {
		q := e.waiting[0]
		hit, kept := e.lookUp(q)
		n := min(q.Prompt+q.produced-hit*BlockTokens, p.budget)
		missing := blocksFor(hit*BlockTokens+n) - hit
		if missing > e.memory.available()-kept {
			return
		}
		heap.Pop(&e.waiting)
		q.place = inBatch
		e.running = append(e.running, q)
		e.share(q, hit)
		e.schedule(q, n, missing, p)
		e.emit(Started, q, p.at, hit*BlockTokens)
	}
}

// lookUp returns how many blocks of q the prefix cache has, and how many of
// these no sequence holds. At least one token is left to compute.
func (e *Engine) lookUp(q *sequence) (hit, kept int) {
	most := min(len(q.Blocks), (q.Prompt+q.produced-1)/BlockTokens)
	for hit < most {
		b := e.memory.find(q.Blocks[hit])
		if b == none {
			break
		}
		if e.memory.isKept(b) {
			kept++
		}
		hit++
	}
	return hit, kept
}

// share makes q a holder of its first hit blocks.
func (e *Engine) share(q *sequence, hit int) {
	for _, hash := range q.Blocks[:hit] {
		b := e.memory.find(hash)
		e.memory.hold(b)
		q.blocks = append(q.blocks, b)
	}
	q.computed = hit * BlockTokens
	if !q.checked {
		q.checked = true
		e.counter.PrefixQueried += q.Prompt
		e.counter.PrefixHit += q.computed
	}
}

// finish ends the step under way.
func (e *Engine) finish() {
	at := e.end
	e.busy, e.free = false, at
	left := e.running[:0]
	for _, q := range e.running {
		e.compute(q)
		if q.computed < q.Prompt+q.produced || !e.produce(q, at) {
			left = append(left, q)
			continue
		}
		e.forget(q)
	}
	clear(e.running[len(left):])
	e.running = left
}

// compute does the part of q in the step that ends. A sequence that had none
// cannot have all of its tokens computed.
func (e *Engine) compute(q *sequence) {
	from := q.computed / BlockTokens
	if q.computed < q.Prompt {
		e.counter.PrefillComputed += min(q.chunk, q.Prompt-q.computed)
	}
	q.computed += q.chunk
	q.chunk = 0
	for i := from; i < min(q.computed/BlockTokens, len(q.Blocks)); i++ {
		e.memory.name(q.blocks[i], q.Blocks[i])
	}
}

// produce yields a token of q and reports whether it was the last.
func (e *Engine) produce(q *sequence, at time.Duration) (last bool) {
	q.produced++
	e.counter.OutputTokens++
	if q.produced == 1 {
		e.counter.PromptTokens += q.Prompt
	}
	e.emit(Token, q, at, q.produced)
	if q.produced < q.Output {
		return false
	}
	e.counter.FinishedSequences++
	e.emit(Finished, q, at, q.produced)
	return true
}

func (e *Engine) emit(kind EventKind, q *sequence, at time.Duration, n int) {
	e.events = append(e.events, Event{Kind: kind, ID: q.ID, At: at, N: n})
}

// noisy multiplies d by a lognormal factor of median 1 that depends on the
// seed and the number of the step.
func (e *Engine) noisy(d time.Duration) time.Duration {
	if e.c.Noise == 0 {
		return d
	}
	a := mix(e.c.Seed + uint64(e.counter.Steps)*2)
	b := mix(a)
	u := (float64(a>>11) + 1) / (1 << 53)
	v := float64(b>>11) / (1 << 53)
	z := math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v) // Box and Muller
	return max(1, time.Duration(float64(d)*math.Exp(e.c.Noise*z)))
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
