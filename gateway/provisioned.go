package gateway

import (
	"context"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/runtimeapi"
)

// openControl sets up the control plane on the server's state.
func (s *Server) openControl() error {
	s.control = controlapi.New(s.catalogue, s.controlOptions())
	return s.control.Start(context.Background())
}

func (s *Server) controlOptions() controlapi.Options {
	return controlapi.Options{
		Region: s.config.Region, Resources: s.state, Jobs: s.batch, Log: s.logger,
		Terms: lifecycle.Terms{Month: s.config.CommitmentMonth}, Sell: s.sell,
	}
}

// Resolve implements runtimeapi.Resolver on the running configuration and on
// what is provisioned.
func (s *Server) Resolve(ctx context.Context, caller *outcrop.Principal, modelID string) (*runtimeapi.Target, error) {
	fleet := s.engines.Load()
	if target := fleet.byID[modelID]; target != nil {
		return target, nil
	}
	p, ok, err := s.control.Serving(ctx, caller, modelID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return fleet.resolve(modelID)
	}
	target := fleet.provisioned(p.Model)
	if target == nil {
		return nil, &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "No engine serves the model of the provisioned model " + p.ARN.String() + " now."}
	}
	bought := *target
	bought.Unit = p.ARN.String()
	return &bought, nil
}

// sell decides whether the engines can carry so many units beside what others
// hold.
func (s *Server) sell(card *outcrop.Card, sold map[string]int, units int) (largest int, ok bool) {
	fleet := s.engines.Load()
	if current := fleet.catalog.Lookup(card.ID); current != nil {
		card = current
	}
	largest = fleet.largest(card, sold)
	return largest, units <= largest
}

// provisioned returns the target of a model that was bought, or nil.
func (f *fleet) provisioned(model string) *runtimeapi.Target {
	for _, id := range lifecycle.Names(model) {
		if t := f.targets[f.catalog.Lookup(id)]; t != nil {
			return t
		}
	}
	return nil
}
