package capacity

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// Held is how many requests the dispatcher knows, and how many its engines do.
func (p *Pool) Held() int {
	d := p.local
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.jobs)
	for _, e := range d.engines {
		n += len(e.jobs) + e.unread + e.context
	}
	return n
}

// Check asks the scheduler whether it contradicts itself.
func (p *Pool) Check() error {
	d := p.local
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pool.Check()
}

// Prefix is the hash of how the conversation of req begins.
func Prefix(req *outcrop.Request) uint64 { return prefix(req) }

// Prefixes is how many prefixes are remembered.
func (p *Pool) Prefixes() int { return len(p.caches.read) }

// Served is the counter of a tenant: what it was charged, over its weight.
func (p *Pool) Served(c outcrop.Class, tenant string) float64 {
	d := p.local
	d.mu.Lock()
	defer d.mu.Unlock()
	served, _ := d.pool.Served(c, tenant)
	return served
}

// Counted is what the scheduler would count with if req came now.
func (p *Pool) Counted(req *outcrop.Request) fair.Request { return p.order(req, 0).Request }
