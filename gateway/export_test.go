package gateway

import (
	"net"
	"net/http"
)

// ListenOn makes the server serve l, within its bounds on connections, in
// place of the address of its configuration.
func (s *Server) ListenOn(l net.Listener) {
	s.listener = bound(l, s.config.Limits.Connections, s.config.Limits.ConnectionsPerAddress)
}

// Watch puts handler in the place of /healthz, /readyz and /metrics.
func (s *Server) Watch(handler http.Handler) { s.door.watch = handler }
