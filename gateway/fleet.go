package gateway

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/quota"
	"github.com/outcrop/outcrop/route"
	"github.com/outcrop/outcrop/runtimeapi"
)

// A fleet is all that one configuration describes: the cards, and for each
// the engines that serve it. It is immutable and replaced whole by a reload.
type fleet struct {
	config    *config.Config
	catalog   *catalog.Catalog
	targets   map[*outcrop.Card]*runtimeapi.Target
	byID      map[string]*runtimeapi.Target // of ids that can be called as they are
	simulated map[*outcrop.Card]bool
	pools     map[*outcrop.Card]*fleetPool
	units     map[*outcrop.Card]outcrop.UnitRates // what one carries
	pages     pages                               // of metrics, of its engines
	around    around
	before    *fleet // that this one is to replace; nil once it has
	close     []func()
}

// around is what outlives a fleet and stands around its engines.
type around struct {
	limiter *quota.Limiter
	bought  func(arn string) (outcrop.Provisioned, bool)
}

// newFleet builds the engines of cfg. It connects to none of them. The pools of
// the models that before has are taken over by adopt; before, which may be nil,
// goes on until then.
func newFleet(cfg *config.Config, a around, before *fleet) (*fleet, error) {
	f := &fleet{config: cfg, targets: map[*outcrop.Card]*runtimeapi.Target{},
		byID: map[string]*runtimeapi.Target{}, simulated: map[*outcrop.Card]bool{},
		pools: map[*outcrop.Card]*fleetPool{}, units: map[*outcrop.Card]outcrop.UnitRates{},
		pages: pagesOf(cfg), around: a, before: before}
	f.catalog = catalogOf(cfg)
	err := f.addConfigured()
	if err == nil {
		err = f.addSimulated()
	}
	if err != nil {
		f.discard()
		return nil, err
	}
	return f, nil
}

// catalogOf returns the models that cfg serves.
func catalogOf(cfg *config.Config) *catalog.Catalog {
	base := catalog.New(nil)
	if cfg.ServesBuiltin() {
		base = catalog.Builtin()
	}
	cards := make([]outcrop.Card, len(cfg.Models))
	for i := range cfg.Models {
		cards[i] = cfg.Models[i].Card()
	}
	return base.Merge(cards)
}

// addConfigured builds the targets of the models in the file.
func (f *fleet) addConfigured() error {
	for i := range f.config.Models {
		m := &f.config.Models[i]
		card := f.catalog.Lookup(m.ID)
		target, simulated, err := f.target(card, m.Engines)
		if err != nil {
			return err
		}
		f.add(card, target, simulated)
	}
	return nil
}

// addSimulated puts a simulated engine behind every card that has none yet.
// Contextual variants run on the engines of their base.
func (f *fleet) addSimulated() error {
	var variants []*outcrop.Card
	for _, card := range f.catalog.Cards() {
		if f.targets[card] != nil {
			continue
		}
		if f.base(card) != nil {
			variants = append(variants, card)
			continue
		}
		target, _, err := f.target(card, []config.Engine{f.defaultEngine()})
		if err != nil {
			return err
		}
		f.add(card, target, true)
	}
	for _, card := range variants {
		f.addVariant(card, f.base(card))
	}
	return nil
}

// base returns the card of which card is a contextual variant, or nil.
func (f *fleet) base(card *outcrop.Card) *outcrop.Card {
	for _, id := range lifecycle.Names(card.ID)[1:] {
		if base := f.catalog.Lookup(id); base != nil && base != card {
			return base
		}
	}
	return nil
}

func (f *fleet) addVariant(card, base *outcrop.Card) {
	target := *f.targets[base]
	target.Card = card
	if p := f.pools[base]; p != nil {
		f.pools[card] = p
	}
	f.units[card] = f.units[base]
	if card.Unit != (outcrop.UnitRates{}) {
		f.units[card] = card.Unit
	}
	f.add(card, &target, f.simulated[base])
}

func (f *fleet) defaultEngine() config.Engine {
	s := f.config.Sim
	return config.Engine{Kind: config.KindSim, Name: "sim", Speed: s.Speed, Seed: s.Seed, Replies: s.Replies, Faults: s.Faults}
}

func (f *fleet) add(card *outcrop.Card, target *runtimeapi.Target, simulated bool) {
	f.targets[card] = target
	f.simulated[card] = simulated
	if r, err := f.catalog.Resolve(card.ID, f.config.Region, f.config.Account); err == nil && r.Card == card {
		f.byID[card.ID] = target
	}
}

// target builds the engines of one card and the chain of concerns in front of
// them. This is the one place where the chain is written:
//
//	quota( capacity( engine... ) )
//
// quota is outside, since what it refuses needs no place on an engine, and
// since it decides the class in which capacity schedules. capacity stands in
// front of the engines, since another engine may be tried only as long as
// nothing was sent. Without a scheduler, the pool of route takes its place.
func (f *fleet) target(card *outcrop.Card, engines []config.Engine) (t *runtimeapi.Target, simulated bool, err error) {
	if len(engines) > route.MaxEngines {
		return nil, false, fmt.Errorf("model %s: %d engines, at most %d are supported", card.ID, len(engines), route.MaxEngines)
	}
	built := make([]engine, len(engines))
	simulated = true
	for i := range engines {
		e := &built[i]
		if *e, err = f.engine(card, &engines[i]); err != nil {
			return nil, false, err
		}
		simulated = simulated && engines[i].Kind == config.KindSim
		if i == 0 {
			t = &runtimeapi.Target{Card: card, Counter: e.counter, Speaks: e.speaks}
			continue
		}
		t.Speaks = common(t.Speaks, e.speaks)
	}
	pool, err := f.schedule(card, engines, built)
	if err != nil {
		return nil, false, err
	}
	t.Model = f.around.limiter.Model(pool)
	return t, simulated, nil
}

// schedule returns what spreads the requests for card over its engines.
func (f *fleet) schedule(card *outcrop.Card, engines []config.Engine, built []engine) (outcrop.Model, error) {
	p := &fleetPool{of: card.ID}
	for i := range engines {
		e, speed, known := pooled(card, &engines[i], built[i], i, f.pages.of(&engines[i]))
		p.engines = append(p.engines, e)
		if known {
			p.speeds = append(p.speeds, speed)
		}
		p.unmeasured = p.unmeasured || !known
	}
	f.pools[card], f.units[card] = p, unitOf(card, p)
	if f.config.Scheduler.Policy == "none" {
		return spread(engines, built), nil
	}
	if old := f.before.poolOf(card.ID); old != nil {
		p.pool, p.kept = old, true
		return old, nil
	}
	var err error
	p.pool, err = capacity.New(capacity.Config{Model: card.ID, Scheduler: schedule(f.config), Engines: p.engines, Terms: f.terms})
	return p.pool, err
}

// terms weighs the tenants of the provisioned class by the units that they have
// bought.
func (f *fleet) terms(req *outcrop.Request) capacity.Terms {
	if req.Class != outcrop.ClassProvisioned {
		return capacity.Terms{}
	}
	p, _ := f.around.bought(req.Unit)
	return capacity.Terms{Weight: float64(p.Units)}
}

// spread gives each request to the engine with the fewest, whatever its class.
func spread(engines []config.Engine, built []engine) outcrop.Model {
	replicas := make([]route.Engine, len(engines))
	for i := range engines {
		replicas[i] = route.Engine{Name: engines[i].Name, Model: built[i].model, Limit: engines[i].MaxConcurrency}
	}
	return route.NewPool(replicas)
}

// common returns the dialects in both lists.
func common(a, b []outcrop.Dialect) []outcrop.Dialect {
	var both []outcrop.Dialect
	for _, d := range a {
		if slices.Contains(b, d) {
			both = append(both, d)
		}
	}
	return both
}

// resolve finds the target of what a caller named.
func (f *fleet) resolve(modelID string) (*runtimeapi.Target, error) {
	if t := f.byID[modelID]; t != nil {
		return t, nil
	}
	r, err := f.catalog.Resolve(modelID, f.config.Region, f.config.Account)
	if err != nil {
		return nil, err
	}
	return f.targets[r.Card], nil
}

// adopt makes f the fleet that serves: the pools that were there before get
// its engines, and keep what they learned and who waits in them. Those of
// models that are no more refuse what waits.
func (f *fleet) adopt() error {
	for _, p := range f.pools {
		if !p.kept {
			continue
		}
		if err := p.pool.Update(p.engines); err != nil {
			return err
		}
	}
	f.before = nil
	return nil
}

// retire lets go of the engines once no request uses them any more, and of the
// pools that next does not use; next may be nil.
func (f *fleet) retire(next *fleet) {
	for _, pool := range f.schedulers() {
		if !next.uses(pool) {
			pool.Close()
		}
	}
	for _, c := range f.close {
		c()
	}
}

// discard lets go of a fleet that never served.
func (f *fleet) discard() { f.retire(f.before) }

// schedulers are the pools of the fleet, each once, sorted by model.
func (f *fleet) schedulers() (all []*capacity.Pool) {
	for _, card := range f.catalog.Cards() {
		p := f.pools[card]
		if p != nil && p.pool != nil && !slices.Contains(all, p.pool) {
			all = append(all, p.pool)
		}
	}
	return all
}

func (f *fleet) uses(pool *capacity.Pool) bool {
	return f != nil && slices.Contains(f.schedulers(), pool)
}

// poolOf returns the pool that is the model's own, or nil; that of a contextual
// variant may be its base's.
func (f *fleet) poolOf(id string) *capacity.Pool {
	if f == nil {
		return nil
	}
	if p := f.pools[f.catalog.Lookup(id)]; p != nil && p.of == id {
		return p.pool
	}
	return nil
}

// count returns how many models real engines serve and how many the
// simulated one.
func (f *fleet) count() (real, simulated int) {
	for _, s := range f.simulated {
		if s {
			simulated++
			continue
		}
		real++
	}
	return real, simulated
}

// example returns an id to show in a command: one on a real engine if there
// is any.
func (f *fleet) example() string {
	const favourite = "anthropic.claude-3-haiku-20240307-v1:0"
	if f.byID[favourite] != nil && len(f.config.Models) == 0 {
		return favourite
	}
	ids := make([]string, 0, len(f.byID))
	for id := range f.byID {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(order(f.simulated[f.byID[a].Card])-order(f.simulated[f.byID[b].Card]), cmp.Compare(a, b))
	})
	if len(ids) == 0 {
		return favourite
	}
	return ids[0]
}

func order(simulated bool) int {
	if simulated {
		return 1
	}
	return 0
}
