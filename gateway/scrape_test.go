package gateway_test

import (
	"maps"
	"testing"

	"github.com/outcrop/outcrop/gateway"
)

func TestAPageOfMetricsIsThatOfOneEngine(t *testing.T) {
	const yaml = `listen: 127.0.0.1:0
models:
  - id: one.model-v1:0
    engines:
      - { name: alone, url: "http://10.0.0.1:8000/v1", model: m }
      - { name: a, url: "https://gpu.example/a/v1", model: m }
      - { name: b, url: "https://GPU.example/b", model: m }
      - { name: c, url: "https://gpu.example/c", model: m, metrics_url: "https://gpu.example/c/metrics" }
      - { name: quiet, url: "http://10.0.0.3:8000", model: m, metrics: false }
      - { name: beside, url: "http://10.0.0.3:8000/v1", model: m }
      - { name: first, url: "http://10.0.0.2:8000", model: m }
  - id: two.model-v1:0
    engines:
      - { name: second, url: "http://10.0.0.2:8000", model: n }
      - { name: told, url: "http://10.0.0.4:8000", model: n, metrics_url: "http://10.0.0.5:9000/metrics" }
      - { name: too, url: "http://10.0.0.6:8000", model: n, metrics_url: "http://10.0.0.5:9000/metrics" }
      - { name: vendor, kind: anthropic, url: "http://10.0.0.7:8000", model: n }
`
	want := map[string]string{
		"alone": "http://10.0.0.1:8000/metrics", "a": "", "b": "", "c": "https://gpu.example/c/metrics",
		"quiet": "", "beside": "http://10.0.0.3:8000/metrics", "first": "", "second": "", "told": "", "too": "", "vendor": "",
	}
	if got := gateway.Pages(load(t, yaml)); !maps.Equal(got, want) {
		t.Errorf("pages are %v, want %v", got, want)
	}
}

func TestPagesOfSeveralEnginesAreToldOfAtTheStart(t *testing.T) {
	h := start(t, withEngines("my.model-v1:0", "{name: a, url: 'http://127.0.0.1:1/a', model: m}", "{name: b, url: 'http://127.0.0.1:1/b', model: m}"))
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	lines := h.log.lines(t, "a page of metrics is not read, since several engines have it; metrics_url says where each has its own")
	if len(lines) != 1 || lines[0]["page"] != "http://127.0.0.1:1/metrics" {
		t.Errorf("the log tells of %v", lines)
	}
}
