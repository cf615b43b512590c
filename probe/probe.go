// Package probe finds inference engines on this machine and writes a
// configuration for them.
package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// limit bounds the whole search; engines on this machine answer in
// milliseconds or not at all.
const limit = time.Second

// An Engine is a server that answered as an OpenAI-compatible engine does.
type Engine struct {
	Product string   // "Ollama", "vLLM", ...
	Version string   // empty if it does not say
	URL     string   // base address, without /v1
	Models  []string // the names that it knows, in its order; never empty
}

// String returns, for example, "Ollama 0.12.0 at 127.0.0.1:11434, 3 models".
func (e Engine) String() string {
	name := e.Product
	if e.Version != "" {
		name += " " + e.Version
	}
	models := "1 model"
	if n := len(e.Models); n != 1 {
		models = fmt.Sprintf("%d models", n)
	}
	return name + " at " + strings.TrimPrefix(e.URL, "http://") + ", " + models
}

// A Place is where an engine usually listens.
type Place struct {
	URL     string // base address
	Product string // what it most likely is
}

// Places are the ports that engines listen on if nobody says otherwise, all of
// them on loopback.
func Places() []Place {
	return []Place{
		{"http://127.0.0.1:11434", "Ollama"},
		{"http://127.0.0.1:8000", "vLLM"},
		{"http://127.0.0.1:8080", "llama.cpp"},
		{"http://127.0.0.1:1234", "LM Studio"},
		{"http://127.0.0.1:30000", "SGLang"},
	}
}

// Local asks all Places at the same time and returns the engines that
// answered, in the order of the places. It takes at most a second.
func Local(ctx context.Context) []Engine {
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: limit / 2}).DialContext, // no proxy: these are addresses of this machine
	}
	defer transport.CloseIdleConnections()
	return Find(ctx, transport, Places())
}

// Find is Local for other places and another way to reach them.
func Find(ctx context.Context, transport http.RoundTripper, places []Place) []Engine {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p := &prober{&http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	found := make([]*Engine, len(places))
	var all sync.WaitGroup
	for i, place := range places {
		all.Go(func() { found[i] = p.ask(ctx, place) })
	}
	all.Wait()
	var engines []Engine
	for _, e := range found {
		if e != nil {
			engines = append(engines, *e)
		}
	}
	return engines
}

type prober struct{ client *http.Client }

// ask returns the engine at the place, or nil if there is none with models.
func (p *prober) ask(ctx context.Context, place Place) *Engine {
	var list struct {
		Data []struct {
			ID      string `json:"id"`
			OwnedBy string `json:"owned_by"`
		} `json:"data"`
	}
	if !p.get(ctx, place.URL+"/v1/models", &list) {
		return nil
	}
	e := &Engine{Product: place.Product, URL: place.URL}
	for _, m := range list.Data {
		if usable(m.ID) && !slices.Contains(e.Models, m.ID) && len(e.Models) < maxModels {
			e.Models = append(e.Models, m.ID)
			e.Product = product(m.OwnedBy, e.Product)
		}
	}
	if len(e.Models) == 0 {
		return nil
	}
	e.Version = p.version(ctx, e)
	return e
}

// maxModels bounds the models of one engine.
const maxModels = 100

// usable reports whether a model's name can go into the configuration, and
// whether the model makes text: engines list those for embeddings too.
func usable(name string) bool {
	return name != "" && len(name) <= 256 && strings.TrimSpace(name) == name &&
		strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 &&
		!strings.Contains(strings.ToLower(name), "embed") && !strings.Contains(strings.ToLower(name), "rerank")
}

// product corrects the guess by port with what the engine says of itself.
func product(ownedBy, guess string) string {
	switch ownedBy {
	case "vllm":
		return "vLLM"
	case "llamacpp":
		return "llama.cpp"
	case "sglang":
		return "SGLang"
	case "organization_owner":
		return "LM Studio"
	}
	return guess
}

// versionPaths are where products tell their version.
var versionPaths = map[string]string{"Ollama": "/api/version", "vLLM": "/version", "SGLang": "/get_server_info"}

func (p *prober) version(ctx context.Context, e *Engine) string {
	path := versionPaths[e.Product]
	var v struct {
		Version string `json:"version"`
	}
	if path == "" || !p.get(ctx, e.URL+path, &v) || len(v.Version) > 32 || !usable(v.Version) {
		return ""
	}
	return v.Version
}

// get reads a JSON answer and reports whether there was one.
func (p *prober) get(ctx context.Context, url string, into any) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return false
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return err == nil && answer.StatusCode == http.StatusOK && json.Unmarshal(body, into) == nil
}
