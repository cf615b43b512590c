package explain

import (
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/outcrop/outcrop"
)

// The defaults of a Config.
const (
	DefaultKeep = 8192
	DefaultSlow = 2 * time.Second
)

// A Config bounds what a Book keeps.
type Config struct {
	// Keep is how many ordinary records are kept, and how many special ones:
	// of requests that failed, were refused, waited for a limit, spilled,
	// needed another try, or were slow. A record takes about 300 bytes, and at
	// most 4 KB more with all that it can have: a message, limits, and tries
	// with what held them. 0 means DefaultKeep.
	Keep int
	// Sample keeps one in so many ordinary records; 0 and 1 keep all. Special
	// ones are always kept.
	Sample int
	// Slow is from which time to the first token on a request is special; 0
	// means DefaultSlow.
	Slow time.Duration
}

// A Book keeps the latest records. It is safe for concurrent use.
type Book struct {
	config Config

	mu       sync.Mutex
	ordinary ring
	special  ring
	seen     int
}

// NewBook returns an empty Book.
func NewBook(c Config) *Book {
	if c.Keep <= 0 {
		c.Keep = DefaultKeep
	}
	if c.Slow <= 0 {
		c.Slow = DefaultSlow
	}
	b := &Book{config: c}
	b.ordinary.max, b.special.max = c.Keep, c.Keep
	return b
}

// Add keeps the record, or not if it is an ordinary one and not sampled.
func (b *Book) Add(r *Record) {
	special := r.special(b.config.Slow)
	if !special && b.config.Sample > 1 {
		b.mu.Lock()
		b.seen++
		skip := b.seen%b.config.Sample != 1
		b.mu.Unlock()
		if skip {
			return
		}
	}
	e := pack(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	if special {
		b.special.add(&e)
		return
	}
	b.ordinary.add(&e)
}

// special reports whether the record is kept in any case.
func (r *Record) special(slow time.Duration) bool {
	first := r.FirstToken
	if first == 0 {
		first = r.Duration
	}
	return r.Status >= 400 || r.Served.Spilled || len(r.Limits) > 0 || r.Attempts > 1 || first >= slow
}

// Find returns the record of the request with the id; ok is false if there is
// none, or none any more.
func (b *Book) Find(id string) (r Record, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.special.find(id)
	if e == nil {
		e = b.ordinary.find(id)
	}
	if e == nil {
		return Record{}, false
	}
	return e.unpack(), true
}

// Len returns how many records are kept.
func (b *Book) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ordinary.entries) + len(b.special.entries)
}

// A ring keeps the latest entries.
type ring struct {
	entries []entry
	next    int // where the oldest is, once it is full
	max     int
}

func (r *ring) add(e *entry) {
	if len(r.entries) < r.max {
		r.entries = append(r.entries, *e)
		return
	}
	r.entries[r.next] = *e
	r.next = (r.next + 1) % r.max
}

// find returns the latest entry with the id, or nil.
func (r *ring) find(id string) *entry {
	for n := range r.entries {
		i := r.next - 1 - n
		if i < 0 {
			i += len(r.entries)
		}
		if r.entries[i].id == id {
			return &r.entries[i]
		}
	}
	return nil
}

// A word is a string that occurs often. Equal ones share their bytes, which
// are never part of a request.
type word = unique.Handle[string]

// none is the word for what is not there, which need not be looked up.
var none = unique.Make("")

func wordOf(s string) word {
	if s == "" {
		return none
	}
	return unique.Make(s)
}

// An entry is a Record as it is kept: small, and holding on to nothing of the
// request but its id.
type entry struct {
	id                                  string
	time                                int64 // in ns since 1970
	account, key, askedModel, askedUnit word
	model, engine, unit                 word
	waited, queued, first, took         time.Duration
	input, output, read, write          uint32
	attempts, status                    uint16
	operation, stop                     uint8
	askedTier, askedLatency, spill      uint8
	tier, latency, class                uint8
	spilled, simulated, estimated       bool
	more                                *more // nil if there is nothing
}

// more is what only few records have.
type more struct {
	limits     []Limit
	tries      []Try
	message    string
	retryAfter time.Duration
	code       outcrop.Code
}

// The tables of words from fixed sets; an entry holds an index, 0 for none.
var (
	operations = [...]outcrop.Operation{"", outcrop.OpConverse, outcrop.OpConverseStream, outcrop.OpInvokeModel, outcrop.OpInvokeModelStream, outcrop.OpCountTokens}
	stops      = [...]outcrop.StopReason{"", outcrop.StopEndTurn, outcrop.StopToolUse, outcrop.StopMaxTokens, outcrop.StopSequence, outcrop.StopContentFiltered,
		outcrop.StopContextExceeded, outcrop.StopMalformedOutput, outcrop.StopMalformedToolUse}
	tiers     = [...]outcrop.ServiceTier{"", outcrop.TierDefault, outcrop.TierPriority, outcrop.TierFlex, outcrop.TierReserved}
	latencies = [...]outcrop.Latency{"", outcrop.LatencyStandard, outcrop.LatencyOptimized}
	spills    = [...]outcrop.Spill{"", outcrop.SpillNone, outcrop.SpillDefault, outcrop.SpillPriority, outcrop.SpillFlex}
	classes   = [...]string{"", "batch", "flex", "default", "priority", "provisioned"}
)

func index[T ~string](table []T, s T) uint8 {
	for i, have := range table {
		if have == s {
			return uint8(i)
		}
	}
	return 0
}

func pack(r *Record) entry {
	e := entry{
		id: r.ID, time: r.Time.UnixNano(),
		account: wordOf(r.Account), key: wordOf(r.Key), askedModel: wordOf(r.Asked.Model[:min(len(r.Asked.Model), maxModel)]), askedUnit: wordOf(r.Asked.Unit),
		model: wordOf(r.Served.Model), engine: wordOf(r.Served.Engine), unit: wordOf(r.Served.Unit),
		waited: r.Waited, queued: r.Queued, first: r.FirstToken, took: r.Duration,
		input: clamp(r.Usage.Input), output: clamp(r.Usage.Output), read: clamp(r.Usage.CacheRead), write: clamp(r.Usage.CacheWrite),
		attempts: uint16(min(max(r.Attempts, 0), 1<<16-1)), status: uint16(min(max(r.Status, 0), 999)),
		operation: index(operations[:], r.Operation), stop: index(stops[:], r.Stop),
		askedTier: index(tiers[:], r.Asked.Tier), askedLatency: index(latencies[:], r.Asked.Latency), spill: index(spills[:], r.Asked.Spill),
		tier: index(tiers[:], r.Served.Tier), latency: index(latencies[:], r.Served.Latency), class: index(classes[:], r.Served.Class),
		spilled: r.Served.Spilled, simulated: r.Served.Simulated, estimated: r.Estimated,
	}
	if len(r.Limits) > 0 || len(r.Tries) > 0 || r.Message != "" || r.Code != "" {
		e.more = &more{limits: r.Limits[:min(len(r.Limits), maxLimits)], tries: r.Tries[:min(len(r.Tries), maxTries)], retryAfter: r.RetryAfter, code: r.Code,
			message: strings.Clone(r.Message[:min(len(r.Message), maxMessage)])}
	}
	return e
}

func (e *entry) unpack() Record {
	r := Record{
		ID: e.id, Time: time.Unix(0, e.time).UTC(), Account: e.account.Value(), Key: e.key.Value(), Operation: operations[e.operation],
		Asked: Asked{e.askedModel.Value(), tiers[e.askedTier], latencies[e.askedLatency], e.askedUnit.Value(), spills[e.spill]},
		Served: Served{Model: e.model.Value(), Engine: e.engine.Value(), Tier: tiers[e.tier], Latency: latencies[e.latency], Class: classes[e.class],
			Unit: e.unit.Value(), Spilled: e.spilled, Simulated: e.simulated},
		Waited: e.waited, Queued: e.queued, FirstToken: e.first, Duration: e.took, Attempts: int(e.attempts),
		Usage:     Usage{int(e.input), int(e.output), int(e.read), int(e.write)},
		Estimated: e.estimated, Stop: stops[e.stop], Status: int(e.status),
	}
	if e.more != nil {
		r.Limits, r.Tries, r.Message, r.RetryAfter, r.Code = e.more.limits, e.more.tries, e.more.message, e.more.retryAfter, e.more.code
	}
	return r
}

func clamp(n int) uint32 { return uint32(min(max(n, 0), 1<<31)) }
