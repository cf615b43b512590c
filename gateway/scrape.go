package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/estimate"
)

// pageOf returns where the engine's page of metrics is: what the
// configuration says, or else where vLLM has it, which is beside its API and
// not below it. It is empty if there is none to be read.
func pageOf(e *config.Engine) string {
	if e.Kind != config.KindOpenAI || !e.Metrics {
		return ""
	}
	if e.MetricsURL != "" {
		return e.MetricsURL
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: "/metrics"}).String()
}

// pages says of how many engines each page of metrics is.
type pages map[string]int

func pagesOf(c *config.Config) pages {
	p := pages{}
	for i := range c.Models {
		for j := range c.Models[i].Engines {
			if page := pageOf(&c.Models[i].Engines[j]); page != "" {
				p[page]++
			}
		}
	}
	return p
}

// of returns the page of the engine, or nothing if it is the page of another
// one too: its numbers are then those of neither. That is so of engines that a
// proxy tells apart by paths, and of models of one server.
func (p pages) of(e *config.Engine) string {
	page := pageOf(e)
	if p[page] > 1 {
		return ""
	}
	return page
}

// shared are the pages of several engines, sorted.
func (p pages) shared() (all []string) {
	for page, engines := range p {
		if engines > 1 {
			all = append(all, page)
		}
	}
	slices.Sort(all)
	return all
}

// scrapeTimeout bounds the reading of a page of metrics.
const scrapeTimeout = time.Second

// quiet is for how long an engine without a page of metrics is not asked
// again.
const quiet = time.Minute

var errQuiet = errors.New("gateway: the engine had no metrics lately")

// scrape returns what reads the page of metrics; nil if there is none. Engines
// that turn out to have none are asked once a minute. It is called by one
// goroutine at a time.
func scrape(page string) func(context.Context) (estimate.Scrape, error) {
	if page == "" {
		return nil
	}
	client := &http.Client{Timeout: scrapeTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	read := capacity.VLLM(client, page)
	var until time.Time
	has := false
	return func(ctx context.Context) (estimate.Scrape, error) {
		if time.Now().Before(until) {
			return estimate.Scrape{}, errQuiet
		}
		s, err := read(ctx)
		has = has || err == nil
		if !has {
			until = time.Now().Add(quiet)
		}
		return s, err
	}
}
