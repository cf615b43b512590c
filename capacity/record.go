package capacity

import (
	"errors"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// A Record says what became of one request here, for those who ask why. It
// holds no prompt and no secret.
type Record struct {
	RequestID string
	Model     string
	Tenant    string // whose counter was charged
	Class     outcrop.Class
	// Prompt, Cached and Output are the tokens that the scheduler counted with.
	Prompt, Cached, Output int
	Submitted              time.Time
	Queued                 time.Duration
	// Wait says why it had to wait when it came; nil if it had not to.
	Wait  *Wait
	Tries []Try // the first ones, at most maxTries
	// Bound is the limit that refused it, by Level over Limit in the units of
	// fair.Bound; 0 if none did. RetryAfter goes with it.
	Bound        fair.Bound
	Level, Limit float64
	RetryAfter   time.Duration
	Code         outcrop.Code // of the error; empty if there was none
}

// A Wait says why a request did not start at once.
type Wait struct {
	// Held is the class for which the engines were kept; the request's own if
	// others of that were before it.
	Held outcrop.Class
	// Ahead is the service predicted for what is before it, at most.
	Ahead fair.Service
	Gates []Gate
}

// A Gate says why an engine did not take a request.
type Gate struct {
	Engine string
	Gate   fair.Gate
}

// A Try is one attempt on an engine.
type Try struct {
	Engine string
	Queued time.Duration // in all, before this attempt
	Ran    time.Duration
	// TakenBack tells that the engine was taken from it before the first
	// token: for a request of a higher class, or because it was lost.
	TakenBack bool
	Code      outcrop.Code // of the error; empty if there was none
}

// maxTries bounds what is kept of a request.
const maxTries = 8

func (v *invocation) tried(err error) {
	if v.pool.config.Record == nil || len(v.tries) == maxTries {
		return
	}
	f := &v.final
	t := Try{Engine: f.engine.Name, Queued: f.queued, Ran: time.Since(v.launched), TakenBack: errors.Is(err, errTakenBack)}
	if !t.TakenBack {
		t.Code, _ = codeOf(err)
	}
	v.tries = append(v.tries, t)
}

func (v *invocation) record(err error) Record {
	r := Record{
		RequestID: v.req.ID, Model: v.pool.config.Model, Tenant: v.order.Tenant, Class: v.req.Class,
		Prompt: v.order.Prompt, Cached: v.order.Cached, Output: v.order.Output,
		Submitted: v.began, Queued: v.receipt.Queued, Wait: v.ticket.why, Tries: v.tries,
	}
	r.Code, r.RetryAfter = codeOf(err)
	if v.final.kind == refused {
		a := v.final.refusal
		r.Bound, r.Level, r.Limit = a.Bound, a.Level, a.Limit
	}
	return r
}
