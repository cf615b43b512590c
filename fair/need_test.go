package fair_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// unbounded are the constants with classes that wait for as long as it takes.
func unbounded() fair.Config {
	c := fair.Default()
	c.Bound = [outcrop.NumClasses]time.Duration{}
	return c
}

// flooded is an engine that a class floods, with 200 requests of class flex that
// hurry and 50 that do not; each costs 1800. It returns the shares of the
// service of both within a minute, and the service tokens of a second.
func flooded(t *testing.T, by outcrop.Class, need float64) (hurried, others, rate float64) {
	r := newRig(t, 1, unbounded())
	r.done = func(f *flight) { r.submit(f.Request, 0) }
	r.do(r.pool.Need(0, need, nil))
	add := func(n int, q fair.Request) {
		q.Prompt, q.Output = 1000, 200
		r.backlog(n, func() fair.Request { return q })
	}
	add(400, fair.Request{Tenant: "flood", Class: by})
	add(200, fair.Request{Tenant: "job", Class: outcrop.ClassFlex, Hurry: true})
	add(50, fair.Request{Tenant: "flex", Class: outcrop.ClassFlex})
	r.run(20 * time.Second)
	clear(r.service)
	r.run(60 * time.Second)
	all := r.service["flood"] + r.service["job"] + r.service["flex"]
	return r.service["job"] / all, r.service["flex"] / all, all / 60
}

func TestWhatMustHurryGetsWhatItNeeds(t *testing.T) {
	for _, by := range []outcrop.Class{outcrop.ClassDefault, outcrop.ClassPriority} {
		for _, need := range []float64{0, .5, 2} {
			hurried, others, rate := flooded(t, by, need)
			if want := need * 1800 / rate; math.Abs(hurried-want) > .03*want+1e-9 {
				t.Errorf("beside %v with a need of %v/s: a share of %.4f of %.0f/s, want %.4f", by, need, hurried, rate, want)
			}
			if others > 0 {
				t.Errorf("beside %v those that do not hurry got %.3f", by, others)
			}
		}
	}
}

func TestTheNeedIsBounded(t *testing.T) {
	for _, by := range []outcrop.Class{outcrop.ClassDefault, outcrop.ClassPriority} {
		if hurried, others, _ := flooded(t, by, 1e6); hurried < .28 || hurried > .32 || others > 0 {
			t.Errorf("beside %v: %.3f, and %.3f to those that do not hurry", by, hurried, others)
		}
	}
}

// A request that hurries is not refused for its wait, has no part of the need
// of others as long as none is told, and comes after provisioned ones.
func TestHurryAlone(t *testing.T) {
	p := pool(t, fair.Default(), fair.Capacity{KVTokens: 100_000, MaxSeqs: 1, StepBudget: 2048, PrefillRate: 10_000, DecodeRate: 50})
	submit(t, p, 0, fair.Request{ID: 1, Class: outcrop.ClassDefault, Prompt: 10})
	submit(t, p, 0, fair.Request{ID: 2, Class: outcrop.ClassFlex, Prompt: 10, Hurry: true})
	submit(t, p, 0, fair.Request{ID: 3, Class: outcrop.ClassFlex, Prompt: 10})
	out := p.Tick(11*time.Minute, nil)
	if len(out) != 1 || out[0].ID != 3 || out[0].Bound != fair.BoundWait {
		t.Errorf("after 11 minutes: %+v", out)
	}
	p.FirstToken(11*time.Minute, 1, nil)
	p.Need(11*time.Minute, 1, nil)
	submit(t, p, 12*time.Minute, fair.Request{ID: 4, Class: outcrop.ClassProvisioned, Prompt: 10})
	submit(t, p, 12*time.Minute, fair.Request{ID: 5, Class: outcrop.ClassPriority, Prompt: 10})
	if s := p.State().Need; s.Queued != 1 || s.Rate != 10 || s.Credit != 100 {
		t.Errorf("%+v", s)
	}
	for i, want := range []fair.ID{4, 2, 5} {
		out := p.Finished(12*time.Minute, []fair.ID{1, 4, 2}[i], outcrop.Usage{}, nil)
		if len(out) != 1 || out[0].ID != want || out[0].Kind != fair.Dispatch {
			t.Errorf("%d: %+v, want %d", i, out, want)
		}
	}
}

// What is guaranteed to batch costs provisioned requests no more than the
// on-demand use whose place it takes.
func TestProvisionedRequestsDoNotPayForANeed(t *testing.T) {
	for _, engines := range []int{1, 4} {
		without, with := firstTokens(t, engines, 0), firstTokens(t, engines, 1e6)
		for _, q := range []float64{.5, .99} {
			a, b := quantile(without, q), quantile(with, q)
			t.Logf("%d engines, p%.0f: %v without a need, %v with 30 %%", engines, 100*q, a, b)
			if b > a+a/10 {
				t.Errorf("%d engines, p%.0f: %v, without a need %v", engines, 100*q, b, a)
			}
		}
	}
}

// firstTokens are the first-token times of provisioned requests, four a second
// for each engine, beside a flood on demand and a job that must hurry.
func firstTokens(t *testing.T, engines int, need float64) (all []time.Duration) {
	r := newRig(t, engines, unbounded())
	r.done = func(f *flight) {
		if f.Class == outcrop.ClassProvisioned {
			all = append(all, f.first-f.sent)
			return
		}
		r.submit(f.Request, 0)
	}
	r.do(r.pool.Need(0, need, nil))
	r.backlog(300*engines, func() fair.Request {
		return fair.Request{Tenant: "flood", Class: outcrop.ClassDefault, Prompt: 1100, Output: 200}
	})
	r.backlog(200*engines, func() fair.Request {
		return fair.Request{Tenant: "job", Class: outcrop.ClassFlex, Hurry: true, Prompt: 700, Output: 300}
	})
	gap, share := time.Second/time.Duration(4*engines), r.service
	for i := range 60 * 4 * engines {
		r.submit(fair.Request{Tenant: "unit", Class: outcrop.ClassProvisioned, Prompt: 400 + i*137%1800, Output: 100 + i*31%200}, 0)
		r.run(gap/2 + gap*time.Duration(i*61%97)/96)
	}
	if need > 0 && share["job"] < .2*(share["job"]+share["flood"]+share["unit"]) {
		t.Errorf("the job had %.0f of %v", share["job"], share)
	}
	return all
}

func quantile(all []time.Duration, q float64) time.Duration {
	slices.Sort(all)
	return all[int(q*float64(len(all)-1))]
}
