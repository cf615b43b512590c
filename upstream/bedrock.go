package upstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/anthropic"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/h1"
	"github.com/outcrop/outcrop/sigv4"
)

// A BedrockConfig describes Bedrock's runtime in a region, or anything that is
// compatible with it. Its URL is that of Bedrock itself if empty; a path is
// kept. Requests are signed with the access key, or carry the bearer token,
// or neither.
type BedrockConfig struct {
	Server
	Model  string // id or ARN at the engine; that of the request's card if empty
	Region string

	AccessKey    string
	SecretKey    Secret
	SessionToken Secret // may be empty
	Bearer       Secret // a Bedrock API key
}

// A Bedrock is an engine that speaks Bedrock's runtime API. It passes native
// bodies of all dialects untouched, DialectConverse among them, and
// conversations as Converse requests.
type Bedrock struct {
	*hosts
	model     string
	signer    *sigv4.Signer // nil without an access key
	exchanges sync.Pool
}

// NewBedrock returns the engine; an error tells what is wrong with c.
func NewBedrock(c BedrockConfig) (*Bedrock, error) {
	switch {
	case c.Region == "":
		return nil, errors.New("upstream: a bedrock engine needs a region")
	case c.Region != strings.Trim(c.Region, "./:@?#\\ ") || strings.ContainsAny(c.Region, "./:@?#\\ "):
		return nil, errors.New("upstream: the region is malformed")
	case (c.AccessKey == "") != (c.SecretKey == ""):
		return nil, errors.New("upstream: an access key and its secret go together")
	case c.AccessKey != "" && c.Bearer != "":
		return nil, errors.New("upstream: an access key and a bearer token exclude each other")
	}
	if c.URL == "" {
		c.URL = "https://bedrock-runtime." + c.Region + ".amazonaws.com"
	}
	h, err := newHosts(c.Server)
	if err != nil {
		return nil, err
	}
	h.secret.add(c.Bearer, c.SecretKey, c.SessionToken)
	e := &Bedrock{hosts: h, model: c.Model}
	if c.Bearer != "" {
		if err := h.addHeader("Authorization", "Bearer "+string(c.Bearer)); err != nil {
			return nil, err
		}
	}
	if c.AccessKey != "" {
		e.signer = &sigv4.Signer{
			KeyID: c.AccessKey, Secret: string(c.SecretKey), Token: string(c.SessionToken), Region: c.Region, Service: "bedrock",
		}
	}
	e.exchanges.New = func() any { return &exchange{dec: new(bedrockDecoder)} }
	return e, nil
}

// Invoke implements outcrop.Model.
func (e *Bedrock) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	x := e.exchanges.Get().(*exchange)
	defer func() { x.clear(); e.exchanges.Put(x) }()
	x.start(e.hosts, req, out)
	host := e.unary
	if req.Streaming {
		host = e.stream
	}
	var body []byte // a caller's does not go into the pool
	if req.Native != nil {
		body = req.Native.Body
	} else {
		x.body = bedrock.AppendRequest(x.body, req.Conversation, bedrock.Options{Tier: req.Tier, Latency: req.Latency, Metadata: req.Metadata})
		body = x.body
	}
	path := e.target(req, operation(req))
	x.header = e.sign(x.header, path, fields(req), body, x.begun)
	err := x.run(ctx, host, path, body, req)
	return x.receipt, err
}

// operation is the last segment of the path.
func operation(req *outcrop.Request) string {
	switch converse := req.Native == nil || req.Native.Dialect == outcrop.DialectConverse; {
	case converse && req.Streaming:
		return "converse-stream"
	case converse:
		return "converse"
	case req.Streaming:
		return "invoke-with-response-stream"
	}
	return "invoke"
}

func (e *Bedrock) target(req *outcrop.Request, operation string) string {
	id := e.model
	if id == "" && req.Card != nil {
		id = req.Card.ID
	}
	b := append([]byte(e.path), "/model/"...)
	b = appendEscaped(b, id)
	return string(append(append(b, '/'), operation...))
}

// appendEscaped appends s as one segment of a path, as the SDKs escape it.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b
}

// fields are the header fields that depend on the request. The values come
// from callers: what cannot stand in a header is left out.
func fields(req *outcrop.Request) []sigv4.Field {
	all := make([]sigv4.Field, 0, 8)
	add := func(name, value string) {
		if value != "" && len(value) <= 256 && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
			all = append(all, sigv4.Field{Name: name, Value: value})
		}
	}
	n := req.Native
	if n == nil || n.Dialect == outcrop.DialectConverse {
		add("Content-Type", "application/json")
		return all
	}
	contentType, accept := n.ContentType, n.Accept
	if contentType == "" {
		contentType = "application/json"
	}
	add("Content-Type", contentType)
	if req.Streaming {
		add("X-Amzn-Bedrock-Accept", accept)
	} else {
		add("Accept", accept)
	}
	add("X-Amzn-Bedrock-Service-Tier", string(req.Tier))
	add("X-Amzn-Bedrock-PerformanceConfig-Latency", string(req.Latency))
	return all
}

// sign appends the fields, and those that sign the request, to the header.
func (e *Bedrock) sign(header []byte, path string, fields []sigv4.Field, body []byte, now time.Time) []byte {
	if e.signer != nil {
		r := sigv4.Request{Method: "POST", URI: path, Host: e.unary.Authority(), Fields: fields}
		fields = e.signer.Sign(fields, &r, sha256.Sum256(body), now)
	}
	for _, f := range fields {
		header = appendHeader(header, f.Name, f.Value)
	}
	return header
}

// CountTokens implements outcrop.Counter by Bedrock's own operation.
func (e *Bedrock) CountTokens(ctx context.Context, req *outcrop.Request) (int, error) {
	var body []byte
	switch {
	case req.Native == nil:
		body = bedrock.AppendCountRequest(nil, req.Conversation)
	case req.Native.Dialect == outcrop.DialectConverse:
		body = append(append([]byte(`{"input":{"converse":`), req.Native.Body...), "}}"...)
	default:
		body = base64.StdEncoding.AppendEncode([]byte(`{"input":{"invokeModel":{"body":"`), req.Native.Body)
		body = append(body, `"}}}`...)
	}
	path := e.target(req, "count-tokens")
	header := append([]byte(nil), e.header...)
	header = e.sign(header, path, []sigv4.Field{{Name: "Content-Type", Value: "application/json"}}, body, time.Now())
	resp, err := e.unary.Do(ctx, &h1.Request{Method: "POST", Path: path, Header: header, Body: body})
	if err != nil {
		return 0, e.countError(ctx, err)
	}
	defer resp.Close()
	resp.Started()
	x := exchange{engine: e.hosts, resp: resp}
	if err := x.readAll(maxRefusal); err != nil {
		return 0, x.fail(ctx, err)
	}
	if resp.Status != 200 {
		return 0, e.secret.maskError(failure(e.name, resp, e.secret.maskBody(x.in)))
	}
	n, ok := bedrock.ParseCount(x.in)
	if !ok {
		return 0, &outcrop.Error{Code: outcrop.CodeModelError, Message: saysError, Cause: errors.New("the answer of CountTokens is malformed")}
	}
	return n, nil
}

// failure is the error of an answer whose status is not 200. One that does not
// name its type is not Bedrock's own.
func failure(name string, resp *h1.Response, body []byte) *outcrop.Error {
	kind := resp.Header("x-amzn-errortype")
	if kind == "" && !bytes.Contains(body, []byte(`"__type"`)) {
		return refusal(name, resp, anthropic.ErrorMessage(body))
	}
	e := bedrock.Failure(resp.Status, kind, body)
	if e.Cause == nil {
		e.Cause = fmt.Errorf("engine %s answered with status %d", name, resp.Status)
	}
	if e.Code == outcrop.CodeModelStream {
		e.Code = outcrop.CodeModelError
	}
	e.RetryAfter = patience(resp)
	return e
}

// Check tells whether the engine is there. Bedrock has nothing to ask on the
// side, so that keys are not tried.
func (e *Bedrock) Check(ctx context.Context) error {
	status, _, err := e.get(ctx, "GET", e.path+"/", nil, nil)
	if err == nil && status >= 500 {
		err = fmt.Errorf("engine %s answers with status %d", e.name, status)
	}
	return err
}
