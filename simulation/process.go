package simulation

import (
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
)

// A process is what dies with a crash: the scheduler's state, and who waits
// for what. It is the counterpart of the server's own code around the kernels.
type process struct {
	boots  int
	down   bool
	began  time.Duration // the origin of the scheduler's scale
	lag    time.Duration // by which the scheduler's time is set back
	frozen time.Duration // until when it stands still
	epoch  time.Duration // wall clock at the world's beginning
	skew   time.Duration // of the wall clock

	pool *fair.Pool
	out  []fair.Action
	jobs map[fair.ID]*request // in the scheduler
	sold map[string]int       // units of a deed, as the ledger was told
}

// boot starts a process with an empty scheduler.
func (w *world) boot() {
	p := &w.process
	p.boots++
	p.down, p.began, p.lag = false, w.now, 0
	p.pool, p.jobs, p.sold = fair.New(w.Scheduler), map[fair.ID]*request{}, map[string]int{}
	w.watch.reset()
	w.watch.floors = w.Scheduler.Floor
	for _, m := range w.machines {
		if m.engine != nil {
			w.engineUp(m)
		}
	}
}

// deliver has a message come to the process after a while. A process that
// stands still gets it when it goes on; one that has another number than boot
// never does.
func (w *world) deliver(boot int, after time.Duration, what func()) {
	w.at(w.now+after, func() { w.receive(boot, what) })
}

func (w *world) receive(boot int, what func()) {
	p := &w.process
	switch {
	case p.down || p.boots != boot:
		return
	case w.now < p.frozen:
		w.at(p.frozen, func() { w.receive(boot, what) })
	default:
		what()
	}
}

// poolNow is the time on the scheduler's scale.
func (w *world) poolNow() time.Duration { return max(w.now-w.process.began-w.process.lag, 0) }

// tickAt is when the process ticks the scheduler by itself.
func (w *world) tickAt() time.Duration {
	p := &w.process
	if p.down {
		return never
	}
	at, ok := p.pool.NextAt()
	if !ok {
		return never
	}
	return max(at+p.began+p.lag+w.Timer, p.frozen)
}

func (w *world) tick() {
	w.tell()
	w.do(w.process.pool.Tick(w.poolNow(), w.process.out[:0]))
}

// tell notes that the scheduler is about to be told something.
func (w *world) tell() { w.watch.before(w) }

// arrive is the moment at which a request comes to the process.
func (w *world) arrive(r *request) {
	p := &w.process
	switch {
	case p.down:
		w.mark(unreachable)
		w.answer(r, "unreachable")
	case w.now < p.frozen:
		w.at(p.frozen, func() { w.arrive(r) })
	case r.state == coming:
		r.boot = p.boots
		w.admit(r)
	}
}

// enqueue hands a request that was admitted to the scheduler.
func (w *world) enqueue(r *request, class outcrop.Class, output int) {
	p := &w.process
	r.class = class
	q := fair.Request{
		ID: fair.ID(r.id), Tenant: r.source.Account, Weight: weights[r.source.Account], Class: class,
		Prompt: r.prompt, Cached: r.source.Cached, Prefix: r.source.prefix,
		Output: w.fitting(r.prompt, output), MaxWait: r.source.MaxWait,
		Hurry: r.source.Kind == Batch && r.id%2 == 0,
	}
	if class == outcrop.ClassProvisioned {
		q.Tenant = r.unit
	}
	if r.deadline > 0 {
		q.Deadline = max(r.deadline-p.began, 1)
	}
	w.note("submit", int64(r.id), int64(class), int64(r.prompt), int64(q.Output))
	if p.jobs[q.ID] != nil {
		w.inUse(r, q)
		return
	}
	w.tell()
	p.jobs[q.ID] = r
	w.watch.submitted(w, r, q)
	out, err := p.pool.Submit(w.poolNow(), q, p.out[:0])
	if err != nil {
		w.fail("I17", fmt.Errorf("submit of %+v: %w", q, err))
		return
	}
	w.do(out)
}

// inUse is a request with the id of one that the scheduler has.
func (w *world) inUse(r *request, q fair.Request) {
	out, err := w.process.pool.Submit(w.poolNow(), q, nil)
	if err != fair.ErrInUse || len(out) > 0 {
		w.fail("I7", fmt.Errorf("submit of %+v, whose id is in use: %v, %+v", q, err, out))
	}
	w.mark(idInUse)
	w.release(r)
	w.answer(r, "id in use")
}

// fitting is the predicted output, but no more than the largest engine holds
// beside the prompt, as in capacity.
func (w *world) fitting(prompt, output int) int {
	most := 0
	for _, m := range w.machines {
		most = max(most, m.c.KVTokens)
	}
	if prompt >= most {
		return output
	}
	return min(output, most-prompt)
}

// do carries out what the scheduler wants.
func (w *world) do(actions []fair.Action) {
	p := &w.process
	p.out = actions
	for _, a := range actions {
		r := p.jobs[a.ID]
		w.note(actionNames[a.Kind], int64(a.ID), int64(a.Engine), int64(a.Bound), int64(a.Wait))
		if r == nil {
			w.fail("I17", fmt.Errorf("%+v of a request that the scheduler does not have", a))
			return
		}
		w.watch.acted(w, r, a)
		switch a.Kind {
		case fair.Dispatch:
			w.dispatch(r, w.machines[a.Engine])
		case fair.AbortAndResume, fair.Requeue:
			w.takeBack(r, a.Kind)
		case fair.Refuse:
			w.refused(r, a)
		case fair.Lost:
			w.lose(r)
		}
	}
}

var actionNames = [...]string{"", "dispatch", "abort and resume", "refuse", "requeue", "lost"}

func (w *world) dispatch(r *request, m *machine) {
	w.starts++
	r.state, r.attempts = flying, r.attempts+1
	a := &attempt{id: step.ID(w.starts), r: r, m: m, number: r.attempts, boot: w.process.boots}
	r.attempt = a
	w.at(w.now+w.Network, func() { m.take(a) })
}

// takeBack returns r to the queue; what its engine still says does not count.
func (w *world) takeBack(r *request, why fair.ActionKind) {
	if why == fair.AbortAndResume {
		w.mark(abortedAndResumed)
		if r.aborted++; r.aborted > 1 {
			w.mark(abortedAgain)
		}
	} else {
		w.mark(requeued)
		r.losses++
	}
	w.checkTakenBack(r)
	w.hangUp(r)
	r.state = queued
}

// hangUp closes the connection to the engine of r.
func (w *world) hangUp(r *request) {
	if a := r.attempt; a != nil {
		r.attempt = nil
		w.at(w.now+w.Network, func() { a.m.drop(a) })
	}
}

func (w *world) refused(r *request, a fair.Action) {
	w.mark(refusedByBound + Mark(a.Bound) - 1)
	if w.poolNow() > r.came {
		w.mark(refusedInQueue)
	}
	w.leave(r)
	w.release(r)
	w.answer(r, "refused")
}

// lose is the end of a request whose engine was lost.
func (w *world) lose(r *request) {
	if r.tokens > 0 {
		w.mark(lostAfterFirst)
	} else {
		w.mark(lostTooOften)
	}
	w.hangUp(r)
	w.leave(r)
	w.charge(r, w.known(r))
	w.answer(r, "lost")
}

// leave forgets a request that the scheduler does not have any more.
func (w *world) leave(r *request) {
	delete(w.process.jobs, fair.ID(r.id))
	r.attempt = nil
}

// current reports whether messages about the attempt still count.
func (w *world) current(a *attempt) bool {
	return a.boot == w.process.boots && a.r.attempt == a && a.r.state == flying
}

// tokens is the message that so many tokens of an attempt have come.
func (w *world) tokens(a *attempt, n int) {
	r, p := a.r, &w.process
	w.note("tokens", int64(r.id), int64(a.number), int64(n))
	if !w.current(a) {
		w.stale(a, n)
		return
	}
	if r.tokens == 0 && (r.class == outcrop.ClassDefault || r.class == outcrop.ClassFlex) {
		w.first++
		w.waited += w.now - r.born
	}
	r.tokens = max(r.tokens, n)
	w.tell()
	w.watch.progressed(w, r, n)
	w.do(p.pool.Progress(w.poolNow(), fair.ID(r.id), n, p.out[:0]))
	w.topUp(r)
}

// stale delivers a message about an attempt that is over, if that could not be
// told from one about another attempt: the scheduler must ignore it.
func (w *world) stale(a *attempt, n int) {
	w.mark(staleMessage)
	p := &w.process
	if r := p.jobs[fair.ID(a.r.id)]; r != nil && r.state == flying {
		return
	}
	w.tell()
	w.do(p.pool.Progress(w.poolNow(), fair.ID(a.r.id), n, p.out[:0]))
}

// finished is the message that an attempt came to its end.
func (w *world) finished(a *attempt, u outcrop.Usage) {
	r, p := a.r, &w.process
	w.note("finished", int64(r.id), int64(a.number), int64(u.Output))
	if !w.current(a) {
		w.stale(a, a.tokens)
		return
	}
	r.tokens = max(r.tokens, a.tokens)
	w.tell()
	w.watch.finished(w, r, u)
	w.leave(r)
	out := p.pool.Finished(w.poolNow(), fair.ID(r.id), u, p.out[:0])
	if u == (outcrop.Usage{}) {
		u = w.known(r)
	}
	w.do(out)
	w.charge(r, u)
	w.answer(r, answerOK)
}

const answerOK = "answered"

// failed is the message that an attempt broke off.
func (w *world) failed(a *attempt) {
	r, p := a.r, &w.process
	w.note("failed", int64(r.id), int64(a.number))
	if !w.current(a) {
		w.mark(staleMessage)
		return
	}
	w.tell()
	w.do(p.pool.Failed(w.poolNow(), fair.ID(r.id), p.out[:0]))
}

// gone is the message that the caller of r went away.
func (w *world) gone(r *request) {
	w.note("gone", int64(r.id), int64(r.state))
	switch r.state {
	case over:
		w.mark(goneTooLate)
		return
	case coming:
		w.mark(goneBeforeAdmission)
	case asking:
		w.mark(goneBeforeAdmission)
	case queued:
		w.mark(goneInQueue)
		w.abort(r)
		w.release(r)
	case flying:
		w.mark([...]Mark{goneWhileReading, goneMidStream}[min(r.tokens, 1)])
		a := r.attempt
		w.hangUp(r)
		w.abort(r)
		w.charge(r, w.known(r))
		w.at(w.now+w.Network+1, func() { w.checkGone(a) })
	}
	w.answer(r, "caller gone")
}

// abort takes r out of the scheduler.
func (w *world) abort(r *request) {
	p := &w.process
	w.tell()
	w.watch.ended(w, r)
	w.leave(r)
	w.do(p.pool.Abort(w.poolNow(), fair.ID(r.id), p.out[:0]))
}

// engineUp tells the scheduler that an engine stands.
func (w *world) engineUp(m *machine) {
	if m.engine == nil || m.drained {
		return
	}
	w.note("up", int64(m.id))
	w.tell()
	w.watch.up(m)
	w.do(w.process.pool.Up(w.poolNow(), m.id, m.capacity(), w.process.out[:0]))
}

// engineDown tells the scheduler that an engine is gone.
func (w *world) engineDown(m *machine) {
	w.note("down", int64(m.id))
	w.tell()
	w.watch.down(m)
	w.do(w.process.pool.Down(w.poolNow(), m.id, w.process.out[:0]))
}
