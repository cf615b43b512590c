package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/step"
	"github.com/outcrop/outcrop/tokens"
)

// Invoke answers a Conversation; it does not speak native dialects. The
// engine is freed as soon as ctx ends.
func (e *Engine) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	s := &session{
		e: e, ctx: ctx, req: req, out: out, begun: time.Now(),
		receipt: outcrop.Receipt{Engine: e.name, Simulated: true, Tier: req.Tier, Attempts: 1},
	}
	err := s.run()
	e.machine.settle(s.receipt.Stop, err, ctx.Err() != nil)
	return s.receipt, err
}

// settle counts how a request ended.
func (m *machine) settle(stop outcrop.StopReason, err error, aborted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.stats.finished[stop]++
	case aborted:
		m.stats.aborted++
	default:
		m.stats.failed++
	}
}

func errNative() error {
	return outcrop.Invalid("The simulated engine answers conversations only, not bodies in a model's own dialect.")
}

// A session is one request under way.
type session struct {
	e       *Engine
	ctx     context.Context
	req     *outcrop.Request
	out     outcrop.Sink
	begun   time.Time
	receipt outcrop.Receipt

	effects effects
	call    *call
	ready   int // tokens that the engine has yielded
	sent    int
	quoted  []byte
	index   int // of the block
}

func (s *session) run() error {
	if s.req.Conversation == nil {
		return errNative()
	}
	p := read(s.req)
	var err error
	if s.effects, err = s.e.faults.strike(s.req, p.hash); err != nil {
		return err
	}
	if err := s.before(); err != nil {
		return err
	}
	if s.req.Card != nil && s.req.Card.Context > 0 && p.tokens >= s.req.Card.Context {
		return outcrop.Invalid("Input is too long for requested model.")
	}
	a, err := s.e.write(s.req, &p, s.effects.malformed)
	if err != nil {
		return err
	}
	return s.answer(&p, &a)
}

// before does what goes wrong before the engine has the request.
func (s *session) before() error {
	if s.effects.delay > 0 {
		if err := s.pause(s.effects.delay); err != nil {
			return err
		}
	}
	if s.effects.hang {
		<-s.ctx.Done()
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if s.effects.err != nil {
		return s.effects.err
	}
	return nil
}

func (s *session) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// answer has the engine work on a and sends it as the tokens come.
func (s *session) answer(p *prompt, a *answer) error {
	call, err := s.e.machine.begin(step.Sequence{
		Prompt: p.tokens, Output: max(1, a.tokens), Priority: priority(s.req), Blocks: p.blocks,
	})
	if err != nil {
		return outcrop.Invalid(fmt.Sprintf("Input is too long for the simulated engine, whose memory holds %d tokens.",
			s.e.machine.engine.Constants().KVTokens))
	}
	s.call = call
	defer s.e.machine.end(call)
	if err := s.await(1); err != nil {
		return err
	}
	s.receipt.Usage = s.e.cache.use(p, s.e.minimum, time.Now())
	if err := s.send(outcrop.Event{Kind: outcrop.EventStart}); err != nil {
		return err
	}
	for i := range a.blocks {
		if err := s.part(&a.blocks[i]); err != nil {
			return err
		}
	}
	return s.stop(a)
}

// priority is the place in the queue; the lower is served first. It is the
// request's own if it has one, otherwise its service tier decides.
func priority(req *outcrop.Request) int {
	if req.Priority != 0 {
		return req.Priority
	}
	switch req.Tier {
	case outcrop.TierReserved:
		return -20
	case outcrop.TierPriority:
		return -10
	case outcrop.TierFlex:
		return 10
	}
	return 0
}

// await waits until the engine has yielded n tokens. What was sent before
// leaves first.
func (s *session) await(n int) error {
	for s.ready < n {
		if s.ready = s.e.machine.yielded(s.call); s.ready >= n {
			break
		}
		if s.sent > 0 {
			if err := s.send(outcrop.Event{Kind: outcrop.EventFlush}); err != nil {
				return err
			}
		}
		select {
		case <-s.call.wake:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
	return nil
}

func (s *session) send(e outcrop.Event) error { return s.out.Send(e) }

// part sends one block, a delta for each token.
func (s *session) part(p *part) error {
	open := outcrop.Event{Kind: outcrop.EventBlockStart, Block: p.kind, Index: s.index, Detail: &outcrop.Detail{ID: p.id, Name: p.name}}
	if err := s.next(); err != nil {
		return err
	}
	if err := s.send(open); err != nil {
		return err
	}
	first := true
	for piece := range tokens.Pieces(p.text) {
		if !first {
			if err := s.next(); err != nil {
				return err
			}
		}
		first = false
		if err := s.delta(p.kind, piece); err != nil {
			return err
		}
		s.counted()
	}
	return s.close(p)
}

// next waits for the token after those that were sent.
func (s *session) next() error {
	if s.sent == s.effects.cut {
		return injected(outcrop.CodeModelStream, 0)
	}
	if s.effects.slow > 0 {
		if s.sent > 0 {
			if err := s.send(outcrop.Event{Kind: outcrop.EventFlush}); err != nil {
				return err
			}
		}
		if err := s.pause(s.effects.slow); err != nil {
			return err
		}
	}
	return s.await(s.sent + 1)
}

func (s *session) delta(kind outcrop.BlockKind, piece string) error {
	s.quoted = outcrop.AppendQuote(s.quoted[:0], piece)
	if s.receipt.FirstToken == 0 {
		s.receipt.FirstToken = max(1, time.Since(s.begun))
	}
	return s.send(outcrop.Event{Kind: outcrop.EventDelta, Block: kind, Index: s.index, Text: s.quoted})
}

func (s *session) counted() {
	s.sent++
	s.receipt.Usage.Output = s.sent
}

func (s *session) close(p *part) error {
	if p.signature != "" {
		sign := outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockSignature, Index: s.index, Text: outcrop.Text(p.signature)}
		if err := s.send(sign); err != nil {
			return err
		}
	}
	err := s.send(outcrop.Event{Kind: outcrop.EventBlockStop, Block: p.kind, Index: s.index})
	s.index++
	return err
}

func (s *session) stop(a *answer) error {
	if s.sent == s.effects.cut {
		return injected(outcrop.CodeModelStream, 0)
	}
	s.receipt.Stop = a.stop
	d := outcrop.Detail{Stop: a.stop, StopSequence: outcrop.Quote(a.stopAt)}
	if len(s.req.Conversation.ResponseFields) > 0 {
		d.Extra = extra(a)
	}
	if err := s.send(outcrop.Event{Kind: outcrop.EventStop, Detail: &d}); err != nil {
		return err
	}
	return s.send(outcrop.Event{Kind: outcrop.EventFlush})
}

// extra are the members of the answer to which response fields may point.
func extra(a *answer) outcrop.JSON {
	e := outcrop.JSON(`{"simulated":true,"stop_sequence":`)
	if a.stopAt == "" {
		return append(e, "null}"...)
	}
	e = outcrop.AppendQuote(append(e, '"'), a.stopAt)
	return append(e, `"}`...)
}
