// Package live measures in real time and over HTTP what package isolation
// measures in virtual time: simulated engines, each a process of its own, the
// gateway in front of them, and a process that sends the traffic. The engines
// are simulated, and so are all figures that come from here.
package live

import (
	"slices"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
)

// A Plan is what the generator sends. But for Start all times are simulated:
// Speed of them pass in one real second.
//
// After the warm-up comes a segment for each seed, one after the other on the
// same processes, and a tail in which traffic goes on, so that what was sent
// last is measured under the same load.
type Plan struct {
	Addr   string            // of the gateway, host:port
	Model  string            // for those who have no provisioned model
	Setup  isolation.Setup   // rates, tenants, arrivals; Warmup; Seed is ignored
	Trace  string            // file with lengths; without it isolation.Conversation
	Seeds  []uint64          // of the segments
	Keys   map[string]string // API keys by tenant
	Models map[string]string // model ids by tenant, where they have their own
	Speed  float64
	Rows   int // requests of the backlog under way or waiting
	// Segment is the length of one, Tail that of the end, and Patience how
	// long a caller waits for the first token.
	Segment, Tail, Patience time.Duration
	Start                   time.Time
}

// BacklogTier is the service tier of the backlog. The generator has to see the
// first token of each request and to know which seed it belongs to, which it
// cannot of the records of a batch job.
const BacklogTier = "flex"

// warmSeed and tailSeed are the seeds of what is not measured.
const (
	warmSeed = 1_000_001
	tailSeed = 1_000_002
)

// Length is how long the whole run takes, simulated.
func (p *Plan) Length() time.Duration {
	return p.Setup.Warmup + time.Duration(len(p.Seeds))*p.Segment + p.Tail
}

// Real turns simulated time into real time.
func (p *Plan) Real(d time.Duration) time.Duration { return time.Duration(float64(d) / p.Speed) }

// Measured returns when, in real time, the first segment begins and the last
// one ends.
func (p *Plan) Measured() (from, to time.Time) {
	return p.Start.Add(p.Real(p.Setup.Warmup)), p.Start.Add(p.Real(p.Length() - p.Tail))
}

// A due is a request that is to be sent.
type due struct {
	seed           uint64 // 0 if it is not measured
	kind           isolation.Kind
	tenant         string
	at             time.Duration // from the beginning
	prompt, output int
}

// schedule yields all requests but those of the backlog, in the order of their
// times.
func (p *Plan) schedule(yield func(due) bool) {
	begin := time.Duration(0)
	segment := func(seed, shown uint64, length time.Duration) bool {
		s := p.Setup
		s.Seed = seed
		more := oneSegment(s.Sources(), length, func(d due) bool {
			d.seed, d.at = shown, d.at+begin
			return yield(d)
		})
		begin += length
		return more
	}
	if !segment(warmSeed, 0, p.Setup.Warmup) {
		return
	}
	for _, seed := range p.Seeds {
		if !segment(seed, seed, p.Segment) {
			return
		}
	}
	segment(tailSeed, 0, p.Tail)
}

// oneSegment merges the sources up to a length.
func oneSegment(sources []*isolation.Source, length time.Duration, yield func(due) bool) bool {
	for len(sources) > 0 {
		s := slices.MinFunc(sources, func(a, b *isolation.Source) int { return int(a.At() - b.At()) })
		d := due{kind: s.Kind, tenant: s.Tenant, at: s.At()}
		if d.at >= length {
			return true
		}
		d.prompt, d.output = s.Take()
		if !yield(d) {
			return false
		}
	}
	return true
}
