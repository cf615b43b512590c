package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/calibration"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/gateway"
	"github.com/outcrop/outcrop/measure"
)

// proposed is the proposal of a calibration with these gaps of 1, 50 and 100
// sequences.
func proposed(t *testing.T, gaps ...time.Duration) *proposal {
	t.Helper()
	m := calibration.Measurements{
		Reads:     []calibration.Read{{Tokens: 1000, Took: 60 * time.Millisecond}, {Tokens: 2000, Took: 100 * time.Millisecond}, {Tokens: 4000, Took: 180 * time.Millisecond}},
		Sequences: calibration.Bound{N: 100}, Cache: calibration.Bound{N: 200_000, Limit: true},
	}
	for i, n := range []int{1, 50, 100} {
		m.Decodes = append(m.Decodes, calibration.Decode{Sequences: n, Context: 300 * n, Gap: gaps[i]})
	}
	fit, err := calibration.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return &proposal{
		engine: &gateway.Engine{Config: config.Engine{Name: "vllm-0:8000", Kind: config.KindOpenAI}, Card: &outcrop.Card{ID: "my.model"}},
		result: &measure.Result{Measurements: m, Took: time.Minute}, fit: fit, maxGap: 50 * time.Millisecond,
	}
}

var steady = []time.Duration{10 * time.Millisecond, 15 * time.Millisecond, 20 * time.Millisecond}

func TestTheProposalIsAConfiguration(t *testing.T) {
	p := proposed(t, steady...)
	file := filepath.Join(t.TempDir(), "proposed.yaml")
	if err := os.WriteFile(file, []byte(p.yaml()), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(file, nil, nil)
	if len(problems) > 0 {
		t.Fatalf("%s\n%s", problems.Text("no"), p.yaml())
	}
	unit, c := p.fit.Unit(p.maxGap), p.fit.Capacity()
	m := cfg.Models[0]
	if m.ID != "my.model" || m.Card().Unit != unit {
		t.Errorf("the model is %+v, want %+v", m, unit)
	}
	want := config.Capacity{Prefill: 25_000, Decode: int(c.DecodeRate), Output: int(p.fit.Output(p.maxGap).Rate), Sequences: 100, Cache: 200_000}
	if got := m.Engines[0]; got.Name != "vllm-0:8000" || got.Capacity != want {
		t.Errorf("the engine is %+v, want %+v", got, want)
	}
}

func TestTheTableShowsEachMeasurementBesideTheFit(t *testing.T) {
	var out bytes.Buffer
	if err := proposed(t, steady...).table(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"engine vllm-0:8000 of my.model\n", "first token", "1000", "60ms", "+0.0 %", "sequences", "15000"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "SIMULATED") {
		t.Error("a real engine is called simulated")
	}
	p := proposed(t, steady...)
	p.result.Simulated = true
	if !strings.Contains(p.yaml(), "SIMULATED") || !p.view(nil).Simulated {
		t.Error("a simulated engine is not labelled")
	}
}

func TestABadFitAndASlowEngineAreToldOf(t *testing.T) {
	if w := proposed(t, steady...).warnings(); len(w) > 0 {
		t.Errorf("all is well, but %q", w)
	}
	if w := proposed(t, 10*time.Millisecond, 80*time.Millisecond, 20*time.Millisecond).warnings(); len(w) != 1 || !strings.Contains(w[0], "do not rely") {
		t.Errorf("%q", w)
	}
	if w := proposed(t, 100*time.Millisecond, 150*time.Millisecond, 200*time.Millisecond).warnings(); len(w) != 1 || !strings.Contains(w[0], "--max-gap") {
		t.Errorf("%q", w)
	}
}

func TestAnInterruptedCalibrationProposesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, diagnostics bytes.Buffer
	code := run(ctx, []string{"calibrate", "meta.llama3-1-8b-instruct-v1:0"}, nil, &out, &diagnostics)
	if code != exitSignal || out.Len() > 0 || !strings.Contains(diagnostics.String(), "interrupted") {
		t.Errorf("%d %q %q", code, out.String(), diagnostics.String())
	}
}
