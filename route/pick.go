package route

import (
	"errors"
	"time"

	"github.com/outcrop/outcrop"
)

// MaxEngines is the most engines that a pool can hold.
const MaxEngines = 64

const (
	firstRest = time.Second
	longRest  = 30 * time.Second
)

// load is what a pool knows of one engine.
type load struct {
	inFlight int
	failures int       // in a row
	rests    time.Time // until then it is tried only if all others are out
}

// after is the load once an invocation has ended with failure.
func (l load) after(failure error, now time.Time) load {
	l.inFlight--
	if !errors.Is(failure, outcrop.CodeUnavailable) {
		l.failures, l.rests = 0, time.Time{}
		return l
	}
	l.failures = min(l.failures+1, 8)
	l.rests = now.Add(min(firstRest<<(l.failures-1), longRest))
	return l
}

// pick returns the engine for the next invocation, or -1: of those not tried
// and below their limit the one with the fewest in flight, rested ones first,
// the first of equals.
func pick(engines []Engine, loads []load, tried uint64, now time.Time) int {
	best := -1
	for i, l := range loads {
		if tried&(1<<i) != 0 || engines[i].Limit > 0 && l.inFlight >= engines[i].Limit {
			continue
		}
		if best < 0 || better(l, loads[best], now) {
			best = i
		}
	}
	return best
}

func better(a, b load, now time.Time) bool {
	restA, restB := now.Before(a.rests), now.Before(b.rests)
	if restA != restB {
		return restB
	}
	return a.inFlight < b.inFlight
}
