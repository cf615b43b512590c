package s3api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/s3api"
	"github.com/outcrop/outcrop/sigv4"
)

const (
	region  = "us-east-1"
	keyID   = "AKIAEXAMPLE"
	secret  = "the secret of the key"
	account = "111122223333"
)

// A store plays the one behind the door: it keeps what it was asked.
type store struct {
	mu     sync.Mutex
	asked  *http.Request
	body   string
	err    error // of the body
	answer func(*http.Request) *http.Response
}

func (s *store) Transport() http.RoundTripper { return s }
func (s *store) Secret(account string) string { return "of " + account }

func (s *store) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.body, s.err = r, string(body), err
	if err != nil {
		return nil, err
	}
	if s.answer != nil {
		return s.answer(r), nil
	}
	return reply(200, "done"), nil
}

func (s *store) seen() (*http.Request, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.body, s.err
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"X-Amz-Meta-Colour": {"red"}, "Server": {"STORE"}, "X-Amz-Request-Id": {"S1"}},
		Body: io.NopCloser(strings.NewReader(body))}
}

// A house is a door with the store behind it, served over HTTP.
type house struct {
	*httptest.Server
	store *store
	api   *s3api.API
	log   *bytes.Buffer
}

func keyed(actions ...string) *identity.Authenticator {
	who := identity.New(identity.Options{Region: region})
	who.SetKeys([]identity.Key{{Kind: identity.KindSigV4, Secret: identity.NewSecret(secret),
		Principal: outcrop.Principal{KeyID: keyID, Account: account, Actions: actions}}})
	return who
}

func open(t *testing.T, who *identity.Authenticator) *house {
	t.Helper()
	h := &house{store: &store{}, log: &bytes.Buffer{}}
	h.api = s3api.New(s3api.Options{Who: who, Store: h.store, Region: region, BodyTimeout: time.Minute, WriteTimeout: time.Minute,
		Log: slog.New(slog.NewJSONHandler(h.log, nil))})
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.api.Serve(w, r, "request-1") }))
	t.Cleanup(h.Close)
	return h
}

func signer() *sigv4.Signer {
	return &sigv4.Signer{KeyID: keyID, Secret: secret, Region: region, Service: "s3", Path: sigv4.PathAsSent}
}

// request is one that the key signs, over a body of this hash or word.
func (h *house) request(t *testing.T, method, target, body, content string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(target, "?")
	r.URL.Opaque, r.URL.RawQuery = path, query
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	head := sigv4.Request{Method: method, URI: target, Host: r.URL.Host, Fields: sigv4.AppendFields(nil, r.Header)}
	for _, f := range signer().SignPayload(nil, &head, content, time.Now()) {
		r.Header.Set(f.Name, f.Value)
	}
	return r
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (h *house) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := h.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestRequestsGoToTheStoreAsSentSignedByTheAccount(t *testing.T) {
	h := open(t, keyed())
	const target = "/bucket/a%20k%2By//?x-id=PutObject&versionId=a%2Bb"
	clean := strings.Replace(target, "//", "/", 1)
	got := h.do(t, h.request(t, "PUT", clean, "hello", hashOf("hello"), "X-Amz-Meta-Colour", "red", "Expect", "100-continue"))
	if got.status != 200 || got.body != "done" || got.header["X-Amz-Meta-Colour"] == nil || got.header.Get("Server") != "" {
		t.Fatalf("%+v", got)
	}
	asked, body, _ := h.store.seen()
	if asked.URL.RequestURI() != clean || asked.Host != strings.TrimPrefix(h.URL, "http://") || body != "hello" || asked.ContentLength != 5 || asked.Header.Get("Expect") != "" {
		t.Errorf("the store is asked for %s at %s: %q", asked.URL.RequestURI(), asked.Host, body)
	}
	checkSigned(t, asked, hashOf("hello"))
}

// checkSigned holds the store's request against the secret of the account.
func checkSigned(t *testing.T, r *http.Request, content string) {
	t.Helper()
	head := sigv4.Request{Method: r.Method, URI: r.URL.RequestURI(), Host: r.Host, Fields: sigv4.AppendFields(nil, r.Header)}
	s, err := sigv4.Parse(&head, sigv4.Rules{Region: region, Service: "s3", Path: sigv4.PathAsSent, UnsignedPayload: true, StreamingPayload: true}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var hash [32]byte
	_, _ = hex.Decode(hash[:], []byte(content))
	if s.KeyID != account || s.ContentHash() != content || !s.Verify(sigv4.Derive("of "+account, s.Scope), hash) {
		t.Errorf("signed by %s over %s", s.KeyID, s.ContentHash())
	}
}

func TestPresignedRequestsLoseTheirCredentialsOnTheWay(t *testing.T) {
	h := open(t, keyed())
	head := sigv4.Request{Method: "GET", URI: "/bucket/key?response-content-type=a", Host: strings.TrimPrefix(h.URL, "http://")}
	target := signer().Presign(&head, time.Minute, [32]byte{}, time.Now())
	r, _ := http.NewRequestWithContext(t.Context(), "GET", h.URL+target, nil)
	if got := h.do(t, r); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	asked, _, _ := h.store.seen()
	if asked.URL.RequestURI() != head.URI {
		t.Errorf("the store is asked for %s", asked.URL.RequestURI())
	}
	checkSigned(t, asked, "UNSIGNED-PAYLOAD")
}

func TestWithoutAKeyAnyCredentialsWill(t *testing.T) {
	h := open(t, identity.New(identity.Options{Region: region}))
	r := h.request(t, "PUT", "/bucket/key", "5;chunk-signature=00\r\nhello\r\n0;chunk-signature=00\r\n\r\n", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
		"X-Amz-Decoded-Content-Length", "5", "Content-Encoding", "aws-chunked,gzip")
	if got := h.do(t, r); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	asked, body, _ := h.store.seen()
	if body != "hello" || asked.ContentLength != 5 || asked.Header.Get("Content-Encoding") != "gzip" || asked.Header.Get("X-Amz-Decoded-Content-Length") != "" {
		t.Errorf("%q, %d bytes, %v", body, asked.ContentLength, asked.Header)
	}
	if !strings.Contains(asked.Header.Get("Authorization"), "Credential="+identity.OpenAccount+"/") {
		t.Errorf("signed by %s", asked.Header.Get("Authorization"))
	}
	plain, _ := http.NewRequestWithContext(t.Context(), "GET", h.URL+"/bucket/key", nil)
	if got := h.do(t, plain); got.status != 200 {
		t.Errorf("without credentials: %+v", got)
	}
	foreign, _ := http.NewRequestWithContext(t.Context(), "POST", h.URL+"/bucket?delete", nil)
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	if got := h.do(t, foreign); got.status != 403 {
		t.Errorf("from another site's page: %+v", got)
	}
}

func TestForgedChunksNeverReachTheStoreWhole(t *testing.T) {
	for name, c := range map[string]struct{ body, length string }{
		"data":    {"5;chunk-signature=00\r\nhello\r\n0;chunk-signature=00\r\n\r\n", "5"},
		"nothing": {"0;chunk-signature=00\r\n\r\n", "0"},
	} {
		h := open(t, keyed())
		r := h.request(t, "PUT", "/bucket/key", c.body, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length", c.length)
		got := h.do(t, r)
		if got.status != 403 || !strings.Contains(got.body, "<Code>SignatureDoesNotMatch</Code>") {
			t.Errorf("%s: %+v", name, got)
		}
		if asked, body, err := h.store.seen(); asked != nil && (err == nil || len(body) >= 5) {
			t.Errorf("%s: the store has %q, %v", name, body, err)
		}
	}
}

func TestRefusalsSpeakS3(t *testing.T) {
	large := strings.Repeat("x", 8<<20+1)
	for name, c := range map[string]struct {
		make   func(h *house) *http.Request
		status int
		code   string
	}{
		"wrong secret": {func(h *house) *http.Request {
			r := h.request(t, "GET", "/bucket/key", "", "UNSIGNED-PAYLOAD")
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(-time.Second).Format(sigv4.Layout))
			return r
		}, 403, "SignatureDoesNotMatch"},
		"unknown key": {func(h *house) *http.Request {
			r := h.request(t, "GET", "/bucket/key", "", "UNSIGNED-PAYLOAD")
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), keyID, "AKIAOTHER", 1))
			return r
		}, 403, "InvalidAccessKeyId"},
		"a stopped clock": {func(h *house) *http.Request {
			r := h.request(t, "GET", "/bucket/key", "", "UNSIGNED-PAYLOAD")
			old := time.Now().UTC().Add(-time.Hour)
			head := sigv4.Request{Method: "GET", URI: "/bucket/key", Host: r.URL.Host}
			for _, f := range signer().SignPayload(nil, &head, "UNSIGNED-PAYLOAD", old) {
				r.Header.Set(f.Name, f.Value)
			}
			return r
		}, 403, "RequestTimeTooSkewed"},
		"no credentials": {func(h *house) *http.Request {
			r, _ := http.NewRequest("GET", h.URL+"/bucket/key", nil)
			return r
		}, 403, "AccessDenied"},
		"signature version 2": {func(h *house) *http.Request {
			r, _ := http.NewRequest("GET", h.URL+"/bucket/key?AWSAccessKeyId=a&Signature=b&Expires=1", nil)
			return r
		}, 400, "InvalidRequest"},
		"signature version 2 in the header": {func(h *house) *http.Request {
			r, _ := http.NewRequest("GET", h.URL+"/bucket/key", nil)
			r.Header.Set("Authorization", "AWS a:b")
			return r
		}, 400, "InvalidRequest"},
		"a way out":        {func(h *house) *http.Request { return h.request(t, "GET", "/bucket/%2e%2e/key", "", "UNSIGNED-PAYLOAD") }, 400, "InvalidURI"},
		"an empty segment": {func(h *house) *http.Request { return h.request(t, "GET", "/bucket//key", "", "UNSIGNED-PAYLOAD") }, 400, "InvalidURI"},
		"two operations":   {func(h *house) *http.Request { return h.request(t, "PUT", "/bucket?acl&policy", "", "UNSIGNED-PAYLOAD") }, 400, "InvalidArgument"},
		"a large document": {func(h *house) *http.Request { return h.request(t, "POST", "/bucket?delete", large, "UNSIGNED-PAYLOAD") }, 400, "MaxMessageLengthExceeded"},
		"a policy":         {func(h *house) *http.Request { return h.request(t, "PUT", "/bucket?policy", "{}", "UNSIGNED-PAYLOAD") }, 501, "NotImplemented"},
		"another algorithm": {func(h *house) *http.Request {
			return h.request(t, "PUT", "/bucket/key", "", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")
		}, 501, "NotImplemented"},
		"chunks without a length": {func(h *house) *http.Request {
			return h.request(t, "PUT", "/bucket/key", "", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
		}, 411, "MissingContentLength"},
		"a document in chunks": {func(h *house) *http.Request {
			return h.request(t, "PUT", "/bucket?tagging", "", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length", "0")
		}, 400, "InvalidRequest"},
		"an action that the key lacks": {func(h *house) *http.Request { return h.request(t, "DELETE", "/bucket/key", "", "UNSIGNED-PAYLOAD") }, 403, "AccessDenied"},
	} {
		h := open(t, keyed("s3:Get*", "s3:Put*", "s3:List*", "s3:DeleteBucket"))
		if strings.Contains(name, "document") || strings.Contains(name, "two") {
			h = open(t, keyed())
		}
		got := h.do(t, c.make(h))
		if got.status != c.status || !strings.Contains(got.body, "<Code>"+c.code+"</Code>") || !strings.Contains(got.body, "<RequestId>request-1</RequestId>") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if asked, _, _ := h.store.seen(); asked != nil {
			t.Errorf("%s: the store was asked", name)
		}
		if strings.Contains(h.log.String(), secret) || !strings.Contains(h.log.String(), `"request_id":"request-1"`) {
			t.Errorf("%s: the log: %s", name, h.log)
		}
	}
}

func TestAnEndlessDocumentIsCutOff(t *testing.T) {
	h := open(t, keyed())
	r := h.request(t, "POST", "/bucket?delete", "", "UNSIGNED-PAYLOAD")
	r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 9<<20)), -1
	if got := h.do(t, r); got.status != 400 || !strings.Contains(got.body, "MaxMessageLengthExceeded") {
		t.Errorf("%+v", got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAHeadIsRefusedWithoutABody(t *testing.T) {
	h := open(t, keyed())
	r, _ := http.NewRequest("HEAD", h.URL+"/bucket/key", nil)
	if got := h.do(t, r); got.status != 403 || got.body != "" {
		t.Errorf("%+v", got)
	}
}

func TestABrowserMayAskWithoutCredentials(t *testing.T) {
	h := open(t, keyed())
	r, _ := http.NewRequest("OPTIONS", h.URL+"/bucket/key", nil)
	r.Header.Set("Origin", "https://page.example")
	r.Header.Set("Access-Control-Request-Method", "PUT")
	if got := h.do(t, r); got.status != 200 {
		t.Errorf("%+v", got)
	}
	if asked, _, _ := h.store.seen(); asked.Header.Get("Authorization") != "" || asked.Header.Get("Origin") == "" {
		t.Errorf("the store is asked with %v", asked.Header)
	}
}

func TestAfterChunksOfHTTPTheConnectionEnds(t *testing.T) {
	h := open(t, keyed())
	r := h.request(t, "PUT", "/bucket/key", "", "UNSIGNED-PAYLOAD")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("hello")), -1
	response, err := h.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 200 || !response.Close {
		t.Errorf("%d, closes: %v", response.StatusCode, response.Close)
	}
}

func TestAnAnswerThatBreaksOffDoesNotLookWhole(t *testing.T) {
	h := open(t, keyed())
	h.store.answer = func(*http.Request) *http.Response {
		answer := reply(200, "")
		answer.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{}))
		return answer
	}
	response, err := h.Client().Do(h.request(t, "GET", "/bucket/key", "", "UNSIGNED-PAYLOAD"))
	if err != nil {
		return // it may break before its head was read
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("it ends well: %q", body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestASlowBodyIsGivenUp(t *testing.T) {
	store := &store{}
	api := s3api.New(s3api.Options{Who: keyed(), Store: store, Region: region, BodyTimeout: 50 * time.Millisecond, WriteTimeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { api.Serve(w, r, "1") }))
	defer server.Close()
	h := &house{Server: server}
	r := h.request(t, "PUT", "/bucket/key", "", "UNSIGNED-PAYLOAD")
	conn, err := net.Dial("tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /bucket/key HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n", r.URL.Host)
	for name, values := range r.Header {
		fmt.Fprintf(conn, "%s: %s\r\n", name, values[0])
	}
	fmt.Fprint(conn, "\r\nhello")
	all, err := io.ReadAll(conn) // up to the end of the connection
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 400") || !strings.Contains(string(all), "RequestTimeout") {
		t.Errorf("%s, %v", all, err)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	h := open(t, keyed())
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(h.api.Collectors()...)
	h.do(t, h.request(t, "PUT", "/bucket/key", "hello", hashOf("hello")))
	anonymous, _ := http.NewRequest("GET", h.URL+"/bucket/key", nil)
	h.do(t, anonymous)
	want := `
# HELP outcrop_s3_bytes_total Bytes of bodies of the built-in S3, in to the store and out of it.
# TYPE outcrop_s3_bytes_total counter
outcrop_s3_bytes_total{direction="in"} 5
outcrop_s3_bytes_total{direction="out"} 4
# HELP outcrop_s3_requests_total Requests to the built-in S3, by action and outcome.
# TYPE outcrop_s3_requests_total counter
outcrop_s3_requests_total{action="s3:GetObject",outcome="refused"} 1
outcrop_s3_requests_total{action="s3:PutObject",outcome="ok"} 1
`
	h.Close() // what is counted is counted once the handlers have ended
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
