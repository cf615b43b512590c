package gateway

import (
	"net"
	"net/http"

	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/objects"
)

// ListenOn makes the server serve l, within its bounds on connections, in
// place of the address of its configuration.
func (s *Server) ListenOn(l net.Listener) {
	s.listener = bound(l, s.config.Limits.Connections, s.config.Limits.ConnectionsPerAddress)
}

// Watch puts handler in the place of /healthz, /readyz and /metrics.
func (s *Server) Watch(handler http.Handler) { s.door.watch = handler }

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

// Objects is how the server itself reaches S3.
func (s *Server) Objects() *objects.Store { return s.objects }
