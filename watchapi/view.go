package watchapi

import (
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/quota"
)

// Version is that of the JSON form of a View. Members are added without a new
// one.
const Version = 1

// A View is what there is to see at one time. Its JSON form is stable: times
// are in milliseconds, members that are not known are left out.
type View struct {
	Version int       `json:"version"`
	Time    time.Time `json:"time"`
	// Account is whose units and uses are shown; empty if all are.
	Account  string            `json:"account,omitzero"`
	Pools    []Pool            `json:"pools"`     // by model
	Units    []Unit            `json:"units"`     // by model and ARN
	OnDemand []quota.UseStatus `json:"on_demand"` // by account and model
}

// A Pool is the engines of one model and the queues before them.
type Pool struct {
	Model string `json:"model"`
	// Simulated tells that all its engines are simulated ones.
	Simulated bool  `json:"simulated,omitzero"`
	Units     Units `json:"units"`
	// Pace is the service tokens a second that all classes were given lately,
	// see fair.ClassState.
	Pace    float64  `json:"service_tokens_per_second"`
	Guarded bool     `json:"guarded"` // low classes are held back for the sake of higher ones
	Classes []Class  `json:"classes"` // the highest first
	Engines []Engine `json:"engines"`
}

// Units tells of the model units of a pool.
type Units struct {
	Sold int `json:"sold"`
	// Used is the part of Sold that was used over the last five minutes, and
	// Idle the rest of it.
	Used float64 `json:"used"`
	Idle float64 `json:"idle"`
	Free int     `json:"free"` // that can still be sold
}

// A Class is the queue of a class, and what it was given.
type Class struct {
	Class   string        `json:"class"`
	Waiting int           `json:"waiting"`
	Running int           `json:"running"`
	Oldest  time.Duration `json:"oldest_wait_ms,format:milli"`
	// Expected is how long a request that came now would wait at most; nil if
	// no engine stands.
	Expected *Wait   `json:"expected_wait_ms,omitempty"`
	Pace     float64 `json:"service_tokens_per_second"`
	// Served are service tokens of requests that have ended, and the others
	// requests, since the start.
	Served   int64 `json:"service_tokens"`
	Finished int   `json:"finished"`
	Refused  int   `json:"refused"`
	Aborted  int   `json:"aborted"` // the caller left
	Lost     int   `json:"lost"`    // the engine was taken out of service
	Failed   int   `json:"failed"`  // with an error of the engines
}

// An Engine is one replica.
type Engine struct {
	Name string `json:"name"`
	// State is serving, probing, resting or draining; RestsFor goes with
	// resting.
	State    string        `json:"state"`
	RestsFor time.Duration `json:"rests_for_ms,omitzero,format:milli"`
	Running  int           `json:"running"`
	Most     int           `json:"running_limit,omitzero"`
	// Waiting is what waits inside the engine, by its own metrics.
	Waiting *int `json:"waiting,omitempty"`
	KV      int  `json:"kv_tokens"`
	KVMost  int  `json:"kv_limit_tokens,omitzero"`
	// KVUsed is by what was sent and predicted, or by the engine's own metrics
	// where its memory is not known.
	KVUsed  *int `json:"kv_used_percent,omitempty"`
	Backlog int  `json:"prefill_backlog_tokens"`
	// Factor is the share of its capacity that it is given.
	Factor  float64 `json:"factor"`
	Prefill float64 `json:"prefill_tokens_per_second"` // estimated
	Steps   float64 `json:"steps_per_second"`          // estimated
	Samples int     `json:"samples"`                   // first tokens that the estimates come from
	// Failures are in a row, Served and Failed since the start.
	Failures int `json:"failures_in_a_row,omitzero"`
	Served   int `json:"served"`
	Failed   int `json:"failed"`
	// Scraped is how long ago its metrics were read; nil if never.
	Scraped *Wait `json:"scraped_ms_ago,omitempty"`
	// Gates say what keeps the classes of which requests wait from the engine.
	Gates []Gate `json:"gates"`
}

// A Gate is what keeps a class from an engine.
type Gate struct {
	Class string `json:"class"`
	Gate  string `json:"gate"` // its name in docs/scheduler.md
	Why   string `json:"why"`
}

// A Wait is a time in whole milliseconds.
type Wait int64

// Duration returns it as one.
func (w Wait) Duration() time.Duration { return time.Duration(w) * time.Millisecond }

// A Unit is a provisioned throughput, or a capacity of the reserved tier.
type Unit struct {
	quota.UnitStatus
	// Status is that of the control plane; empty for reserved capacities.
	Status outcrop.ProvisionedStatus `json:"status,omitzero"`
}

// OfAccount returns what of v the account may see: its own units and uses, and
// the pools, which name nobody. The result shares memory with v.
func (v View) OfAccount(account string) View {
	v.Account = account
	units, uses := v.Units, v.OnDemand
	v.Units, v.OnDemand = nil, nil
	for i := range units {
		if units[i].Account == account {
			v.Units = append(v.Units, units[i])
		}
	}
	for i := range uses {
		if uses[i].Account == account {
			v.OnDemand = append(v.OnDemand, uses[i])
		}
	}
	return v
}
