package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/explain"
)

// down returns the address of an engine that is not there.
func down() string {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	return s.URL
}

func TestEachTryOfARequestIsExplained(t *testing.T) {
	yaml := withEngines("my.model-v1:0", fmt.Sprintf("{name: one, url: '%s', model: m}, {name: two, url: '%s', model: m}", down(), down()))
	h := start(t, yaml)
	client := newClient(t, &http.Transport{})
	answered := h.converse(t, client, "my.model-v1:0")
	if answered.status != 503 {
		t.Fatalf("%d %s", answered.status, answered.body)
	}
	r := lookup(t, h, client, caller{}, answered.header.Get("X-Amzn-Requestid"))
	record, err := explain.Parse([]byte(r.body))
	if err != nil || record.Attempts != 2 || len(record.Tries) != 2 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	tried := map[string]bool{}
	for _, try := range record.Tries {
		tried[try.Engine] = try.Code == outcrop.CodeUnavailable
	}
	if !tried["one"] || !tried["two"] {
		t.Errorf("%s", r.body)
	}
}
