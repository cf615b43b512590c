// Package controlapi is the door for the control plane: the operations that
// tell of models. It speaks HTTP and decides nothing.
package controlapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/catalog"
)

// A View is what the API tells of. It is read-only.
type View struct {
	Catalog *catalog.Catalog
	// Simulated reports whether the answers of the model with the card's id
	// are invented; nil means that none are.
	Simulated func(id string) bool
}

// An API serves the control plane's operations. It is safe for concurrent
// use.
type API struct {
	view   func() View
	region string
}

// New returns an API that plays region and tells of what view returns. view
// is called once for each request and must not block.
func New(view func() View, region string) *API { return &API{view: view, region: region} }

// Serve answers a request that is already authenticated as p and reports true,
// or reports false, having done nothing, if method and path are not those of
// one of its operations. It routes on the escaped path, so that an id or ARN
// arrives as the caller encoded it: whole, twice, or not at all. The request
// id must already be in the header of w.
func (a *API) Serve(w http.ResponseWriter, r *http.Request, p *outcrop.Principal, requestID string) bool {
	if r.Method != http.MethodGet {
		return false
	}
	operation, id := route(r.URL.EscapedPath())
	if operation == nil {
		return false
	}
	answer, err := operation(a, p, id, r.URL.RawQuery)
	if err != nil {
		writeError(w, err, requestID)
		return true
	}
	body, err := json.Marshal(answer)
	if err != nil {
		writeError(w, err, requestID)
		return true
	}
	write(w, http.StatusOK, body)
	return true
}

// An operation answers one request: id is the decoded rest of the path.
type operation func(a *API, p *outcrop.Principal, id, query string) (any, error)

// route finds the operation of an escaped path.
func route(path string) (op operation, id string) {
	if path == "/foundation-models" {
		return (*API).list, ""
	}
	if rest, ok := strings.CutPrefix(path, "/foundation-models/"); ok {
		return (*API).get, decode(rest)
	}
	if rest, ok := strings.CutPrefix(path, "/foundation-model-availability/"); ok {
		return (*API).availability, decode(rest)
	}
	return nil, ""
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
	return &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "User: " + p.ARN + " is not authorized to perform: " + action +
		" on resource: " + resource + " because no identity-based policy allows the " + action + " action"}
}

// writeError answers with err; what is not meant for the caller becomes an
// internal error that says nothing.
func writeError(w http.ResponseWriter, err error, requestID string) {
	var e *outcrop.Error
	if !errors.As(err, &e) {
		e = &outcrop.Error{Code: outcrop.CodeInternal, Cause: err,
			Message: "The server encountered an internal error. Please retry your request."}
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
