package gateway

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/sim"
	"github.com/outcrop/outcrop/step"
)

// simulator builds a simulated engine that plays the card's model.
func (f *fleet) simulator(card *outcrop.Card, e *config.Engine) (engine, error) {
	c := simulator(card, e)
	c.Replies, c.Faults = make([]sim.Reply, len(e.Replies)), faults(e.Faults)
	for i, r := range e.Replies {
		match, err := regexp.Compile(r.Match)
		if err != nil {
			return engine{}, fmt.Errorf("model %s: reply %d: %w", card.ID, i, err)
		}
		c.Replies[i] = sim.Reply{Match: match, Text: r.Text}
	}
	m := sim.New(c)
	return engine{model: m, counter: m}, nil
}

// simulator describes the engine without what it says.
func simulator(card *outcrop.Card, e *config.Engine) sim.Config {
	return sim.Config{
		Name: e.Name, Card: card, Speed: e.Speed, Seed: uint64(e.Seed),
		Constants: constants(e.Constants), FirstToken: e.Constants.FirstToken,
	}
}

func faults(configured []config.Fault) []sim.Fault {
	out := make([]sim.Fault, len(configured))
	for i, c := range configured {
		key, value, _ := strings.Cut(c.Metadata, "=")
		out[i] = sim.Fault{
			Kind: sim.FaultKind(c.Kind), Rate: float64(c.Rate), Code: outcrop.Code(c.Code), Delay: c.Delay, Tokens: c.Tokens, Times: c.Times,
			Metadata: outcrop.Metadata{Key: key, Value: value},
		}
	}
	return out
}

// constants translates the times of one token into the kernel's, which are of
// a thousand.
func constants(c config.Constants) step.Constants {
	return step.Constants{
		Overhead: c.Step, Weights: c.Weights, Token: 1000 * c.Token, Context: 1000 * c.Context,
		Budget: c.Budget, MaxSeqs: c.Sequences, KVTokens: c.Cache,
	}
}
