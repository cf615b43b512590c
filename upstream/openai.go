package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/h1"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/openai"
	"github.com/outcrop/outcrop/sse"
)

// An OpenAIConfig describes a server of OpenAI's API. The path of its URL is
// where the API begins, "/v1" if there is none.
type OpenAIConfig struct {
	Server
	Model string // its name at the engine
	Key   Secret // sent as a bearer token; may be empty
	// Quirks of the engine; Model, Stream and Priority are set for each
	// request. With Priorities the engine is sent Request.Priority.
	Quirks openai.Options
	// Tokenizer says that the engine counts tokens at /tokenize, as vLLM and
	// llama.cpp do.
	Tokenizer bool
}

// An OpenAI is an engine that speaks OpenAI's chat completions. It passes
// DialectOpenAI untouched and translates conversations.
type OpenAI struct {
	*hosts
	options   openai.Options
	chat      string
	models    string
	tokenize  string // empty if the engine has no such endpoint
	exchanges sync.Pool
}

// NewOpenAI returns the engine; an error tells what is wrong with c.
func NewOpenAI(c OpenAIConfig) (*OpenAI, error) {
	h, err := newHosts(c.Server)
	if err != nil {
		return nil, err
	}
	if h.path == "" {
		h.path = "/v1"
	}
	e := &OpenAI{hosts: h, options: c.Quirks, chat: h.path + "/chat/completions", models: h.path + "/models"}
	e.options.Model = c.Model
	if c.Tokenizer {
		e.tokenize = strings.TrimSuffix(h.path, "/v1") + "/tokenize"
	}
	h.header = appendHeader(h.header, "Content-Type", "application/json")
	if c.Key != "" {
		if err := h.addHeader("Authorization", "Bearer "+string(c.Key)); err != nil {
			return nil, err
		}
		h.secret.add(c.Key)
	}
	e.exchanges.New = func() any { return &exchange{dec: new(openaiDecoder)} }
	return e, nil
}

// Invoke implements outcrop.Model.
func (e *OpenAI) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	x := e.exchanges.Get().(*exchange)
	defer func() { x.clear(); e.exchanges.Put(x) }()
	x.start(e.hosts, req, out)
	o := e.options
	o.Stream, o.Priority = req.Streaming, req.Priority
	var err error
	if x.body, err = appendOpenAI(x.body, req, o); err != nil {
		return x.receipt, err
	}
	host := e.unary
	if req.Streaming {
		host = e.stream
	}
	err = x.run(ctx, host, e.chat, x.body, req)
	return x.receipt, err
}

func appendOpenAI(b []byte, req *outcrop.Request, o openai.Options) ([]byte, error) {
	switch {
	case req.Native == nil:
		return openai.AppendRequest(b, req.Conversation, o)
	case req.Native.Dialect == outcrop.DialectOpenAI:
		return openai.AppendNative(b, req.Native.Body, o)
	}
	return b, errDialect(req, "openai")
}

// errDialect is an internal error: whoever routed the request should have
// translated it first.
func errDialect(req *outcrop.Request, engine string) error {
	return fmt.Errorf("upstream: a body of the dialect %s cannot pass to an engine that speaks %s", req.Native.Dialect, engine)
}

// CountTokens implements outcrop.Counter: by the engine's tokenizer if it has
// one, else by an estimate.
func (e *OpenAI) CountTokens(ctx context.Context, req *outcrop.Request) (int, error) {
	if e.tokenize == "" {
		return estimate(req), nil
	}
	o := e.options
	o.Priorities = false // it is no place in the queue that is asked for
	body, err := appendOpenAI(nil, req, o)
	if err != nil {
		return 0, err
	}
	if req.Conversation != nil {
		// llama.cpp takes the plain text and vLLM the messages; each ignores
		// the other's member.
		body = append(body[:len(body)-1], `,"content":"`...)
		body = append(appendText(body, req.Conversation), `","add_special":true}`...)
	}
	status, answer, err := e.get(ctx, "POST", e.tokenize, e.header, body)
	if err != nil {
		return 0, e.countError(ctx, err)
	}
	if status != 200 {
		return 0, e.secret.maskError(refused(e.name, status, openai.ErrorMessage(answer), 0))
	}
	n, ok := tokenCount(answer)
	if !ok {
		return 0, &outcrop.Error{Code: outcrop.CodeModelError, Message: saysError, Cause: errors.New("the tokenizer's answer is malformed")}
	}
	return n, nil
}

// countError is the error of a call beside invocations that failed below its
// content.
func (h *hosts) countError(ctx context.Context, err error) error {
	x := exchange{engine: h}
	return x.fail(ctx, err)
}

// appendText appends the texts of a conversation.
func appendText(b []byte, c *outcrop.Conversation) []byte {
	for i := range c.System {
		b = append(append(b, c.System[i].Text...), `\n`...)
	}
	for i := range c.Messages {
		for j := range c.Messages[i].Content {
			b = append(append(b, c.Messages[i].Content[j].Text...), `\n`...)
		}
	}
	return b
}

// tokenCount reads the answer of /tokenize: vLLM tells the count, llama.cpp
// the tokens alone.
func tokenCount(b []byte) (int, bool) {
	s := jsonscan.Scanner{B: b}
	if !s.Eat('{') {
		return 0, false
	}
	count, listed, found := 0, 0, false
	for n := 0; ; {
		k, more, ok := s.Key(&n)
		if !ok {
			return 0, false
		}
		if !more {
			return max(count, listed), found && s.End()
		}
		switch {
		case string(k) == "count":
			count, ok = s.Int()
			found = true
		case string(k) == "tokens" && s.At('['):
			listed, ok = length(&s)
			found = true
		default:
			ok = s.Skip()
		}
		if !ok {
			return 0, false
		}
	}
}

// length moves over an array and counts its elements.
func length(s *jsonscan.Scanner) (int, bool) {
	s.Eat('[')
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if !ok || !more {
			return n, ok
		}
		if !s.Skip() {
			return 0, false
		}
	}
}

// Check asks the engine for its models and tells whether it is there and
// takes the key.
func (e *OpenAI) Check(ctx context.Context) error {
	return e.check(ctx, e.models, e.header)
}

func (h *hosts) check(ctx context.Context, path string, header []byte) error {
	status, _, err := h.get(ctx, "GET", path, header, nil)
	switch {
	case err != nil:
		return err
	case status == 401 || status == 403:
		return fmt.Errorf("engine %s refuses the key: status %d", h.name, status)
	case status >= 500 || status < 200 || status >= 300 && status < 400:
		return fmt.Errorf("engine %s answers with status %d", h.name, status)
	}
	return nil // 404: it is there, and lists no models
}

// plainHead is for answers whose head says nothing of interest.
type plainHead struct{}

func (plainHead) accept(*h1.Response) {}

// openaiDecoder decodes translated and native answers.
type openaiDecoder struct {
	plainHead
	events sse.Reader
	d      openai.Decoder
	native bool
	asked  bool // the caller wants the chunk with the usage
	n      outcome
	held   []byte // a native chunk that may be the last one
}

func (d *openaiDecoder) reset(req *outcrop.Request) {
	d.native, d.asked, d.n, d.held = req.Native != nil, false, outcome{}, d.held[:0]
	d.d.Reset(req)
	d.events.Reset()
	if d.native {
		d.asked = bytes.Contains(req.Native.Body, []byte(`"include_usage"`))
	}
}

func (d *openaiDecoder) refusal(name string, resp *h1.Response, body []byte) *outcrop.Error {
	return refusal(name, resp, openai.ErrorMessage(body))
}

func (d *openaiDecoder) fill(src io.Reader) error { return d.events.Fill(src) }

func (d *openaiDecoder) next(out outcrop.Sink) (bool, error) {
	e, ok := d.events.Next()
	if !ok {
		return false, nil
	}
	return true, d.event(e.Data, out)
}

func (d *openaiDecoder) outcome() outcome {
	if d.native {
		return d.n
	}
	return outcome{usage: d.d.Usage(), metered: d.d.HasUsage(), done: d.d.Done(), stop: d.d.Stop()}
}

func (d *openaiDecoder) answer(body []byte, out outcrop.Sink) error {
	if !d.native {
		return d.d.Answer(body, out)
	}
	n, err := openai.NativeAnswer(body)
	if err != nil {
		return err
	}
	d.note(n)
	d.n.done = true
	return out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: body, Final: true})
}

func (d *openaiDecoder) note(n openai.Native) {
	if n.HasUsage {
		d.n.usage, d.n.metered = n.Usage, true
	}
	if n.Stop != "" {
		d.n.stop = n.Stop
	}
	d.n.began = d.n.began || n.Content
}

func (d *openaiDecoder) event(data []byte, out outcrop.Sink) error {
	if !d.native {
		return d.d.Event(data, out)
	}
	n, err := openai.NativeChunk(data)
	if err != nil {
		return err
	}
	if n.Done {
		return d.finish(out)
	}
	d.note(n)
	if n.Bare && !d.asked {
		return nil
	}
	if err := d.release(out, false); err != nil {
		return err
	}
	if d.n.stop != "" {
		d.held = append(d.held[:0], data...) // it may be the last one
		return nil
	}
	return out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: data})
}

// release sends the chunk that was held back.
func (d *openaiDecoder) release(out outcrop.Sink, final bool) error {
	if len(d.held) == 0 {
		return nil
	}
	e := outcrop.Event{Kind: outcrop.EventNative, Text: d.held, Final: final}
	d.held = d.held[:0]
	return out.Send(e)
}

func (d *openaiDecoder) finish(out outcrop.Sink) error {
	if len(d.held) == 0 {
		return &outcrop.Error{Code: outcrop.CodeModelStream, Message: saysStream}
	}
	d.n.done = true
	return d.release(out, true)
}

func (d *openaiDecoder) end(clean bool, out outcrop.Sink) error {
	if e, ok := d.events.Rest(); ok {
		if err := d.event(e.Data, out); err != nil {
			return err
		}
	}
	switch {
	case d.outcome().done:
		return nil
	case !clean:
		return &outcrop.Error{Code: outcrop.CodeModelStream, Message: saysStream}
	case !d.native:
		return d.d.End(out)
	case !d.n.metered:
		return &outcrop.Error{Code: outcrop.CodeModelStream, Message: saysStream}
	}
	return d.finish(out)
}
