package gateway

import (
	"context"
	"net"
	"net/http"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/objects"
)

// ListenOn makes the server serve l, within its bounds on connections, in
// place of the address of its configuration.
func (s *Server) ListenOn(l net.Listener) {
	s.listener = bound(l, s.config.Limits.Connections, s.config.Limits.ConnectionsPerAddress)
}

// Watch puts handler in the place of /healthz, /readyz and /metrics.
func (s *Server) Watch(handler http.Handler) { s.door.watch = handler }

// ProvisionBy has provision do the steps of provisioned throughput. The server
// does not run yet.
func (s *Server) ProvisionBy(provision func(context.Context, outcrop.Provisioned) error) error {
	s.control.Close()
	o := s.controlOptions()
	o.Provision = provision
	s.control = controlapi.New(s.catalogue, o)
	s.door.control = s.control
	return s.control.Start(context.Background())
}

// Pages returns where the metrics of the engines of cfg are read, by the
// engines' names; empty where none are.
func Pages(cfg *config.Config) map[string]string {
	pages, all := pagesOf(cfg), map[string]string{}
	for i := range cfg.Models {
		for j := range cfg.Models[i].Engines {
			e := &cfg.Models[i].Engines[j]
			all[e.Name] = pages.of(e)
		}
	}
	return all
}

// Need tells the pools what batch jobs need.
func (s *Server) Need(perSecond map[string]float64) { s.need(perSecond) }

// Needs returns what the pools were told, by their models, where it is not 0.
func (s *Server) Needs() map[string]float64 {
	all := map[string]float64{}
	for _, p := range s.engines.Load().schedulers() {
		if state := p.State(); state.Need.Told > 0 {
			all[state.Model] = state.Need.Told
		}
	}
	return all
}

// Loads returns what the engines of a model hold.
func (s *Server) Loads(model string) (all []fair.EngineState) {
	for _, p := range s.engines.Load().schedulers() {
		if state := p.State(); state.Model == model {
			for _, e := range state.Engines {
				all = append(all, e.Load)
			}
		}
	}
	return all
}

// Objects is how the server itself reaches S3.
func (s *Server) Objects() *objects.Store { return s.objects }
