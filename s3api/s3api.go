// Package s3api is the door to S3: it finds out who calls, by the same keys as
// everywhere, holds the call against what the key may do, and hands it to the
// store, signed anew as the caller's account. Bodies stream through, within
// bounds of time.
package s3api

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
)

// A Store is the server behind the door.
type Store interface {
	// Transport reaches the server.
	Transport() http.RoundTripper
	// Secret returns the secret access key of the account, whose access key
	// id is its own.
	Secret(account string) string
}

// Options set up an API.
type Options struct {
	Who    *identity.Authenticator
	Store  Store
	Region string
	// BodyTimeout is how long a caller may pause within a body, BodyRate how
	// many bytes a second it must make on average, and WriteTimeout how long
	// one write of an answer may stay unread.
	BodyTimeout, WriteTimeout time.Duration
	BodyRate                  int64
	Log                       *slog.Logger
}

// An API is the door. It is safe for concurrent use.
type API struct {
	options  Options
	patience time.Duration // for a portion of a body
	origins  http.CrossOriginProtection
	signers  signers
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
}

// New returns the door to o.Store.
func New(o Options) *API {
	a := &API{options: o, patience: o.BodyTimeout, signers: signers{options: o}}
	if o.BodyRate > 0 {
		a.patience = min(a.patience, portion*time.Second/time.Duration(o.BodyRate))
	}
	a.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "outcrop_s3_requests_total",
		Help: "Requests to the built-in S3, by action and outcome."}, []string{"action", "outcome"})
	a.bytes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "outcrop_s3_bytes_total",
		Help: "Bytes of bodies of the built-in S3, in to the store and out of it."}, []string{"direction"})
	return a
}

// Collectors are the metrics of the door.
func (a *API) Collectors() []prometheus.Collector {
	return []prometheus.Collector{a.requests, a.bytes}
}

const (
	scopeEnd        = "/" + identity.ServiceS3 + "/aws4_request"
	queryCredential = "X-Amz-Credential"
	queryOldKey     = "AWSAccessKeyId" // of Signature Version 2
)

// Addressed reports whether the credentials of r, wherever they are, are for
// S3. Those of Signature Version 2 are, since no other service here ever took
// them.
func Addressed(r *http.Request) bool {
	if authorization := r.Header.Get("Authorization"); authorization != "" {
		_, credential, _ := strings.Cut(authorization, "Credential=")
		credential, _, _ = strings.Cut(credential, ",")
		return strings.HasPrefix(authorization, "AWS ") || strings.HasSuffix(strings.TrimSpace(credential), scopeEnd)
	}
	_, query, _ := strings.Cut(r.RequestURI, "?")
	for piece := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(piece, "=")
		credential, err := url.QueryUnescape(value)
		if name == queryOldKey || name == queryCredential && err == nil && strings.HasSuffix(credential, scopeEnd) {
			return true
		}
	}
	return false
}

// Anonymous reports whether r, which nobody else serves, is one for S3 without
// credentials: a look at something in a bucket, or what a browser asks before
// it sends one.
func Anonymous(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if r.Header.Get("Authorization") != "" || strings.Contains(strings.ToLower(query), "x-amz-") {
		return false
	}
	bucket, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return bucketName(bucket)
}

// bucketName reports whether s has the form of a bucket's name.
func bucketName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return len(s) >= 3 && len(s) <= 63
}

// Serve answers a request that is Addressed or Anonymous. id identifies it in
// logs.
func (a *API) Serve(w http.ResponseWriter, r *http.Request, id string) {
	x := &exchange{api: a, w: w, r: r, control: http.NewResponseController(w), id: id, began: time.Now()}
	defer x.leave()
	defer x.record()
	if err := x.serve(); err != nil {
		x.refuse(err)
	}
}

// serve answers unless it returns an error.
func (x *exchange) serve() error {
	if err := x.frame(); err != nil {
		return err
	}
	if err := x.parse(); err != nil {
		return err
	}
	if err := x.identify(); err != nil {
		return err
	}
	if err := x.permit(); err != nil {
		return err
	}
	return x.forward()
}

// frame refuses what two HTTP parsers can read in two ways. Chunks over
// HTTP/1.1 are what SDKs send over TLS; after them the connection ends, so
// that nothing behind them is taken for another request.
func (x *exchange) frame() error {
	r := x.r
	old, noPath := r.ProtoMajor == 1 && r.ProtoMinor == 0, !strings.HasPrefix(r.RequestURI, "/")
	if old || noPath || r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		x.w.Header().Set("Connection", "close")
	}
	switch {
	case old:
		return fault(http.StatusBadRequest, "InvalidRequest", "HTTP/1.0 is not supported. Use HTTP/1.1 or HTTP/2.")
	case noPath:
		return fault(http.StatusBadRequest, "InvalidURI", "The request target must be a path.")
	}
	return nil
}

// identify finds out who calls.
func (x *exchange) identify() error {
	if x.api.options.Who.Open() && x.api.origins.Check(x.r) != nil {
		return fault(http.StatusForbidden, "AccessDenied", "Without a key, web pages of other sites may not call this server.")
	}
	head := headOf(x.r)
	if oldSignature(x.r) {
		return fault(http.StatusBadRequest, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256"+
			" (boto3 presigns with it if its client has signature_version='s3v4').")
	}
	caller, err := x.api.options.Who.AuthenticateS3(&head, time.Now())
	x.caller = caller
	return err
}

func oldSignature(r *http.Request) bool {
	_, query, _ := strings.Cut(r.RequestURI, "?")
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS ") || strings.HasPrefix(query, queryOldKey+"=") || strings.Contains(query, "&"+queryOldKey+"=")
}

// putPolicy is refused: in the store a policy replaces the owner's own right,
// and one that does not name the owner could never be taken back.
const putPolicy = "s3:PutBucketPolicy"

// permit holds the call against what the key may do. Without credentials
// nothing is to be had but the answer to a browser that asks whether it may
// come with some.
func (x *exchange) permit() error {
	p := x.caller.Principal
	switch {
	case x.r.Method == http.MethodOptions:
		return nil
	case p == nil:
		return fault(http.StatusForbidden, "AccessDenied", "Access Denied: the request carries no credentials.")
	}
	for _, action := range x.op.actions {
		if action == putPolicy {
			return fault(http.StatusNotImplemented, "NotImplemented", "Bucket policies are not supported: a bucket is its account's alone.")
		}
		if !p.MayDo(action) {
			return &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "The key " + p.KeyID + " may not perform " + action + "."}
		}
	}
	return nil
}
