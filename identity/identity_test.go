package identity_test

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/sigv4"
)

const (
	keyID   = "AKIDEXAMPLE"
	secret  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	session = "AQoDYXdzEPT//////////wEXAMPLE+=="
	token   = "ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl"
	region  = "us-east-1"

	badSignature = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	badClient    = "The security token included in the request is invalid."
	badAPIKey    = "Authentication failed: Please make sure your API Key is valid."
)

var (
	noon = time.Date(2026, 11, 22, 13, 52, 0, 0, time.UTC)
	body = []byte(`{"messages":[]}`)
)

func principal(id string) outcrop.Principal {
	return outcrop.Principal{KeyID: id, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/" + id}
}

func signingKey(id string) identity.Key {
	return identity.Key{Principal: principal(id), Kind: identity.KindSigV4, Secret: identity.NewSecret(secret)}
}

func bearerKey(id, token string) identity.Key {
	return identity.Key{Principal: principal(id), Kind: identity.KindBearer, Hash: identity.HashToken(token)}
}

// keyed returns an Authenticator with a key of each kind, and more.
func keyed(more ...identity.Key) *identity.Authenticator {
	a := identity.New(identity.Options{Region: region})
	a.SetKeys(append([]identity.Key{signingKey(keyID), bearerKey("api", token)}, more...))
	return a
}

func signer(change ...func(*sigv4.Signer)) *sigv4.Signer {
	s := &sigv4.Signer{KeyID: keyID, Secret: secret, Region: region, Service: "bedrock"}
	for _, c := range change {
		c(s)
	}
	return s
}

func head() sigv4.Request {
	return sigv4.Request{Method: "POST", URI: "/model/anthropic.claude-v2%3A1/converse", Host: "localhost:8484",
		Fields: []sigv4.Field{{Name: "Content-Type", Value: "application/json"}}}
}

func signed(s *sigv4.Signer) *identity.Request {
	r := &identity.Request{Head: head()}
	r.Head.Fields = s.Sign(r.Head.Fields, &r.Head, sha256.Sum256(body), noon)
	return r
}

func presigned(s *sigv4.Signer, allowed bool) *identity.Request {
	r := &identity.Request{Head: head(), Presigned: allowed}
	r.Head.URI = s.Presign(&r.Head, time.Hour, sha256.Sum256(body), noon)
	return r
}

func with(name, value string) *identity.Request {
	r := &identity.Request{Head: head()}
	r.Head.Fields = append(r.Head.Fields, sigv4.Field{Name: name, Value: value})
	return r
}

func bearer(token string) *identity.Request { return with("Authorization", "Bearer "+token) }

// check expects the key id, or the code with the message.
func check(t *testing.T, a *identity.Authenticator, r *identity.Request, now time.Time, id string, code outcrop.Code, message string) {
	t.Helper()
	p, err := a.Authenticate(r, body, now)
	if code == "" {
		if err != nil || p.KeyID != id {
			t.Errorf("principal %+v, error %v, want %s", p, err, id)
		}
		return
	}
	var e *outcrop.Error
	if p != nil || !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, message) {
		t.Errorf("principal %+v, error %v, want %s %q", p, err, code, message)
	}
}

func TestWhoCalls(t *testing.T) {
	other := func(s *sigv4.Signer) { s.KeyID = "AKIDOTHER" }
	for name, c := range map[string]struct {
		request *identity.Request
		id      string
		code    outcrop.Code
		message string
	}{
		"signature":                    {signed(signer()), keyID, "", ""},
		"presigned":                    {presigned(signer(), true), keyID, "", ""},
		"API key":                      {bearer(token), "api", "", ""},
		"scheme in lower case":         {with("Authorization", "bearer "+token), "api", "", ""},
		"short-term key":               {bearer(identity.NewShortKey(signer(), time.Hour, noon).Reveal()), keyID, "", ""},
		"nothing":                      {&identity.Request{Head: head()}, "", outcrop.CodeMissingToken, "Missing Authentication Token"},
		"amz parameter alone":          {&identity.Request{Head: sigv4.Request{Method: "GET", URI: "/?x-amz-foo=1", Host: "h"}, Presigned: true}, "", outcrop.CodeMissingToken, "Missing Authentication Token"},
		"wrong secret":                 {signed(signer(func(s *sigv4.Signer) { s.Secret = "wrong" })), "", outcrop.CodeInvalidSignature, badSignature},
		"unknown key id":               {signed(signer(other)), "", outcrop.CodeUnrecognizedClient, badClient},
		"token that the key lacks":     {signed(signer(func(s *sigv4.Signer) { s.Token = session })), "", outcrop.CodeUnrecognizedClient, badClient},
		"wrong region":                 {signed(signer(func(s *sigv4.Signer) { s.Region = "eu-west-1" })), "", outcrop.CodeInvalidSignature, "us-east-1"},
		"wrong service":                {signed(signer(func(s *sigv4.Signer) { s.Service = "s3" })), "", outcrop.CodeInvalidSignature, "'bedrock'"},
		"presigned, not allowed":       {presigned(signer(), false), "", outcrop.CodeInvalidSignature, "Presigned"},
		"presigned with wrong secret":  {presigned(signer(func(s *sigv4.Signer) { s.Secret = "wrong" }), true), "", outcrop.CodeInvalidSignature, badSignature},
		"presigned by nobody":          {presigned(signer(other), true), "", outcrop.CodeUnrecognizedClient, badClient},
		"unknown API key":              {bearer(token + "x"), "", outcrop.CodeAccessDenied, badAPIKey},
		"API key in another case":      {bearer(strings.ToLower(token)), "", outcrop.CodeAccessDenied, badAPIKey},
		"secret access key as API key": {bearer(secret), "", outcrop.CodeAccessDenied, badAPIKey},
		"empty API key":                {bearer(""), "", outcrop.CodeIncompleteSignature, "exactly one"},
		"basic":                        {with("Authorization", "Basic YTpi"), "", outcrop.CodeIncompleteSignature, "exactly one"},
		"empty header":                 {with("Authorization", ""), "", outcrop.CodeIncompleteSignature, "exactly one"},
		"another algorithm":            {with("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=a"), "", outcrop.CodeIncompleteSignature, sigv4.Algorithm},
		"malformed":                    {with("Authorization", "AWS4-HMAC-SHA256 Credential"), "", outcrop.CodeIncompleteSignature, "key=value"},
	} {
		t.Run(name, func(t *testing.T) { check(t, keyed(), c.request, noon, c.id, c.code, c.message) })
	}
}

func TestCredentialsInTwoPlacesAreRefused(t *testing.T) {
	twice := func(r *identity.Request, name, value string) *identity.Request {
		r.Presigned = true
		r.Head.Fields = append(r.Head.Fields, sigv4.Field{Name: name, Value: value})
		return r
	}
	withQuery := func(r *identity.Request) *identity.Request {
		r.Presigned, r.Head.URI = true, presigned(signer(), true).Head.URI
		return r
	}
	for name, r := range map[string]*identity.Request{
		"two API keys":            twice(bearer(token), "authorization", "Bearer "+token),
		"signature and API key":   twice(signed(signer()), "Authorization", "Bearer "+token),
		"presigned and signature": withQuery(signed(signer())),
		"presigned and API key":   withQuery(bearer(token)),
	} {
		for which, a := range map[string]*identity.Authenticator{"keyed": keyed(), "open": identity.New(identity.Options{})} {
			t.Run(name+", "+which, func(t *testing.T) { check(t, a, r, noon, "", outcrop.CodeIncompleteSignature, "") })
		}
	}
}

func TestBodiesAreSigned(t *testing.T) {
	a := keyed()
	for name, r := range map[string]*identity.Request{"header": signed(signer()), "presigned": presigned(signer(), true)} {
		if _, err := a.Authenticate(r, append([]byte(" "), body...), noon); !errors.Is(err, outcrop.CodeInvalidSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionTokens(t *testing.T) {
	temporary := signingKey("ASIATEMPORARY")
	temporary.Token = identity.NewSecret(session)
	a := keyed(temporary)
	by := func(token string) *sigv4.Signer {
		return signer(func(s *sigv4.Signer) { s.KeyID, s.Token = "ASIATEMPORARY", token })
	}
	check(t, a, signed(by(session)), noon, "ASIATEMPORARY", "", "")
	check(t, a, presigned(by(session), true), noon, "ASIATEMPORARY", "", "")
	check(t, a, bearer(identity.NewShortKey(by(session), time.Hour, noon).Reveal()), noon, "ASIATEMPORARY", "", "")
	check(t, a, signed(by("")), noon, "", outcrop.CodeUnrecognizedClient, badClient)
	check(t, a, signed(by(session+"x")), noon, "", outcrop.CodeUnrecognizedClient, badClient)
	unsigned := signed(by(""))
	unsigned.Head.Fields = append(unsigned.Head.Fields, sigv4.Field{Name: "X-Amz-Security-Token", Value: session})
	check(t, a, unsigned, noon, "", outcrop.CodeInvalidSignature, "'x-amz-security-token' must be a 'SignedHeader'")
}

func TestSignaturesAgeAndKeysExpire(t *testing.T) {
	brief := signingKey("AKIDBRIEF")
	brief.Expires = noon.Add(time.Minute)
	briefAPI := bearerKey("brief", "brief token")
	briefAPI.Expires = noon.Add(time.Minute)
	a := keyed(brief, briefAPI)
	check(t, a, signed(signer()), noon.Add(6*time.Minute), "", outcrop.CodeInvalidSignature, "Signature expired: 20261122T135200Z is now earlier than 20261122T135300Z")
	check(t, a, presigned(signer(), true), noon.Add(59*time.Minute), keyID, "", "")
	check(t, a, presigned(signer(), true), noon.Add(61*time.Minute), "", outcrop.CodeInvalidSignature, "Signature expired")
	by := signer(func(s *sigv4.Signer) { s.KeyID = "AKIDBRIEF" })
	check(t, a, signed(by), noon.Add(59*time.Second), "AKIDBRIEF", "", "")
	check(t, a, signed(by), noon.Add(time.Minute), "", outcrop.CodeExpiredToken, "The security token included in the request is expired")
	check(t, a, bearer("brief token"), noon.Add(59*time.Second), "brief", "", "")
	check(t, a, bearer("brief token"), noon.Add(time.Minute), "", outcrop.CodeAccessDenied, badAPIKey)
}

func TestRevokedKeysDoNotOpenTheDoor(t *testing.T) {
	access, api := signingKey(keyID), bearerKey("api", token)
	access.Revoked, api.Revoked = noon, noon
	a := identity.New(identity.Options{Region: region})
	a.SetKeys([]identity.Key{access, api})
	if a.Open() {
		t.Error("revoking all keys let everybody in")
	}
	check(t, a, signed(signer()), noon, "", outcrop.CodeUnrecognizedClient, badClient)
	check(t, a, bearer(token), noon, "", outcrop.CodeAccessDenied, badAPIKey)
	check(t, a, &identity.Request{Head: head()}, noon, "", outcrop.CodeMissingToken, "")
}

// TestHollowKeysFitNothing sets keys that lack what they are checked by.
func TestHollowKeysFitNothing(t *testing.T) {
	a := identity.New(identity.Options{Region: region})
	a.SetKeys([]identity.Key{{Principal: principal(keyID), Kind: identity.KindSigV4}, {Principal: principal("api"), Kind: identity.KindBearer}, {Principal: principal("none")}})
	check(t, a, signed(signer(func(s *sigv4.Signer) { s.Secret = "" })), noon, "", outcrop.CodeUnrecognizedClient, badClient)
	check(t, a, bearer("anything"), noon, "", outcrop.CodeAccessDenied, badAPIKey)
	check(t, a, signed(signer(func(s *sigv4.Signer) { s.KeyID, s.Secret = "", "" })), noon, "", outcrop.CodeIncompleteSignature, "")
}

func TestKeysAreReplacedAtOnce(t *testing.T) {
	a := keyed()
	check(t, a, signed(signer()), noon, keyID, "", "")
	rotated := signingKey(keyID)
	rotated.Secret = identity.NewSecret("the new secret")
	a.SetKeys([]identity.Key{rotated})
	check(t, a, signed(signer()), noon, "", outcrop.CodeInvalidSignature, badSignature)
	check(t, a, signed(signer(func(s *sigv4.Signer) { s.Secret = "the new secret" })), noon, keyID, "", "")
	check(t, a, bearer(token), noon, "", outcrop.CodeAccessDenied, badAPIKey)
}

func TestOpenMode(t *testing.T) {
	a := identity.New(identity.Options{Region: region})
	if !a.Open() {
		t.Fatal("without a key it is not open")
	}
	for name, c := range map[string]struct {
		request *identity.Request
		id      string
		code    outcrop.Code
	}{
		"nothing":              {&identity.Request{Head: head()}, "anonymous", ""},
		"any signature":        {signed(signer(func(s *sigv4.Signer) { s.Secret, s.Region, s.Service = "x", "mars-1", "moon" })), keyID, ""},
		"dummy key id":         {signed(signer(func(s *sigv4.Signer) { s.KeyID = "test" })), "test", ""},
		"hostile key id":       {signed(signer(func(s *sigv4.Signer) { s.KeyID = `a"'<\,{}%%=` })), "", outcrop.CodeIncompleteSignature},
		"odd key id":           {signed(signer(func(s *sigv4.Signer) { s.KeyID = `A"<b>` })), "Ab", ""},
		"nothing but odd":      {signed(signer(func(s *sigv4.Signer) { s.KeyID = `"<>` })), "anonymous", ""},
		"long key id":          {signed(signer(func(s *sigv4.Signer) { s.KeyID = strings.Repeat("k", 100) })), strings.Repeat("k", 64), ""},
		"any API key":          {bearer(token), "api-key", ""},
		"any short-term key":   {bearer("bedrock-api-key-garbage"), "api-key", ""},
		"presigned":            {presigned(signer(), true), keyID, ""},
		"presigned elsewhere":  {presigned(signer(), false), "", outcrop.CodeInvalidSignature},
		"malformed header":     {with("Authorization", "AWS4-HMAC-SHA256 Credential=test"), "", outcrop.CodeIncompleteSignature},
		"another scheme":       {with("Authorization", "Basic YTpi"), "", outcrop.CodeIncompleteSignature},
		"cut short-term query": {&identity.Request{Head: sigv4.Request{Method: "GET", URI: "/?X-Amz-Signature=1", Host: "h"}, Presigned: true}, "", outcrop.CodeIncompleteSignature},
	} {
		t.Run(name, func(t *testing.T) { check(t, a, c.request, noon.Add(1000*time.Hour), c.id, c.code, "") })
	}
	p, err := a.Authenticate(signed(signer()), body, noon)
	if err != nil || p.Account != "000000000000" || p.ARN != "arn:aws:iam::000000000000:user/"+keyID || !p.MayDo("bedrock:InvokeModel") {
		t.Errorf("principal %+v, error %v", p, err)
	}
	a.SetKeys([]identity.Key{signingKey(keyID)})
	check(t, a, &identity.Request{Head: head()}, noon, "", outcrop.CodeMissingToken, "")
}

func TestHostsMayBeListed(t *testing.T) {
	for _, open := range []bool{false, true} {
		a := identity.New(identity.Options{Hosts: []string{"bedrock.example.com", "127.0.0.1:8484", "[::1]"}})
		if !open {
			a.SetKeys([]identity.Key{bearerKey("api", token)})
		}
		for host, ok := range map[string]bool{
			"bedrock.example.com": true, "Bedrock.Example.com:443": true, "127.0.0.1:8484": true, "[::1]:8484": true, "[::1]": true,
			"127.0.0.1": false, "127.0.0.1:80": false, "evil.example.com": false, "": false, "bedrock.example.com.evil": false, "[::1": false,
		} {
			r := bearer(token)
			r.Head.Host = host
			_, err := a.Authenticate(r, body, noon)
			if ok != (err == nil) || !ok && !errors.Is(err, outcrop.CodeAccessDenied) {
				t.Errorf("open %v, host %q: %v", open, host, err)
			}
		}
	}
}

// TestErrorsQuoteNoCredentials looks for what a caller sent as a secret in
// what the log would say.
func TestErrorsQuoteNoCredentials(t *testing.T) {
	const canary = "CANARYsecret0123456789"
	a := keyed()
	for _, r := range []*identity.Request{
		bearer(canary), bearer("bedrock-api-key-" + canary), with("Authorization", "Basic "+canary), with("Authorization", canary),
		with("Authorization", "AWS4-HMAC-SHA256 "+canary), signed(signer(func(s *sigv4.Signer) { s.Token = canary })),
		with("X-Amz-Security-Token", canary),
	} {
		_, err := a.Authenticate(r, body, noon)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("error %v", err)
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	a := keyed()
	for name, r := range map[string]*identity.Request{"signature": signed(signer()), "api-key": bearer(token)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Authenticate(r, body, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
