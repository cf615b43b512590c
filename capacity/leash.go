package capacity

import "context"

// A leash is the context of an attempt, by which the dispatcher can take it
// back. The records of batch jobs come by the thousand under one context, and
// few are taken back: they use one leash again and again. One that gets lost
// meanwhile lasts until that context ends.
type leash struct {
	caller, ctx context.Context
	stop        context.CancelCauseFunc
}

// under returns a context under the caller's. Contexts of which one may be kept
// are comparable, as those of package context are.
func (l *leash) under(caller context.Context) context.Context {
	if l.stop != nil {
		if l.caller == caller && l.ctx.Err() == nil {
			return l.ctx
		}
		l.loosen(false)
	}
	l.caller = caller
	l.ctx, l.stop = context.WithCancelCause(caller)
	return l.ctx
}

// loosen ends the attempt's context, unless it is kept for the next attempt.
func (l *leash) loosen(keep bool) {
	if keep || l.stop == nil {
		return
	}
	l.stop(nil)
	*l = leash{}
}
