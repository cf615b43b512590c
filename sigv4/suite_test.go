package sigv4_test

import (
	"crypto/sha256"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop/sigv4"
)

// published is when AWS's suite was signed.
var published = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

// TestAWSsOwnSuite goes through the requests that AWS publishes with their
// signatures: in the header, and presigned. Each is verified, and signed anew.
//
// Left out are get-space-*, whose targets hold a blank and are no HTTP, and
// post-sts-header-after, whose session token nobody signed: that is refused
// here. Those without normalization (-unnormalized) are for the header alone: a
// presigned request of the services with such paths does not sign its body.
func TestAWSsOwnSuite(t *testing.T) {
	files, err := filepath.Glob("testdata/aws/*.txtar")
	if err != nil || len(files) != 35 {
		t.Fatalf("%d requests, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]string{}
			for _, f := range archive.Files {
				parts[f.Name] = string(f.Data)
			}
			rules := sigv4.Rules{Region: region, Service: "service", Presigned: true}
			if strings.HasSuffix(file, "-unnormalized.txtar") {
				rules.Path = sigv4.PathAsSent
			}
			verifyPublished(t, rules, parts["request"], parts["canonical"])
			if rules.Path == sigv4.PathAsSent {
				return
			}
			verifyPublished(t, rules, parts["presigned"], parts["presigned canonical"])
			signPublished(t, parts["request"], parts["presigned"])
		})
	}
}

func verifyPublished(t *testing.T, rules sigv4.Rules, raw, canonical string) {
	t.Helper()
	r, body := parseRaw(t, raw)
	s, err := sigv4.Parse(r, rules, published)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(body)
	if diff := cmp.Diff(strings.TrimSuffix(canonical, "\n"), s.Canonical(hash)); diff != "" {
		t.Errorf("canonical request (-want +got):\n%s", diff)
	}
	if s.KeyID != keyID || !s.Verify(sigv4.Derive(secret, s.Scope), hash) {
		t.Error("the published signature was refused")
	}
	hash[0]++
	if s.Verify(sigv4.Derive(secret, s.Scope), hash) {
		t.Error("the signature was accepted for another body")
	}
}

// signPublished signs what the suite signed.
func signPublished(t *testing.T, header, presigned string) {
	t.Helper()
	want, body := parseRaw(t, header)
	signer := sigv4.Signer{KeyID: keyID, Secret: secret, Region: region, Service: "service", Token: get(want, "X-Amz-Security-Token")}
	bare := *want
	bare.Fields = slices.DeleteFunc(slices.Clone(want.Fields), func(f sigv4.Field) bool {
		return slices.Contains([]string{"X-Amz-Date", "X-Amz-Security-Token", "Authorization"}, f.Name)
	})
	signed := signer.Sign(nil, &bare, sha256.Sum256(body), published)
	if got := signed[len(signed)-1].Value; got != get(want, "Authorization") {
		t.Errorf("signed %s\nwant   %s", got, get(want, "Authorization"))
	}
	link, body := parseRaw(t, presigned)
	bare.Fields = link.Fields
	target := signer.Presign(&bare, time.Hour, sha256.Sum256(body), published)
	if got, want := signatureOf(t, target), signatureOf(t, link.URI); got != want {
		t.Errorf("presigned %s, want %s", got, want)
	}
}

func signatureOf(t *testing.T, target string) string {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("X-Amz-Signature")
}
