// Package metricsapi is the door for whoever watches the server: liveness,
// readiness and Prometheus metrics.
package metricsapi

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// New returns the handler of /healthz, /readyz and /metrics. ready is asked
// for each /readyz; its error, which must hold no secret, is the 503's text.
// A server that stops says so to requests under way at best: to checks that
// connect anew, that they are refused says the same.
func New(gatherer prometheus.Gatherer, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			say(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
		say(w, http.StatusOK, "ready\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	return mux
}

// Serves reports whether path is one of the handler's.
func Serves(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/metrics"
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
