package controlapi

import (
	"context"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/store"
)

// Serving returns the provisioned throughput that name stands for when who
// calls the runtime with it: an ARN, or the bare name or id of one of his own.
// ok is false if name stands for none of them. It reads memory only, and waits
// only for one that is being created, for the API's patience at most. Errors
// are of type *outcrop.Error: AccessDeniedException for an ARN of another
// account, ModelNotReadyException if the wait was in vain,
// ValidationException for one whose creation has failed; or ctx has ended.
func (a *API) Serving(ctx context.Context, who *outcrop.Principal, name string) (p outcrop.Provisioned, ok bool, err error) {
	if a.desk == nil {
		return p, false, nil
	}
	arn, full := outcrop.ParseARN(name)
	switch {
	case full && (arn.Type != store.KindProvisioned || arn.Service != "bedrock" || arn.Region != a.region):
		return p, false, nil
	case full && arn.Account != who.Account:
		return p, false, &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "You don't have access to the model with the specified model ID."}
	}
	held := a.desk.held.Load()
	if !full {
		p, ok = held.named(a.provisionedARN(who, name))
	} else {
		p, ok = held.byARN[arn.String()]
	}
	if !ok || p.Serves() {
		return p, ok, nil
	}
	p, err = a.Wait(ctx, p.ARN)
	return p, err == nil, err
}

// Unit returns the provisioned throughput with the ARN, from memory; ok is
// false if there is none. It neither blocks nor allocates.
func (a *API) Unit(arn string) (p outcrop.Provisioned, ok bool) {
	if a.desk == nil {
		return p, false
	}
	p, ok = a.desk.held.Load().byARN[arn]
	return p, ok
}

// named returns the one with the ARN's id for its name, or else for its id.
func (h *holdings) named(arn outcrop.ARN) (outcrop.Provisioned, bool) {
	if found, ok := h.byName[owned{arn.Account, arn.ID}]; ok {
		return h.byARN[found], true
	}
	p, ok := h.byARN[arn.String()]
	return p, ok
}

// Wait waits until the provisioned throughput serves, for the API's patience
// at most. Its errors are those of Serving, and ResourceNotFoundException.
func (a *API) Wait(ctx context.Context, arn outcrop.ARN) (outcrop.Provisioned, error) {
	p, ok := a.desk.await(ctx, arn, func(p outcrop.Provisioned) bool { return p.Status != outcrop.ProvisionedCreating })
	switch {
	case !ok:
		return p, noProvisioned(arn.String())
	case p.Serves():
		return p, nil
	case ctx.Err() != nil:
		return p, context.Cause(ctx)
	case p.Status == outcrop.ProvisionedCreating:
		return p, &outcrop.Error{Code: outcrop.CodeModelNotReady, RetryAfter: time.Second,
			Message: "The provisioned model " + arn.String() + " is still being created. Try again later."}
	}
	return p, outcrop.Invalid("The provisioned model " + arn.String() + " could not be created: " + p.Failure)
}

// await returns p as soon as done says so, or as it is when the patience or
// ctx is at its end; ok is false if there is none.
func (d *desk) await(ctx context.Context, arn outcrop.ARN, done func(outcrop.Provisioned) bool) (p outcrop.Provisioned, ok bool) {
	patience := time.NewTimer(d.Patience)
	defer patience.Stop()
	for {
		held := d.held.Load()
		p, ok = held.byARN[arn.String()]
		if !ok || done(p) {
			return p, ok
		}
		select {
		case <-held.changed:
		case <-patience.C:
			return p, ok
		case <-ctx.Done():
			return p, ok
		}
	}
}

// settled waits, within the API's patience, for the step of what the path
// names, so that a change may follow another one at once.
func (a *API) settled(q *request) {
	arn, full := outcrop.ParseARN(q.id)
	if !full {
		p, ok := a.desk.held.Load().named(a.provisionedARN(q.who, q.id))
		if !ok {
			return
		}
		arn = p.ARN
	}
	if arn.Account == q.who.Account {
		a.desk.await(q.ctx, arn, func(p outcrop.Provisioned) bool { return !lifecycle.Pending(p) })
	}
}

// Provisioned returns all that is provisioned, in no order, from memory.
func (a *API) Provisioned() []outcrop.Provisioned {
	if a.desk == nil {
		return nil
	}
	held := a.desk.held.Load()
	all := make([]outcrop.Provisioned, 0, len(held.byARN))
	for _, p := range held.byARN {
		all = append(all, p)
	}
	return all
}

// Sold returns how many units are sold in all accounts, by the id of the card
// that they were bought of, from memory.
func (a *API) Sold() map[string]int { return a.sold(a.Provisioned()) }
