package upstream

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/anthropic"
	"github.com/outcrop/outcrop/h1"
	"github.com/outcrop/outcrop/sse"
)

// AnthropicURL is where Anthropic's own API is.
const AnthropicURL = "https://api.anthropic.com"

// apiVersion is the version of the Messages API that requests are written for.
const apiVersion = "2023-06-01"

// An AnthropicConfig describes a server of the Messages API. Its URL is
// AnthropicURL if empty; "/v1" is added to the path if it does not end so.
type AnthropicConfig struct {
	Server
	Model string // its name at the engine
	Key   Secret // sent as x-api-key; may be empty
	// NoTokenizer says that the engine cannot count tokens at
	// /v1/messages/count_tokens.
	NoTokenizer bool
}

// An Anthropic is an engine that speaks the Messages API. It passes
// DialectAnthropic untouched and translates conversations.
type Anthropic struct {
	*hosts
	model     string
	messages  string
	tokenize  string // empty if the engine has no such endpoint
	exchanges sync.Pool
}

// NewAnthropic returns the engine; an error tells what is wrong with c.
func NewAnthropic(c AnthropicConfig) (*Anthropic, error) {
	if c.URL == "" {
		c.URL = AnthropicURL
	}
	h, err := newHosts(c.Server)
	if err != nil {
		return nil, err
	}
	h.path = strings.TrimSuffix(h.path, "/v1") + "/v1"
	e := &Anthropic{hosts: h, model: c.Model, messages: h.path + "/messages"}
	if !c.NoTokenizer {
		e.tokenize = e.messages + "/count_tokens"
	}
	h.header = appendHeader(h.header, "Content-Type", "application/json")
	h.header = appendHeader(h.header, "anthropic-version", apiVersion)
	if c.Key != "" {
		if err := h.addHeader("x-api-key", string(c.Key)); err != nil {
			return nil, err
		}
		h.secret.add(c.Key)
	}
	e.exchanges.New = func() any { return &exchange{dec: new(anthropicDecoder)} }
	return e, nil
}

// Invoke implements outcrop.Model.
func (e *Anthropic) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	x := e.exchanges.Get().(*exchange)
	defer func() { x.clear(); e.exchanges.Put(x) }()
	x.start(e.hosts, req, out)
	var beta string
	var err error
	if x.body, beta, err = e.appendBody(x.body, req, false); err != nil {
		return x.receipt, err
	}
	if beta != "" {
		x.header = appendHeader(x.header, "anthropic-beta", beta)
	}
	host := e.unary
	if req.Streaming {
		host = e.stream
	}
	err = x.run(ctx, host, e.messages, x.body, req)
	return x.receipt, err
}

func (e *Anthropic) appendBody(b []byte, req *outcrop.Request, count bool) (body []byte, beta string, err error) {
	o := anthropic.Options{Model: e.model, Stream: req.Streaming, Count: count}
	if req.Card != nil {
		o.MaxTokens = req.Card.MaxOutput
	}
	switch {
	case req.Native == nil:
		return anthropic.AppendRequest(b, req.Conversation, o)
	case req.Native.Dialect == outcrop.DialectAnthropic:
		return anthropic.AppendNative(b, req.Native.Body, o)
	}
	return b, "", errDialect(req, "anthropic")
}

// CountTokens implements outcrop.Counter: by the engine's own count, or by an
// estimate if it has none.
func (e *Anthropic) CountTokens(ctx context.Context, req *outcrop.Request) (int, error) {
	if e.tokenize == "" {
		return estimate(req), nil
	}
	body, beta, err := e.appendBody(nil, req, true)
	if err != nil {
		return 0, err
	}
	header := append([]byte(nil), e.header...)
	if beta != "" {
		header = appendHeader(header, "anthropic-beta", beta)
	}
	status, answer, err := e.get(ctx, "POST", e.tokenize, header, body)
	if err != nil {
		return 0, e.countError(ctx, err)
	}
	if status != 200 {
		return 0, e.secret.maskError(refused(e.name, status, anthropic.ErrorMessage(answer), 0))
	}
	n, ok := anthropic.InputTokens(answer)
	if !ok {
		return 0, &outcrop.Error{Code: outcrop.CodeModelError, Message: saysError, Cause: errors.New("the answer of count_tokens is malformed")}
	}
	return n, nil
}

// Check asks the engine for its models and tells whether it is there and
// takes the key.
func (e *Anthropic) Check(ctx context.Context) error {
	return e.check(ctx, e.path+"/models", e.header)
}

// anthropicDecoder decodes translated and native answers.
type anthropicDecoder struct {
	plainHead
	events sse.Reader
	d      anthropic.Decoder
	native bool
}

func (d *anthropicDecoder) reset(req *outcrop.Request) {
	d.native = req.Native != nil
	d.d.Reset(req)
	d.events.Reset()
}

func (d *anthropicDecoder) refusal(name string, resp *h1.Response, body []byte) *outcrop.Error {
	return refusal(name, resp, anthropic.ErrorMessage(body))
}

func (d *anthropicDecoder) fill(src io.Reader) error { return d.events.Fill(src) }

func (d *anthropicDecoder) next(out outcrop.Sink) (bool, error) {
	e, ok := d.events.Next()
	if !ok {
		return false, nil
	}
	return true, d.event(e.Data, out)
}

func (d *anthropicDecoder) outcome() outcome {
	u := d.d.Usage()
	return outcome{usage: u, metered: u != outcrop.Usage{}, began: d.d.Began(), done: d.d.Done(), stop: d.d.Stop()}
}

func (d *anthropicDecoder) answer(body []byte, out outcrop.Sink) error {
	if d.native {
		return d.d.NativeAnswer(body, out)
	}
	return d.d.Answer(body, out)
}

func (d *anthropicDecoder) event(data []byte, out outcrop.Sink) error {
	if d.native {
		return d.d.NativeEvent(data, out)
	}
	return d.d.Event(data, out)
}

func (d *anthropicDecoder) end(_ bool, out outcrop.Sink) error {
	if e, ok := d.events.Rest(); ok {
		if err := d.event(e.Data, out); err != nil {
			return err
		}
	}
	if d.d.Done() {
		return nil
	}
	return &outcrop.Error{Code: outcrop.CodeModelStream, Message: saysStream}
}
