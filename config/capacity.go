package config

import (
	"time"

	"github.com/outcrop/outcrop"
)

// OnDemand limits what accounts may use without a unit of their own.
type OnDemand struct {
	// Limits where no rule says otherwise. none: there are none. aws: those that AWS gives a new account, as far as they are known.
	Defaults string `yaml:"defaults" default:"none" enum:"none|aws" since:"0.2"`
	// How much of a limit per minute may come at once: what it carries in this time.
	Burst time.Duration `yaml:"burst" default:"60s" min:"1s" max:"60s" since:"0.2"`
	// Limits of accounts and models. Of several that fit, the one that names the account and the model decides, then the account's, then the model's, then the one that names neither; what it leaves out comes from the next one.
	Limits []OnDemandLimit `yaml:"limits" since:"0.2" aka:"rules"`
}

// An OnDemandLimit limits one account, one model, one of both, or all.
type OnDemandLimit struct {
	// Account that the limit is for; every account, each by itself, without it.
	Account string `yaml:"account" form:"account" since:"0.2" aka:"account_id"`
	// Model that the limit is for; every model, each by itself, without it.
	Model string `yaml:"model" form:"model" since:"0.2" aka:"model_id id"`
	// Requests per minute.
	RequestsPerMinute int `yaml:"requests_per_minute" min:"1" max:"1G" since:"0.2" aka:"rpm"`
	// Quota tokens per minute: tokens weighted by the model's burndown.
	TokensPerMinute int `yaml:"tokens_per_minute" min:"1" max:"1000G" since:"0.2" aka:"tpm"`
	// Quota tokens per day, counted from midnight UTC; 1440 times those per minute without it.
	TokensPerDay int `yaml:"tokens_per_day" min:"1" max:"1000G" since:"0.2" aka:"tpd"`
}

// A Reserved is a capacity of the reserved tier.
type Reserved struct {
	// Account that has reserved it.
	Account string `yaml:"account" form:"account" need:"yes" since:"0.2" aka:"account_id"`
	// Model that it is of.
	Model string `yaml:"model" form:"model" need:"yes" since:"0.2" aka:"model_id id"`
	// Input tokens per minute.
	InputTokensPerMinute int `yaml:"input_tokens_per_minute" min:"1" max:"1G" need:"yes" since:"0.2"`
	// Output tokens per minute.
	OutputTokensPerMinute int `yaml:"output_tokens_per_minute" min:"1" max:"1G" need:"yes" since:"0.2"`
}

// Provisioned says how model units are sold and served.
type Provisioned struct {
	// Longest time that a request waits for its own unit before it spills or is refused; 0 waits not at all.
	MaxWait time.Duration `yaml:"max_wait" default:"250ms" max:"1m" since:"0.2"`
	// How much of a unit's rate may come at once: what it carries in this time.
	Window time.Duration `yaml:"window" default:"20s" min:"10s" max:"30s" since:"0.2"`
	// Share of the engines' capacity that is never sold.
	Headroom Percent `yaml:"headroom" default:"30%" max:"90%" since:"0.2"`
	// Engines of a model that may be lost without breaking what is sold. A model with a single engine is sold as if that could not be lost.
	Survive int `yaml:"survive" default:"1" max:"1000" since:"0.2" aka:"spare_engines"`
}

// Scheduler says how requests share the engines of a model.
type Scheduler struct {
	// fair: the scheduler that docs/scheduler.md describes. static: the same queue, but a fixed number of requests of lower classes on each engine in place of its measurements. none: each request goes at once to the engine with the fewest, whatever its class.
	Policy string `yaml:"policy" default:"fair" enum:"fair|static|none" reload:"restart" since:"0.2"`
	// Requests of lower classes that policy static lets onto each engine.
	StaticCap int `yaml:"static_cap" default:"16" min:"1" max:"1M" reload:"restart" since:"0.2"`
	// Share of an engine's reading speed that lower classes may use while provisioned or priority requests come; 100% sets no cap.
	LowCap Percent `yaml:"low_cap" default:"55%" min:"1%" reload:"restart" since:"0.2" aka:"batch_prefill_cap"`
	// Engines that lower classes leave free of prompts while provisioned or priority requests come, where there are four engines or more.
	Clear int `yaml:"clear" default:"1" max:"1000" reload:"restart" since:"0.2"`
	// How long after the last provisioned or priority request lower classes are still held back.
	Guard time.Duration `yaml:"guard" default:"60s" max:"1h" reload:"restart" since:"0.2"`
	// Longest time in the queue, by class. Longer ones are refused at once, with the time after which it is worth another try.
	QueueTimeout QueueTimeout `yaml:"queue_timeout" reload:"restart" since:"0.2"`
	// Share of the engines' work that a class gets while it waits, whatever those above it want.
	Floor Floor `yaml:"floor" reload:"restart" since:"0.2"`
}

// QueueTimeout bounds the time in the queue.
type QueueTimeout struct {
	// Class priority.
	Priority time.Duration `yaml:"priority" default:"5s" min:"1ms" max:"24h" since:"0.2"`
	// Class default.
	Default time.Duration `yaml:"default" default:"20s" min:"1ms" max:"24h" since:"0.2"`
	// Class flex.
	Flex time.Duration `yaml:"flex" default:"10m" min:"1ms" max:"24h" since:"0.2"`
}

// Floor keeps classes alive.
type Floor struct {
	// Class priority.
	Priority Percent `yaml:"priority" default:"0%" max:"50%" since:"0.2"`
	// Class default.
	Default Percent `yaml:"default" default:"5%" max:"50%" since:"0.2"`
	// Class flex.
	Flex Percent `yaml:"flex" default:"0%" max:"50%" since:"0.2"`
}

// A Unit is what one model unit carries: input and output apart, or both
// together.
type Unit struct {
	// Input tokens per minute.
	InputTokensPerMinute int `yaml:"input_tokens_per_minute" min:"1" max:"1G" since:"0.2" aka:"input"`
	// Output tokens per minute.
	OutputTokensPerMinute int `yaml:"output_tokens_per_minute" min:"1" max:"1G" since:"0.2" aka:"output"`
	// Tokens per minute, input and output together, in place of the two.
	TokensPerMinute int `yaml:"tokens_per_minute" min:"1" max:"1G" since:"0.2" aka:"tokens"`
}

func (u Unit) rates() outcrop.UnitRates {
	return outcrop.UnitRates{Input: int64(u.InputTokensPerMinute), Output: int64(u.OutputTokensPerMinute), Together: int64(u.TokensPerMinute)}
}

// Capacity is what an engine can do.
type Capacity struct {
	// Tokens of prompt that it reads in a second when it does nothing else.
	Prefill int `yaml:"prefill" min:"1" max:"1G" since:"0.2" aka:"prefill_rate"`
	// Steps that it does in a second when a few sequences decode; each gets one token in a step.
	Decode int `yaml:"decode" min:"1" max:"1M" since:"0.2" aka:"decode_rate"`
	// Most tokens of output in a second, of all sequences together.
	Output int `yaml:"output" min:"1" max:"1G" since:"0.2"`
	// Sequences that run at the same time.
	Sequences int `yaml:"sequences" min:"1" max:"1M" since:"0.2" aka:"max_num_seqs"`
	// Tokens of context that fit its memory.
	Cache int `yaml:"cache" min:"1" max:"1000G" since:"0.2" aka:"kv_tokens"`
	// Most tokens that a step computes.
	Budget int `yaml:"budget" min:"1" max:"100M" since:"0.2" aka:"max_num_batched_tokens"`
}
