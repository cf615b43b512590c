package quota

import (
	"context"
	"strconv"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bucket"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/tokens"
)

// Model returns a Model that checks the limits before it invokes inner, and
// settles what inner's Receipt tells. Inner gets a copy of the request with
// Class and Estimate set, with the Tier that serves it, and without its Unit
// if it spilled.
//
// Of the receipts that it returns, Tier, Class, Unit, Spilled and Limit are
// set; Limit also with an error. A refusal is a ThrottlingException in
// Bedrock's words, followed by a sentence about the limit.
func (l *Limiter) Model(inner outcrop.Model) outcrop.Model { return &model{l, inner} }

type model struct {
	limiter *Limiter
	inner   outcrop.Model
}

// Invoke implements outcrop.Model.
func (m *model) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (receipt outcrop.Receipt, err error) {
	if ctx.Err() != nil {
		return outcrop.Receipt{}, context.Cause(ctx)
	}
	if req.Batch {
		return m.invokeBatch(ctx, req, out)
	}
	c := m.limiter.call(req, out)
	if err = c.admit(ctx); err != nil {
		receipt.Limit = c.limit
		c.free()
		return receipt, err
	}
	returned := false
	defer func() {
		c.settle(&receipt, err == nil && returned)
		if returned {
			c.free()
		}
	}()
	receipt, err = m.inner.Invoke(ctx, &c.req, c)
	returned = true
	return receipt, err
}

// A call is one invocation, and the Sink that its model sends to.
type call struct {
	limiter *Limiter
	req     outcrop.Request // for the inner model
	out     outcrop.Sink
	prompt  prompt
	ask     ledger.Request

	use     *use
	named   *unit // that the request names; nil on demand
	unit    *unit // whose capacity it uses; nil on demand
	tier    outcrop.ServiceTier
	spilled bool
	limit   *outcrop.Limit
	waited  time.Duration

	sent               bool
	estimate           int // of the output
	produced, reportAt int // tokens of output
}

func (l *Limiter) call(req *outcrop.Request, out outcrop.Sink) *call {
	c, _ := l.calls.Get().(*call)
	if c == nil {
		c = &call{}
	}
	c.limiter, c.req, c.out = l, *req, out
	c.prompt.read(req, l.seed)
	c.ask = ledger.Request{
		Account: req.Principal.Account, Model: req.Card.ID,
		MaxTokens: c.prompt.maxTokens, ModelMax: req.Card.MaxOutput,
	}
	return c
}

// free gives c back; it must not be used any more.
func (c *call) free() {
	c.req, c.out, c.ask = outcrop.Request{}, nil, ledger.Request{}
	c.use, c.named, c.unit, c.limit, c.tier = nil, nil, nil, nil, ""
	c.spilled, c.sent = false, false
	c.waited, c.estimate, c.produced, c.reportAt = 0, 0, 0, 0
	c.limiter.calls.Put(c)
}

// admit reserves, or tells why it does not.
func (c *call) admit(ctx context.Context) error {
	if c.req.Unit != "" {
		return c.admitUnit(ctx)
	}
	c.tier = c.req.Tier
	return c.admitOnDemand()
}

// admitOnDemand reserves by the account's limits. A request of the reserved
// tier tries the reserved capacity first.
func (c *call) admitOnDemand() error {
	l := c.limiter
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(c, now)
	if c.tier == outcrop.TierReserved && l.reserve(c, now) {
		return nil
	}
	c.ask.Unit = ""
	grant, refusal := l.ledger.Reserve(&c.ask, now)
	if refusal != nil {
		c.use.refused[refusal.Limit]++
		c.meet(limitOf(refusal))
		r := refused{text: bedrockText(refusal.Limit), limit: c.limit, unit: c.named, id: c.req.ID}
		return r.err()
	}
	c.use.admitted++
	c.grant(nil, grant, now)
	return nil
}

// reserve tries the capacity that the account has reserved of the tier; over
// it, or without any, the default tier takes over.
func (l *Limiter) reserve(c *call, now time.Duration) bool {
	u := l.reserved[key{c.ask.Account, c.ask.Model}]
	c.tier = outcrop.TierDefault
	if u == nil {
		return false
	}
	c.ask.Unit = u.id
	grant, refusal := l.ledger.Reserve(&c.ask, now)
	if refusal != nil {
		u.counts.spilled[outcrop.ClassDefault]++
		c.meet(limitOf(refusal))
		return false
	}
	u.counts.admitted++
	c.tier = outcrop.TierReserved
	c.grant(u, grant, now)
	return true
}

// begin gives the request its id and what is known of its prompt; the caller
// holds the lock.
func (l *Limiter) begin(c *call, now time.Duration) {
	l.expired += uint64(len(l.ledger.Expire(now)))
	c.use = l.useOf(c.ask.Account, c.ask.Model)
	if c.ask.ID == "" {
		l.serial++
		c.ask.ID = newID(c.req.ID, l.serial)
		cached := l.prefixes.cached(&c.prompt, now)
		c.ask.Prompt = outcrop.Usage{Input: c.prompt.tokens - cached, CacheRead: cached}
	}
}

// newID names a reservation. A request may come twice, a reservation may not,
// and those of an earlier run of the server are still remembered.
func newID(request string, serial uint64) ledger.ID {
	var buf [80]byte
	b := append(buf[:0], request[:min(len(request), 48)]...)
	b = append(b, '/')
	return ledger.ID(strconv.AppendUint(b, serial, 36))
}

// grant notes what was granted; the caller holds the lock.
func (c *call) grant(u *unit, g ledger.Grant, now time.Duration) {
	l := c.limiter
	c.unit, c.estimate = u, g.Output
	c.use.inFlight++
	if u != nil {
		u.counts.inFlight++
	}
	expected := g.Output
	if l.settings.Ledger.Parity && c.ask.MaxTokens >= 0 {
		learned, _ := l.ledger.Learned(c.ask.Account, c.ask.Model)
		expected = min(expected, learned)
	}
	c.req.Estimate = outcrop.Estimate{Input: c.prompt.tokens, Output: expected, Cached: c.ask.Prompt.CacheRead}
	c.req.Tier, c.req.Class = c.tier, ClassOf(c.tier)
	if c.req.Unit != "" {
		c.req.Class = outcrop.ClassProvisioned
	}
	c.reportAt = c.nextReport()
}

// errNoUnit is for a unit that went between its resolution and its use.
var errNoUnit = &outcrop.Error{Code: outcrop.CodeNotFound, Message: "Could not find the provisioned throughput that the request names."}

// admitUnit reserves on the unit that the request names. Over it, the request
// waits, spills or is refused.
func (c *call) admitUnit(ctx context.Context) error {
	l := c.limiter
	began := l.now()
	for {
		u, ok := l.units(c.req.Unit)
		if !ok {
			return errNoUnit
		}
		to := SpillTo(c.req.Spill, u.Spill)
		refusal, step, err := l.tryUnit(c, &u, began, to)
		switch {
		case refusal == nil:
			return nil
		case refusal.Limit == ledger.NoUnit:
			return errNoUnit
		case step == Wait:
			if err := sleep(ctx, refusal.Wait); err != nil {
				return err
			}
		case step == Spill:
			c.spilled, c.req.Unit, c.tier = true, "", outcrop.ServiceTier(to)
			return c.admitOnDemand()
		default:
			return err
		}
	}
}

// tryUnit reserves on the unit, or says why not and what becomes of the
// request; err is set for Refuse.
func (l *Limiter) tryUnit(c *call, of *Unit, began time.Duration, to outcrop.Spill) (_ *ledger.Refusal, _ Step, err error) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(c, now)
	u := l.unit(c.req.Unit, of, now)
	c.named, c.ask.Unit = u, u.id
	grant, refusal := l.ledger.Reserve(&c.ask, now)
	c.waited = now - began
	if refusal == nil {
		u.counts.admit(c.waited, c.limit != nil)
		if c.limit != nil {
			c.limit.Waited = c.waited
		}
		c.req.Unit = u.id
		c.grant(u, grant, now)
		return nil, 0, nil
	}
	step := Over(refusal.Wait, c.waited, l.settings.MaxWait, to)
	if c.limit == nil || step != Wait {
		c.limit = limitOf(refusal)
		c.limit.Waited = c.waited
	}
	switch step {
	case Refuse:
		u.counts.refused[refusal.Limit]++
		r := refused{text: bedrockText(refusal.Limit), limit: c.limit, unit: u, maxWait: l.settings.MaxWait, id: c.req.ID}
		err = r.err()
	case Spill:
		u.counts.spilled[ClassOf(outcrop.ServiceTier(to))]++
	}
	return refusal, step, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// meet adds a limit to those that the request met.
func (c *call) meet(l *outcrop.Limit) {
	if c.limit == nil {
		c.limit = l
		return
	}
	c.limit.Next = l
}

// limitOf is the refusal in the words of the dictionary.
func limitOf(r *ledger.Refusal) *outcrop.Limit {
	l := &outcrop.Limit{Name: r.Limit.String(), Account: r.Scope.Account, Model: r.Scope.Model, Unit: r.Scope.Unit,
		Level: r.Level, Max: r.Max, Need: r.Need, Percent: r.Percent, Wait: r.Wait}
	if r.Wait == bucket.Never {
		l.Wait = -1
	}
	return l
}

// settle ends the reservation with what the receipt tells, and completes the
// receipt; ok tells that the invocation succeeded.
func (c *call) settle(r *outcrop.Receipt, ok bool) {
	used, ran := c.used(r, ok)
	l := c.limiter
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var s ledger.Settlement
	if ran {
		s, _ = l.ledger.Settle(c.ask.ID, used, now)
		l.prefixes.learn(&c.prompt, used, now)
	} else {
		s, _ = l.ledger.Release(c.ask.ID, now)
	}
	c.use.inFlight--
	c.use.count(&s)
	if c.unit != nil {
		c.unit.counts.inFlight--
		c.unit.window.add(now, int64(s.Actual.Input), int64(s.Actual.Output))
	}
	c.label(r)
}

// label says in the receipt what served.
func (c *call) label(r *outcrop.Receipt) {
	if r.Tier == "" {
		r.Tier = c.tier
	}
	if !r.Scheduled {
		r.Class = c.req.Class
	}
	r.Unit, r.Spilled = c.req.Unit, c.spilled
	if r.FirstToken > 0 {
		r.FirstToken += c.waited
	}
	if c.limit == nil {
		return
	}
	last := c.limit
	for last.Next != nil {
		last = last.Next
	}
	last.Next, r.Limit = r.Limit, c.limit
}

// used is what to charge, and whether an engine ran at all. An engine that
// broke off without a word is charged by what it was seen to produce.
func (c *call) used(r *outcrop.Receipt, ok bool) (u outcrop.Usage, ran bool) {
	switch {
	case r.Usage != (outcrop.Usage{}):
		return r.Usage, true
	case !ok && c.sent:
		u = c.ask.Prompt
		u.Output = c.produced
		return u, true
	}
	return outcrop.Usage{}, ok || r.Attempts > 0
}

// Send implements outcrop.Sink: it counts what passes and reports it to the
// ledger from time to time.
func (c *call) Send(e outcrop.Event) error {
	switch e.Kind {
	case outcrop.EventFlush:
		return c.out.Send(e)
	case outcrop.EventDelta:
		c.produced += deltaTokens(e.Text)
	case outcrop.EventNative:
		c.produced += chunkTokens(e)
	}
	c.sent = true
	if c.produced >= c.reportAt {
		c.topUp()
	}
	return c.out.Send(e)
}

// deltaTokens says how many tokens a delta brings: most engines send one at a
// time, and of long ones, which are rare and settled by the engine's own count,
// a guess will do.
func deltaTokens(text outcrop.Text) int {
	const one, exact = 6, 256 // bytes
	switch n := len(text); {
	case n <= one:
		return 1
	case n <= exact:
		return max(tokens.Count(text), 1)
	default:
		return n / 4
	}
}

// chunkTokens guesses how many tokens a native piece brings. About 100 bytes
// of it are its frame; a unary answer comes in one final piece and is settled
// at once.
func chunkTokens(e outcrop.Event) int {
	if e.Final {
		return 0
	}
	return max((len(e.Text)-100)/4, 1)
}

// topUp reports to the ledger; it never refuses.
func (c *call) topUp() {
	l := c.limiter
	now := l.now()
	l.mu.Lock()
	l.ledger.TopUp(c.ask.ID, c.produced, now)
	l.mu.Unlock()
	c.reportAt = c.nextReport()
}

// nextReport is at how many tokens to report: in steps, and as soon as the
// estimate is passed.
func (c *call) nextReport() int {
	next := c.produced + ledger.Step
	if c.produced <= c.estimate && next > c.estimate {
		return c.estimate + 1
	}
	return next
}
