package quota

import (
	"context"

	"github.com/outcrop/outcrop"
)

// invokeBatch passes a record of a batch job on with an estimate, and reserves
// nothing: such records have limits of their own, by job.
func (m *model) invokeBatch(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	l := m.limiter
	var p prompt
	p.read(req, l.seed)
	l.mu.Lock()
	output, _ := l.ledger.Learned(req.Principal.Account, req.Card.ID)
	l.mu.Unlock()
	if p.maxTokens > 0 {
		output = min(output, p.maxTokens)
	}
	row := *req
	row.Estimate = outcrop.Estimate{Input: p.tokens, Output: output}
	return m.inner.Invoke(ctx, &row, out)
}
