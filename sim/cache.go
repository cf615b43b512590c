package sim

import (
	"container/list"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
)

// maxCached bounds the prefixes that a promptCache remembers.
const maxCached = 4096

// A promptCache remembers which prefixes of prompts, up to their cache points,
// were sent lately. It plays the part of Bedrock's prompt caching in the
// usage; how long prompts take is the business of the engine's prefix cache.
type promptCache struct {
	mu    sync.Mutex
	byKey map[uint64]*list.Element
	order list.List // of *cached, the one used last in front
}

type cached struct {
	key uint64
	end time.Time
}

// use tells how the tokens of p divide: what was read from the cache, what is
// written to it, and the rest. It remembers what is written, and for longer
// what is read.
func (c *promptCache) use(p *prompt, minimum int, now time.Time) outcrop.Usage {
	var u outcrop.Usage
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range p.marks {
		if m.tokens == 0 || m.tokens < minimum {
			continue
		}
		if c.remember(m, now) {
			u.CacheRead = m.tokens
			u.CacheWrite = 0
		} else {
			u.CacheWrite = m.tokens - u.CacheRead
		}
	}
	u.Input = p.tokens - u.CacheRead - u.CacheWrite
	return u
}

// remember keeps m for its time to live, beginning now, and reports whether it
// was known.
func (c *promptCache) remember(m mark, now time.Time) bool {
	if c.byKey == nil {
		c.byKey = map[uint64]*list.Element{}
	}
	end := now.Add(m.ttl)
	if e, ok := c.byKey[m.key]; ok {
		entry := e.Value.(*cached)
		known := now.Before(entry.end)
		entry.end = end
		c.order.MoveToFront(e)
		return known
	}
	c.byKey[m.key] = c.order.PushFront(&cached{key: m.key, end: end})
	if c.order.Len() > maxCached {
		last := c.order.Back()
		delete(c.byKey, last.Value.(*cached).key)
		c.order.Remove(last)
	}
	return false
}
