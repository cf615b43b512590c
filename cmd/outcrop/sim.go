package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/gateway"
	"github.com/outcrop/outcrop/sim"
	"github.com/outcrop/outcrop/simapi"
	"github.com/outcrop/outcrop/step"
)

// simulator is the command that serves simulated engines on their own.
type simulator struct {
	addr    string
	models  []string
	machine string
	speed   float64
	seed    uint64
	first   time.Duration
	noise   float64
}

func newSim() *cobra.Command {
	s := &simulator{}
	c := &cobra.Command{
		Use: "sim", Short: "Serve the simulated engine on its own, over OpenAI's API", Args: cobra.NoArgs,
		Long: "Serve the simulated engine on its own, over OpenAI's API and with vLLM's metric names:\n" +
			"something to point a gateway, a dashboard or a load test at. It runs no model, and says so in every answer.",
		Example: `  outcrop sim                                                 one model, on 127.0.0.1:8000
  outcrop sim --model meta.llama3-1-8b-instruct-v1:0 --speed 10
  curl 127.0.0.1:8000/v1/chat/completions -d '{"messages":[{"role":"user","content":"hi"}]}'`,
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c) },
	}
	c.Flags().StringVar(&s.addr, "addr", "127.0.0.1:8000", "address to listen on; there is no authentication")
	c.Flags().StringSliceVar(&s.models, "model", []string{"meta.llama3-1-8b-instruct-v1:0"}, "ids of the models to play")
	c.Flags().StringVar(&s.machine, "machine", "", "h100-8b: an 8B model on one H100, whatever the model (default: what fits the model)")
	c.Flags().Float64Var(&s.speed, "speed", 1, "simulated seconds per real second; 0 answers at once")
	c.Flags().Uint64Var(&s.seed, "seed", 1, "seed of the invented texts and of the noise")
	c.Flags().DurationVar(&s.first, "first-token", 0, "simulated time to the first token of a short prompt on the idle machine (default: the model's)")
	c.Flags().Float64Var(&s.noise, "noise", 0, "by how much the times of steps scatter: 0.05 is about 5 %")
	return c
}

// drainTime is what requests in flight have to end.
const drainTime = 25 * time.Second

// machines are what --machine knows.
var machines = map[string]step.Constants{"": {}, "h100-8b": step.H100Llama8B()}

func (s *simulator) run(c *cobra.Command) error {
	if _, known := machines[s.machine]; !known {
		return fmt.Errorf("--machine knows h100-8b and not %q", s.machine)
	}
	server := &http.Server{Handler: simapi.NewHandler(s.engines()), ReadHeaderTimeout: gateway.HeaderTimeout}
	var lc net.ListenConfig
	listener, err := lc.Listen(c.Context(), "tcp", s.addr)
	if err != nil {
		return failed(err)
	}
	fmt.Fprintf(c.OutOrStdout(), "simulated engine ready on http://%s/v1\n", listener.Addr())
	drained := make(chan struct{})
	context.AfterFunc(c.Context(), func() {
		defer close(drained)
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return failed(err)
	}
	<-drained
	return nil
}

func (s *simulator) engines() []simapi.Model {
	known := catalog.Builtin()
	machine := machines[s.machine]
	machine.Noise, machine.Seed = s.noise, s.seed
	models := make([]simapi.Model, len(s.models))
	for i, id := range s.models {
		card := known.Lookup(id)
		if card == nil {
			card = &outcrop.Card{ID: id, Name: id}
		}
		models[i] = simapi.Simulated(id, sim.Config{Name: "sim", Card: card, Speed: s.speed, Seed: s.seed,
			FirstToken: s.first, Constants: machine})
	}
	return models
}
