// Package config turns one YAML file, the environment and the command line
// into a checked Config, or into the list of every mistake in them, each with
// its place.
//
// The structs of this file are the one description of the configuration: the
// loader, the check, the printed effective configuration, the JSON schema and
// docs/configuration.md all follow from their fields. The tags are:
//
//	yaml     the key
//	default  the value of an absent key, as it would stand in the file
//	enum     the values that are allowed, separated by '|'
//	form     a named check of a value (see forms)
//	min, max bounds of a number, duration or size, as in the file
//	need     "yes" if the key must be there
//	for      the kinds of engine that have the key
//	flag     the name of the command line flag that sets the key
//	aka      what people call the key elsewhere, for suggestions
//	reload   "restart" if a change needs a restart; inherited downwards
//	since    the first version with the key
package config

import (
	"time"

	"github.com/outcrop/outcrop"
)

// A Config is a checked configuration. It is read-only and safe for
// concurrent use.
type Config struct {
	// Address to listen on, HOST:PORT. An empty host means every address of the machine, which needs keys.
	Listen string `yaml:"listen" default:"127.0.0.1:8484" form:"address" flag:"addr" reload:"restart" since:"0.1" aka:"port addr address bind host"`
	// Region that this server plays. It stands in ARNs and in the credential scope of signatures.
	Region string `yaml:"region" default:"us-east-1" form:"region" reload:"restart" since:"0.1" aka:"aws_region"`
	// Account id of callers that no key names, 12 digits.
	Account string `yaml:"account" default:"000000000000" form:"account" reload:"restart" since:"0.1" aka:"account_id"`
	// Folder of the server's state. In the file it is relative to the file's folder, elsewhere to the working directory.
	Data string `yaml:"data" default:"outcrop-data" form:"path" flag:"data" reload:"restart" since:"0.1" aka:"data_dir datadir store storage"`
	// File with the key that encrypts the secrets of access keys; kept apart from the data folder, a stolen folder gives no secret away. Without it a file in the data folder.
	KEK string `yaml:"key_encryption_file" form:"path" reload:"restart" since:"0.1" aka:"kek kek_file"`
	// Length of one month of a commitment to provisioned throughput.
	CommitmentMonth time.Duration `yaml:"commitment_month" default:"720h" min:"1s" max:"8760h" reload:"restart" since:"0.2"`
	// Certificate and key for HTTPS; without them the server speaks HTTP.
	TLS TLS `yaml:"tls" reload:"restart" since:"0.1"`
	// How to treat a body that lacks what AWS requires but has an obvious default: lenient fills it in and logs a hint, strict refuses it as AWS does.
	Compat string `yaml:"compat" default:"lenient" enum:"lenient|strict" since:"0.1"`
	// Who may call. auto: holders of a key, or anybody as long as there is no key and listen is a loopback address. open: anybody, on loopback only. required: only holders of a key.
	Keys string `yaml:"keys" default:"auto" enum:"auto|open|required" reload:"restart" since:"0.1" aka:"auth"`
	// Names by which callers may address the server, as in their Host header. Without any: every name, but only those of loopback as long as anybody may call, so that no web page can reach the server through a name of its own.
	Hosts []string `yaml:"hosts" form:"word" reload:"restart" since:"0.1" aka:"allowed_hosts host_names"`
	// S3: the built-in store, and where buckets are that lie elsewhere.
	S3 S3 `yaml:"s3" reload:"restart" since:"0.3" aka:"storage object_store"`
	// Bounds on what callers may take.
	Limits Limits `yaml:"limits" since:"0.1"`
	// What a request reserves of its limits before it runs. learned: its prompt and what answers of its account and model lately took. bedrock-parity: its prompt and the whole of its maximum, as AWS does.
	Quota string `yaml:"quota" default:"learned" enum:"learned|bedrock-parity" since:"0.2"`
	// Limits of use on demand, by account and model.
	OnDemand OnDemand `yaml:"on_demand" since:"0.2" aka:"quotas rate_limits"`
	// What accounts have reserved of the reserved tier; more than that is served as the default tier.
	Reserved []Reserved `yaml:"reserved" since:"0.2"`
	// Provisioned throughput: how its units are sold and served.
	Provisioned Provisioned `yaml:"provisioned" since:"0.2" aka:"capacity"`
	// The scheduler, which decides what runs where and when.
	Scheduler Scheduler `yaml:"scheduler" since:"0.2" aka:"scheduling"`
	// Batch jobs, which run records of files on capacity that nobody else uses.
	Batch Batch `yaml:"batch" reload:"restart" since:"0.3" aka:"batch_inference jobs"`
	// The log on standard error.
	Log Log `yaml:"log" since:"0.1" aka:"logging"`
	// Which of the built-in models the simulated engine serves beside those of this file. auto means all if this file names no model, and none otherwise.
	Builtin string `yaml:"builtin" default:"auto" enum:"auto|all|none" since:"0.1" aka:"simulate"`
	// Settings of every simulated engine that does not set its own.
	Sim Sim `yaml:"sim" since:"0.1" aka:"simulator simulation"`
	// The models that this server offers, each with the engines that serve it.
	Models []Model `yaml:"models" since:"0.1" aka:"model_list"`

	// Warnings are oddities that do not keep the server from starting.
	Warnings Problems `yaml:"-"`

	file    string
	origins map[string]origin
}

// TLS names a certificate and its key.
type TLS struct {
	// PEM file with the certificate and its chain.
	Cert string `yaml:"cert" form:"file" flag:"tls-cert" since:"0.1" aka:"certificate cert_file"`
	// PEM file with the certificate's private key.
	Key string `yaml:"key" form:"file" flag:"tls-key" since:"0.1" aka:"private_key key_file"`
}

// Limits bounds what callers may take.
type Limits struct {
	// Largest request body. Larger ones are refused before they are read.
	Body Size `yaml:"body" default:"25MB" min:"1KB" max:"1GB" reload:"restart" since:"0.1" aka:"max_body body_size"`
	// Largest request head.
	Headers Size `yaml:"headers" default:"32KiB" min:"4KiB" max:"1MiB" reload:"restart" since:"0.1" aka:"header_size"`
	// Connections open at a time.
	Connections int `yaml:"connections" default:"8k" min:"1" max:"1M" reload:"restart" since:"0.1" aka:"max_connections"`
	// Connections open at a time from one address.
	ConnectionsPerAddress int `yaml:"connections_per_address" default:"4k" min:"1" max:"1M" reload:"restart" since:"0.1" aka:"connections_per_ip"`
	// Streams open at a time on one HTTP/2 connection.
	StreamsPerConnection int `yaml:"streams_per_connection" default:"100" min:"1" max:"10k" reload:"restart" since:"0.1"`
	// Time that a caller has to send the request head.
	HeaderTimeout time.Duration `yaml:"header_timeout" default:"5s" min:"100ms" max:"10m" reload:"restart" since:"0.1"`
	// Time that a caller may pause within the request body.
	BodyTimeout time.Duration `yaml:"body_timeout" default:"20s" min:"100ms" max:"1h" reload:"restart" since:"0.1"`
	// Bytes per second that a request body must make on average.
	BodyRate Size `yaml:"body_rate" default:"1KiB" max:"1GB" reload:"restart" since:"0.1"`
	// Time that a caller may leave one write of the answer unread.
	WriteTimeout time.Duration `yaml:"write_timeout" default:"30s" min:"100ms" max:"1h" reload:"restart" since:"0.1"`
	// Time that a connection may stay open between two requests.
	IdleTimeout time.Duration `yaml:"idle_timeout" default:"90s" min:"100ms" max:"1h" reload:"restart" since:"0.1" aka:"keepalive keep_alive"`
	// Time that running answers have to end when the server is told to stop.
	// New connections are refused from then on, those of health checks too.
	DrainTimeout time.Duration `yaml:"drain_timeout" default:"25s" max:"1h" since:"0.1" aka:"shutdown_timeout grace"`
}

// Log configures the log on standard error.
type Log struct {
	// auto is text on a terminal and json elsewhere.
	Format string `yaml:"format" default:"auto" enum:"auto|json|text" reload:"restart" since:"0.1"`
	// Least severe entries to log.
	Level string `yaml:"level" default:"info" enum:"debug|info|warn|error" reload:"restart" since:"0.1"`
}

// Sim holds the settings of simulated engines.
type Sim struct {
	// Simulated seconds per real second: 1 is true to life, 10 is ten times as fast, 0 answers at once.
	Speed float64 `yaml:"speed" default:"1" max:"1000000" since:"0.1"`
	// Seed of the invented texts. The same seed and request give the same answer.
	Seed int `yaml:"seed" default:"1" since:"0.1"`
	// Canned answers, tried in order; the first that matches is given.
	Replies []Reply `yaml:"replies" since:"0.1" aka:"answers responses"`
	// Faults to inject.
	Faults []Fault `yaml:"faults" since:"0.1" aka:"chaos errors"`
}

// A Reply is a canned answer of a simulated engine.
type Reply struct {
	// Regular expression (RE2) that the last user text must match.
	Match string `yaml:"match" form:"regexp" need:"yes" since:"0.1" aka:"pattern when"`
	// The answer. $1 stands for what the first group matched.
	Text string `yaml:"text" need:"yes" since:"0.1" aka:"reply answer response"`
}

// A Fault is a failure that a simulated engine injects.
type Fault struct {
	// What happens. error: the call fails with code. delay: the answer begins later by delay. cut: the stream breaks after the given tokens. slow: each token takes delay longer. malformed: the output is broken off JSON. hang: no answer comes.
	Kind string `yaml:"kind" enum:"error|delay|cut|slow|malformed|hang" need:"yes" since:"0.1" aka:"type"`
	// Share of the calls that are hit.
	Rate Percent `yaml:"rate" default:"100%" since:"0.1" aka:"probability percent"`
	// The exception of kind error, by its name in the API.
	Code string `yaml:"code" enum:"AccessDeniedException|InternalServerException|ModelErrorException|ModelNotReadyException|ModelStreamErrorException|ModelTimeoutException|ResourceNotFoundException|ServiceQuotaExceededException|ServiceUnavailableException|ThrottlingException|ValidationException" since:"0.1"`
	// The time of kinds delay and slow.
	Delay time.Duration `yaml:"delay" max:"1h" since:"0.1" aka:"duration latency"`
	// Tokens that kind cut lets pass.
	Tokens int `yaml:"tokens" max:"1M" since:"0.1" aka:"after"`
	// Calls that are hit at most; 0 sets no bound.
	Times int `yaml:"times" default:"0" max:"1G" since:"0.1" aka:"count"`
	// Hit only calls whose requestMetadata holds this entry, written key=value.
	Metadata string `yaml:"metadata" form:"pair" since:"0.1"`
}

// A Model is one that callers can name, with the engines that serve it.
type Model struct {
	// Id that callers use, for example meta.llama3-1-8b-instruct-v1:0.
	ID string `yaml:"id" form:"model" need:"yes" since:"0.1" aka:"model_id model_name"`
	// Name for people; the built-in catalogue knows it for its own ids.
	Name string `yaml:"name" form:"branded" since:"0.1"`
	// Who made the model; the built-in catalogue knows it for its own ids.
	Provider string `yaml:"provider" form:"branded" since:"0.1" aka:"vendor"`
	// Body that InvokeModel speaks for this model; without it the built-in catalogue or the id's first part decides.
	Dialect string `yaml:"dialect" enum:"anthropic|openai|nova|titan|llama|mistral" since:"0.1"`
	// Tokens of prompt and answer together that fit.
	Context int `yaml:"context" min:"1" max:"100M" since:"0.1" aka:"context_window context_length max_model_len"`
	// Most tokens of one answer, and the default for requests that name no maximum.
	MaxOutput int `yaml:"max_output" min:"1" max:"100M" since:"0.1" aka:"max_tokens max_output_tokens"`
	// Kinds of input that the model takes.
	Input []string `yaml:"input" enum:"text|image" since:"0.1" aka:"modalities input_modalities"`
	// What one model unit of provisioned throughput carries. Without it, what the model's own card says, or a sixteenth of an engine.
	Unit Unit `yaml:"unit" since:"0.2" aka:"model_unit"`
	// What its tokens cost. Without it, what the built-in catalogue knows for its own ids; otherwise the price is unknown.
	Price Price `yaml:"price" since:"0.2" aka:"prices pricing"`
	// The engines that serve the model. Each must serve the same weights: a call goes to any of them.
	Engines []Engine `yaml:"engines" need:"yes" since:"0.1" aka:"engine backends backend servers upstreams"`
}

// A Kind says what an engine speaks.
type Kind string

// The kinds of engine.
const (
	KindOpenAI    Kind = "openai"
	KindAnthropic Kind = "anthropic"
	KindBedrock   Kind = "bedrock"
	KindSim       Kind = "sim"
)

// An Engine is one server that answers for a model.
type Engine struct {
	// What the engine speaks. openai: any OpenAI-compatible server. anthropic: the Messages API. bedrock: Bedrock or anything compatible. sim: the built-in simulated engine. Without it: openai if there is a url, sim otherwise.
	Kind Kind `yaml:"kind" enum:"openai|anthropic|bedrock|sim" since:"0.1" aka:"type provider"`
	// Base address, for example http://127.0.0.1:8000; a path is kept. Without it, kinds anthropic and bedrock use the vendor's own.
	URL string `yaml:"url" form:"url" for:"openai anthropic bedrock" since:"0.1" aka:"base_url api_base endpoint address"`
	// The model's name at the engine. Kind bedrock uses the id of the model without it.
	Model string `yaml:"model" form:"word" for:"openai anthropic bedrock" since:"0.1" aka:"model_name"`
	// Name in logs and metrics; host and port of the address without it.
	Name string `yaml:"name" form:"word" since:"0.1"`
	// API key, sent as the kind of engine wants it.
	Key Secret `yaml:"key" for:"openai anthropic" since:"0.1" aka:"api_key apikey token"`
	// More headers for each request. A value is text, or {file: ...} or {env: ...} for a secret.
	Headers map[string]HeaderValue `yaml:"headers" for:"openai anthropic bedrock" since:"0.1" aka:"extra_headers"`
	// How long to wait for the engine.
	Timeouts Timeouts `yaml:"timeouts" for:"openai anthropic bedrock" since:"0.1" aka:"timeout"`
	// Calls that the engine may have at a time; more go to other engines of the model, or wait in the queue. Lower classes may use a part of it only, see docs/scheduler.md. 0 means no bound.
	MaxConcurrency int `yaml:"max_concurrency" default:"0" max:"1M" since:"0.1" aka:"max_parallel_requests concurrency"`
	// What the engine can do, as measured by outcrop calibrate. What is left out is estimated while it works; of a simulated engine it follows from its constants.
	Capacity Capacity `yaml:"capacity" since:"0.2"`
	// Whether the engine is kept for callers who ask for latency optimized; others use it while none of these waits.
	Latency string `yaml:"latency" default:"standard" enum:"standard|optimized" since:"0.2"`
	// Whether the engine orders its own queue by the priority of requests, as vLLM does with --scheduling-policy priority.
	Priorities bool `yaml:"priorities" default:"false" for:"openai" since:"0.2" aka:"priority"`
	// Whether to read the engine's page of vLLM metrics, if it has one, to see how full it is.
	Metrics bool `yaml:"metrics" default:"true" for:"openai" since:"0.2" aka:"scrape"`
	// Where that page is; /metrics at the host of url without it. A page that is that of several engines is read for none of them.
	MetricsURL string `yaml:"metrics_url" form:"url" for:"openai" since:"0.2" aka:"metrics_address"`
	// Whether the engine has an endpoint that counts tokens (vLLM's /tokenize, Anthropic's count_tokens), for CountTokens to use.
	Tokenizer bool `yaml:"tokenizer" default:"false" for:"openai anthropic" since:"0.1"`
	// Where the engine departs from OpenAI's API.
	Quirks Quirks `yaml:"quirks" for:"openai" since:"0.1"`
	// Region of a bedrock engine; the server's own without it.
	Region string `yaml:"region" form:"region" for:"bedrock" since:"0.1" aka:"aws_region"`
	// Access key id that signs requests to a bedrock engine.
	AccessKey Secret `yaml:"access_key" for:"bedrock" since:"0.1" aka:"aws_access_key_id access_key_id"`
	// Secret access key that goes with access_key.
	SecretKey Secret `yaml:"secret_key" for:"bedrock" since:"0.1" aka:"aws_secret_access_key secret_access_key"`
	// Session token that goes with temporary keys.
	SessionToken Secret `yaml:"session_token" for:"bedrock" since:"0.1" aka:"aws_session_token"`
	// Bedrock API key, in place of access_key and secret_key.
	Bearer Secret `yaml:"bearer" for:"bedrock" since:"0.1" aka:"bearer_token"`
	// Simulated seconds per real second; sim.speed without it.
	Speed float64 `yaml:"speed" max:"1000000" for:"sim" since:"0.1"`
	// Seed of the invented texts; sim.seed without it.
	Seed int `yaml:"seed" for:"sim" since:"0.1"`
	// Canned answers; sim.replies without it.
	Replies []Reply `yaml:"replies" for:"sim" since:"0.1" aka:"answers responses"`
	// Faults to inject; sim.faults without it.
	Faults []Fault `yaml:"faults" for:"sim" since:"0.1" aka:"chaos errors"`
	// The simulated machine; without it one that fits the model.
	Constants Constants `yaml:"constants" for:"sim" since:"0.1"`
}

// Timeouts says how long to wait for an engine.
type Timeouts struct {
	// For the connection, TLS included.
	Connect time.Duration `yaml:"connect" default:"5s" min:"1ms" max:"10m" since:"0.1"`
	// From the request to the first bytes of a streamed answer.
	FirstToken time.Duration `yaml:"first_token" default:"120s" min:"1ms" max:"24h" since:"0.1" aka:"read request"`
	// From the request to the first bytes of an answer that is not streamed, which come only once it is whole.
	Answer time.Duration `yaml:"answer" default:"10m" min:"1ms" max:"24h" since:"0.1" aka:"total"`
	// Between two pieces of the answer.
	Idle time.Duration `yaml:"idle" default:"60s" min:"1ms" max:"24h" since:"0.1"`
}

// Quirks says where an engine departs from OpenAI's API.
type Quirks struct {
	// The field that carries the most tokens of an answer.
	MaxTokens string `yaml:"max_tokens" default:"max_tokens" enum:"max_tokens|max_completion_tokens" since:"0.1"`
	// Whether to ask for usage at the end of a stream (stream_options).
	StreamUsage bool `yaml:"stream_usage" default:"true" since:"0.1" aka:"include_usage"`
	// Whether the engine takes strict in tools and answer formats.
	Strict bool `yaml:"strict" default:"true" since:"0.1"`
	// Whether reasoning of earlier turns goes back to the engine, as reasoning_content.
	KeepReasoning bool `yaml:"keep_reasoning" default:"false" since:"0.1"`
}

// Constants describes a simulated machine. Zero means: as fits the model.
type Constants struct {
	// Fixed cost of a step.
	Step time.Duration `yaml:"step" max:"1h" since:"0.1"`
	// Time to read the weights once; the least that a step takes beside its fixed cost.
	Weights time.Duration `yaml:"weights" max:"1h" since:"0.1"`
	// Time for each token computed in a step.
	Token time.Duration `yaml:"token" max:"1h" since:"0.1"`
	// Time for each token of context that a step attends to.
	Context time.Duration `yaml:"context" max:"1h" since:"0.1"`
	// Most tokens computed in a step.
	Budget int `yaml:"budget" max:"100M" since:"0.1"`
	// Most sequences in a step.
	Sequences int `yaml:"sequences" max:"1M" since:"0.1"`
	// Tokens that the cache of keys and values holds.
	Cache int `yaml:"cache" max:"1G" since:"0.1"`
	// First-token time of a short prompt on the idle machine; replaces the mission's figure for the model.
	FirstToken time.Duration `yaml:"first_token" max:"1h" since:"0.1"`
}

// In returns the same configuration with paths that do not depend on the
// working directory: those that are relative are taken as relative to folder.
func (c *Config) In(folder string) *Config {
	moved := *c
	for _, path := range []*string{&moved.Data, &moved.KEK, &moved.TLS.Cert, &moved.TLS.Key} {
		if *path != "" {
			*path = under(folder, *path)
		}
	}
	return &moved
}

// ServesBuiltin reports whether the simulated engine serves the built-in
// models beside those of the file.
func (c *Config) ServesBuiltin() bool {
	return c.Builtin == "all" || c.Builtin == "auto" && len(c.Models) == 0
}

// Card returns what the file says about the model; members that it leaves out
// are zero.
func (m *Model) Card() outcrop.Card {
	card := outcrop.Card{
		ID: m.ID, Name: m.Name, Provider: m.Provider, Dialect: dialect(m.Dialect),
		Context: m.Context, MaxOutput: m.MaxOutput, Unit: m.Unit.rates(), Price: m.Price.card(),
	}
	for _, in := range m.Input {
		if in == "image" {
			card.Input = append(card.Input, outcrop.ModalityImage)
			continue
		}
		card.Input = append(card.Input, outcrop.ModalityText)
	}
	return card
}

func dialect(name string) outcrop.Dialect {
	for d := outcrop.DialectConverse; d.String() != ""; d++ {
		if d.String() == name {
			return d
		}
	}
	return 0
}
