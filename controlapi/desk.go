package controlapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/store"
)

// stepLimit bounds one step of a lifecycle; one that takes longer has failed.
const stepLimit = 10 * time.Minute

// A desk keeps the provisioned throughputs: on the disk, in memory for those
// who must not wait for a disk, and on the way through their steps.
type desk struct {
	Options
	log *slog.Logger

	held atomic.Pointer[holdings]

	mu    sync.Mutex      // one change at a time
	stale bool            // memory may differ from the disk
	steps map[string]bool // ARNs with a step under way

	life    context.Context // ends with Close
	end     context.CancelFunc
	workers sync.WaitGroup
}

// holdings are all provisioned throughputs at one time. They are immutable.
type holdings struct {
	byARN   map[string]outcrop.Provisioned
	byName  map[owned]string // ARNs
	changed chan struct{}    // closed when these holdings are out of date
}

// owned is a name in an account.
type owned struct{ account, name string }

func newDesk(o Options) *desk {
	d := &desk{Options: o, log: o.Log, steps: map[string]bool{}}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.Sell == nil {
		d.Sell = tenEach
	}
	d.Patience = cmp.Or(d.Patience, 5*time.Second)
	d.life, d.end = context.WithCancel(context.Background())
	d.held.Store(hold(nil))
	return d
}

// tenEach sells ten units of each card.
func tenEach(card *outcrop.Card, sold map[string]int, units int) (largest int, ok bool) {
	largest = max(10-sold[card.ID], 0)
	return largest, units <= largest
}

func hold(all []outcrop.Provisioned) *holdings {
	h := &holdings{byARN: map[string]outcrop.Provisioned{}, byName: map[owned]string{}, changed: make(chan struct{})}
	for _, p := range all {
		h.add(p)
	}
	return h
}

func (h *holdings) add(p outcrop.Provisioned) {
	h.byARN[p.ARN.String()] = p
	h.byName[owned{p.ARN.Account, p.Name}] = p.ARN.String()
}

func (h *holdings) drop(arn string) {
	delete(h.byName, owned{h.byARN[arn].ARN.Account, h.byARN[arn].Name})
	delete(h.byARN, arn)
}

func (h *holdings) copy() *holdings {
	return &holdings{byARN: maps.Clone(h.byARN), byName: maps.Clone(h.byName), changed: make(chan struct{})}
}

// Start reads what is stored and goes on with the steps that an earlier
// process left undone. Without resources it does nothing.
func (a *API) Start(ctx context.Context) error {
	if a.desk == nil {
		return nil
	}
	if err := a.desk.restart(ctx); err != nil {
		return err
	}
	return a.startJobs(ctx)
}

func (d *desk) restart(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reload(ctx)
}

// Close stops the steps that are under way and waits for that. They go on
// after the next Start.
func (a *API) Close() {
	if a.desk != nil {
		a.desk.end()
		a.desk.workers.Wait()
	}
}

// reload makes the memory the same as the disk. The caller holds mu.
func (d *desk) reload(ctx context.Context) error {
	var all []outcrop.Provisioned
	err := d.Resources.Look(ctx, func(tx *store.Tx) (err error) {
		all, err = allProvisioned(tx, d.Region)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot read the provisioned models: %w", err)
	}
	d.stale = false
	d.replace(hold(all))
	for _, p := range all {
		d.advance(p)
	}
	return nil
}

func allProvisioned(tx *store.Tx, region string) ([]outcrop.Provisioned, error) {
	found, err := tx.All(store.KindProvisioned, region)
	if err != nil {
		return nil, err
	}
	all := make([]outcrop.Provisioned, len(found))
	for i := range found {
		if all[i], err = found[i].Provisioned(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// replace puts new holdings in the place of the old. The caller holds mu.
func (d *desk) replace(h *holdings) {
	old := d.held.Swap(h)
	close(old.changed)
	if d.Changed != nil {
		d.Changed(slices.SortedFunc(maps.Values(h.byARN), func(a, b outcrop.Provisioned) int { return cmp.Compare(a.ARN.String(), b.ARN.String()) }))
	}
}

// An effect is what a transaction did to one provisioned throughput.
type effect struct {
	arn  outcrop.ARN
	now  *outcrop.Provisioned // nil: it is deleted
	none bool                 // nothing was done
}

// change runs f in a transaction and makes its effect known. Once begun, it
// does not end because the caller went away. An *outcrop.Error of f is
// returned as it is, and nothing is done then; after any other error all may
// be done, or nothing, and the memory is read anew.
func (d *desk) change(ctx context.Context, f func(*store.Tx) (effect, error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	if d.stale {
		if err := d.reload(ctx); err != nil {
			return err
		}
	}
	var e effect
	refused := false
	err := d.Resources.Change(ctx, func(tx *store.Tx) (err error) {
		e, err = f(tx)
		told := (*outcrop.Error)(nil)
		refused = errors.As(err, &told)
		return err
	})
	switch {
	case err == nil:
		d.apply(e)
	case !refused:
		d.distrust(ctx)
	}
	return err
}

// distrust reads the memory anew, now or as soon as that succeeds. The caller
// holds mu.
func (d *desk) distrust(ctx context.Context) {
	if d.reload(ctx) == nil || d.stale || d.life.Err() != nil {
		return
	}
	d.stale = true
	d.workers.Go(func() {
		d.insist(func() error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if !d.stale {
				return nil
			}
			return d.reload(d.life)
		})
	})
}

// insist calls f until it succeeds, or the desk is closed.
func (d *desk) insist(f func() error) {
	for pause := 50 * time.Millisecond; d.life.Err() == nil; pause = min(2*pause, 5*time.Second) {
		err := f()
		if err == nil {
			return
		}
		d.log.Error("state not written, trying again", "reason", err.Error())
		select {
		case <-d.life.Done():
		case <-time.After(pause):
		}
	}
}

// apply makes the effect of a transaction known. The caller holds mu.
func (d *desk) apply(e effect) {
	if e.none {
		return
	}
	next := d.held.Load().copy()
	next.drop(e.arn.String())
	if e.now != nil {
		next.add(*e.now)
	}
	d.replace(next)
	if e.now != nil {
		d.advance(*e.now)
	}
}

// advance starts the step that p waits for, unless it is under way. The
// caller holds mu.
func (d *desk) advance(p outcrop.Provisioned) {
	arn := p.ARN.String()
	if !lifecycle.Pending(p) || d.steps[arn] || d.life.Err() != nil {
		return
	}
	d.steps[arn] = true
	d.workers.Go(func() { d.step(p) })
}

// step does what p waits for and writes down how it ended. If the desk is
// closed meanwhile, the step stays undone.
func (d *desk) step(p outcrop.Provisioned) {
	ctx, cancel := context.WithTimeout(d.life, stepLimit)
	defer cancel()
	failure := d.provision(ctx, p)
	if d.life.Err() != nil {
		return
	}
	if failure != nil {
		d.log.Error("provisioned model failed", "arn", p.ARN.String(), "reason", failure.Error())
	}
	d.insist(func() error { return d.settle(p.ARN, failure) })
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.steps, p.ARN.String())
	if next, found := d.held.Load().byARN[p.ARN.String()]; found {
		d.advance(next)
	}
}

// provision calls Provision; a panic in it is its failure alone.
func (d *desk) provision(ctx context.Context, p outcrop.Provisioned) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
		}
	}()
	if d.Provision == nil {
		return nil
	}
	return d.Provision(ctx, p)
}

// settle writes down how a step ended.
func (d *desk) settle(arn outcrop.ARN, failure error) error {
	return d.change(d.life, func(tx *store.Tx) (effect, error) {
		r, p, err := findProvisioned(tx, arn)
		if errors.Is(err, store.ErrNoResource) {
			return effect{none: true}, nil
		}
		if err != nil {
			return effect{}, err
		}
		now := time.Now()
		switch {
		case !lifecycle.Pending(p):
			return effect{none: true}, nil
		case failure != nil:
			p, err = lifecycle.Fail(p, reason(failure), now)
		case p.Status == outcrop.ProvisionedCreating:
			p, err = lifecycle.Ready(p, d.Terms, now)
		default:
			p, err = lifecycle.Updated(p, now)
		}
		if err != nil {
			return effect{}, err
		}
		return putProvisioned(tx, r, p)
	})
}

// reason is what the owner is told of a failure.
func reason(failure error) string {
	var told *outcrop.Error
	switch {
	case errors.As(failure, &told) && told.Message != "":
		return told.Message
	case errors.Is(failure, context.DeadlineExceeded):
		return "The capacity was not ready in time."
	}
	return "The capacity could not be provided because of an internal error."
}

func findProvisioned(tx *store.Tx, arn outcrop.ARN) (store.Resource, outcrop.Provisioned, error) {
	r, err := tx.Find(arn)
	if err != nil {
		return r, outcrop.Provisioned{}, err
	}
	p, err := r.Provisioned()
	return r, p, err
}

func putProvisioned(tx *store.Tx, r store.Resource, p outcrop.Provisioned) (effect, error) {
	if err := r.SetProvisioned(p); err != nil {
		return effect{}, err
	}
	return effect{arn: p.ARN, now: &p}, tx.Put(r)
}
