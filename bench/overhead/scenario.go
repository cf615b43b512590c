package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outcrop/outcrop/bench/load"
)

// A scenario is one kind of load, sent to several subjects.
type scenario struct {
	Name     string     `json:"name"`
	Title    string     `json:"title"`
	PerEvent bool       `json:"cost_per_event,omitempty"` // CPU is compared per event and not per request
	Target   float64    `json:"target_ratio,omitempty"`   // most CPU against the reverse proxy; 0 for none
	MaxMB    float64    `json:"target_peak_mb,omitempty"` // most memory; 0 for no target
	Subjects []*subject `json:"subjects"`

	load load.Options // what all subjects have in common
}

// A subject is a server under the load of one scenario.
type subject struct {
	Name string        `json:"name"`
	Runs []load.Result `json:"rounds"`

	addr     string
	protocol load.Protocol
	model    string
	auth     load.Auth
	process  string // whose CPU is the subject's
}

// The models of the gateway, each of which is one shape of the mock's answer.
const (
	modelPlain     = "meta.llama3-1-8b-instruct-v1:0"
	modelSpaced    = "meta.llama3-1-70b-instruct-v1:0"
	modelSlow      = "amazon.nova-micro-v1:0"
	modelOpenAI    = "openai.gpt-oss-20b-1:0"
	modelAnthropic = "anthropic.claude-3-haiku-20240307-v1:0"
)

// shapes are the mock's model names for them.
var shapes = map[string]string{
	modelPlain:     "mock-n64-s1024",
	modelSpaced:    "mock-g20-n100-s2400",
	modelSlow:      "mock-g200-n20-s480",
	modelOpenAI:    "mock-n64-s1024",
	modelAnthropic: "mock-n64-s1024",
}

// A kind is what differs between scenarios.
type kind struct {
	name, title   string
	model         string
	engine        load.Protocol // what the engine speaks
	front         load.Protocol // what the gateway's client speaks
	stream, event bool
	prompt, conns int
	rate          float64
	bytes, events int
	target, maxMB float64
	signed        bool // also with SigV4
}

var kinds = []kind{
	{name: "a-unary-1k", title: "Converse to OpenAI, 1 KB in, 1 KB out, 64 connections", model: modelPlain, engine: load.OpenAI, front: load.Converse,
		prompt: 1024, conns: 64, bytes: 1024, target: 0.6, signed: true},
	{name: "a-unary-300", title: "the same at 300 requests a second", model: modelPlain, engine: load.OpenAI, front: load.Converse,
		prompt: 1024, conns: 64, rate: 300, bytes: 1024, signed: true},
	{name: "b-stream-bunched", title: "ConverseStream to OpenAI, 64 events in one go, 64 connections", model: modelPlain, engine: load.OpenAI, front: load.Converse,
		stream: true, prompt: 1024, conns: 64, bytes: 1024, events: 64, target: 1.1},
	{name: "b-stream-20ms", title: "ConverseStream to OpenAI, an event every 20 ms, 256 streams", model: modelSpaced, engine: load.OpenAI, front: load.Converse,
		stream: true, event: true, prompt: 1024, conns: 256, bytes: 2400, events: 100, target: 1.0},
	{name: "c-invoke-openai", title: "InvokeModel, chat completion passed through, 64 connections", model: modelOpenAI, engine: load.OpenAI, front: load.InvokeOpenAI,
		prompt: 1024, conns: 64, bytes: 1024, target: 0.5},
	{name: "c-invoke-anthropic", title: "InvokeModel, Anthropic message passed through, 64 connections", model: modelAnthropic, engine: load.Anthropic, front: load.InvokeAnthropic,
		prompt: 1024, conns: 64, bytes: 1024, target: 0.5},
	{name: "c-invoke-stream", title: "InvokeModelWithResponseStream, chat completion passed through, bunched", model: modelOpenAI, engine: load.OpenAI, front: load.InvokeOpenAI,
		stream: true, prompt: 1024, conns: 64, bytes: 1024, events: 64},
	{name: "d-prompt-128k", title: "Converse to OpenAI, 128 KB prompt, 16 connections", model: modelPlain, engine: load.OpenAI, front: load.Converse,
		prompt: 128 << 10, conns: 16, bytes: 1024, target: 0.8, signed: true},
	{name: "e-1000-streams", title: "1,000 concurrent streams, an event every 200 ms", model: modelSlow, engine: load.OpenAI, front: load.Converse,
		stream: true, event: true, prompt: 1024, conns: 1000, bytes: 480, events: 20, maxMB: 100},
}

// scenarios returns them all, with the subjects' addresses filled in.
func scenarios(p *processes) (all []*scenario) {
	for _, k := range kinds {
		c := &scenario{Name: k.name, Title: k.title, PerEvent: k.event, Target: k.target, MaxMB: k.maxMB,
			load: load.Options{Stream: k.stream, Prompt: k.prompt, Conns: k.conns, Rate: k.rate,
				WantBytes: k.bytes, WantEvents: k.events, Timeout: 60 * time.Second}}
		shape := shapes[k.model]
		c.Subjects = []*subject{
			{Name: "direct", addr: p.mock.Addr, protocol: k.engine, model: shape, process: "mock"},
			{Name: "revproxy", addr: p.proxy.Addr, protocol: k.engine, model: shape, process: "revproxy"},
			{Name: "outcrop, bearer", addr: p.gateway.Addr, protocol: k.front, model: k.model, auth: load.Auth{Bearer: p.key.Bearer}, process: "outcrop"},
		}
		if k.signed {
			c.Subjects = append(c.Subjects, &subject{Name: "outcrop, SigV4", addr: p.gateway.Addr, protocol: k.front, model: k.model,
				auth: load.Auth{Access: p.key.Access, Secret: p.key.Secret, Region: region}, process: "outcrop"})
		}
		all = append(all, c)
	}
	return all
}

// options is the load of one run.
func (s *subject) options(set settings, p *processes, c *scenario) load.Options {
	o := c.load
	o.Addr, o.Protocol, o.Model, o.Auth = s.addr, s.protocol, s.model, s.auth
	o.Duration, o.Warm, o.Ramp = set.duration, set.warm, set.warm/2
	if c.PerEvent { // whole streams only: they take seconds
		o.Duration, o.Warm, o.Ramp = set.duration+3*time.Second, set.warm+time.Second, time.Second
	}
	o.Processes = p.pids()
	return o
}

// cost is the CPU time of the subject's process in one run, in µs per request
// or event.
func (s *subject) cost(c *scenario, round int) float64 {
	used := s.Runs[round].CPU[s.process]
	if c.PerEvent {
		return used.PerEvent
	}
	return used.PerRequest
}

func (s *subject) isGateway() bool { return s.process == "outcrop" }

// named returns the subject with the name.
func (c *scenario) named(name string) *subject {
	return c.Subjects[slices.IndexFunc(c.Subjects, func(s *subject) bool { return s.Name == name })]
}

// ratios compares the subject with the reverse proxy, round by round.
func (c *scenario) ratios(s *subject) spread {
	return c.each(s, func(round int) float64 { return s.cost(c, round) / c.named("revproxy").cost(c, round) })
}

// added is the latency that the subject adds to the engine's, in µs: per
// event where the mock stamps events, else for the whole answer.
func (c *scenario) added(s *subject, quantile func(load.Quantiles) float64) spread {
	direct := c.named("direct")
	pick := func(r load.Result) float64 {
		if r.Relay.P50 > 0 {
			return quantile(r.Relay)
		}
		return quantile(r.Latency)
	}
	return c.each(s, func(round int) float64 { return pick(s.Runs[round]) - pick(direct.Runs[round]) })
}

func (c *scenario) each(s *subject, value func(round int) float64) spread {
	values := make([]float64, len(s.Runs))
	for round := range values {
		values[round] = value(round)
	}
	return spreadOf(values)
}

// progress is one line about the last round.
func (c *scenario) progress() string {
	parts := make([]string, len(c.Subjects))
	for i, s := range c.Subjects {
		last := len(s.Runs) - 1
		parts[i] = fmt.Sprintf("%s %.1f µs", s.Name, s.cost(c, last))
		if n := s.Runs[last].Failed(); n > 0 {
			parts[i] += fmt.Sprintf(" (%d failed: %v)", n, s.Runs[last].Errors)
		}
	}
	return c.Name + ": " + strings.Join(parts, ", ")
}

// A spread is the least, the median and the greatest of some values.
type spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	n := len(values)
	return spread{values[0], (values[(n-1)/2] + values[n/2]) / 2, values[n-1]}
}
