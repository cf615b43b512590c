package metricsapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop/metricsapi"
)

func get(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestLivenessDoesNotDependOnReadiness(t *testing.T) {
	var notReady error
	h := metricsapi.New(prometheus.NewRegistry(), func() error { return notReady })
	for _, c := range []struct {
		err    error
		path   string
		status int
		body   string
	}{
		{nil, "/healthz", 200, "ok\n"}, {nil, "/readyz", 200, "ready\n"},
		{errors.New("draining"), "/healthz", 200, "ok\n"}, {errors.New("draining"), "/readyz", 503, "draining\n"},
	} {
		notReady = c.err
		w := get(h, "GET", c.path)
		if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s while %v: %d %q %v", c.path, c.err, w.Code, w.Body, w.Header())
		}
	}
}

func TestMetricsAreThoseOfTheGatherer(t *testing.T) {
	registry := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "apples_total", Help: "Apples."})
	registry.MustRegister(c)
	c.Add(3)
	w := get(metricsapi.New(registry, func() error { return nil }), "GET", "/metrics")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "\napples_total 3\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	h := metricsapi.New(prometheus.NewRegistry(), func() error { return nil })
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			if w := get(h, method, path); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
		if w := get(h, "HEAD", path); w.Code != 200 {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
}

func TestServesItsOwnPathsAlone(t *testing.T) {
	h := metricsapi.New(prometheus.NewRegistry(), func() error { return nil })
	for path, want := range map[string]bool{
		"/healthz": true, "/readyz": true, "/metrics": true, "/": false, "": false, "/healthz/": false, "/Healthz": false, "//healthz": false, "/metrics/x": false, "/model/metrics/converse": false,
	} {
		if metricsapi.Serves(path) != want {
			t.Errorf("Serves(%q) = %v", path, !want)
		}
		if want != (path != "" && get(h, "GET", path).Code == 200) {
			t.Errorf("%q is not what the handler serves", path)
		}
	}
}
