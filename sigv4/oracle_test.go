package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"github.com/outcrop/outcrop/sigv4"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// drawn is a request that rapid has made up.
type drawn struct {
	method, path, query, host, token string
	header                           http.Header
	body                             []byte
	at                               time.Time
	s3                               bool
}

var (
	headerNames = rapid.StringMatching(`(Amz-Sdk|X-Amz|Accept|My)-[A-Z][a-z0-9]{0,9}`)
	// Blanks at the edges and runs of them inside; bytes beyond ASCII too.
	headerValues = rapid.StringMatching(`( {0,2}[!-~éж漢]{1,8}){0,4} {0,2}`)
	segments     = rapid.StringMatching(`([A-Za-z0-9_~:=@!$&'()*+,-]|\.[a-z]|%[2-7][0-9A-Fa-f]|%C3%A9){0,12}[a-z0-9]`)
	names        = rapid.StringMatching(`([A-Za-z0-9_.~-]|%[2-7][0-9A-Fa-f]|%C3%A9){1,8}`)
	values       = rapid.StringMatching(`([A-Za-z0-9_.~:/?@!$'()*,=+-]|%[2-7][0-9A-Fa-f]|%c3%a9){0,12}`)
	moments      = rapid.Int64Range(0, 4102444799)
)

func draw(t *rapid.T) drawn {
	d := drawn{
		method: rapid.SampledFrom([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}).Draw(t, "method"),
		path:   "/" + strings.Join(rapid.SliceOfN(segments, 0, 5).Draw(t, "path"), "/"),
		host:   rapid.StringMatching(`[a-zA-Z0-9.-]{1,20}(:[1-9][0-9]{3})?`).Draw(t, "host"),
		token:  rapid.StringMatching(`([A-Za-z0-9+/]{16,40}={0,2})?`).Draw(t, "token"),
		body:   rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "body"),
		at:     time.Unix(moments.Draw(t, "at"), 0).UTC(),
		s3:     rapid.Bool().Draw(t, "s3"),
		header: http.Header{},
	}
	var pieces []string
	for range rapid.IntRange(0, 6).Draw(t, "parameters") {
		pieces = append(pieces, names.Draw(t, "name")+"="+values.Draw(t, "value"))
	}
	d.query = strings.Join(pieces, "&")
	for range rapid.IntRange(0, 5).Draw(t, "headers") {
		name := http.CanonicalHeaderKey(headerNames.Draw(t, "header"))
		if strings.HasPrefix(name, "X-Amz-") {
			d.header.Set(name, headerValues.Draw(t, "header value"))
		} else {
			d.header.Add(name, headerValues.Draw(t, "header value"))
		}
	}
	return d
}

func (d drawn) http(t *rapid.T) *http.Request {
	target := "http://" + d.host + d.path
	if d.query != "" {
		target += "?" + d.query
	}
	h, err := http.NewRequest(d.method, target, bytes.NewReader(d.body))
	if err != nil {
		t.Skip("the URL is not one for net/url")
	}
	h.Header = d.header.Clone()
	return h
}

func (d drawn) credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: d.token}
}

func (d drawn) options(o *v4.SignerOptions) { o.DisableURIPathEscaping = d.s3 }

func (d drawn) rules() sigv4.Rules {
	if d.s3 {
		return sigv4.Rules{Region: region, Service: "s3", Presigned: true, Path: sigv4.PathAsSent, UnsignedPayload: true}
	}
	return rules
}

func (d drawn) verified(t *rapid.T, r *sigv4.Request) {
	t.Helper()
	s, err := sigv4.Parse(r, d.rules(), d.at)
	if err != nil {
		t.Fatalf("%v\n%+v", err, r)
	}
	hash := sha256.Sum256(d.body)
	if !s.Verify(sigv4.Derive(secret, s.Scope), hash) {
		t.Fatalf("the signature was refused\n%+v\n%s", r, s.Canonical(hash))
	}
	if s.Token != d.token {
		t.Fatalf("token %q, want %q", s.Token, d.token)
	}
}

func TestWhatTheSDKSignsIsAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		h := d.http(t)
		hash := sha256.Sum256(d.body)
		if err := v4.NewSigner().SignHTTP(context.Background(), d.credentials(), h, hex.EncodeToString(hash[:]), d.rules().Service, region, d.at, d.options); err != nil {
			t.Fatal(err)
		}
		d.verified(t, fromHTTP(h))
	})
}

func TestWhatTheSDKPresignsIsAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		if strings.Contains(strings.ToLower(d.query), "x-amz") {
			t.Skip("already holds amz parameters")
		}
		h := d.http(t)
		q := h.URL.Query()
		q.Set("X-Amz-Expires", strconv.Itoa(rapid.IntRange(1, 604800).Draw(t, "expires")))
		h.URL.RawQuery = q.Encode()
		sum := sha256.Sum256(d.body)
		hash := hex.EncodeToString(sum[:])
		if d.s3 {
			hash = "UNSIGNED-PAYLOAD"
		}
		signed, header, err := v4.NewSigner().PresignHTTP(context.Background(), d.credentials(), h, hash, d.rules().Service, region, d.at, d.options)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		r := &sigv4.Request{Method: d.method, URI: u.RequestURI(), Host: d.host, Fields: sigv4.AppendFields(nil, header)}
		r.Fields = without(r.Fields, "host")
		d.verified(t, r)
	})
}

func without(fields []sigv4.Field, name string) (left []sigv4.Field) {
	for _, f := range fields {
		if !strings.EqualFold(f.Name, name) {
			left = append(left, f)
		}
	}
	return left
}

func TestOwnSignaturesAreTheSDKs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		h := d.http(t)
		hash := sha256.Sum256(d.body)
		if d.s3 {
			h.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(hash[:]))
		}
		own := fromHTTP(h)
		own.Fields = without(own.Fields, "x-amz-content-sha256")
		own.Fields = (&sigv4.Signer{KeyID: keyID, Secret: secret, Token: d.token, Region: region, Service: d.rules().Service, Path: d.rules().Path}).
			Sign(own.Fields, own, hash, d.at)
		if err := v4.NewSigner().SignHTTP(context.Background(), d.credentials(), h, hex.EncodeToString(hash[:]), d.rules().Service, region, d.at, d.options); err != nil {
			t.Fatal(err)
		}
		last := own.Fields[len(own.Fields)-1]
		if want := h.Header.Get("Authorization"); last.Name != "Authorization" || last.Value != want {
			t.Fatalf("signed %s %q\nwant %q", last.Name, last.Value, want)
		}
		d.verified(t, own)
	})
}

func TestOwnPresignedURLsAreAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		if strings.Contains(strings.ToLower(d.query), "x-amz") {
			t.Skip("already holds amz parameters")
		}
		r := fromHTTP(d.http(t))
		signer := &sigv4.Signer{KeyID: keyID, Secret: secret, Token: d.token, Region: region, Service: d.rules().Service, Path: d.rules().Path}
		r.URI = signer.Presign(r, time.Hour, sha256.Sum256(d.body), d.at)
		d.verified(t, r)
	})
}
