package ledger

import "time"

const day = 24 * time.Hour

// A clock turns the times of callers into ones that never go back.
type clock struct {
	Last time.Duration // the latest time of a caller
	Mono time.Duration // what has passed
	Day  int64         // the latest day seen
}

// An instant is one time in the terms of the levels.
type instant struct {
	mono, wall time.Duration // for what drains, and for what ends at midnight
	// What the caller's clock has to go until it shows the same time as each.
	monoLag, wallLag time.Duration
	day              int64
}

func (c *clock) read(now time.Duration) instant {
	now = max(now, 0)
	if now > c.Last {
		c.Mono += now - c.Last
		c.Last = now
	}
	t := c.latest()
	t.monoLag, t.wallLag = c.Last-now, t.wall-now
	return t
}

// latest is the latest instant that the clock told.
func (c *clock) latest() instant {
	c.Day = max(c.Day, int64(c.Last/day))
	return instant{mono: c.Mono, wall: max(c.Last, time.Duration(c.Day)*day), day: c.Day}
}

// rebase goes on from a clock that shows now: if that is before the latest
// time, it was set back while nobody looked, and nothing has passed.
func (c *clock) rebase(now time.Duration) { c.Last = min(c.Last, max(now, 0)) }
