package fair_test

import (
	"math"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/step"
)

// A rig is a pool with simulated engines, in virtual time.
type rig struct {
	t       *testing.T
	pool    *fair.Pool
	engines []*step.Engine
	now     time.Duration
	live    map[fair.ID]*flight
	nextID  fair.ID
	service map[string]float64 // by tenant: fresh prompts handed over, output that came
	weight  float64
	refused []fair.Action
	log     []fair.Action
	done    func(*flight) // called when a request ends
	trusts  bool          // the pool is not checked after each event
}

type flight struct {
	fair.Request
	output, tokens int
	first          time.Duration
	sent           time.Duration
	engine         fair.EngineID // that it was given to last
	given          time.Duration // when
}

func newRig(t *testing.T, engines int, c fair.Config) *rig {
	r := &rig{t: t, pool: fair.New(c), live: map[fair.ID]*flight{}, service: map[string]float64{}, weight: c.OutputWeight}
	for range engines {
		k := step.H100Llama8B()
		k.Entry = time.Millisecond
		r.add(k, 28_571, 147)
	}
	return r
}

// add has another engine stand, every fourth one as a lane, that reads so many
// tokens of prompt and makes so many steps in a second.
func (r *rig) add(k step.Constants, prefill, decode float64) {
	i := len(r.engines)
	r.engines = append(r.engines, step.New(k))
	r.do(r.pool.Up(0, fair.EngineID(i), fair.Capacity{
		KVTokens: k.KVTokens, MaxSeqs: k.MaxSeqs, StepBudget: k.Budget,
		PrefillRate: prefill, DecodeRate: decode, Lane: i%4 == 3,
	}, nil))
}

// submit sends a request whose true output is that predicted, if output is 0.
func (r *rig) submit(q fair.Request, output int) *flight {
	r.nextID++
	q.ID = r.nextID
	f := &flight{Request: q, output: output, sent: r.now}
	if output == 0 {
		f.output = q.Output
	}
	r.live[q.ID] = f
	out, err := r.pool.Submit(r.now, q, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.do(out)
	return f
}

func (r *rig) do(out []fair.Action) {
	r.log = append(r.log, out...)
	for _, a := range out {
		f := r.live[a.ID]
		switch a.Kind {
		case fair.Dispatch:
			f.engine, f.given = a.Engine, r.now
			r.service[f.Tenant] += float64(f.Prompt)
			err := r.engines[a.Engine].Submit(r.now, step.Sequence{ID: step.ID(a.ID), Prompt: f.Prompt, Output: f.output})
			if err != nil {
				r.t.Fatal(err)
			}
		case fair.AbortAndResume:
			f.engine = nowhere
			r.service[f.Tenant] -= float64(f.Prompt)
			r.engines[a.Engine].Abort(r.now, step.ID(a.ID))
		case fair.Refuse:
			r.refused = append(r.refused, a)
			delete(r.live, a.ID)
			r.ended(f)
		}
	}
}

func (r *rig) ended(f *flight) {
	if r.done != nil {
		r.done(f)
	}
}

// run lets d pass.
func (r *rig) run(d time.Duration) {
	end := r.now + d
	for {
		at, which := end, -2
		if next, ok := r.pool.NextAt(); ok && next < at {
			at, which = next, -1
		}
		for i, e := range r.engines {
			if next, ok := e.NextAt(); ok && next < at {
				at, which = next, i
			}
		}
		r.now = max(r.now, at)
		switch which {
		case -2:
			return
		case -1:
			r.do(r.pool.Tick(r.now, nil))
		default:
			r.step(which)
		}
		if r.trusts {
			continue
		}
		if err := r.pool.Check(); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) step(engine int) {
	for _, ev := range r.engines[engine].Advance(r.now, nil) {
		f := r.live[fair.ID(ev.ID)]
		if f == nil || f.engine != fair.EngineID(engine) || f.given == r.now {
			continue // it was taken back by what came before it in the same moment
		}
		switch ev.Kind {
		case step.Token:
			f.tokens = ev.N
			r.service[f.Tenant] += r.weight
			if ev.N == 1 {
				f.first = r.now
			}
			r.do(r.pool.Progress(r.now, f.ID, ev.N, nil))
		case step.Finished:
			delete(r.live, f.ID)
			r.do(r.pool.Finished(r.now, f.ID, outcrop.Usage{Input: f.Prompt, Output: f.tokens}, nil))
			r.ended(f)
		}
	}
}

// backlog keeps n requests of the tenant waiting or running.
func (r *rig) backlog(n int, next func() fair.Request) {
	for range n {
		q := next()
		r.submit(q, 0)
	}
}

// jain is Jain's index of fairness: 1 if all are equal.
func jain(v []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range v {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(v)) * squares)
}

func spread(v []float64) float64 {
	low, high := math.Inf(1), math.Inf(-1)
	for _, x := range v {
		low, high = min(low, x), max(high, x)
	}
	return high - low
}
