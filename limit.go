package outcrop

import "time"

// A Limit is one that a request met: it had the request wait, go another way,
// or be refused. It is immutable.
type Limit struct {
	// Name says what is limited, as in "tokens-per-minute".
	Name string
	// Account and Model, or Unit, which is an ARN, say whose limit it is.
	Account, Model, Unit string
	// Level is how full it was, of Max, and Need what the request would have
	// added, in whatever it counts. Percent is the level in percent.
	Level, Max, Need, Percent int64
	// Wait is the time after which the request could have passed, as told
	// when it met the limit; negative if it never could.
	Wait time.Duration
	// Waited is for how long the request did wait because of it.
	Waited time.Duration
	// Next is the limit that the request met after this one; nil if none.
	Next *Limit
}
