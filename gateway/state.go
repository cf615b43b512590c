package gateway

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/store"
)

// keysEvery is how soon a change of the keys, made by another process, takes
// effect.
const keysEvery = time.Second

// openState takes the data folder for this server and opens what is in it.
func (s *Server) openState() error {
	unlock, err := store.Lock(s.config.Data)
	if err != nil {
		return err
	}
	s.unlock = unlock
	if s.state, err = store.Open(context.Background(), store.Options{Dir: s.config.Data, KEK: s.config.KEK}); err != nil {
		_ = unlock()
		return fmt.Errorf("cannot open the state in %s: %w", s.config.Data, err)
	}
	return nil
}

// identify sets up who may call.
func (s *Server) identify() error {
	ctx := context.Background()
	version, err := s.state.Version(ctx) // read first: what changes in between is seen as a change
	if err != nil {
		return fmt.Errorf("cannot read the keys: %w", err)
	}
	s.keysSeen = version
	open, err := s.withoutKeys(ctx)
	if err != nil {
		return err
	}
	s.who = identity.New(identity.Options{Region: s.config.Region, Hosts: hosts(s.config, open)})
	s.open = open
	_, err = s.loadKeys(ctx)
	return err
}

// withoutKeys reports whether anybody may call.
func (s *Server) withoutKeys(ctx context.Context) (bool, error) {
	if s.config.Keys != "auto" {
		return s.config.Keys == "open", nil
	}
	keys, err := s.state.ListKeys(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot read the keys: %w", err)
	}
	return len(keys) == 0, nil
}

// hosts are the names by which callers may address the server. While anybody
// may call, only those of this machine are: a web page whose own name was made
// to point here is then refused.
func hosts(c *config.Config, open bool) []string {
	if len(c.Hosts) > 0 || !open {
		return c.Hosts
	}
	return []string{"localhost", "127.0.0.1", "[::1]", "host.docker.internal"}
}

// loadKeys takes over the keys as they are stored now, and reports whether
// they are others than before.
func (s *Server) loadKeys(ctx context.Context) (changed bool, err error) {
	if s.config.Keys == "open" {
		s.who.SetKeys(nil)
		return false, nil
	}
	keys, err := s.state.Keys(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot read the keys: %w", err)
	}
	if len(keys) == 0 && !s.open {
		keys = []identity.Key{{Revoked: time.Unix(1, 0)}} // one that opens nothing keeps the door shut
	}
	if reflect.DeepEqual(keys, s.keys) {
		return false, nil // something else in the database changed
	}
	s.keys = keys
	s.who.SetKeys(keys)
	return true, nil
}

// watchKeys takes over keys that are added or revoked while the server runs.
// While they cannot be read, those read last stay in force.
func (s *Server) watchKeys(ctx context.Context) {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.state.Version(ctx)
		if err != nil || now == s.keysSeen {
			continue
		}
		changed, err := s.loadKeys(ctx)
		if err != nil {
			s.logger.Error("keys not reloaded", "reason", err.Error())
			continue
		}
		s.keysSeen = now
		if changed {
			s.logger.Info("keys reloaded")
		}
	}
}

// catalogue is what the control plane tells of.
func (s *Server) catalogue() controlapi.View {
	f := s.engines.Load()
	return controlapi.View{Catalog: f.catalog, Simulated: func(id string) bool { return f.simulated[f.catalog.Lookup(id)] }}
}
