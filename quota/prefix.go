package quota

import (
	"time"

	"github.com/outcrop/outcrop"
)

// prefixes remembers which prefixes of prompts the engines have cached, by
// what they told in their receipts.
type prefixes struct {
	known map[uint64]prefix
}

type prefix struct {
	tokens int // that the engine counted
	until  time.Duration
}

// maxPrefixes bounds the memory.
const maxPrefixes = 8192

// cached is how many tokens of the prompt are expected to be cached: those of
// its longest prefix that is known.
func (x *prefixes) cached(p *prompt, now time.Duration) int {
	for i := p.marked - 1; i >= 0; i-- {
		if k, ok := x.known[p.marks[i].key]; ok && now < k.until {
			return min(k.tokens, p.tokens)
		}
	}
	return 0
}

// learn takes in what the engine said about the cache: all prefixes of the
// prompt are cached now, or none is.
func (x *prefixes) learn(p *prompt, u outcrop.Usage, now time.Duration) {
	if p.marked == 0 {
		return
	}
	all := u.CacheRead + u.CacheWrite
	last := max(p.marks[p.marked-1].tokens, 1)
	for _, m := range p.marks[:p.marked] {
		if all <= 0 {
			delete(x.known, m.key)
			continue
		}
		x.keep(m.key, prefix{tokens: int(int64(all) * int64(m.tokens) / int64(last)), until: now + m.ttl}, now)
	}
}

func (x *prefixes) keep(key uint64, p prefix, now time.Duration) {
	if x.known == nil {
		x.known = map[uint64]prefix{}
	}
	if len(x.known) >= maxPrefixes {
		x.drop(now)
	}
	x.known[key] = p
}

// drop makes room: of a few, those that are over go, and one in any case.
func (x *prefixes) drop(now time.Duration) {
	looked := 0
	for key, p := range x.known {
		if looked == 0 || now >= p.until {
			delete(x.known, key)
		}
		if looked++; looked == 16 {
			return
		}
	}
}
