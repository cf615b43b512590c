// Package runtimeapi is the door for inference: Converse, ConverseStream,
// InvokeModel, InvokeModelWithResponseStream and CountTokens. It turns bytes
// into requests and events into bytes, and decides nothing.
package runtimeapi

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/explain"
	"github.com/outcrop/outcrop/meter"
)

// A Call is one authenticated request to the runtime. Its strings and bytes
// are borrowed until Serve returns, but for RequestID, which is kept.
type Call struct {
	RequestID  string
	Received   time.Time
	Principal  *outcrop.Principal
	Operation  outcrop.Operation
	ModelID    string // decoded
	Header     Header
	Body       []byte
	Remote     string
	SDKAttempt string
}

// A Header holds the request headers that the operations read.
type Header struct {
	ContentType, Accept string
	Tier, Latency       string // of InvokeModel; Converse has them in its body
	Guardrail           string
	Trace               string
	Spillover           string // X-Outcrop-Spillover
}

// A Wire is where an answer goes, whatever server stands behind it.
type Wire interface {
	// Answer sends a whole answer. The fields and the body are the wire's
	// only until Answer returns.
	Answer(status int, contentType string, fields []Field, body []byte) error
	// Begin starts an event stream.
	Begin(fields []Field) error
	// Write sends frames of the stream at once, or, if they are the last
	// ones, together with its end.
	Write(frames []byte, last bool) error
}

// A Field is one response header.
type Field struct{ Name, Value string }

// A Target is what a model id stands for: the card, the chain of concerns
// that ends in its engines, and what the engines speak.
type Target struct {
	Card    *outcrop.Card
	Model   outcrop.Model
	Counter outcrop.Counter
	// Unit is the ARN of the provisioned throughput that the model id named;
	// empty on demand.
	Unit string
	// Speaks lists the dialects in which every engine of the target takes
	// bodies as they are.
	Speaks []outcrop.Dialect
}

// A Resolver finds the target of a model id or ARN as the caller named it. It
// may wait, within bounds, for what is about to be there. Its errors are of
// type *outcrop.Error, or tell that ctx has ended. It is safe for concurrent
// use.
type Resolver interface {
	Resolve(ctx context.Context, caller *outcrop.Principal, modelID string) (*Target, error)
}

// An API serves the runtime's operations. It is safe for concurrent use.
type API struct {
	resolver Resolver
	book     *meter.Book
	options  Options
	pool     sync.Pool
}

// Options are the API's settings.
type Options struct {
	Region string
	// Strict is asked for each call: true refuses what AWS refuses; otherwise
	// what is missing and has an obvious default is served with it, and a
	// hint is logged.
	Strict func() bool
	// Explain keeps why each call was served as it was, refused ones included;
	// nil keeps nothing.
	Explain *explain.Book
}

// New returns an API that resolves models with resolver and records every
// call in book.
func New(resolver Resolver, book *meter.Book, options Options) *API {
	a := &API{resolver: resolver, book: book, options: options}
	a.pool.New = func() any { return new(exchange) }
	return a
}

// Serve answers call on wire and records it. It returns when the answer has
// ended or ctx has.
func (a *API) Serve(ctx context.Context, call *Call, wire Wire) {
	x := a.pool.Get().(*exchange)
	x.begin(a, call, wire)
	err := x.guarded(ctx)
	x.finish(ctx, err)
	x.release()
}

// actions maps operations to the IAM actions that they need.
var actions = map[outcrop.Operation]string{
	outcrop.OpConverse:          "bedrock:InvokeModel",
	outcrop.OpConverseStream:    "bedrock:InvokeModelWithResponseStream",
	outcrop.OpInvokeModel:       "bedrock:InvokeModel",
	outcrop.OpInvokeModelStream: "bedrock:InvokeModelWithResponseStream",
	outcrop.OpCountTokens:       "bedrock:CountTokens",
}

func (a *API) authorize(p *outcrop.Principal, op outcrop.Operation, card *outcrop.Card) error {
	action := actions[op]
	if p.MayDo(action) && p.MayUse(card.ID) {
		return nil
	}
	resource := "arn:aws:bedrock:" + a.options.Region + "::foundation-model/" + card.ID
	return &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "User: " + p.ARN + " is not authorized to perform: " + action +
		" on resource: " + resource + " because no identity-based policy allows the " + action + " action"}
}

// serves reports whether the card's model can do op at all.
func serves(card *outcrop.Card, op outcrop.Operation) error {
	if !slices.Contains(card.Output, outcrop.ModalityText) {
		return outcrop.Invalid(bedrock.UnsupportedAction)
	}
	stream := op == outcrop.OpConverseStream || op == outcrop.OpInvokeModelStream
	if stream && !card.Streaming {
		return outcrop.Invalid("The model is unsupported for streaming.")
	}
	return nil
}

// AsError returns err as the error that the caller is told; what is not meant
// for the caller becomes an internal error that says nothing.
func AsError(err error) *outcrop.Error {
	var e *outcrop.Error
	if errors.As(err, &e) {
		return e
	}
	return &outcrop.Error{Code: outcrop.CodeInternal, Cause: err}
}
