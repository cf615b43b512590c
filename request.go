package outcrop

import "time"

// An Operation is one of the runtime operations, by its name in the API.
type Operation string

// The runtime operations that run inference.
const (
	OpConverse          Operation = "Converse"
	OpConverseStream    Operation = "ConverseStream"
	OpInvokeModel       Operation = "InvokeModel"
	OpInvokeModelStream Operation = "InvokeModelWithResponseStream"
	OpCountTokens       Operation = "CountTokens"
)

// A Dialect is a format of request and answer bodies.
type Dialect uint8

// The dialects. DialectConverse is Bedrock's own; the others are the native
// bodies of InvokeModel, some of which engines speak too.
const (
	DialectConverse Dialect = iota + 1
	DialectAnthropic
	DialectOpenAI
	DialectNova
	DialectTitan
	DialectLlama
	DialectMistral
)

// String returns the dialect's name in configuration and logs.
func (d Dialect) String() string {
	names := [...]string{"", "converse", "anthropic", "openai", "nova", "titan", "llama", "mistral"}
	if int(d) < len(names) {
		return names[d]
	}
	return ""
}

// A Request is one invocation, decoded and resolved. It and all it points at
// are read-only for a Model, and valid until Invoke returns.
type Request struct {
	ID        string // x-amzn-RequestId
	Operation Operation
	Principal *Principal // never nil
	ModelID   string     // as the caller named the model: an id or ARN, decoded
	Card      *Card      // what ModelID was resolved to; never nil
	Received  time.Time
	// Streaming is a hint: the caller wants the events as they come.
	Streaming bool
	// One of Conversation and Native is set.
	Conversation *Conversation
	Native       *Native
	Tier         ServiceTier // asked for; empty means default
	Latency      Latency     // asked for; empty means standard
	Metadata     []Metadata  // requestMetadata
	// Unit is the ARN of the provisioned throughput that the caller named;
	// empty on demand.
	Unit string
	// Spill is where a request over its unit goes; empty means where the unit
	// says.
	Spill Spill
	// Batch marks a record of a batch job: it does not count against the limits
	// of on-demand use, and its Class is set from the start.
	Batch bool
	// Class is the rank in the scheduler, and Estimate what the request is
	// expected to use. Both are decided by the concern that checks limits,
	// for those behind it.
	Class    Class
	Estimate Estimate
	// Priority is the place in the engine's own queue, the lower first. It is
	// set by the scheduler, for engines that order by priority; elsewhere it is
	// 0, which is also the first.
	Priority int
	// Hints say what was put in where the caller left out what AWS requires;
	// they go to the log.
	Hints []string
}

// A Native is an InvokeModel body in the dialect that the engine speaks too,
// so that its bytes pass untouched.
type Native struct {
	Dialect     Dialect
	ContentType string
	Accept      string
	Body        []byte
}

// A Metadata is one entry of requestMetadata.
type Metadata struct{ Key, Value string }

// A ServiceTier is a class of service, in Bedrock's words.
type ServiceTier string

// The service tiers.
const (
	TierDefault  ServiceTier = "default"
	TierPriority ServiceTier = "priority"
	TierFlex     ServiceTier = "flex"
	TierReserved ServiceTier = "reserved"
)

// A Latency is a performance configuration, in Bedrock's words.
type Latency string

// The latencies.
const (
	LatencyStandard  Latency = "standard"
	LatencyOptimized Latency = "optimized"
)

// A Receipt tells what an invocation consumed and who served it.
type Receipt struct {
	Usage      Usage
	FirstToken time.Duration // from the call of Invoke to the first delta; 0 if none came
	Engine     string        // the name of the engine that served; empty if none did
	Simulated  bool          // the engine is the simulated one
	Tier       ServiceTier   // that served; empty means default
	Latency    Latency       // that served; empty means standard
	Stop       StopReason    // empty if the answer did not end
	Attempts   int           // engines tried
	Class      Class         // in which it was scheduled; meaningful if Scheduled or Spilled, or with a Unit
	Scheduled  bool          // it went through the scheduler
	Queued     time.Duration // in the scheduler's queue
	Unit       string        // ARN of the provisioned throughput whose capacity it used
	Spilled    bool          // it named a unit and was served on demand
	// Estimated tells that Usage is at least in part an estimate, because the
	// engine did not tell.
	Estimated bool
	// Cost is what Usage costs at the card's price, meaningful if Priced: a
	// model without a price costs an unknown amount, and not nothing.
	Cost   NanoDollars
	Priced bool
	// Limit is the first limit that the request met; nil if it met none.
	Limit *Limit
	// Tries is the first of the request's tries in the scheduler; nil if it had
	// at most one, did not wait for it, and it did not fail.
	Tries *Try
}

// An Estimate is what a request is expected to use, in tokens, before it runs.
type Estimate struct {
	Input  int // the whole prompt
	Output int
	Cached int // of Input, what is expected to be read from a prompt cache
}

// A Spill says what becomes of a request over its provisioned throughput.
type Spill string

// The ways to spill: not at all, which is AWS's way, or to on-demand service
// of a tier.
const (
	SpillNone     Spill = "none"
	SpillDefault  Spill = "default"
	SpillPriority Spill = "priority"
	SpillFlex     Spill = "flex"
)

// Valid reports whether s is one of the ways to spill.
func (s Spill) Valid() bool {
	switch s {
	case SpillNone, SpillDefault, SpillPriority, SpillFlex:
		return true
	}
	return false
}

// A Usage counts tokens. Input excludes those read from or written to a
// prompt cache; the four counts are disjoint.
type Usage struct {
	Input, Output, CacheRead, CacheWrite int
}

// Total is the sum of the four counts.
func (u Usage) Total() int { return u.Input + u.Output + u.CacheRead + u.CacheWrite }
