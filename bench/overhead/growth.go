package main

import (
	"context"
	"log"
	"time"

	"github.com/outcrop/outcrop/bench/load"
)

// sampleEvery is how often the gateway's memory is read.
const sampleEvery = 5 * time.Second

// A growth tells whether the gateway's memory grows under steady load.
type growth struct {
	Minutes  float64   `json:"minutes"`
	Requests int64     `json:"requests"`
	Failed   int       `json:"failed"`
	EveryS   float64   `json:"sample_every_s"`
	MB       []float64 `json:"resident_mb"`
	// EarlyMB and LateMB are the medians of the second and of the last tenth
	// of the samples; the first tenth is warming up.
	EarlyMB float64 `json:"early_mb"`
	LateMB  float64 `json:"late_mb"`
}

// watchGrowth sends bunched streams and unary requests for a time and reads
// the gateway's memory meanwhile.
func watchGrowth(ctx context.Context, during time.Duration, p *processes) (*growth, error) {
	log.Printf("watching the memory for %s", during)
	g := &growth{Minutes: during.Minutes(), EveryS: sampleEvery.Seconds()}
	results := make(chan load.Result, 2)
	failures := make(chan error, 2)
	for _, stream := range []bool{false, true} {
		o := load.Options{Addr: p.gateway.Addr, Protocol: load.Converse, Model: modelPlain, Stream: stream, Prompt: 1024,
			Auth: load.Auth{Access: p.key.Access, Secret: p.key.Secret, Region: region}, Conns: 32,
			Duration: during, Timeout: time.Minute, WantBytes: 1024, WantEvents: 64}
		go func() {
			r, err := load.Run(ctx, o)
			results <- r
			failures <- err
		}()
	}
	pid := p.gateway.Pid()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for running := 2; running > 0; {
		select {
		case <-tick.C:
			g.MB = append(g.MB, load.ResidentMB(pid))
		case r := <-results:
			if err := <-failures; err != nil {
				return nil, err
			}
			g.Requests += r.Requests
			g.Failed += r.Failed()
			running--
		}
	}
	tenth := max(len(g.MB)/10, 1)
	if len(g.MB) >= 2*tenth {
		g.EarlyMB = spreadOf(append([]float64(nil), g.MB[tenth:2*tenth]...)).Median
		g.LateMB = spreadOf(append([]float64(nil), g.MB[len(g.MB)-tenth:]...)).Median
	}
	return g, nil
}
