package capacity

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

const (
	// bytesPerToken is what is assumed of prompts that nobody has counted.
	bytesPerToken = 4
	// coldOutput is the prediction where nobody made one.
	coldOutput = 1024
)

// order is what the dispatcher gets for req.
func (p *Pool) order(req *outcrop.Request, id fair.ID) order {
	var terms Terms
	if p.config.Terms != nil {
		terms = p.config.Terms(req)
	}
	input, output := req.Estimate.Input, req.Estimate.Output
	if input <= 0 {
		input = size(req) / bytesPerToken
	}
	if output <= 0 {
		output = coldOutput
	}
	r := fair.Request{
		ID: id, Tenant: tenant(req), Weight: terms.Weight, Class: req.Class,
		Prompt: min(max(input, 1), math.MaxInt32), Output: min(output, math.MaxInt32),
		MaxWait: max(terms.MaxWait, 0), Optimized: req.Latency == outcrop.LatencyOptimized,
		Hurry: req.Batch && req.Class > outcrop.ClassBatch,
	}
	if req.Estimate.Cached > 0 || p.caches.told.Load() {
		r.Prefix = prefix(req)
		r.Cached = max(p.caches.expect(r.Prefix), req.Estimate.Cached, 0)
	}
	return order{Request: r, deadline: terms.Deadline, streams: req.Streaming}
}

// tenant is whose counter is charged: the provisioned throughput within it,
// otherwise the account.
func tenant(req *outcrop.Request) string {
	if req.Unit != "" && req.Class == outcrop.ClassProvisioned {
		return req.Unit
	}
	return account(req)
}

func account(req *outcrop.Request) string {
	if req.Principal == nil {
		return ""
	}
	return req.Principal.Account
}

// size is how many bytes of text the prompt has.
func size(req *outcrop.Request) int {
	if req.Native != nil {
		return len(req.Native.Body)
	}
	if req.Conversation == nil {
		return 0
	}
	n := blocks(req.Conversation.System)
	for _, m := range req.Conversation.Messages {
		n += blocks(m.Content)
	}
	for _, t := range req.Conversation.Tools {
		n += len(t.Name) + len(t.Description) + len(t.Schema)
	}
	return n
}

func blocks(list []outcrop.Block) (n int) {
	for i := range list {
		b := &list[i]
		n += len(b.Text)
		if b.Media != nil {
			n += len(b.Media.Text)
		}
		if b.Use != nil {
			n += len(b.Use.Input)
		}
		if b.Result != nil {
			n += blocks(b.Result.Content)
		}
	}
	return n
}

// A digest hashes the beginning of a prompt. It is the same in each process.
type digest struct {
	h    uint64
	left int // bytes that still count
}

// prefixBytes is how much of a prompt tells conversations apart.
const prefixBytes = 4096

// prefix hashes how a conversation begins: the account, since engines may keep
// the caches of accounts apart, tools, system and first message. It is 0 for
// native bodies.
func prefix(req *outcrop.Request) uint64 {
	c := req.Conversation
	if c == nil {
		return 0
	}
	d := digest{h: 0x9e3779b97f4a7c15, left: prefixBytes}
	d.add([]byte(account(req)))
	for i := range c.Tools {
		d.add(c.Tools[i].Name)
		d.add(c.Tools[i].Schema)
	}
	d.blocks(c.System)
	if len(c.Messages) > 0 {
		d.blocks(c.Messages[0].Content)
	}
	return max(d.h, 1)
}

func (d *digest) blocks(list []outcrop.Block) {
	for i := range list {
		d.mix(uint64(list[i].Kind))
		d.add(list[i].Text)
		if m := list[i].Media; m != nil {
			d.add(m.Base64)
			d.add(m.Text)
		}
	}
}

func (d *digest) add(b []byte) {
	d.mix(uint64(len(b)))
	b = b[:min(len(b), d.left)]
	d.left -= len(b)
	for len(b) >= 16 {
		d.fold(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]))
		b = b[16:]
	}
	var last [16]byte
	copy(last[:], b)
	d.fold(binary.LittleEndian.Uint64(last[:]), binary.LittleEndian.Uint64(last[8:]))
}

func (d *digest) mix(v uint64) { d.fold(v, 0) }

// fold mixes in two words by the 128 bits of a product, as wyhash does.
func (d *digest) fold(a, b uint64) {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^d.h)
	d.h = hi ^ lo
}

// prefixes remembers how many tokens of prompts with a prefix were found in an
// engine's cache last. An engine that does not tell is taken to cache nothing:
// as long as none of a pool has told, its prefixes are not looked at.
type prefixes struct {
	told atomic.Bool

	mu   sync.Mutex
	read map[uint64]int
	ring [maxPrefixes]uint64
	next int
}

const maxPrefixes = 4096

func (p *prefixes) expect(prefix uint64) int {
	if prefix == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read[prefix]
}

// learn notes how much of the prompt of req was found, whose prefix is given
// unless nobody looked at it yet.
func (p *prefixes) learn(req *outcrop.Request, known uint64, cacheRead int) {
	if known == 0 && cacheRead > 0 {
		known = prefix(req)
	}
	if known == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.read[known]; ok {
		p.read[known] = max(cacheRead, 0)
		return
	}
	if cacheRead > 0 {
		p.add(known, cacheRead)
	}
}

func (p *prefixes) add(prefix uint64, cacheRead int) {
	if p.read == nil {
		p.read = map[uint64]int{}
		p.told.Store(true)
	}
	p.read[prefix] = cacheRead
	if old := p.ring[p.next]; old != 0 {
		delete(p.read, old)
	}
	p.ring[p.next] = prefix
	p.next = (p.next + 1) % maxPrefixes
}
