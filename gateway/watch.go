package gateway

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop/explain"
	"github.com/outcrop/outcrop/metricsapi"
	"github.com/outcrop/outcrop/watchapi"
)

// watch returns the handler for all who watch the server.
func (s *Server) watch(registry *prometheus.Registry, why *explain.Book) http.Handler {
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
	return watchapi.Scene{Provisioned: s.control.Provisioned(), PoolOf: func(model string) string { return model }}
}
