package gateway

import (
	"context"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/estimate"
)

// An Engine is one engine of a configuration by itself: no concern stands in
// front of it.
type Engine struct {
	Config config.Engine
	Card   *outcrop.Card // the model that it serves
	Model  outcrop.Model
	// Metrics reads the engine's page of vLLM's metrics; nil if it has none by
	// its kind or configuration. It is for one goroutine at a time.
	Metrics func(context.Context) (estimate.Scrape, error)
}

// Engines builds the engines of a model as a server of cfg would, for programs
// that work with engines and serve nobody. It connects to none of them; a
// simulated one is a new and idle machine. Release lets go of their
// connections; it is nil beside an error, which is of type *outcrop.Error if
// there is no such model.
func Engines(cfg *config.Config, modelID string) (engines []Engine, release func(), err error) {
	f := &fleet{config: cfg, catalog: catalogOf(cfg)}
	r, err := f.catalog.Resolve(modelID, cfg.Region, cfg.Account)
	if err != nil {
		return nil, nil, err
	}
	release = func() {
		for _, c := range f.close {
			c()
		}
	}
	for _, c := range f.enginesOf(r.Card) {
		e, err := f.engine(r.Card, &c)
		if err != nil {
			release()
			return nil, nil, err
		}
		engines = append(engines, Engine{Config: c, Card: r.Card, Model: e.model, Metrics: scrape(pageOf(&c))})
	}
	return engines, release, nil
}

// enginesOf returns what the file says of a card's engines: a simulated one
// if it does not name the card.
func (f *fleet) enginesOf(card *outcrop.Card) []config.Engine {
	for i := range f.config.Models {
		if f.config.Models[i].ID == card.ID {
			return f.config.Models[i].Engines
		}
	}
	return []config.Engine{f.defaultEngine()}
}
