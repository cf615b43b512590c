package capacity

import (
	"slices"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// A local is the dispatcher in this process: a mutex around the scheduler and
// one timer. The goroutine that brings a message does the work that follows.
type local struct {
	mu      sync.Mutex
	origin  time.Time
	pool    *fair.Pool
	out     []fair.Action
	jobs    map[fair.ID]*job
	engines []*engine // in the order of Update, then those that leave
	numbers fair.EngineID
	timer   *time.Timer
	armed   time.Duration // when the timer fires; 0 if it does not
	closed  bool
	waits   [outcrop.NumClasses]fair.ID // the last one that had to wait
	spare   []*job                      // that ended, for reuse
}

// A job is a request from submit to its end.
type job struct {
	order
	path    listener
	attempt int
	engine  *engine // while on one
	since   time.Duration
	queued  time.Duration // without what began at since

	// Of the attempt:
	ahead, fresh int           // uncached tokens of prompts before it, and its own
	took         time.Duration // to the first token; 0 before it
	number       int           // among the engine's jobs
	alone        bool          // no other prompt was read until the first token
	quiet        bool          // no prompt was being read at the last report,
	loads        uint64        // when, or before it, the engine had been given so many requests
	at           time.Duration // of the last report
	tokens       int           // until then

	failed []*engine // that did not take it
}

func newLocal(c fair.Config) *local {
	return &local{origin: time.Now(), pool: fair.New(c), jobs: map[fair.ID]*job{}}
}

// now is the time on the scheduler's scale, which a step of the wall clock
// does not move.
func (d *local) now() time.Duration { return time.Since(d.origin) }

func (d *local) submit(o *order, l listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	j := d.job()
	j.order, j.path, j.since = *o, l, now
	if d.closed {
		d.refuse(now, j, fair.Action{Bound: fair.BoundEngines, Retry: time.Second})
		return
	}
	j.Output = d.fitting(&o.Request)
	if !o.deadline.IsZero() {
		j.Deadline = max(o.deadline.Sub(d.origin), 1)
	}
	d.jobs[j.ID] = j
	out, err := d.pool.Submit(now, j.Request, d.out[:0])
	if err != nil {
		delete(d.jobs, j.ID)
		l.tell(fate{kind: lost})
		return
	}
	d.do(now, out)
	d.waiting(j)
	d.arm(now)
}

// fitting returns the predicted output, but no more than the largest engine
// holds beside the prompt: a prediction alone refuses nobody.
func (d *local) fitting(r *fair.Request) int {
	most := 0
	for _, e := range d.engines {
		most = max(most, e.told.KVTokens)
	}
	if r.Prompt >= most {
		return r.Output
	}
	return min(r.Output, most-r.Prompt)
}

// waiting notes that j has to wait, and tells it why.
func (d *local) waiting(j *job) {
	if j.engine != nil || d.jobs[j.ID] == nil {
		return
	}
	d.waits[j.Class] = j.ID
	if x, ok := d.pool.Explain(j.ID); ok {
		j.path.explain(d.hold(&x))
	}
}

func (d *local) first(id fair.ID, attempt int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.current(id, attempt)
	if j == nil {
		return false
	}
	now := d.now()
	j.took = max(now-j.since, 1)
	j.at, j.tokens, j.quiet = now, 1, false
	e := j.engine
	j.alone = j.alone && j.loads == e.loads
	e.read(j)
	e.reading = now
	// The scheduler must know of the token before it hears anything else, or
	// it may take the request back.
	d.do(now, d.pool.FirstToken(now, id, d.out[:0]))
	if j.streams {
		e.began(now, j)
		d.judge(now, e)
	}
	d.arm(now)
	return true
}

func (d *local) progress(id fair.ID, attempt, tokens int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.current(id, attempt)
	if j == nil || tokens <= j.tokens {
		return
	}
	now := d.now()
	j.engine.decoded(now, j, tokens)
	d.do(now, d.pool.Progress(now, id, tokens, d.out[:0]))
	d.arm(now)
}

func (d *local) finished(id fair.ID, attempt int, end end) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.current(id, attempt)
	if j == nil {
		return false
	}
	now := d.now()
	e := j.engine
	e.ended(now, j, end)
	d.forget(j)
	if end.failure == "" {
		d.do(now, d.pool.Finished(now, id, end.usage, d.out[:0]))
	} else {
		d.do(now, d.pool.GaveUp(now, id, end.usage, d.out[:0]))
	}
	d.judge(now, e)
	d.depart(now, e)
	d.arm(now)
	d.reuse(j)
	return true
}

// nothing is the usage of a request that an engine did not take: it is known,
// and costs nothing.
var nothing = outcrop.Usage{CacheRead: 1}

func (d *local) failed(id fair.ID, attempt int, code outcrop.Code, retry time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.current(id, attempt)
	if j == nil {
		return
	}
	now := d.now()
	e := j.engine
	e.refused(now, code, retry)
	j.failed = append(j.failed, e)
	d.judge(now, e)
	if d.current(id, attempt) != j {
		d.depart(now, e) // it was taken back meanwhile, and is on its way again
		d.arm(now)
		return
	}
	if d.hope(j) {
		d.do(now, d.pool.Failed(now, id, d.out[:0]))
	} else {
		d.forget(j)
		j.path.tell(fate{kind: lost, queued: j.queued})
		d.do(now, d.pool.GaveUp(now, id, nothing, d.out[:0]))
	}
	d.depart(now, e)
	d.arm(now)
}

// hope reports whether an engine stands that has not failed j.
func (d *local) hope(j *job) bool {
	for _, e := range d.engines {
		if e.standing && !slices.Contains(j.failed, e) {
			return true
		}
	}
	return false
}

func (d *local) abort(id fair.ID, tokens int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.jobs[id]
	if j == nil {
		return
	}
	now := d.now()
	e := j.engine
	if e != nil && tokens > j.tokens && j.took > 0 {
		d.do(now, d.pool.Progress(now, id, tokens, d.out[:0]))
	}
	d.forget(j)
	d.do(now, d.pool.Abort(now, id, d.out[:0]))
	if e != nil {
		d.depart(now, e)
	}
	d.arm(now)
}

// current returns the job if that attempt of it runs.
func (d *local) current(id fair.ID, attempt int) *job {
	j := d.jobs[id]
	if j == nil || j.engine == nil || j.attempt != attempt {
		return nil
	}
	return j
}

// maxSpare is how many ended jobs are kept for reuse.
const maxSpare = 1024

func (d *local) job() *job {
	n := len(d.spare)
	if n == 0 {
		return new(job)
	}
	j := d.spare[n-1]
	d.spare = d.spare[:n-1]
	return j
}

// reuse keeps j, which nothing refers to any more.
func (d *local) reuse(j *job) {
	if len(d.spare) < maxSpare {
		*j = job{}
		d.spare = append(d.spare, j)
	}
}

// forget ends j.
func (d *local) forget(j *job) {
	delete(d.jobs, j.ID)
	if j.engine != nil {
		j.engine.unload(j)
	}
}

// do carries out what the scheduler wants.
func (d *local) do(now time.Duration, actions []fair.Action) {
	d.out = actions
	returned := false
	for _, a := range actions {
		j := d.jobs[a.ID]
		if j == nil {
			continue
		}
		switch a.Kind {
		case fair.Dispatch:
			d.grant(now, j, a)
		case fair.AbortAndResume, fair.Requeue:
			j.engine.unload(j)
			d.again(now, j)
			returned = true
		case fair.Refuse:
			delete(d.jobs, j.ID)
			d.refuse(now, j, a)
		case fair.Lost:
			d.forget(j)
			j.path.tell(fate{kind: lost, queued: j.queued})
		}
	}
	if returned {
		d.returned(actions)
	}
}

// returned tells those that came back from their engines, and did not get
// another at once, why they wait.
func (d *local) returned(actions []fair.Action) {
	for _, a := range actions {
		j := d.jobs[a.ID]
		if j != nil && (a.Kind == fair.AbortAndResume || a.Kind == fair.Requeue) {
			d.waiting(j)
		}
	}
}

// again lets j wait for another attempt.
func (d *local) again(now time.Duration, j *job) {
	j.since = now
	if !d.closed {
		j.path.tell(fate{kind: waiting})
		return
	}
	delete(d.jobs, j.ID)
	d.refuse(now, j, fair.Action{Bound: fair.BoundEngines, Retry: time.Second})
	d.pool.Abort(now, j.ID, nil) // no engine stands, so that nothing follows
}

func (d *local) grant(now time.Duration, j *job, a fair.Action) {
	e := d.engine(a.Engine)
	j.attempt++
	j.queued += now - j.since
	j.since, j.took, j.tokens = now, 0, 0
	e.load(now, j)
	j.path.tell(fate{kind: granted, attempt: j.attempt, engine: e.Name, hint: a.Priority, queued: j.queued})
}

func (d *local) refuse(now time.Duration, j *job, a fair.Action) {
	f := fate{kind: refused, refusal: a, queued: j.queued + now - j.since}
	for _, e := range d.engines {
		f.later = f.later || j.Prompt < e.Capacity.KVTokens
	}
	j.path.tell(f)
}

func (d *local) engine(id fair.EngineID) *engine {
	for _, e := range d.engines {
		if e.id == id {
			return e
		}
	}
	return nil
}

// finest is the least time between two firings of the timer.
const finest = 200 * time.Microsecond

// arm sets the timer to when something happens even if no message comes. One
// that fires too early does no harm.
func (d *local) arm(now time.Duration) {
	at, ok := d.pool.NextAt()
	for _, e := range d.engines {
		if until, rests := e.rests(); rests && (!ok || until < at) {
			at, ok = until, true
		}
	}
	if !ok || d.closed || d.armed > 0 && d.armed <= at {
		return
	}
	wait := max(at-now, finest)
	d.armed = now + wait
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, d.tick)
		return
	}
	d.timer.Reset(wait)
}

func (d *local) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	now := d.now()
	d.armed = 0
	for _, e := range d.engines {
		if e.health.Tick(now) {
			d.judge(now, e)
		}
	}
	d.do(now, d.pool.Tick(now, d.out[:0]))
	d.arm(now)
}

func (d *local) setFloor(c outcrop.Class, share float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	d.do(now, d.pool.SetFloor(now, c, share, d.out[:0]))
	d.arm(now)
}

func (d *local) need(perSecond float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	d.do(now, d.pool.Need(now, perSecond, d.out[:0]))
	d.arm(now)
}

// close refuses all that waits.
func (d *local) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
	now := d.now()
	for _, e := range d.engines {
		if e.standing {
			e.standing = false
			d.do(now, d.pool.Drain(now, e.id, d.out[:0]))
		}
	}
	for id, j := range d.jobs {
		if j.engine != nil {
			continue
		}
		delete(d.jobs, id)
		d.refuse(now, j, fair.Action{Bound: fair.BoundEngines, Retry: time.Second})
		d.out = d.pool.Abort(now, id, d.out[:0])
	}
}
