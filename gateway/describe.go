package gateway

import (
	"fmt"
	"net"
	"net/netip"
)

// URL is where the server can be reached from this machine; valid after
// Listen.
func (s *Server) URL() string {
	scheme := "http"
	if s.config.TLS.Cert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return scheme + "://" + s.listener.Addr().String()
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Region is the region that the server plays.
func (s *Server) Region() string { return s.config.Region }

// Open reports whether anybody may call, because there is no key.
func (s *Server) Open() bool { return s.open }

// Summary says in a few words what is served and to whom.
func (s *Server) Summary() string {
	real, simulated := s.engines.Load().count()
	who := "callers need a key"
	if s.open {
		who = "any credentials, loopback only"
	}
	return fmt.Sprintf("%d models on your engines, %d simulated; %s", real, simulated, who)
}

// ExampleModel is the id of a model that is served.
func (s *Server) ExampleModel() string { return s.engines.Load().example() }

// IsLoopback reports whether a HOST:PORT can be reached from this machine
// alone.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
