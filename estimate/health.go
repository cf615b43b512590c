package estimate

import "time"

// A Condition says what an engine may be given.
type Condition uint8

// The conditions of an engine.
const (
	Healthy Condition = iota
	Probing           // one request at a time, to see
	Resting           // nothing
)

// String returns the condition's name in logs and metrics.
func (c Condition) String() string {
	names := [...]string{"healthy", "probing", "resting"}
	if int(c) < len(names) {
		return names[c]
	}
	return ""
}

// A Health follows how an engine fails. An engine that is unavailable rests for
// a second, and longer each time in a row; then it is probed, and is healthy
// again with the first success. One that breaks answers off rests after three
// in a row. One that takes three times as long as expected is probed, and rests
// if the probes are slow as well; but who stays slow was judged by the wrong
// measure, and comes back. The zero value is healthy.
type Health struct {
	condition Condition
	until     time.Duration // of the rest
	failures  int           // in a row
	slow      int           // more slow ones than others
	rests     int           // because of slowness, in a row
	full      bool          // it rests because it refused for want of room
}

const (
	firstRest   = time.Second
	longestRest = 30 * time.Second
	shortRest   = 250 * time.Millisecond // of an engine that does not say for how long it is full
	broken      = 3                      // answers broken off in a row that make an engine rest
	slowTimes   = 3
	slowAtLeast = 250 * time.Millisecond
	slowOnes    = 8
	slowProbes  = 3
	slowRests   = 4
)

// Condition returns what the engine may be given.
func (h *Health) Condition() Condition { return h.condition }

// Until returns when the rest ends; it counts only while resting.
func (h *Health) Until() time.Duration { return h.until }

// Failures returns how many requests in a row have failed.
func (h *Health) Failures() int { return h.failures }

// Unavailable learns that the engine did not take a request.
func (h *Health) Unavailable(now time.Duration) {
	h.failures++
	h.rest(now, h.failures)
}

// Broke learns that the engine broke an answer off, or let it wait too long.
func (h *Health) Broke(now time.Duration) {
	if h.failures++; h.failures >= broken || h.condition == Probing {
		h.rest(now, h.failures-broken+1)
	}
}

// Full learns that the engine refused for want of room, and for how long it
// says that it will; 0 if it does not.
func (h *Health) Full(now, retry time.Duration) {
	if retry <= 0 {
		retry = shortRest
	}
	until := now + min(max(retry, shortRest), longestRest)
	if h.condition == Resting {
		h.until = max(h.until, until)
		return
	}
	h.condition, h.until, h.full = Resting, until, true
}

// Succeeded learns that the engine served a request whole.
func (h *Health) Succeeded() {
	h.failures = 0
	if h.condition == Probing && h.slow == 0 {
		h.condition = Healthy
	}
}

// FirstToken learns how long a first token took and was expected to take.
func (h *Health) FirstToken(now, took, expected time.Duration) {
	if took > slowTimes*expected && took-expected > slowAtLeast {
		h.tooSlow(now)
		return
	}
	if h.condition == Probing {
		h.slow, h.rests = 0, 0
	}
	h.slow = max(0, h.slow-1)
}

func (h *Health) tooSlow(now time.Duration) {
	h.slow++
	switch {
	case h.condition == Healthy && h.slow >= slowOnes:
		h.condition, h.slow = Probing, 1
	case h.condition == Probing && h.slow > slowProbes:
		h.slow = 1
		if h.rests++; h.rests > slowRests {
			*h = Health{failures: h.failures}
			return
		}
		h.rest(now, h.rests)
	}
}

func (h *Health) rest(now time.Duration, times int) {
	d := longestRest
	if shift := max(times, 1) - 1; shift < 5 {
		d = firstRest << shift
	}
	h.condition, h.until, h.full = Resting, now+d, false
}

// Spare takes back a rest that cannot be afforded, because no other engine
// stands.
func (h *Health) Spare() {
	if h.condition == Resting {
		h.condition, h.full = Healthy, false
	}
}

// Tick ends a rest whose time has come. It reports whether it did.
func (h *Health) Tick(now time.Duration) bool {
	if h.condition != Resting || now < h.until {
		return false
	}
	h.condition = Probing
	if h.full {
		h.condition, h.full = Healthy, false
	}
	return true
}
