package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/outcrop/outcrop/identity"
)

// A caller makes requests as one holder of a key.
type caller struct {
	id, secret, token string // token: session token
	region, service   string
	bearer            string
	presign           bool
	at                time.Time
	change            func(*http.Request) // after signing
}

// ask sends the request as the caller.
func (c caller) ask(t *testing.T, h *house, client *http.Client, method, path, body string) reply {
	t.Helper()
	req, err := http.NewRequest(method, h.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case c.bearer != "":
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	case c.id != "":
		c.sign(t, req, body)
	}
	if c.change != nil {
		c.change(req)
	}
	return do(t, client, req)
}

// sign signs with Amazon's own signer.
func (c caller) sign(t *testing.T, req *http.Request, body string) {
	t.Helper()
	if c.region == "" {
		c.region = "us-east-1"
	}
	if c.service == "" {
		c.service = "bedrock"
	}
	if c.at.IsZero() {
		c.at = time.Now()
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	credentials := aws.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret, SessionToken: c.token}
	if !c.presign {
		if err := v4.NewSigner().SignHTTP(t.Context(), credentials, req, hash, c.service, c.region, c.at); err != nil {
			t.Fatal(err)
		}
		return
	}
	q := req.URL.Query()
	q.Set("X-Amz-Expires", "60")
	req.URL.RawQuery = q.Encode()
	url, _, err := v4.NewSigner().PresignHTTP(t.Context(), credentials, req, hash, c.service, c.region, c.at)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := http.NewRequest(req.Method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.URL, req.Header = signed.URL, signed.Header
}

func TestWithoutAKeyAnyCredentialsWillDo(t *testing.T) {
	h := start(t, fast)
	if !h.Open() {
		t.Error("the server says that it is not open")
	}
	client := newClient(t, &http.Transport{})
	for name, c := range map[string]caller{
		"none": {}, "bearer": {bearer: "x"}, "signature": {id: "AKIAANYTHING", secret: "y"}, "old signature": {id: "AKIAANYTHING", secret: "y", at: time.Now().Add(-time.Hour)},
		"other region": {id: "AKIAANYTHING", secret: "y", region: "eu-west-1"},
	} {
		if r := c.ask(t, h, client, "POST", conversePath, hello); r.status != 200 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

func TestWithAKeyOnlyItsHolderIsServed(t *testing.T) {
	cfg := load(t, fast)
	id, secret := aKey(t, cfg.Data, nil)
	tokenID, tokenSecret := aKey(t, cfg.Data, func(k *identity.Key) { k.Token = identity.NewSecret("session") })
	expiredID, expiredSecret := aKey(t, cfg.Data, func(k *identity.Key) { k.Expires = time.Now().Add(-time.Minute) })
	_, token := aBearer(t, cfg.Data)
	h := startOn(t, cfg)
	if h.Open() {
		t.Error("the server says that it is open")
	}
	tamper := func(change func(*http.Request)) caller { return caller{id: id, secret: secret, change: change} }
	cases := map[string]struct {
		caller
		status int
		code   string
	}{
		"signature":                {caller{id: id, secret: secret}, 200, ""},
		"presigned":                {caller{id: id, secret: secret, presign: true}, 200, ""},
		"session token":            {caller{id: tokenID, secret: tokenSecret, token: "session"}, 200, ""},
		"API key":                  {caller{bearer: token}, 200, ""},
		"nothing":                  {caller{}, 403, "MissingAuthenticationTokenException"},
		"wrong secret":             {caller{id: id, secret: secret + "x"}, 403, "InvalidSignatureException"},
		"unknown key":              {caller{id: "AKIAUNKNOWNUNKNOWN12", secret: secret}, 403, "UnrecognizedClientException"},
		"wrong API key":            {caller{bearer: token[:len(token)-1] + "!"}, 403, "AccessDeniedException"},
		"wrong session token":      {caller{id: tokenID, secret: tokenSecret, token: "other"}, 403, "UnrecognizedClientException"},
		"no session token":         {caller{id: tokenID, secret: tokenSecret}, 403, "UnrecognizedClientException"},
		"session token of no need": {caller{id: id, secret: secret, token: "session"}, 403, "UnrecognizedClientException"},
		"expired":                  {caller{id: expiredID, secret: expiredSecret}, 403, "ExpiredTokenException"},
		"other region":             {caller{id: id, secret: secret, region: "eu-west-1"}, 403, "InvalidSignatureException"},
		"other service":            {caller{id: id, secret: secret, service: "sqs"}, 403, "InvalidSignatureException"},
		"long ago":                 {caller{id: id, secret: secret, at: time.Now().Add(-10 * time.Minute)}, 403, "InvalidSignatureException"},
		"ahead":                    {caller{id: id, secret: secret, at: time.Now().Add(10 * time.Minute)}, 403, "InvalidSignatureException"},
		"other body":               {tamper(func(r *http.Request) { r.Body = http.NoBody; r.ContentLength = 0 }), 403, "InvalidSignatureException"},
		"other path":               {tamper(func(r *http.Request) { r.URL.RawPath = streamPath; r.URL.Path = "/model/" + haiku + "/converse-stream" }), 403, "InvalidSignatureException"},
		"other host":               {tamper(func(r *http.Request) { r.Host = "evil.example" }), 403, "InvalidSignatureException"},
		"other method":             {tamper(func(r *http.Request) { r.Method = "PUT" }), 403, "InvalidSignatureException"},
		"unsigned amz header":      {tamper(func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") }), 403, "InvalidSignatureException"},
		"two credentials":          {tamper(func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=1" }), 400, "IncompleteSignatureException"},
		"garbage":                  {tamper(func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") }), 400, "IncompleteSignatureException"},
		"basic":                    {tamper(func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }), 400, "IncompleteSignatureException"},
	}
	for protocol, transport := range protocols() {
		client := newClient(t, transport)
		for name, c := range cases {
			r := c.ask(t, h, client, "POST", conversePath, hello)
			if r.status != c.status || r.code() != c.code {
				t.Errorf("%s over %s: %d %s %s", name, protocol, r.status, r.code(), r.body)
			}
			if strings.Contains(r.body, secret) || strings.Contains(r.body, token) {
				t.Errorf("%s over %s: the answer shows a secret", name, protocol)
			}
		}
	}
	if strings.Contains(h.log.String(), secret) || strings.Contains(h.log.String(), token) {
		t.Error("the log shows a secret")
	}
}

func TestTheControlPlaneAsksForTheSameKeys(t *testing.T) {
	cfg := load(t, fast)
	id, secret := aKey(t, cfg.Data, nil)
	h := startOn(t, cfg)
	client := newClient(t, &http.Transport{})
	const path = "/foundation-models"
	if r := (caller{id: id, secret: secret}).ask(t, h, client, "GET", path, ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	for name, c := range map[string]caller{"none": {}, "wrong": {id: id, secret: "x"}, "presigned": {id: id, secret: secret, presign: true}} {
		if r := c.ask(t, h, client, "GET", path, ""); r.status != 403 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if r := (caller{}).ask(t, h, client, "GET", path, ""); r.status != 200 {
			t.Errorf("%s without a key: %d", path, r.status)
		}
	}
	if r := (caller{}).ask(t, h, client, "GET", "/nothing", ""); r.status != 403 {
		t.Errorf("whoever has no key learns what operations there are: %d", r.status)
	}
}

func TestAKeyOpensWhatItSaysAndNoMore(t *testing.T) {
	cfg := load(t, fast)
	id, secret := aKey(t, cfg.Data, func(k *identity.Key) {
		k.Principal.Actions, k.Principal.Models = []string{"bedrock:InvokeModel"}, []string{"anthropic.*"}
	})
	h := startOn(t, cfg)
	client := newClient(t, &http.Transport{})
	c := caller{id: id, secret: secret}
	if r := c.ask(t, h, client, "POST", conversePath, hello); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := c.ask(t, h, client, "POST", "/model/us."+haiku+"/converse", hello); r.status != 200 {
		t.Errorf("by its profile: %d %s", r.status, r.body)
	}
	for _, path := range []string{streamPath, "/model/amazon.nova-lite-v1%3A0/converse", haikuPath + "/count-tokens"} {
		if r := c.ask(t, h, client, "POST", path, hello); r.status != 403 || r.code() != "AccessDeniedException" || !strings.Contains(r.message(), "is not authorized to perform: bedrock:") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// TestAPageCannotReachAnOpenServerThroughANameOfItsOwn is about DNS rebinding:
// a browser sends the page's own name as Host.
func TestAPageCannotReachAnOpenServerThroughANameOfItsOwn(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	_, port, _ := strings.Cut(h.addr(), ":")
	for host, want := range map[string]int{
		h.addr(): 200, "localhost": 200, "localhost:" + port: 200, "LOCALHOST": 200, "127.0.0.1": 200, "[::1]:" + port: 200, "host.docker.internal": 200,
		"evil.example": 403, "evil.example:" + port: 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403,
	} {
		r := caller{bearer: "x", change: func(r *http.Request) { r.Host = host }}.ask(t, h, client, "POST", conversePath, hello)
		if r.status != want {
			t.Errorf("Host %s: %d %s", host, r.status, r.body)
		}
	}
}

func TestOnlyTheConfiguredNamesAreTaken(t *testing.T) {
	cfg := load(t, fast+"hosts: [bedrock.example]\n")
	_, token := aBearer(t, cfg.Data)
	h := startOn(t, cfg)
	client := newClient(t, &http.Transport{})
	for host, want := range map[string]int{"bedrock.example": 200, "bedrock.example:8484": 200, "localhost": 403, "other.example": 403} {
		r := caller{bearer: token, change: func(r *http.Request) { r.Host = host }}.ask(t, h, client, "POST", conversePath, hello)
		if r.status != want {
			t.Errorf("Host %s: %d %s", host, r.status, r.body)
		}
	}
}

func TestKeysRequiredMeansThatNoKeyOpensNothing(t *testing.T) {
	h := start(t, fast+"keys: required\n")
	if h.Open() {
		t.Error("the server says that it is open")
	}
	client := newClient(t, &http.Transport{})
	for name, c := range map[string]caller{"none": {}, "bearer": {bearer: "x"}, "signature": {id: "AKIAANYTHING", secret: "y"}} {
		if r := c.ask(t, h, client, "POST", conversePath, hello); r.status != 403 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

func TestKeysOpenServesAnybodyInSpiteOfAKey(t *testing.T) {
	cfg := load(t, fast+"keys: open\n")
	aKey(t, cfg.Data, nil)
	h := startOn(t, cfg)
	if r := (caller{bearer: "x"}).ask(t, h, newClient(t, &http.Transport{}), "POST", conversePath, hello); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestKeysThatAnotherProcessChangesTakeEffectWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, fast)
		client := newClient(t, &http.Transport{DialContext: p.dial})
		status := func(c caller) int { return c.ask(t, h, client, "POST", conversePath, hello).status }
		if got := status(caller{}); got != 200 {
			t.Fatalf("an open server says %d", got)
		}
		id, secret := aKey(t, h.data, nil)
		time.Sleep(1100 * time.Millisecond)
		if got := status(caller{}); got != 403 {
			t.Errorf("the first key does not close the door: %d", got)
		}
		if got := status(caller{id: id, secret: secret}); got != 200 {
			t.Errorf("its holder gets %d", got)
		}
		revoke(t, h.data, id)
		time.Sleep(1100 * time.Millisecond)
		if got := status(caller{id: id, secret: secret}); got != 403 {
			t.Errorf("a revoked key gets %d", got)
		}
		if got := status(caller{}); got != 403 {
			t.Errorf("revoking the last key opens the door: %d", got)
		}
	})
}

func TestAKeyThatIsAddedBeforeRunIsNotOverlooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newServer(t, load(t, fast))
		id, secret := aKey(t, h.data, nil)
		p := newPipes()
		h.ListenOn(p)
		h.URL = "http://localhost"
		h.run(t)
		time.Sleep(1100 * time.Millisecond)
		client := newClient(t, &http.Transport{DialContext: p.dial})
		if r := (caller{id: id, secret: secret}).ask(t, h, client, "POST", conversePath, hello); r.status != 200 {
			t.Errorf("its holder gets %d %s", r.status, r.body)
		}
		if r := (caller{}).ask(t, h, client, "POST", conversePath, hello); r.status != 403 {
			t.Errorf("anybody gets %d", r.status)
		}
	})
}
