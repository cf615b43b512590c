package gateway

import (
	"math"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/sim"
)

// A fleetPool is the pool of one card's engines, with what is known of them
// for selling units.
type fleetPool struct {
	of      string // id of the card whose engines they are; variants use them too
	pool    *capacity.Pool
	engines []capacity.Engine
	// speeds are those of the engines that are known; unmeasured tells that
	// there is one of which nothing is.
	speeds     []lifecycle.Speed
	unmeasured bool
	kept       bool // the pool was there before this fleet
}

// schedule returns the scheduler's constants.
func schedule(c *config.Config) fair.Config {
	s, f := &c.Scheduler, fair.Default()
	f.LowCap, f.Clear, f.GuardFor = float64(s.LowCap), s.Clear, s.Guard
	if s.LowCap == 1 {
		f.LowCap, f.LaneSeqs = 0, 0 // to the scheduler, no cap
	}
	f.Bound[outcrop.ClassPriority], f.Bound[outcrop.ClassDefault], f.Bound[outcrop.ClassFlex] =
		s.QueueTimeout.Priority, s.QueueTimeout.Default, s.QueueTimeout.Flex
	f.Floor[outcrop.ClassPriority], f.Floor[outcrop.ClassDefault], f.Floor[outcrop.ClassFlex] =
		float64(s.Floor.Priority), float64(s.Floor.Default), float64(s.Floor.Flex)
	if s.Policy == "static" {
		f.LowSeqs, f.MaxAborts, f.LowCap, f.Clear, f.LaneSeqs = s.StaticCap, 0, 0, 0, 0
	}
	return f
}

// lanes marks one engine in four as a lane for short prompts.
const lanes = 4

// pooled describes an engine to the scheduler, and says how fast it is; ok is
// false if nothing is known of that.
//
// Only an engine with a capacity is asked to stream what the caller wants in
// one piece: its gates need to know when a prompt is read, and a stream costs
// the gateway more than twice as much.
//
// The page is where its metrics are; empty if there is none to be read.
func pooled(card *outcrop.Card, e *config.Engine, built engine, number int, page string) (p capacity.Engine, speed lifecycle.Speed, ok bool) {
	p = capacity.Engine{Name: e.Name, Model: built.model, Stream: e.Capacity != (config.Capacity{}), Whole: true}
	p.Capacity = capacity.Unknown(e.MaxConcurrency)
	if e.Kind == config.KindSim {
		p.Capacity, speed, p.Whole = simulated(card, e)
		p.Fixed, ok = true, true
	}
	p.Metrics = scrape(page)
	p.Capacity.Lane = number%lanes == lanes-1
	p.Capacity.Optimized = outcrop.Latency(e.Latency) == outcrop.LatencyOptimized
	p.Capacity.Priorities = e.Priorities
	if p.Measured = measured(&p.Capacity, &e.Capacity, e.MaxConcurrency); p.Measured {
		speed, ok = lifecycle.SpeedOf(p.Capacity.PrefillRate, p.Capacity.DecodeRate, p.Capacity.MaxSeqs), true
	}
	if ok && e.Capacity.Output > 0 {
		speed.Output = float64(e.Capacity.Output)
	}
	return p, speed, ok
}

// simulated is the capacity of a simulated engine, which answers token by token
// whatever it is asked for. One that answers at once has no bounds, but is sold
// as if it had.
func simulated(card *outcrop.Card, e *config.Engine) (_ fair.Capacity, _ lifecycle.Speed, atOnce bool) {
	const fast = 1e6 // tokens a second
	k, instant := sim.Machine(simulator(card, e))
	if instant {
		return capacity.Unknown(e.MaxConcurrency), lifecycle.Speed{Input: fast, Output: fast}, true
	}
	c := capacity.Of(k)
	return c, lifecycle.SpeedOf(c.PrefillRate, c.DecodeRate, c.MaxSeqs), false
}

// measured puts what the operator says into c. It reports whether that is
// enough to know how fast the engine is.
func measured(c *fair.Capacity, given *config.Capacity, most int) bool {
	for _, n := range []struct {
		to   *int
		from int
	}{{&c.KVTokens, given.Cache}, {&c.MaxSeqs, given.Sequences}, {&c.StepBudget, given.Budget}} {
		if n.from > 0 {
			*n.to = n.from
		}
	}
	if most > 0 {
		c.MaxSeqs = min(c.MaxSeqs, most)
	}
	if given.Prefill > 0 {
		c.PrefillRate = float64(given.Prefill)
	}
	if given.Decode > 0 {
		c.DecodeRate = float64(given.Decode)
	}
	return given.Prefill > 0 && (given.Output > 0 || given.Decode > 0 && c.MaxSeqs < unbounded)
}

// unbounded is more sequences than any engine runs at a time.
const unbounded = 1 << 16

// mostUnits bounds what is sold of a model whose engines nobody has measured.
const mostUnits = 10

// largest returns how many more units of the card can be sold beside those
// that are, by the id of the card.
func (f *fleet) largest(card *outcrop.Card, sold map[string]int) int {
	p := f.pools[card]
	if p == nil {
		return 0
	}
	sale := lifecycle.Sale{Engines: p.speeds, Survive: f.config.Provisioned.Survive, Headroom: float64(f.config.Provisioned.Headroom)}
	total := 0
	for id, units := range sold {
		other := f.catalog.Lookup(id)
		if other == nil || f.pools[other] != p {
			continue
		}
		total += units
		sale.Sold = append(sale.Sold, lifecycle.Units{Number: units, Rates: f.unit(id)})
	}
	if p.unmeasured {
		return max(0, mostUnits-total)
	}
	return min(sale.Largest(f.unit(card.ID)), math.MaxInt32)
}

// unit is what one unit of a model that was bought carries.
func (f *fleet) unit(model string) outcrop.UnitRates {
	for _, id := range lifecycle.Names(model) {
		card := f.catalog.Lookup(id)
		if card == nil {
			continue
		}
		if rates, ok := f.units[card]; ok {
			return rates
		}
	}
	return unmeasuredUnit
}

// unmeasuredUnit is what a unit carries if neither the card nor the engines
// say.
var unmeasuredUnit = outcrop.UnitRates{Input: 30_000, Output: 6_000}

// unitOf decides what one unit of the card carries: what the card says, or
// else what its slowest engine gives.
func unitOf(card *outcrop.Card, p *fleetPool) outcrop.UnitRates {
	if card.Unit != (outcrop.UnitRates{}) {
		return card.Unit
	}
	if p.unmeasured || len(p.speeds) == 0 {
		return unmeasuredUnit
	}
	slowest := p.speeds[0]
	for _, s := range p.speeds {
		slowest = lifecycle.Speed{Input: min(slowest.Input, s.Input), Output: min(slowest.Output, s.Output)}
	}
	return lifecycle.DefaultUnit(slowest)
}
