package batch

import (
	"context"
	"sync"
)

// maxBulky is how much of what takes much memory an account has at a time.
const maxBulky = 4

// A bulky bounds what takes much memory, by account: a file with lines of more
// than records.LongLine while it is looked through, and an output while it is
// assembled. An account that has many of them keeps nobody else waiting. The zero
// value is ready for use.
type bulky struct {
	mu     sync.Mutex
	places map[string]chan struct{} // by account; they stay
}

// enter waits for a place. It fails only if ctx ends before.
func (b *bulky) enter(ctx context.Context, account string) error {
	select {
	case b.of(account) <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave gives a place back.
func (b *bulky) leave(account string) { <-b.of(account) }

func (b *bulky) of(account string) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.places[account] == nil {
		if b.places == nil {
			b.places = map[string]chan struct{}{}
		}
		b.places[account] = make(chan struct{}, maxBulky)
	}
	return b.places[account]
}
