package gateway_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/gateway"
)

func TestEnginesStandByThemselves(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("vllm:num_requests_running 3\nvllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"100\"} 1\n"))
	}))
	defer page.Close()
	cfg := load(t, withEngines("my.model", "{url: '"+page.URL+"/v1', model: m, name: a}", "{url: '"+page.URL+"', model: m, name: b, metrics: false}"))
	engines, release, err := gateway.Engines(cfg, "my.model")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if len(engines) != 2 || engines[0].Config.Name != "a" || engines[1].Config.Name != "b" || engines[0].Card.ID != "my.model" || engines[0].Model == nil {
		t.Fatalf("%+v", engines)
	}
	if s, err := engines[0].Metrics(t.Context()); err != nil || s.Running != 3 || s.KVTokens != 1600 {
		t.Errorf("%+v, %v", s, err)
	}
	if engines[1].Metrics != nil {
		t.Error("metrics that are switched off are read")
	}
}

func TestEnginesOfModelsThatTheFileDoesNotName(t *testing.T) {
	engines, release, err := gateway.Engines(load(t, fast), haiku)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if len(engines) != 1 || engines[0].Config.Kind != config.KindSim || engines[0].Metrics != nil {
		t.Errorf("%+v", engines)
	}
	var a outcrop.Answer
	req := &outcrop.Request{Card: engines[0].Card, Principal: &outcrop.Principal{}, Conversation: &outcrop.Conversation{}}
	if receipt, err := engines[0].Model.Invoke(t.Context(), req, &a); err != nil || !receipt.Simulated || len(a.Content) == 0 {
		t.Errorf("%+v, %v", receipt, err)
	}
	if _, _, err := gateway.Engines(load(t, fast), "no.such.model"); !errors.Is(err, outcrop.CodeValidation) {
		t.Errorf("an unknown model: %v", err)
	}
}
