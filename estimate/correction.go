package estimate

import "time"

// A Scrape is what an engine's metrics say at one moment.
type Scrape struct {
	Running, Waiting int     // requests that take part in steps, and that do not yet
	KVUsage          float64 // share of the memory in use, 0 to 1
	Preemptions      float64 // so far; a counter
	KVTokens         int     // that fit the memory; 0 if the engine does not say
}

// A Correction is the factor by which an engine takes less than its capacity
// says, because its metrics or its refusals show that it is short of something.
// It is the slow loop around the exact counters of the scheduler: it falls by a
// tenth at most every ten seconds, and rises by 0.02 a second while all is
// well. What is not known does not move it. The zero value is ready and 1.
type Correction struct {
	lack        float64 // 1 - factor
	held        time.Duration
	grown       time.Duration
	waiting     int // scrapes in a row
	preemptions float64
	scraped     bool
}

const (
	cut       = 0.9
	growth    = 0.02
	leastPart = 0.2
	holdFor   = 10 * time.Second
	fullShare = 0.9
)

// Factor returns the share of its capacity that the engine should be given.
func (c *Correction) Factor() float64 { return 1 - c.lack }

// Scraped learns what the metrics say. Reading is how many requests the engine
// is known to have whose first token has not come: these may wait in it without
// anything being wrong.
func (c *Correction) Scraped(now time.Duration, s Scrape, reading int) {
	c.waiting++
	if s.Waiting <= reading {
		c.waiting = 0
	}
	preempted := c.scraped && s.Preemptions > c.preemptions
	c.preemptions, c.scraped = s.Preemptions, true
	if c.waiting >= 2 || preempted || s.KVUsage > fullShare {
		c.shrink(now)
		return
	}
	c.grow(now)
}

// Throttled learns that the engine refused for want of room.
func (c *Correction) Throttled(now time.Duration) { c.shrink(now) }

// Served learns that the engine served a request. Of an engine whose metrics
// are scraped these say more: their growth is frozen while no scrape comes.
func (c *Correction) Served(now time.Duration) {
	if !c.scraped {
		c.grow(now)
	}
}

func (c *Correction) shrink(now time.Duration) {
	if now < c.held {
		return
	}
	c.held = now + holdFor
	c.lack = 1 - max(c.Factor()*cut, leastPart)
}

func (c *Correction) grow(now time.Duration) {
	if c.lack == 0 || now < c.held || now < c.grown+time.Second {
		return
	}
	c.grown = now
	c.lack = max(0, c.lack-growth)
}
