package gateway

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/config"
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
	close     []func()
}

// newFleet builds the engines of cfg. It connects to none of them.
func newFleet(cfg *config.Config) (*fleet, error) {
	f := &fleet{config: cfg, targets: map[*outcrop.Card]*runtimeapi.Target{},
		byID: map[string]*runtimeapi.Target{}, simulated: map[*outcrop.Card]bool{}}
	f.catalog = catalog.New(nil)
	if cfg.ServesBuiltin() {
		f.catalog = catalog.Builtin()
	}
	cards := make([]outcrop.Card, len(cfg.Models))
	for i := range cfg.Models {
		cards[i] = cfg.Models[i].Card()
	}
	f.catalog = f.catalog.Merge(cards)
	err := f.addConfigured()
	if err == nil {
		err = f.addSimulated()
	}
	if err != nil {
		f.retire()
		return nil, err
	}
	return f, nil
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
func (f *fleet) addSimulated() error {
	for _, card := range f.catalog.Cards() {
		if f.targets[card] != nil {
			continue
		}
		target, _, err := f.target(card, []config.Engine{f.defaultEngine()})
		if err != nil {
			return err
		}
		f.add(card, target, true)
	}
	return nil
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
//	pool( engine... )
//
// The pool stands in front of the engines, since another engine may be tried
// only as long as nothing was sent.
func (f *fleet) target(card *outcrop.Card, engines []config.Engine) (t *runtimeapi.Target, simulated bool, err error) {
	if len(engines) > route.MaxEngines {
		return nil, false, fmt.Errorf("model %s: %d engines, at most %d are supported", card.ID, len(engines), route.MaxEngines)
	}
	replicas := make([]route.Engine, len(engines))
	simulated = true
	for i := range engines {
		e, err := f.engine(card, &engines[i])
		if err != nil {
			return nil, false, err
		}
		replicas[i] = route.Engine{Name: engines[i].Name, Model: e.model, Limit: engines[i].MaxConcurrency}
		simulated = simulated && engines[i].Kind == config.KindSim
		if i == 0 {
			t = &runtimeapi.Target{Card: card, Counter: e.counter, Speaks: e.speaks}
			continue
		}
		t.Speaks = common(t.Speaks, e.speaks)
	}
	t.Model = replicas[0].Model
	if len(replicas) > 1 || replicas[0].Limit > 0 {
		t.Model = route.NewPool(replicas)
	}
	return t, simulated, nil
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

// retire lets go of the engines once no request uses them any more.
func (f *fleet) retire() {
	for _, c := range f.close {
		c()
	}
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
