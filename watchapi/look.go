package watchapi

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/estimate"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/quota"
)

// A Scene is what a View is made of, at one time.
type Scene struct {
	Pools       []PoolState
	Limits      quota.Status
	Provisioned []outcrop.Provisioned
	// PoolOf returns the model of the pool that serves what was bought of a
	// model; empty if none does.
	PoolOf func(model string) string
}

// A PoolState is a pool with what the scheduler does not know of it.
type PoolState struct {
	capacity.State
	Simulated bool
	Sellable  int // units that can still be sold
}

// Look returns what there is to see in the scene, for one who may see all.
func Look(s *Scene, now time.Time) View {
	v := View{Version: Version, Time: now.UTC().Truncate(time.Millisecond), OnDemand: s.Limits.Uses}
	v.Units = units(s)
	sold, used := s.sold(), s.used(v.Units)
	for i := range s.Pools {
		p := &s.Pools[i]
		n, most := float64(sold[p.Model]), used[p.Model]
		most = tenths(min(most, n))
		v.Pools = append(v.Pools, lookPool(p, Units{Sold: sold[p.Model], Used: most, Idle: tenths(n - most), Free: p.Sellable}))
	}
	slices.SortFunc(v.Pools, func(a, b Pool) int { return cmp.Compare(a.Model, b.Model) })
	return v
}

// sold adds up the units that are sold, by pool.
func (s *Scene) sold() map[string]int {
	sold := map[string]int{}
	for i := range s.Provisioned {
		p := &s.Provisioned[i]
		now, next := s.PoolOf(p.Model), s.PoolOf(p.DesiredModel)
		held, desired := p.Held(p.Model), p.Held(p.DesiredModel)
		if next == now {
			sold[now] += max(held, desired)
			continue
		}
		sold[now] += held
		sold[next] += desired
	}
	return sold
}

// used adds up the units that were used, by pool: of each unit the rate that
// was used most.
func (s *Scene) used(all []Unit) map[string]float64 {
	used := map[string]float64{}
	for i := range all {
		u := &all[i]
		if u.ARN != "" {
			used[s.PoolOf(u.Model)] += float64(u.Units*max(u.UsedInput, u.UsedOutput)) / 100
		}
	}
	return used
}

// units joins what is provisioned with what its limits say; those that no
// request has named yet have no levels.
func units(s *Scene) []Unit {
	limits := map[string]*quota.UnitStatus{}
	for i := range s.Limits.Units {
		limits[s.Limits.Units[i].ARN] = &s.Limits.Units[i]
	}
	var all []Unit
	for i := range s.Provisioned {
		p := &s.Provisioned[i]
		u := Unit{Status: p.Status, UnitStatus: quota.UnitStatus{ARN: p.ARN.String(), Name: p.Name, Account: p.ARN.Account, Model: p.Model, Units: int64(p.Units)}}
		if have := limits[u.ARN]; have != nil {
			u.UnitStatus = *have
		}
		all = append(all, u)
	}
	for i := range s.Limits.Reserved {
		all = append(all, Unit{UnitStatus: s.Limits.Reserved[i]})
	}
	slices.SortStableFunc(all, func(a, b Unit) int { return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.ARN, b.ARN)) })
	return all
}

func lookPool(s *PoolState, u Units) Pool {
	p := Pool{Model: s.Model, Simulated: s.Simulated, Units: u, Guarded: s.Guarded}
	for class := outcrop.Class(outcrop.NumClasses); class > 0; class-- {
		c := lookClass(&s.State, class-1)
		p.Classes, p.Pace = append(p.Classes, c), p.Pace+c.Pace
	}
	p.Pace = tenths(p.Pace)
	for i := range s.Engines {
		p.Engines = append(p.Engines, lookEngine(&s.State, &s.Engines[i]))
	}
	return p
}

// never is longer than any wait that is worth telling.
const never = 365 * 24 * time.Hour

func lookClass(s *capacity.State, class outcrop.Class) Class {
	q := &s.Classes[class]
	c := Class{Class: class.String(), Waiting: q.Queued, Running: q.Flying, Oldest: q.Oldest, Pace: tenths(q.Pace), Served: int64(q.Served),
		Finished: q.Counts.Finished, Refused: q.Counts.Refused, Aborted: q.Counts.Aborted, Lost: q.Counts.Lost, Failed: q.Counts.Failed}
	if w := s.ExpectedWait(class); w < never {
		c.Expected = milliseconds(w)
	}
	return c
}

func lookEngine(s *capacity.State, e *capacity.EngineState) Engine {
	x := Engine{Name: e.Name, State: e.Is(), RestsFor: e.RestsFor, Running: e.Load.Sequences, KV: e.Load.KV, Backlog: e.Load.Unread,
		Factor: math.Round(e.Factor*100) / 100, Prefill: tenths(e.Prefill), Steps: tenths(e.Decode), Samples: e.Samples,
		Failures: e.Failures, Served: e.Served, Failed: e.Failed}
	if x.State == estimate.Healthy.String() {
		x.State = Serving
	}
	if most, known := e.Places(); known {
		x.Most = most
	}
	if most, known := e.Memory(); known {
		x.KVMost, x.KVUsed = most, percent(float64(e.Load.KV)/float64(max(most, 1)))
	} else if e.Scraped >= 0 {
		x.KVUsed = percent(e.Said.KVUsage)
	}
	if e.Scraped >= 0 {
		x.Scraped, x.Waiting = milliseconds(e.Scraped), &e.Said.Waiting
	}
	for class := outcrop.Class(outcrop.NumClasses); class > 0; class-- {
		if s.Classes[class-1].Queued > 0 {
			g := e.Gates[class-1]
			x.Gates = append(x.Gates, Gate{(class - 1).String(), g.String(), gateWords[g]})
		}
	}
	return x
}

// Serving is the state of an engine with which all is well.
const Serving = "serving"

// gateWords say for people what docs/scheduler.md defines.
var gateWords = map[fair.Gate]string{
	fair.GateOpen:     "takes it as soon as it is next",
	fair.GateDraining: "takes nothing new",
	fair.GateSize:     "its memory is too small, even when empty",
	fair.GateLane:     "is kept for a few short prompts",
	fair.GateSeqs:     "runs as many requests as the class may bring it to",
	fair.GateKV:       "its memory is as full as the class may make it",
	fair.GateReading:  "reads the prompt of a provisioned or priority request",
	fair.GateCap:      "has read what low classes may have it read for now",
	fair.GatePrefill:  "still reads other prompts",
	fair.GateKept:     "keeps its place for requests of optimized latency",
	fair.GateClear:    "would leave too few engines free of prompts",
}

func milliseconds(d time.Duration) *Wait { w := Wait(d.Milliseconds()); return &w }

func percent(share float64) *int { p := int(math.Round(share * 100)); return &p }

// tenths rounds to one decimal.
func tenths(v float64) float64 { return math.Round(v*10) / 10 }
