package conformance_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/outcrop/outcrop/outcroptest/foreign"
)

// A witness stands between the server and a foreign S3. It notes what is asked
// for. The first upload that is completed is answered as by an S3 that has lost
// its first answer and is asked again: there is no such upload.
type witness struct {
	proxy     *httputil.ReverseProxy
	mu        sync.Mutex
	asked     []string
	completed int
}

func observe(t *testing.T, address string) (w *witness, endpoint string) {
	t.Helper()
	w = &witness{}
	w.proxy = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: address})
		r.Out.Host = r.In.Host // it is signed
	}, ModifyResponse: func(r *http.Response) error {
		if r.Request.Method == http.MethodPost && r.Request.URL.Query().Has("uploadId") && r.StatusCode == http.StatusOK && w.first() {
			text := "<Error><Code>NoSuchUpload</Code><Message>It was completed.</Message></Error>"
			r.StatusCode, r.ContentLength, r.Body = http.StatusNotFound, int64(len(text)), io.NopCloser(strings.NewReader(text))
			r.Header.Set("Content-Length", strconv.Itoa(len(text)))
		}
		return nil
	}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	return w, server.URL
}

// first reports true once.
func (w *witness) first() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.completed++
	return w.completed == 1
}

// ServeHTTP implements http.Handler.
func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	deed := r.Method + " " + strings.TrimLeft(strings.TrimSuffix(r.URL.Path, "/"), "/")
	for _, name := range []string{"uploads", "partNumber"} {
		if v := r.URL.Query(); v.Has(name) {
			deed += "?" + name + "=" + v.Get(name)
		}
	}
	if span := r.Header.Get("Range"); span != "" {
		deed += " " + span
	}
	w.mu.Lock()
	w.asked = append(w.asked, deed)
	w.mu.Unlock()
	w.proxy.ServeHTTP(rw, r)
}

// count is how many requests were of the kind.
func (w *witness) count(kind func(deed string) bool) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, deed := range w.asked {
		if kind(deed) {
			n++
		}
	}
	return n
}

// TestABatchJobInAForeignS3: credentials and accounts are by bucket, input is
// read by ranges, and output written in parts, all of them again if it is not
// known whether they became an object.
func TestABatchJobInAForeignS3(t *testing.T) {
	python := need(t, "bin/python")
	address := foreign.Start(t)
	w, endpoint := observe(t, address)
	secret := s3Secret(t, foreign.Secret)
	t.Setenv("BATCH_S3_KEY", foreign.KeyID)
	place := "      endpoint: " + endpoint + "\n      region: us-east-1\n      path_style: true\n      access_key: {env: BATCH_S3_KEY}\n"
	s := start(t, "keys: open\nlog: {format: json, level: warn}\nbuiltin: all\nsim: {speed: 0}\ns3:\n  buckets:\n"+
		"    - name: foreign-*\n"+place+"      secret_key: {file: "+secret+"}\n      accounts: ['000000000000']\n"+
		"    - name: closed-*\n"+place+"      secret_key: {file: "+secret+"}\n      accounts: ['111122223333']\n"+
		"    - name: wrong-*\n"+place+"      secret_key: {file: "+s3Secret(t, "another")+"}\n")
	suite(t, s.environment(t), t.TempDir(), python, script("batch_foreign.py"), "http://"+address, foreign.KeyID, foreign.Secret)
	var spans []string
	for _, deed := range w.asked {
		if from, ok := strings.CutPrefix(deed, "GET foreign-in/in/large.jsonl bytes="); ok && !strings.HasPrefix(from, "0-") {
			spans = append(spans, from)
		}
	}
	if slices.Sort(spans); len(slices.Compact(spans)) < 2 {
		t.Errorf("the input is read by the ranges %v", spans)
	}
	isPart := func(deed string) bool {
		return strings.HasPrefix(deed, "PUT foreign-out/") && strings.Contains(deed, "large.jsonl.out?partNumber=")
	}
	if parts := w.count(isPart); parts < 6 {
		t.Errorf("the output is written in %d parts", parts)
	}
	if others := w.count(func(deed string) bool { return strings.Contains(deed, "closed-") || strings.Contains(deed, "private") }); others > 0 {
		t.Errorf("a bucket of others was asked for: %d times", others)
	}
	if w.completed != 2 {
		t.Errorf("%d uploads were completed", w.completed)
	}
}

func s3Secret(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	writeFile(t, name, text)
	return name
}
