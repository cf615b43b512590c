package bucket

import "time"

const day = 24 * time.Hour

// A Day is a limit for each day from midnight to midnight UTC. What is taken
// counts on the day on which it was taken, and on no other. A clock that
// steps back over midnight does not open the day before again.
//
// The zero Day admits nothing.
type Day struct {
	limit, used int64
	number      int64 // of the day since the epoch
}

// NewDay returns an unused window of limit units a day.
func NewDay(limit int64) Day { return Day{limit: bound(limit)} }

// Would returns how long after now Take would succeed if nothing else
// happened: 0 if used + min(cost, limit) <= limit, otherwise the time until
// the next midnight UTC. A cost above the limit is thus admitted on a day
// that is still unused. A cost of 0 is always admitted.
func (d *Day) Would(now time.Duration, cost int64) time.Duration {
	d.turn(now)
	switch {
	case cost <= 0:
		return 0
	case d.limit == 0:
		return Never
	case d.used+min(cost, d.limit) <= d.limit:
		return 0
	}
	next := d.number + 1
	if next > int64(Never/day) {
		return Never
	}
	return time.Duration(next)*day - now
}

// Take adds cost if Would returns 0, and returns what Would returns.
func (d *Day) Take(now time.Duration, cost int64) time.Duration {
	wait := d.Would(now, cost)
	if wait == 0 {
		d.Add(now, cost)
	}
	return wait
}

// Add counts cost without asking.
func (d *Day) Add(now time.Duration, cost int64) {
	d.turn(now)
	d.used = min(d.used+bound(cost), ceiling)
}

// Return gives back what was taken on the day with the number taken and not
// used. Once that day is over it does nothing.
func (d *Day) Return(now time.Duration, cost, taken int64) {
	if d.turn(now); d.number == taken {
		d.used = max(d.used-bound(cost), 0)
	}
}

// Resize changes the limit. What was used stays.
func (d *Day) Resize(limit int64) { d.limit = bound(limit) }

// Limit returns the units admitted in a day.
func (d *Day) Limit() int64 { return d.limit }

// Number returns the day that now counts to, in days since the epoch.
func (d *Day) Number(now time.Duration) int64 {
	d.turn(now)
	return d.number
}

// Used returns the units taken on the day of now.
func (d *Day) Used(now time.Duration) int64 {
	d.turn(now)
	return d.used
}

// Percent returns what is used in percent of the limit, rounded down; 100 if
// there is no limit.
func (d *Day) Percent(now time.Duration) int64 {
	level := Leak{burst: d.limit, whole: d.Used(now)}
	return level.Percent(0)
}

func (d *Day) turn(now time.Duration) {
	if n := int64(now / day); n > d.number {
		d.number, d.used = n, 0
	}
}
