package gateway

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/explain"
	"github.com/outcrop/outcrop/metricsapi"
	"github.com/outcrop/outcrop/watchapi"
)

// watch returns the handler for all who watch the server.
func (s *Server) watch(registry *prometheus.Registry, why *explain.Book) http.Handler {
	registry.MustRegister(s.limiter.Collector(), capacity.Collector(s.measured))
	machines := metricsapi.New(registry, s.ready)
	people := watchapi.New(s.door.watcher, s.scene, why)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if watchapi.Serves(r.URL.Path) {
			people.ServeHTTP(w, r)
			return
		}
		machines.ServeHTTP(w, r)
	})
}

// watcher implements watchapi.Who: while there is no key, one on this machine
// may see all. With keys, that a connection comes from here says nothing,
// since a proxy may stand here too.
func (d *door) watcher(r *http.Request) (account string, all bool, err error) {
	p, err := d.authenticate(r, nil, time.Now(), false)
	if err != nil {
		return "", false, err
	}
	return p.Account, d.who.Open() && IsLoopback(r.RemoteAddr), nil
}

// scene is what there is to see now.
func (s *Server) scene() watchapi.Scene {
	f := s.engines.Load()
	return watchapi.Scene{Pools: f.states(s.control.Sold()), Limits: s.limiter.Status(), Provisioned: s.control.Provisioned(), PoolOf: f.poolModel}
}

// states are those of all pools. sold are the units that are sold, by card.
func (f *fleet) states(sold map[string]int) (all []watchapi.PoolState) {
	for _, card := range f.catalog.Cards() {
		p := f.pools[card]
		if p == nil || f.owner(card) != card {
			continue
		}
		state := capacity.State{Model: card.ID}
		if p.pool != nil {
			state = p.pool.State()
		}
		all = append(all, watchapi.PoolState{State: state, Simulated: f.simulated[card], Sellable: f.largest(card, sold)})
	}
	return all
}

// measured are the states of the pools for metrics: those of simulated models
// that nobody has asked for are left out, so that the many of the catalogue
// that are not used make no series.
func (s *Server) measured() (all []capacity.State) {
	f := s.engines.Load()
	for _, card := range f.catalog.Cards() {
		p := f.pools[card]
		if p == nil || p.pool == nil || f.owner(card) != card {
			continue
		}
		if state := p.pool.State(); !f.simulated[card] || asked(&state) {
			all = append(all, state)
		}
	}
	return all
}

func asked(s *capacity.State) bool {
	for i := range s.Classes {
		if s.Classes[i].Counts.Submitted > 0 {
			return true
		}
	}
	return false
}

// owner returns the card that the pool of card is named for: its own, or that
// of the model of which it is a variant.
func (f *fleet) owner(card *outcrop.Card) *outcrop.Card {
	if base := f.base(card); base != nil && f.pools[base] == f.pools[card] {
		return base
	}
	return card
}

// poolModel returns the model of the pool that serves what was bought of a
// model; empty if none does.
func (f *fleet) poolModel(model string) string {
	if target := f.provisioned(model); target != nil {
		return f.owner(f.catalog.Lookup(target.Card.ID)).ID
	}
	return ""
}
