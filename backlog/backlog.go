// Package backlog decides which batch job's work comes next, and whether a job
// must hurry to meet its deadline. It is pure: what is known of the jobs goes
// in, the decision comes out.
package backlog

import (
	"cmp"
	"time"

	"github.com/outcrop/outcrop"
)

// The constants of the deadline ramp.
const (
	// LeastSlack and SlackShare are the time before the deadline that is kept
	// free: ten minutes, or this share of the job's window if that is more.
	LeastSlack = 10 * time.Minute
	SlackShare = .04
	// RampShare is the share of the rate of late up to which the need of a job
	// is left to idle capacity.
	RampShare = .8
)

// Remaining is what a job has before it.
type Remaining struct {
	Records           int64
	Submitted, Expiry time.Time
	Rate              float64   // records a second of late; 0 if it is not known
	Rated             time.Time // when that was found; nothing was done since
}

// lately is the rate at now.
func (r *Remaining) lately(now time.Time) float64 {
	if r.Rate <= 0 {
		return 0
	}
	return Rate(r.Rate, 0, now.Sub(r.Rated))
}

// slack is the time before the deadline that is kept free.
func (r *Remaining) slack() time.Duration {
	window := r.Expiry.Sub(r.Submitted)
	return min(max(LeastSlack, time.Duration(SlackShare*float64(window))), window/2)
}

// A Pace is how fast a job must go.
type Pace struct {
	Need  float64 // records a second, to be done in time
	Hurry bool    // idle capacity alone will not do
}

// Ramp says how fast a job must go at now. A job of which no rate is known
// hurries once it has waited for as long as is kept free before its deadline.
func Ramp(r Remaining, now time.Time) Pace {
	slack := r.slack()
	left := r.Expiry.Sub(now) - slack
	if r.Records <= 0 {
		return Pace{}
	}
	p := Pace{Need: float64(r.Records) / max(left.Seconds(), 1), Hurry: left <= 0}
	if p.Hurry {
		return p
	}
	if r.Rate <= 0 {
		p.Hurry = now.Sub(r.Submitted) > slack
		return p
	}
	p.Hurry = p.Need > RampShare*r.lately(now)
	return p
}

// longest is the most that is told of the time that a job takes on: jobs end
// with their timeout, of a week.
const longest = 366 * 24 * time.Hour

// Ahead says when a job will be done if it goes on as of late.
func Ahead(r Remaining, now time.Time) outcrop.JobPace {
	o := outcrop.JobPace{Rate: r.lately(now)}
	if o.Rate <= 0 || r.Records <= 0 {
		return o
	}
	if left := float64(r.Records) / o.Rate; left < longest.Seconds() {
		o.Ends = now.Add(time.Duration(left * float64(time.Second)))
	}
	return o
}

// Rate folds what was done in the time since the last report into a rate. It
// forgets by half in fifteen minutes or so.
func Rate(old float64, records int64, since time.Duration) float64 {
	const memory = 20 * time.Minute
	if since <= 0 {
		return old
	}
	latest := float64(records) / since.Seconds()
	if old <= 0 {
		return latest
	}
	weight := float64(since) / float64(since+memory)
	return old + weight*(latest-old)
}

// SmallJob is how many records a job may have left to go ahead of larger ones
// of its account.
const SmallJob = 1000

// A Waiting is a job with work that nobody has yet.
type Waiting struct {
	Account string
	Records int64 // left
	Expiry  time.Time
	Hurry   bool
	Order   int64 // of two that are alike in all else, the lower is first
}

// Next returns the index of the job whose work is next, or -1 if there is
// none. It is one of the account that was served least; of this account's jobs
// the most urgent one of those that must hurry, else one that is small, else
// the one that ends first. served holds for each account the tokens of what was
// done and of what is being done.
func Next(jobs []Waiting, served map[string]float64) int {
	best := -1
	for i := range jobs {
		if best < 0 || before(&jobs[i], &jobs[best], served) {
			best = i
		}
	}
	return best
}

func before(a, b *Waiting, served map[string]float64) bool {
	order := cmp.Or(
		cmp.Compare(served[a.Account], served[b.Account]),
		cmp.Compare(a.Account, b.Account),
		last(a.Hurry)-last(b.Hurry),
	)
	if order == 0 && !a.Hurry {
		order = last(a.Records <= SmallJob) - last(b.Records <= SmallJob)
	}
	return cmp.Or(order, a.Expiry.Compare(b.Expiry), cmp.Compare(a.Order, b.Order)) < 0
}

// last is 0 for what comes first.
func last(first bool) int {
	if first {
		return 0
	}
	return 1
}

// Join returns what an account that had no work is taken to have been served,
// so that it has no credit for the time when it did not ask: as much as the
// least of those that have work, or what it was served if that is more.
func Join(own float64, active []float64) float64 {
	if len(active) == 0 {
		return own
	}
	least := active[0]
	for _, v := range active {
		least = min(least, v)
	}
	return max(own, least)
}
