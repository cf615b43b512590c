package live

import (
	"context"
	"errors"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/bench/load"
)

const (
	// longestText is the longest prompt that is made, in tokens.
	longestText = 120_000
	// restOfAnswer bounds what comes after the first token, in real time; the
	// end of the run is what ends a slow answer.
	restOfAnswer = time.Hour
	// afterFailure is how long a row of the backlog waits before the next
	// attempt.
	afterFailure = 5 * time.Second
)

// A generator sends the traffic of one plan.
type generator struct {
	plan    *Plan
	client  *load.Client
	text    *text
	sending sync.WaitGroup

	mu      sync.Mutex
	number  int
	records []Record
	backlog *isolation.Source
}

// Generate sends the traffic of the plan, in real time, and returns what became
// of each request. It blocks until the end of the plan.
func Generate(ctx context.Context, p *Plan) ([]Record, error) {
	lengths, err := LengthsOf(p.Trace)
	if err != nil {
		return nil, err
	}
	p.Setup.Lengths = lengths
	g := &generator{plan: p, client: load.NewClient(p.Addr), text: newText(longestText), backlog: p.Setup.Backlog()}
	defer g.client.Close()
	ctx, cancel := context.WithDeadline(ctx, p.Start.Add(p.Real(p.Length())))
	defer cancel()
	sleepUntil(ctx, p.Start)
	for i := range p.Rows {
		g.sending.Go(func() { g.row(ctx, isolation.Batch.Tenants(2)[i%2]) })
	}
	p.schedule(func(d due) bool {
		body := g.body(d)
		sleepUntil(ctx, g.real(d.at))
		g.sending.Go(func() { g.send(ctx, d, body, g.real(d.at).Add(p.Real(p.Patience))) })
		return ctx.Err() == nil
	})
	<-ctx.Done()
	g.sending.Wait()
	return g.records, nil
}

// LengthsOf reads the trace of that name, or returns the table of quantiles for
// no name.
func LengthsOf(trace string) (isolation.Lengths, error) {
	if trace == "" {
		return isolation.Conversation, nil
	}
	f, err := os.Open(trace)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return isolation.ReadTrace(f)
}

// row keeps one request of the backlog under way.
func (g *generator) row(ctx context.Context, tenant string) {
	for ctx.Err() == nil {
		d := due{kind: isolation.Batch, tenant: tenant, at: g.simulated(time.Now())}
		g.mu.Lock()
		d.prompt, d.output = g.backlog.Take()
		g.mu.Unlock()
		d.seed = g.plan.seedAt(d.at)
		if g.send(ctx, d, g.body(d), g.real(g.plan.Length()+time.Minute)) != Whole {
			sleepUntil(ctx, time.Now().Add(afterFailure))
		}
	}
}

// seedAt is the seed of the segment at a time.
func (p *Plan) seedAt(at time.Duration) uint64 {
	if at < p.Setup.Warmup {
		return 0
	}
	if i := int((at - p.Setup.Warmup) / p.Segment); i < len(p.Seeds) {
		return p.Seeds[i]
	}
	return 0
}

func (g *generator) body(d due) []byte {
	g.mu.Lock()
	g.number++
	n := g.number
	g.mu.Unlock()
	return g.text.body(n, d)
}

// send sends one request and records what became of it.
func (g *generator) send(ctx context.Context, d due, body []byte, firstBy time.Time) Outcome {
	model := g.plan.Models[d.tenant]
	if model == "" {
		model = g.plan.Model
	}
	r := Record{Seed: d.seed, Kind: d.kind, Tenant: d.tenant, At: d.at, Sent: g.simulated(time.Now()), Prompt: d.prompt, Output: d.output}
	seen, err := g.client.Send(ctx, load.Request{
		Path: "/model/" + url.QueryEscape(model) + "/converse-stream", Bearer: g.plan.Keys[d.tenant],
		Body: body, FirstBy: firstBy, Rest: restOfAnswer,
	})
	r.End, r.Tokens, r.Outcome = g.simulated(time.Now()), seen.Events, outcome(ctx, seen, err)
	if !seen.First.IsZero() {
		r.First = g.simulated(seen.First)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.records = append(g.records, r)
	return r.Outcome
}

func outcome(ctx context.Context, s load.Seen, err error) Outcome {
	switch {
	case err == nil:
		return Whole
	case s.Status == 429 || s.Status == 503:
		return Refused
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Late
	case ctx.Err() != nil:
		return Cut
	}
	return Failed
}

// real is when a simulated time of the run is.
func (g *generator) real(at time.Duration) time.Time { return g.plan.Start.Add(g.plan.Real(at)) }

// simulated is the simulated time of the run at t.
func (g *generator) simulated(t time.Time) time.Duration {
	return time.Duration(float64(t.Sub(g.plan.Start)) * g.plan.Speed)
}

func sleepUntil(ctx context.Context, at time.Time) {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
