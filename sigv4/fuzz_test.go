package sigv4_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/outcrop/outcrop/sigv4"
)

// FuzzParse takes any request, and never panics. What it accepts is accepted
// again, and nothing is verified with a key of another secret.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/vectors/*.txtar")
	for _, file := range files {
		raw, _ := vector(f, file)
		r, body := parseRaw(f, raw)
		var lines strings.Builder
		for _, field := range r.Fields {
			lines.WriteString(field.Name + ": " + field.Value + "\n")
		}
		f.Add(r.Method, r.URI, r.Host, lines.String(), body)
	}
	wrong := sigv4.Derive("another secret", sigv4.Scope{Day: "20261122", Region: region, Service: service})
	f.Fuzz(func(t *testing.T, method, uri, host, lines string, body []byte) {
		r := &sigv4.Request{Method: method, URI: uri, Host: host}
		for line := range strings.SplitSeq(lines, "\n") {
			if name, value, ok := strings.Cut(line, ":"); ok {
				r.Fields = append(r.Fields, sigv4.Field{Name: name, Value: value})
			}
		}
		_, loose := sigv4.ParseUnverified(r)
		for _, rules := range []sigv4.Rules{{Presigned: true}, {Presigned: true, Path: sigv4.PathAsSent, UnsignedPayload: true, StreamingPayload: true}} {
			s, err := sigv4.Parse(r, rules, noon)
			if err != nil {
				continue
			}
			if loose != nil {
				t.Fatal("the strict parser took what the loose one refused")
			}
			hash := sha256.Sum256(body)
			first := s.Canonical(hash)
			if s.Verify(wrong, hash) {
				t.Fatal("verified with a wrong key")
			}
			if s.Canonical(hash) != first {
				t.Fatal("the canonical form changed")
			}
		}
	})
}

// FuzzCanonicalForm signs with the SDK whatever it can be made to sign: the
// signature must be accepted, so the canonical forms are the same.
func FuzzCanonicalForm(f *testing.F) {
	f.Add("POST", "/model/anthropic.claude-v2%3A1/converse", "", "application/json", "attempt=1; max=3", []byte(`{}`))
	f.Add("GET", "/foundation-models", "byProvider=A&byProvider=%C3%A9&a=b=c&d&+=+", "", "  a   b ", []byte{})
	f.Add("GET", "/a:b@c!$&'()*+,=~", "x=%2f%2F&x=-", "", "é", []byte{0})
	f.Fuzz(func(t *testing.T, method, path, query, first, second string, body []byte) {
		target := path
		if query != "" {
			target += "?" + query
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || u.RequestURI() != target || u.Host != "" {
			t.Skip("net/url writes the target in another way")
		}
		h := &http.Request{Method: method, URL: u, Host: "localhost:8484", ContentLength: int64(len(body)), Header: http.Header{
			"Amz-Sdk-Request": {first, second}, "X-Amz-Meta-A": {second},
		}}
		hash := sha256.Sum256(body)
		credentials := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
		if err := v4.NewSigner().SignHTTP(context.Background(), credentials, h, hex.EncodeToString(hash[:]), service, region, noon); err != nil {
			t.Skip("the SDK does not sign it")
		}
		if normal(u.EscapedPath()) != u.EscapedPath() || !plain(first) || !plain(second) {
			t.Skip("the SDK does not normalise paths, and trims more than blanks")
		}
		r := fromHTTP(h)
		r.URI = target
		s, err := sigv4.Parse(r, rules, noon)
		if err != nil {
			return // stricter than the SDK
		}
		if !s.Verify(sigv4.Derive(secret, s.Scope), hash) {
			t.Fatalf("refused: %s", s.Canonical(hash))
		}
	})
}

// plain reports whether s is visible ASCII and blanks.
func plain(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) < 0
}
