package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/outcrop/outcrop/calibration"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/gateway"
	"github.com/outcrop/outcrop/measure"
)

// calibrate is the command that measures an engine and proposes what to write
// into the configuration.
type calibrate struct {
	file   string
	engine string
	quick  bool
	json   bool
	maxGap time.Duration
	out    io.Writer
	talk   io.Writer
}

func newCalibrate() *cobra.Command {
	k := &calibrate{}
	c := &cobra.Command{
		Use: "calibrate MODEL", Short: "Measure an engine; propose its capacity and the model's unit", Args: cobra.ExactArgs(1),
		Long: "Measure an engine of a model, through the same client as the server, and propose the lines of the configuration that\n" +
			"say what it can do. The engine should have nothing else to do meanwhile. It is asked to read up to two million tokens,\n" +
			"with --quick a third of that; where tokens cost money, so does this. docs/calibration.md has the formulas.",
		Example: `  outcrop calibrate meta.llama3-1-8b-instruct-v1:0
  outcrop calibrate meta.llama3-1-70b-instruct-v1:0 --config outcrop.yaml --engine vllm-0:8000
  outcrop calibrate my.model --quick --max-gap 100ms > proposed.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			k.out, k.talk = c.OutOrStdout(), c.ErrOrStderr()
			return k.run(c.Context(), args[0])
		},
	}
	f := c.Flags()
	f.StringVar(&k.file, "config", "", "configuration file; without it outcrop.yaml in this folder, if there is one")
	f.StringVar(&k.engine, "engine", "", "name of the engine, where the model has several")
	f.BoolVar(&k.quick, "quick", false, "measure less: a first impression within a minute and a half")
	f.DurationVar(&k.maxGap, "max-gap", 50*time.Millisecond, "longest gap between two tokens of an answer that is good enough")
	f.BoolVar(&k.json, "json", false, "print JSON: figures, errors and all that was measured")
	return c
}

// How long a calibration takes at most.
const (
	calibrateTime = 10 * time.Minute
	quickTime     = 90 * time.Second
)

func (k *calibrate) run(ctx context.Context, model string) error {
	if k.maxGap <= 0 {
		return &exitError{exitUsage, fmt.Errorf("--max-gap %s: must be positive", k.maxGap)}
	}
	cfg, err := loadConfig(k.file, nil, k.talk, "nothing was measured")
	if err != nil {
		return err
	}
	engines, release, err := gateway.Engines(cfg, model)
	if err != nil {
		return notFound(fmt.Errorf("model %q: %w", model, err))
	}
	defer release()
	e, err := k.choose(engines)
	if err != nil {
		return err
	}
	result, err := k.measure(ctx, e)
	if err != nil {
		return k.refusal(ctx, e, err)
	}
	fit, err := calibration.New(result.Measurements)
	if err != nil {
		return failed(fmt.Errorf("engine %s: what was measured makes no sense: %w", e.Config.Name, err))
	}
	return k.print(&proposal{engine: e, result: &result, fit: fit, maxGap: k.maxGap})
}

// choose returns the engine that was named, or the only one.
func (k *calibrate) choose(engines []gateway.Engine) (*gateway.Engine, error) {
	names := make([]string, len(engines))
	for i := range engines {
		names[i] = engines[i].Config.Name
		if names[i] == k.engine || k.engine == "" && len(engines) == 1 {
			return k.usable(&engines[i])
		}
	}
	if k.engine == "" {
		return nil, &exitError{exitUsage, fmt.Errorf("the model has %d engines; name one with --engine: %s", len(engines), strings.Join(names, ", "))}
	}
	return nil, notFound(fmt.Errorf("--engine %s: the model has no such engine, but %s", k.engine, strings.Join(names, ", ")))
}

// usable refuses simulated engines that take no time.
func (k *calibrate) usable(e *gateway.Engine) (*gateway.Engine, error) {
	if e.Config.Kind == config.KindSim && e.Config.Speed == 0 {
		return nil, failed(fmt.Errorf("engine %s: a simulated engine of speed 0 answers at once and has no capacity to measure", e.Config.Name))
	}
	return e, nil
}

func (k *calibrate) measure(ctx context.Context, e *gateway.Engine) (measure.Result, error) {
	limit := calibrateTime
	if k.quick {
		limit = quickTime
	}
	fmt.Fprintf(k.talk, "calibrating engine %s of %s, for %s at most\n", e.Config.Name, e.Card.ID, limit)
	if e.Config.Kind == config.KindAnthropic || e.Config.Kind == config.KindBedrock {
		fmt.Fprintln(k.talk, "warning: this uses tokens that the engine's owner may charge for, and measures a service that others use too")
	}
	return measure.Run(ctx, measure.Config{
		Model: e.Model, Card: e.Card, Quick: k.quick, MaxGap: k.maxGap, MaxConcurrency: e.Config.MaxConcurrency, Time: limit,
		Seed: rand.Uint64(), Metrics: e.Metrics, Alone: e.Config.Kind == config.KindSim,
		Note: func(text string) { fmt.Fprintln(k.talk, " ", text) },
	})
}

func (k *calibrate) refusal(ctx context.Context, e *gateway.Engine, err error) error {
	err = fmt.Errorf("engine %s: %w", e.Config.Name, err)
	switch {
	case ctx.Err() != nil:
		return &exitError{exitSignal, errors.New("interrupted; nothing is proposed")}
	case errors.Is(err, measure.ErrBusy):
		return &exitError{exitRefused, fmt.Errorf("%w; calibrate when it has nothing else to do", err)}
	case errors.Is(err, measure.ErrSlow):
		return &exitError{exitTimeout, err}
	}
	return failed(err)
}
