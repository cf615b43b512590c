package capacity

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// refusal is what the caller hears: Bedrock's words, which programs match, and
// one sentence with the limit, its level, how long he waited, when to come
// back, and the id under which the rest is found.
func (p *Pool) refusal(v *invocation, f fate) *outcrop.Error {
	a := f.refusal
	v.receipt.Limit = &outcrop.Limit{
		Name: "scheduler-" + a.Bound.String(), Account: account(v.req), Model: p.config.Model, Unit: v.req.Unit,
		Level: int64(a.Level), Max: int64(a.Limit), Percent: percent(a), Wait: a.Retry, Waited: f.queued,
	}
	e := &outcrop.Error{Code: outcrop.CodeThrottling, RetryAfter: a.Retry}
	words, what, unit := "Too many requests, please wait before trying again.", "", "s"
	switch a.Bound {
	case fair.BoundWait:
		what = "wait in class " + v.req.Class.String()
	case fair.BoundDeadline:
		what = "deadline in class " + v.req.Class.String()
	case fair.BoundQueue:
		what, unit = "queue of class "+v.req.Class.String(), "requests"
	case fair.BoundTenant:
		what, unit = "queue of "+v.order.Tenant+" in class "+v.req.Class.String(), "requests"
	case fair.BoundSize:
		return p.tooLarge(v, f)
	default:
		e.Code = outcrop.CodeUnavailable
		words, what = "No engine of the model is in service.", "wait for an engine"
	}
	e.Message = fmt.Sprintf("%s Limit: %s for %s, at %s of %s; waited %s; retry in %s; request id %s.",
		words, what, p.config.Model, amount(a.Level, unit), amount(a.Limit, unit), short(f.queued), short(a.Retry), v.req.ID)
	return e
}

// tooLarge is for a request that fits no engine, or none of those that stand.
func (p *Pool) tooLarge(v *invocation, f fate) *outcrop.Error {
	e := outcrop.Invalid("Input is too long for requested model.")
	if f.later {
		e.Code, e.RetryAfter = outcrop.CodeUnavailable, time.Second
		e.Message = "The engines that are in service are too small for the request."
	}
	e.Message += fmt.Sprintf(" Limit: memory of the largest engine of %s, at %s of %s; waited %s; request id %s.",
		p.config.Model, amount(f.refusal.Level, "tokens"), amount(f.refusal.Limit, "tokens"), short(f.queued), v.req.ID)
	return e
}

func percent(a fair.Action) int64 {
	if a.Limit <= 0 {
		return 0
	}
	return int64(min(100*a.Level/a.Limit, 1e9))
}

// amount is a number with its unit, of at most one decimal.
func amount(v float64, unit string) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) + " " + unit
}

// short is a time for people: seconds of at most one decimal, or milliseconds.
func short(d time.Duration) string {
	if d > 0 && d < time.Second {
		return amount(math.Ceil(float64(d)/float64(time.Millisecond)), "ms")
	}
	return amount(d.Seconds(), "s")
}
