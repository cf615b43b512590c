// Package explain keeps, for each request, what it takes to say why it was
// served as it was: what was asked, what served, which limits it met, how long
// it waited for what. Records have a fixed shape and lie in bounded memory;
// docs/quotas.md tells what is kept and how to read it.
package explain

import (
	"errors"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
)

// A Record explains one request. It holds no prompt, no answer and no secret.
// Its JSON form is stable: members are only added; times are in milliseconds.
type Record struct {
	ID        string            `json:"request_id"`
	Time      time.Time         `json:"time"`
	Account   string            `json:"account"`
	Key       string            `json:"key,omitzero"`
	Operation outcrop.Operation `json:"operation"`
	Asked     Asked             `json:"asked"`
	Served    Served            `json:"served"`
	// Limits are those that the request met, in order; of a refused request,
	// the last one refused it. There are at most three.
	Limits []Limit `json:"limits,omitzero"`

	// Waited is for a unit or another limit, Queued for an engine.
	Waited     time.Duration `json:"waited_ms,format:milli"`
	Queued     time.Duration `json:"queued_ms,format:milli"`
	FirstToken time.Duration `json:"first_token_ms,format:milli"` // from the start of the invocation; 0 if none came
	Duration   time.Duration `json:"duration_ms,format:milli"`
	Attempts   int           `json:"engines_tried"`
	// Tries are the request's first tries in the scheduler, at most eight; none
	// if it had at most one, did not wait for it, and it did not fail.
	Tries []Try `json:"tries,omitzero"`

	Usage     Usage              `json:"tokens"`
	Estimated bool               `json:"tokens_estimated,omitzero"`
	Stop      outcrop.StopReason `json:"stop_reason,omitzero"`
	Status    int                `json:"status"`
	Code      outcrop.Code       `json:"code,omitzero"`
	Message   string             `json:"message,omitzero"` // as the caller was told; cut after 1,000 bytes
	// RetryAfter is what a refused caller was told.
	RetryAfter time.Duration `json:"retry_after_ms,omitzero,format:milli"`
}

// Asked is what the caller asked for.
type Asked struct {
	Model   string              `json:"model"` // as the caller named it; cut after 256 bytes
	Tier    outcrop.ServiceTier `json:"tier,omitzero"`
	Latency outcrop.Latency     `json:"latency,omitzero"`
	Unit    string              `json:"unit,omitzero"` // ARN
	Spill   outcrop.Spill       `json:"spill,omitzero"`
}

// Served is what served.
type Served struct {
	Model   string              `json:"model,omitzero"` // id of the card
	Engine  string              `json:"engine,omitzero"`
	Tier    outcrop.ServiceTier `json:"tier,omitzero"`
	Latency outcrop.Latency     `json:"latency,omitzero"`
	// Class is the scheduling class; empty if it did not come to the scheduler.
	Class     string `json:"class,omitzero"`
	Unit      string `json:"unit,omitzero"` // ARN of the unit whose capacity it used
	Spilled   bool   `json:"spilled,omitzero"`
	Simulated bool   `json:"simulated,omitzero"`
}

// A Limit is one that the request met, see outcrop.Limit.
type Limit struct {
	Name    string        `json:"name"`
	Account string        `json:"account,omitzero"`
	Model   string        `json:"model,omitzero"`
	Unit    string        `json:"unit,omitzero"`
	Level   int64         `json:"level"`
	Max     int64         `json:"max"`
	Percent int64         `json:"percent"`
	Need    int64         `json:"need"`
	Never   bool          `json:"never,omitzero"`       // waiting would not have helped
	Wait    time.Duration `json:"wait_ms,format:milli"` // after which it could have passed
	Waited  time.Duration `json:"waited_ms,omitzero,format:milli"`
}

// ofScheduler reports whether it is a bound of the queue for an engine; what
// the request waited because of it is in Record.Queued.
func (l *Limit) ofScheduler() bool { return strings.HasPrefix(l.Name, "scheduler-") }

// A Try is one turn in the scheduler, see outcrop.Try.
type Try struct {
	Engine    string        `json:"engine,omitzero"` // empty if it left the queue without one
	Queued    time.Duration `json:"queued_ms,format:milli"`
	Ran       time.Duration `json:"ran_ms,format:milli"`
	TakenBack bool          `json:"taken_back,omitzero"`
	Code      outcrop.Code  `json:"code,omitzero"`
	Held      *Held         `json:"held,omitzero"` // nil if it did not have to wait
}

// Held is why a request had to wait, see outcrop.Hold.
type Held struct {
	Class string `json:"class"`
	Ahead int64  `json:"service_tokens_ahead"`
	// Gates are those of the first eight engines, of so many.
	Gates   []Gate `json:"gates,omitzero"`
	Engines int    `json:"engines"`
}

// A Gate is what kept a request from an engine, by its name in
// docs/scheduler.md.
type Gate struct {
	Engine string `json:"engine"`
	Gate   string `json:"gate"`
}

// Usage counts tokens, see outcrop.Usage.
type Usage struct {
	Input      int `json:"input"`
	Output     int `json:"output"`
	CacheRead  int `json:"cache_read,omitzero"`
	CacheWrite int `json:"cache_write,omitzero"`
}

const (
	maxLimits  = 3
	maxTries   = 8
	maxGates   = 8
	maxModel   = 256
	maxMessage = 1000
)

// Of returns the record of a request that has ended with the receipt and
// error, and took so long since it was received. Status is that of the error,
// or 200.
func Of(req *outcrop.Request, receipt *outcrop.Receipt, err error, took time.Duration) Record {
	r := Record{
		ID: req.ID, Time: req.Received, Account: req.Principal.Account, Key: req.Principal.KeyID, Operation: req.Operation,
		Asked: Asked{req.ModelID, req.Tier, req.Latency, req.Unit, req.Spill},
		Served: Served{Engine: receipt.Engine, Tier: receipt.Tier, Latency: receipt.Latency,
			Unit: receipt.Unit, Spilled: receipt.Spilled, Simulated: receipt.Simulated},
		Queued: receipt.Queued, FirstToken: receipt.FirstToken, Duration: took, Attempts: receipt.Attempts,
		Usage:     Usage{receipt.Usage.Input, receipt.Usage.Output, receipt.Usage.CacheRead, receipt.Usage.CacheWrite},
		Estimated: receipt.Estimated, Stop: receipt.Stop, Status: 200,
	}
	if req.Card != nil {
		r.Served.Model = req.Card.ID
	}
	if receipt.Scheduled {
		r.Served.Class = receipt.Class.String()
	}
	for l := receipt.Limit; l != nil && len(r.Limits) < maxLimits; l = l.Next {
		r.Limits = append(r.Limits, Limit{l.Name, l.Account, l.Model, l.Unit, l.Level, l.Max, l.Percent, l.Need, l.Wait < 0, max(l.Wait, 0), l.Waited})
		if !r.Limits[len(r.Limits)-1].ofScheduler() {
			r.Waited += l.Waited
		}
	}
	for t := receipt.Tries; t != nil && len(r.Tries) < maxTries; t = t.Next {
		r.Tries = append(r.Tries, Try{t.Engine, t.Queued, t.Ran, t.TakenBack, t.Code, heldOf(t.Held)})
	}
	r.fail(err)
	return r
}

// heldOf is h as it is kept; it may be nil.
func heldOf(h *outcrop.Hold) *Held {
	if h == nil {
		return nil
	}
	held := &Held{Class: h.Class.String(), Ahead: h.Ahead, Engines: len(h.Gates)}
	for _, g := range h.Gates[:min(len(h.Gates), maxGates)] {
		held.Gates = append(held.Gates, Gate(g))
	}
	return held
}

// fail notes how the request failed, if it did.
func (r *Record) fail(err error) {
	if err == nil {
		return
	}
	var e *outcrop.Error
	if !errors.As(err, &e) {
		e = &outcrop.Error{Code: outcrop.CodeInternal}
	}
	r.Status, r.Code, r.RetryAfter = bedrock.Status(e.Code), e.Code, e.RetryAfter
	r.Message = e.Message[:min(len(e.Message), maxMessage)]
}

// Status and code of a request whose caller hung up, as in logs and metrics.
const (
	statusLeft              = 499
	codeLeft   outcrop.Code = "ClientGone"
)

// Leave notes that the caller hung up before the answer's end, so that he was
// told nothing of how it ended.
func (r *Record) Leave() {
	r.Status, r.Code, r.Message, r.RetryAfter = statusLeft, codeLeft, "", 0
	if n := len(r.Tries); n > 0 && r.Tries[n-1].Code != "" {
		r.Tries[n-1].Code = codeLeft
	}
}

// Refused reports whether the request was refused for want of room.
func (r *Record) Refused() bool { return r.Status == 429 || r.Status == 503 }
