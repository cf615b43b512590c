package capacity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/outcrop/outcrop/estimate"
)

// maxPage bounds a page of metrics; vLLM's has some 100 KiB.
const maxPage = 4 << 20

// ErrMetrics says that a page has no metrics of vLLM.
var ErrMetrics = errors.New("capacity: the page has no metrics of vLLM")

// VLLM returns the Metrics of an engine that has a page of vLLM's metrics at
// the address, such as http://127.0.0.1:8000/metrics. The client must not
// follow redirects to other hosts than the operator trusts.
func VLLM(client *http.Client, address string) func(context.Context) (estimate.Scrape, error) {
	return func(ctx context.Context) (estimate.Scrape, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return estimate.Scrape{}, err
		}
		answer, err := client.Do(req)
		if err != nil {
			return estimate.Scrape{}, err
		}
		defer answer.Body.Close() //nolint:errcheck // it was only read
		if answer.StatusCode != http.StatusOK {
			return estimate.Scrape{}, fmt.Errorf("capacity: metrics answer with status %d", answer.StatusCode)
		}
		page, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
		if err != nil {
			return estimate.Scrape{}, err
		}
		s, ok := estimate.ParseMetrics(page)
		if !ok {
			return s, ErrMetrics
		}
		return s, nil
	}
}

// scrape has the metrics of these engines read, and of no others.
func (p *Pool) scrape(engines []Engine) {
	for name, stop := range p.scraped {
		stop()
		delete(p.scraped, name)
	}
	if p.scraping.Err() != nil {
		return
	}
	for _, e := range engines {
		if e.Metrics == nil {
			continue
		}
		ctx, stop := context.WithCancel(p.scraping)
		p.scraped[e.Name] = stop
		p.scrapers.Go(func() { p.watch(ctx, e) })
	}
}

// watch reads the metrics of an engine until ctx ends. What does not come in
// time counts as unknown.
func (p *Pool) watch(ctx context.Context, e Engine) {
	every := time.NewTicker(p.config.ScrapeEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		once, stop := context.WithTimeout(ctx, p.config.ScrapeEvery)
		s, err := e.Metrics(once)
		stop()
		if err == nil && ctx.Err() == nil {
			p.local.correct(e.Name, s)
		}
	}
}
