// Package controlapi is the door for the control plane: the operations that
// tell of models, that make, change and delete resources, and that tag them.
package controlapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/store"
)

// A View is what the API tells of. It is read-only.
type View struct {
	Catalog *catalog.Catalog
	// Simulated reports whether the answers of the model with the card's id
	// are invented; nil means that none are.
	Simulated func(id string) bool
}

// Resources is where the API keeps what callers create: a *store.Store, or
// something that behaves as its methods of the same names. Nobody else may
// change the resources of the API's kinds as long as the API is in use.
type Resources interface {
	Change(ctx context.Context, f func(*store.Tx) error) error
	Look(ctx context.Context, f func(*store.Tx) error) error
}

// Options are the API's settings.
type Options struct {
	Region string // that the API plays
	// Resources may be nil: the operations on resources are then not served.
	Resources Resources
	// Jobs may be nil: the operations on batch jobs are then not served. It
	// needs Resources.
	Jobs  Jobs
	Terms lifecycle.Terms // of commitments
	// Sell decides whether a throughput of so many model units of the card can
	// be sold. sold holds the units of all other throughputs, of all accounts,
	// by the id of the card that they were bought of; it must not be changed or
	// kept. largest is the largest number that can be sold, 0 or more. Sell is
	// called for one purchase at a time and must not block. nil sells ten units
	// of each card.
	Sell func(card *outcrop.Card, sold map[string]int, units int) (largest int, ok bool)
	// Provision brings about what p desires: DesiredModel and DesiredUnits.
	// It is called once for each creation and update, and again after a
	// restart if the process ended before it returned. An error makes p
	// Failed; the message of an *outcrop.Error is told to the owner. It must
	// return soon after ctx ends. nil does nothing.
	Provision func(ctx context.Context, p outcrop.Provisioned) error
	// Changed, if not nil, is told of all that is provisioned: at Start and
	// after every change, in order, one call at a time. The slice is the
	// callee's, sorted by ARN. It must not block and not call the API.
	Changed func(all []outcrop.Provisioned)
	// Patience is how long a call waits for a step that is under way; 0 means
	// five seconds.
	Patience time.Duration
	Log      *slog.Logger // nil: nothing is logged
}

// An API serves the control plane's operations. It is safe for concurrent
// use.
type API struct {
	view   func() View
	region string
	desk   *desk // nil without resources
	jobs   Jobs  // nil: batch jobs are not served
	roster roster
}

// New returns an API that tells of what view returns. view is called once for
// each request and must not block. If the options have resources, Start must
// be called before the first request, and Close after the last one.
func New(view func() View, o Options) *API {
	a := &API{view: view, region: o.Region}
	if o.Resources != nil {
		a.desk = newDesk(o)
		a.jobs, a.roster.live = o.Jobs, map[string]outcrop.Job{}
	}
	return a
}

// A request is what an operation works on.
type request struct {
	ctx   context.Context
	who   *outcrop.Principal
	id    string // the decoded rest of the path
	query string
	body  []byte
}

// An operation is one of the API's. Its path is followed by an id if it ends
// with '/', or has one in the place of '*'.
type operation struct {
	method, path string
	status       int // of success
	needs        need
	serve        func(*API, *request) (any, error)
}

// A need is what the API must have to serve an operation.
type need uint8

const (
	nothing need = iota
	resources
	jobs
)

// has reports whether the API has what the operation needs.
func (a *API) has(n need) bool {
	return n == nothing || n == resources && a.desk != nil || n == jobs && a.jobs != nil
}

var operations = []operation{
	{"GET", "/foundation-models", 200, nothing, (*API).list},
	{"GET", "/foundation-models/", 200, nothing, (*API).get},
	{"GET", "/foundation-model-availability/", 200, nothing, (*API).availability},
	{"POST", "/provisioned-model-throughput", 201, resources, (*API).createProvisioned},
	{"GET", "/provisioned-model-throughput/", 200, resources, (*API).getProvisioned},
	{"PATCH", "/provisioned-model-throughput/", 200, resources, (*API).updateProvisioned},
	{"DELETE", "/provisioned-model-throughput/", 200, resources, (*API).deleteProvisioned},
	{"GET", "/provisioned-model-throughputs", 200, resources, (*API).listProvisioned},
	{"POST", "/model-invocation-job", 200, jobs, (*API).createJob},
	{"GET", "/model-invocation-job/", 200, jobs, (*API).getJob},
	{"GET", "/model-invocation-jobs", 200, jobs, (*API).listJobs},
	{"POST", "/model-invocation-job/*/stop", 200, jobs, (*API).stopJob},
	{"POST", "/tagResource", 200, resources, (*API).tag},
	{"POST", "/untagResource", 200, resources, (*API).untag},
	{"POST", "/listTagsForResource", 200, resources, (*API).listTags},
}

// Serve answers a request that is already authenticated as p and reports true,
// or reports false, having done nothing, if method and path are not those of
// one of its operations. It routes on the escaped path, so that an id or ARN
// arrives as the caller encoded it: whole, twice, or not at all. body is the
// whole body; r.Body is not read. The request id must already be in the header
// of w.
func (a *API) Serve(w http.ResponseWriter, r *http.Request, body []byte, p *outcrop.Principal, requestID string) bool {
	op, id := a.route(r.Method, r.URL.EscapedPath())
	if op == nil {
		return false
	}
	answer, err := op.serve(a, &request{ctx: r.Context(), who: p, id: id, query: r.URL.RawQuery, body: body})
	if err != nil {
		a.writeError(w, err, requestID)
		return true
	}
	text, err := json.Marshal(answer)
	if err != nil {
		a.writeError(w, err, requestID)
		return true
	}
	write(w, op.status, text)
	return true
}

// Serves reports whether the method and the escaped path are those of an
// operation.
func (a *API) Serves(method, path string) bool {
	op, _ := a.route(method, path)
	return op != nil
}

// route finds the operation of a method and an escaped path.
func (a *API) route(method, path string) (op *operation, id string) {
	for i := range operations {
		op := &operations[i]
		if op.method != method || !a.has(op.needs) {
			continue
		}
		if id, ok := op.id(path); ok {
			return op, decode(id)
		}
	}
	return nil, ""
}

// id returns the id in a path, if that is the operation's. An id that is sent as
// it is may hold '/'.
func (op *operation) id(path string) (id string, ok bool) {
	before, after, within := strings.Cut(op.path, "*")
	rest, found := strings.CutPrefix(path, before)
	switch {
	case !found:
		return "", false
	case within:
		return strings.CutSuffix(rest, after)
	}
	return rest, rest == "" || strings.HasSuffix(before, "/")
}

// decode undoes up to two percent-encodings. No valid id holds a '%', so what
// still has one after that is refused as an id.
func decode(s string) string {
	for range 2 {
		decoded, err := url.PathUnescape(s)
		if err != nil || decoded == s {
			return s
		}
		s = decoded
	}
	return s
}

// allow refuses the action unless the principal may perform it.
func allow(p *outcrop.Principal, action, resource string) error {
	if p.MayDo(action) {
		return nil
	}
	return denied(p, action, resource)
}

func denied(p *outcrop.Principal, action, resource string) error {
	return &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "User: " + p.ARN + " is not authorized to perform: " + action +
		" on resource: " + resource + " because no identity-based policy allows the " + action + " action"}
}

// writeError answers with err; what is not meant for the caller becomes an
// internal error that says nothing.
func (a *API) writeError(w http.ResponseWriter, err error, requestID string) {
	var e *outcrop.Error
	if !errors.As(err, &e) {
		e = &outcrop.Error{Code: outcrop.CodeInternal, Cause: err,
			Message: "The server encountered an internal error. Please retry your request."}
	}
	if e.Cause != nil && e.Code == outcrop.CodeInternal && a.desk != nil {
		a.desk.log.Error("control plane", "request_id", requestID, "reason", e.Cause.Error())
	}
	w.Header().Set("X-Amzn-Errortype", string(e.Code))
	write(w, bedrock.Status(e.Code), bedrock.AppendErrorBody(nil, e, requestID))
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone
}
