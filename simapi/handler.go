// Package simapi serves Models over OpenAI's HTTP API, as an inference server
// such as vLLM does, with vLLM's metric names. Together with package sim it is
// an engine to test gateways, dashboards and clients with; every answer
// carries the header X-Outcrop-Simulated.
package simapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sim"
)

// maxBody is the longest request body that is read, as Bedrock's own limit.
const maxBody = 25_000_000

// A Model is one model that a Handler serves.
type Model struct {
	// Name is what requests call the model.
	Name string
	// Card says what it is; nil stands for a card that knows only the name.
	Card *outcrop.Card
	// Model answers, and Counter, which may be nil, counts tokens.
	Model   outcrop.Model
	Counter outcrop.Counter
	// Stats feeds the metrics; nil leaves the model out of them.
	Stats func() sim.Stats
}

// Simulated returns a Model served by a simulated engine of the settings c.
// Name is what requests call it; if that is empty, it is the card's id.
func Simulated(name string, c sim.Config) Model {
	e := sim.New(c)
	if name == "" && c.Card != nil {
		name = c.Card.ID
	}
	return Model{Name: name, Card: c.Card, Model: e, Counter: e, Stats: e.Stats}
}

// A Handler serves models. It is immutable and safe for concurrent use.
type Handler struct {
	mux     *http.ServeMux
	models  []Model // with their names in the cards
	started time.Time
}

// NewHandler returns the handler of
//
//	POST /v1/chat/completions   also as a stream
//	POST /v1/completions        also as a stream
//	POST /tokenize
//	GET  /v1/models, /v1/models/{model}
//	GET  /health, /ping, /version, /metrics
//
// It has no authentication of its own. A request without a model goes to the
// first. Bodies may have vLLM's priority: the lower is served first. Handlers
// end when the request's context does.
func NewHandler(models []Model) *Handler {
	h := &Handler{mux: http.NewServeMux(), started: time.Now()}
	for _, m := range models {
		card := outcrop.Card{}
		if m.Card != nil {
			card = *m.Card
		}
		card.ID = m.Name // what answers and texts call the model
		m.Card = &card
		h.models = append(h.models, m)
	}
	h.mux.HandleFunc("POST /v1/chat/completions", h.chat)
	h.mux.HandleFunc("POST /v1/completions", h.complete)
	h.mux.HandleFunc("POST /tokenize", h.tokenize)
	h.mux.HandleFunc("GET /v1/models", h.list)
	h.mux.HandleFunc("GET /v1/models/{model...}", h.describe)
	h.mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	h.mux.HandleFunc("GET /ping", func(http.ResponseWriter, *http.Request) {})
	h.mux.HandleFunc("GET /version", h.version)
	h.mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer(h.models), promhttp.HandlerOpts{}))
	h.mux.HandleFunc("/", notFound)
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Outcrop-Simulated", "true")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.mux.ServeHTTP(w, r)
}

func notFound(w http.ResponseWriter, r *http.Request) {
	fail(w, &outcrop.Error{Code: outcrop.CodeNotFound, Message: "There is nothing at this path."})
}

func (h *Handler) version(w http.ResponseWriter, r *http.Request) {
	answer(w, map[string]any{"version": "outcrop-sim", "simulated": true})
}

// find returns the model of the name, or the first for no name.
func (h *Handler) find(name string) (*Model, error) {
	for i := range h.models {
		if name == "" || h.models[i].Name == name {
			return &h.models[i], nil
		}
	}
	return nil, &outcrop.Error{Code: outcrop.CodeNotFound, Message: fmt.Sprintf("The model %.200q does not exist.", name)}
}

// A described is a model as OpenAI's API lists it.
type described struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Created   int64  `json:"created"`
	OwnedBy   string `json:"owned_by"`
	Root      string `json:"root"`
	MaxLength int    `json:"max_model_len,omitempty"`
	Simulated bool   `json:"simulated"`
}

func (h *Handler) described(m *Model) described {
	return described{ID: m.Name, Object: "model", Created: h.started.Unix(), OwnedBy: "outcrop-simulated",
		Root: m.Name, MaxLength: m.Card.Context, Simulated: true}
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request) {
	data := make([]described, len(h.models))
	for i := range h.models {
		data[i] = h.described(&h.models[i])
	}
	answer(w, map[string]any{"object": "list", "data": data})
}

func (h *Handler) describe(w http.ResponseWriter, r *http.Request) {
	m, err := h.find(r.PathValue("model"))
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, h.described(m))
}

func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, err)
		return
	}
	write(w, body)
}

func write(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// statuses are those with which vLLM or OpenAI's API tell the same.
var statuses = map[outcrop.Code]int{
	outcrop.CodeValidation:    http.StatusBadRequest,
	outcrop.CodeAccessDenied:  http.StatusForbidden,
	outcrop.CodeNotFound:      http.StatusNotFound,
	outcrop.CodeThrottling:    http.StatusTooManyRequests,
	outcrop.CodeQuota:         http.StatusTooManyRequests,
	outcrop.CodeUnavailable:   http.StatusServiceUnavailable,
	outcrop.CodeModelNotReady: http.StatusServiceUnavailable,
	outcrop.CodeModelTimeout:  http.StatusGatewayTimeout,
}

var kinds = map[int]string{
	http.StatusBadRequest:            "BadRequestError",
	http.StatusForbidden:             "PermissionDeniedError",
	http.StatusNotFound:              "NotFoundError",
	http.StatusRequestEntityTooLarge: "BadRequestError",
	http.StatusTooManyRequests:       "RateLimitError",
	http.StatusServiceUnavailable:    "ServiceUnavailableError",
	http.StatusGatewayTimeout:        "TimeoutError",
}

var errTooLarge = errors.New("body too large")

// fault turns an error into a status and a body.
func fault(err error) (status int, body []byte) {
	status, message := http.StatusInternalServerError, "Internal server error"
	var told *outcrop.Error
	switch {
	case errors.Is(err, errTooLarge):
		status, message = http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes.", maxBody)
	case errors.As(err, &told):
		message = told.Message
		if s, ok := statuses[told.Code]; ok {
			status = s
		}
	}
	kind := kinds[status]
	if kind == "" {
		kind = "InternalServerError"
	}
	body, _ = json.Marshal(map[string]any{"error": map[string]any{
		"message": message, "type": kind, "param": nil, "code": status,
	}})
	return status, body
}

func fail(w http.ResponseWriter, err error) {
	status, body := fault(err)
	if told, ok := errors.AsType[*outcrop.Error](err); ok && told.RetryAfter > 0 {
		seconds := (told.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

// readBody reads a body of at most maxBody bytes.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, outcrop.Invalid("The body could not be read.")
	}
	return body, nil
}
