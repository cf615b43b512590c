package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/sigv4"
)

// A client asks a running server, as whom the environment says.
type client struct {
	endpoint string
	http     http.Client
	// accessKey has it take an access key before a Bedrock API key, so that it
	// is the same caller here as for S3, which takes no other.
	accessKey bool
}

// The server that is asked where nobody names one, and its region.
const (
	defaultEndpoint = "http://127.0.0.1:8484"
	defaultRegion   = "us-east-1"
)

// askLimit bounds one question.
const askLimit = 10 * time.Second

// maxAnswer is the largest answer that is read.
const maxAnswer = 64 << 20

// addEndpoint gives c the flag that names the server.
func addEndpoint(c *cobra.Command, endpoint *string) {
	c.Flags().StringVar(endpoint, "endpoint", "", "URL of the server (default: $OUTCROP_ENDPOINT, $AWS_ENDPOINT_URL or "+defaultEndpoint+")")
}

// newClient returns a client of the endpoint, or of the one that the
// environment names if it is empty.
func newClient(endpoint string) (*client, error) {
	endpoint = firstOf(endpoint, os.Getenv("OUTCROP_ENDPOINT"), os.Getenv("AWS_ENDPOINT_URL"), defaultEndpoint)
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, &exitError{exitUsage, fmt.Errorf("the endpoint %q is no URL such as %s", endpoint, defaultEndpoint)}
	}
	return &client{endpoint: strings.TrimRight(endpoint, "/"), http: http.Client{Timeout: askLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// get asks for the path, which is escaped, and returns the answer's body.
// Errors say what the operator can do, and have the exit code that goes with
// them.
func (c *client) get(ctx context.Context, path string) ([]byte, error) {
	return c.ask(ctx, http.MethodGet, path, nil)
}

// ask is get for any method and body.
func (c *client) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, failed(err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	signed := c.authorize(req, body, time.Now())
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, failed(c.unreachable(err))
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, failed(c.unreachable(err))
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return body, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, &exitError{exitDenied, errors.New(message(body, answer.Status) + hintDenied(signed))}
	case http.StatusNotFound:
		return nil, notFound(errors.New(message(body, answer.Status)))
	}
	return nil, failed(fmt.Errorf("%s answers: %s", c.endpoint, message(body, answer.Status)))
}

// unreachable says what to do about a server that does not answer.
func (c *client) unreachable(err error) error {
	var told *url.Error
	if errors.As(err, &told) {
		err = told.Err
	}
	var dial *net.OpError
	if !errors.As(err, &dial) || dial.Op != "dial" {
		return fmt.Errorf("no answer from %s: %w", c.endpoint, err)
	}
	return fmt.Errorf("no server at %s: %w\n  start one: outcrop serve\n  or name another: --endpoint URL, OUTCROP_ENDPOINT", c.endpoint, dial.Err)
}

// authorize signs the request with the credentials of the environment, and
// reports whether there are any. Like AWS's SDKs it takes a Bedrock API key
// before an access key, unless c has it otherwise.
func (c *client) authorize(req *http.Request, body []byte, now time.Time) bool {
	if token := os.Getenv("AWS_BEARER_TOKEN_BEDROCK"); token != "" && !(c.accessKey && hasAccessKey()) {
		req.Header.Set("Authorization", "Bearer "+token)
		return true
	}
	s := sigv4.Signer{KeyID: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY"), Token: os.Getenv("AWS_SESSION_TOKEN"),
		Region: firstOf(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), defaultRegion), Service: identity.Service}
	if s.KeyID == "" || s.Secret == "" {
		return false
	}
	head := sigv4.Request{Method: req.Method, URI: req.URL.RequestURI(), Host: req.URL.Host}
	for _, f := range s.Sign(nil, &head, sha256.Sum256(body), now) {
		req.Header.Set(f.Name, f.Value)
	}
	return true
}

// hasAccessKey reports whether there is an access key in the environment.
func hasAccessKey() bool {
	return os.Getenv("AWS_ACCESS_KEY_ID") != "" && os.Getenv("AWS_SECRET_ACCESS_KEY") != ""
}

func hintDenied(signed bool) string {
	if signed {
		return "\n  the credentials of the environment are not accepted there: check AWS_REGION, and the key with outcrop keys list"
	}
	return "\n  set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_BEARER_TOKEN_BEDROCK; outcrop keys add makes a key"
}

// message returns what an answer that is no success says, cut to one line.
func message(body []byte, status string) string {
	var told struct{ Message string }
	if json.Unmarshal(body, &told) == nil && told.Message != "" {
		return printable(told.Message)
	}
	return status
}
