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
	s.control = controlapi.New(s.catalogue, controlapi.Options{
		Region: s.config.Region, Resources: s.state, Log: s.logger,
		Terms: lifecycle.Terms{Month: s.config.CommitmentMonth},
	})
	return s.control.Start(context.Background())
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
	return target, nil
}

// provisioned returns the target of a model that was bought, or nil. What a
// real engine serves under the base model's id is better than a simulation of
// the contextual variant.
func (f *fleet) provisioned(model string) *runtimeapi.Target {
	var best *runtimeapi.Target
	for _, id := range lifecycle.Names(model) {
		t := f.targets[f.catalog.Lookup(id)]
		if t != nil && (best == nil || f.simulated[best.Card] && !f.simulated[t.Card]) {
			best = t
		}
	}
	return best
}
