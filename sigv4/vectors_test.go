package sigv4_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop/sigv4"
)

const (
	keyID   = "AKIDEXAMPLE"
	secret  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	region  = "us-east-1"
	service = "bedrock"
)

var (
	noon  = time.Date(2026, 11, 22, 13, 52, 0, 0, time.UTC)
	rules = sigv4.Rules{Region: region, Service: service, Presigned: true}
)

// TestPublishedThemes goes through requests signed by botocore, one file for
// each theme of AWS's published test suite.
func TestPublishedThemes(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.txtar")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d vectors, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			raw, canonical := vector(t, file)
			r, body := parseRaw(t, raw)
			s, err := sigv4.Parse(r, rules, noon)
			if err != nil {
				t.Fatal(err)
			}
			hash := sha256.Sum256(body)
			if diff := cmp.Diff(canonical, s.Canonical(hash)); diff != "" {
				t.Errorf("canonical request (-want +got):\n%s", diff)
			}
			if s.KeyID != keyID || !s.Verify(sigv4.Derive(secret, s.Scope), hash) {
				t.Error("the signature was refused")
			}
			if s.Verify(sigv4.Derive("another secret", s.Scope), hash) {
				t.Error("the signature was accepted for another secret")
			}
			hash[0]++
			if s.Verify(sigv4.Derive(secret, s.Scope), hash) {
				t.Error("the signature was accepted for another body")
			}
		})
	}
}

// vector returns the request and its canonical form from a txtar file.
func vector(t testing.TB, file string) (request, canonical string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		switch f.Name {
		case "request":
			request = string(f.Data)
		case "canonical":
			canonical = strings.TrimSuffix(string(f.Data), "\n")
		}
	}
	if request == "" || canonical == "" {
		t.Fatalf("%s lacks a request or a canonical form", file)
	}
	return request, canonical
}

// parseRaw reads a request as net/http's server does, and fills the Request
// as a server has to.
func parseRaw(t testing.TB, raw string) (*sigv4.Request, []byte) {
	t.Helper()
	head, body, _ := strings.Cut(raw, "\n\n")
	wire := strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + strings.TrimSuffix(body, "\n")
	h, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(h.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fromHTTP(h), bytes.Clone(b)
}

func fromHTTP(h *http.Request) *sigv4.Request {
	target := h.RequestURI
	if target == "" {
		target = h.URL.RequestURI()
	}
	r := &sigv4.Request{Method: h.Method, URI: target, Host: h.Host, Fields: sigv4.AppendFields(nil, h.Header)}
	if r.Host == "" {
		r.Host = h.URL.Host
	}
	if h.ContentLength > 0 && h.Header.Get("Content-Length") == "" {
		r.Fields = append(r.Fields, sigv4.Field{Name: "Content-Length", Value: itoa(h.ContentLength)})
	}
	return r
}
