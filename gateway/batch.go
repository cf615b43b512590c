package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/runtimeapi"
)

// openBatch sets up batch jobs.
func (s *Server) openBatch(registry *prometheus.Registry) error {
	c := &s.config.Batch
	o := batch.Options{
		Database: filepath.Join(s.config.Data, "batch.db"), Server: "outcrop", Objects: s.batchObjects, Invoker: (*rows)(s),
		Chunks: c.Chunks, Concurrency: c.Concurrency, EnqueuedTokens: int64(c.EnqueuedTokens),
		MinRecords: int64(c.MinimumRecords), MaxRecords: int64(c.MaximumRecords),
		Need: s.need, Metrics: batch.NewMetrics(), Log: s.logger,
	}
	if address := c.Database.Value(); address != "" {
		o.Database, o.Server = address, serverName(s.config.Data)
	}
	if c.Webhook != "" {
		o.Event = poster{c.Webhook, &http.Client{Timeout: webhookTime}}.post
	}
	registry.MustRegister(o.Metrics)
	var err error
	if s.batch, err = batch.Open(context.Background(), o); err != nil {
		return fmt.Errorf("cannot open the batch jobs: %w", err)
	}
	return nil
}

// need tells each pool what the batch jobs on its models need: a contextual
// variant runs on the engines of its base.
func (s *Server) need(perSecond map[string]float64) {
	fleet, sums := s.engines.Load(), map[*capacity.Pool]float64{}
	for card, p := range fleet.pools {
		if p.pool != nil {
			sums[p.pool] += perSecond[card.ID]
		}
	}
	for pool, sum := range sums {
		pool.Need(sum)
	}
}

// startBatch takes up the work on batch jobs. A server that is stopped
// meanwhile was not at fault.
func (s *Server) startBatch(ctx context.Context) error {
	if err := s.batch.Start(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("cannot start the batch jobs: %w", err)
	}
	return nil
}

// closeBatch ends the work on batch jobs, which goes on after the next start.
func (s *Server) closeBatch() error {
	if s.batch == nil {
		return nil
	}
	return s.batch.Close()
}

// serverName names this server among those that share a database: by what one
// server at a time has for itself.
func serverName(data string) string {
	host, _ := os.Hostname() // "" will do where there is one server
	full, err := filepath.Abs(data)
	if err != nil {
		full = data
	}
	return host + ":" + full
}

// rows are the server as what answers the records of batch jobs.
type rows Server

// Invoke implements batch.Invoker. A record of a job that must hurry runs in the
// class above that of batch jobs.
func (r *rows) Invoke(ctx context.Context, row *batch.Row) ([]byte, outcrop.Receipt, error) {
	class := outcrop.ClassBatch
	if row.Hurry {
		class = outcrop.ClassFlex
	}
	return r.door.runtime.Row(ctx, &runtimeapi.Call{
		RequestID: row.ID, Received: time.Now(), Principal: &row.Job.Caller, Operation: row.Job.Kind, ModelID: row.Job.Named.Model,
		Body: row.Input, Remote: "batch",
	}, class)
}

// webhookTime is how long a webhook may take to answer.
const webhookTime = 10 * time.Second

// A poster posts events to an address.
type poster struct {
	address string
	client  *http.Client
}

func (p poster) post(ctx context.Context, e batch.Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be used again
	if answer.StatusCode >= 300 {
		return fmt.Errorf("the webhook answered %s", answer.Status)
	}
	return nil
}
