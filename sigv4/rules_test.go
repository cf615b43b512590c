package sigv4_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop/sigv4"
)

var signer = &sigv4.Signer{KeyID: keyID, Secret: secret, Region: region, Service: service}

var body = []byte(`{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`)

// converse returns a signed Converse call, as SDKs send it.
func converse(extra ...sigv4.Field) *sigv4.Request {
	r := &sigv4.Request{Method: "POST", URI: "/model/anthropic.claude-v2%3A1/converse", Host: "localhost:8484",
		Fields: []sigv4.Field{{Name: "Content-Type", Value: "application/json"}, {Name: "User-Agent", Value: "aws-sdk"}}}
	r.Fields = append(r.Fields, extra...)
	r.Fields = signer.Sign(r.Fields, r, sha256.Sum256(body), noon)
	return r
}

// link returns a presigned request.
func link(uri string, life time.Duration) *sigv4.Request {
	r := &sigv4.Request{Method: "GET", URI: uri, Host: "localhost:8484"}
	r.URI = signer.Presign(r, life, sha256.Sum256(nil), noon)
	return r
}

func accepted(r *sigv4.Request, rules sigv4.Rules, body []byte, now time.Time) bool {
	s, err := sigv4.Parse(r, rules, now)
	return err == nil && s.KeyID == keyID && s.Verify(sigv4.Derive(secret, s.Scope), sha256.Sum256(body))
}

func fault(t *testing.T, r *sigv4.Request, rules sigv4.Rules, now time.Time) (sigv4.Fault, string) {
	t.Helper()
	_, err := sigv4.Parse(r, rules, now)
	var e *sigv4.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("error of type %T", err)
	}
	if e == nil {
		return 0, ""
	}
	return e.Fault, e.Message
}

func set(r *sigv4.Request, name, value string) *sigv4.Request {
	for i := range r.Fields {
		if strings.EqualFold(r.Fields[i].Name, name) {
			r.Fields[i].Value = value
		}
	}
	return r
}

func get(r *sigv4.Request, name string) string {
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

func edit(r *sigv4.Request, old, new string) *sigv4.Request {
	return set(r, "Authorization", strings.Replace(get(r, "Authorization"), old, new, 1))
}

func plus(r *sigv4.Request, name, value string) *sigv4.Request {
	r.Fields = append(r.Fields, sigv4.Field{Name: name, Value: value})
	return r
}

func at(r *sigv4.Request, uri string) *sigv4.Request { r.URI = uri; return r }

// A refusal is a request with the fault that Parse finds in it, and a part of
// the message.
type refusal struct {
	request *sigv4.Request
	fault   sigv4.Fault
	message string
}

func checkRefusals(t *testing.T, rules sigv4.Rules, cases map[string]refusal) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, message := fault(t, c.request, rules, noon)
			if got != c.fault || !strings.Contains(message, c.message) || len(message) > 300 {
				t.Errorf("fault %d %q, want %d with %q", got, message, c.fault, c.message)
			}
		})
	}
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	if !accepted(converse(), rules, body, noon) {
		t.Fatal("the request that all cases start from is refused itself")
	}
	checkRefusals(t, sigv4.Rules{Region: region, Service: service}, map[string]refusal{
		"no credentials":         {&sigv4.Request{Method: "GET", URI: "/", Host: "h"}, sigv4.FaultMissing, "Missing Authentication Token"},
		"absolute target":        {at(converse(), "http://evil/model/x/converse"), sigv4.FaultIncomplete, "target"},
		"asterisk target":        {at(converse(), "*"), sigv4.FaultIncomplete, "target"},
		"empty target":           {at(converse(), ""), sigv4.FaultIncomplete, "target"},
		"long target":            {at(converse(), "/"+strings.Repeat("a", 1<<20)), sigv4.FaultIncomplete, "target"},
		"fragment":               {at(converse(), "/a#b"), sigv4.FaultIncomplete, "target"},
		"blank in target":        {at(converse(), "/a b"), sigv4.FaultIncomplete, "target"},
		"newline in target":      {at(converse(), "/a\nb"), sigv4.FaultIncomplete, "target"},
		"semicolon in query":     {at(converse(), "/?a=1;b=2"), sigv4.FaultIncomplete, "query string"},
		"bad escape in query":    {at(converse(), "/?a=%zz"), sigv4.FaultIncomplete, "query string"},
		"cut escape in query":    {at(converse(), "/?a=%2"), sigv4.FaultIncomplete, "query string"},
		"cut escape in name":     {at(converse(), "/?%=1"), sigv4.FaultIncomplete, "query string"},
		"empty pair in query":    {at(converse(), "/?a=1&&b=2"), sigv4.FaultIncomplete, "query string"},
		"nameless pair in query": {at(converse(), "/?=1"), sigv4.FaultIncomplete, "query string"},
		"two authorizations":     {plus(converse(), "authorization", "Bearer x"), sigv4.FaultIncomplete, "'authorization' must not occur twice"},
		"host among the fields":  {plus(converse(), "Host", "evil"), sigv4.FaultIncomplete, "'host' must not occur twice"},
		"two dates":              {plus(converse(), "x-amz-date", "20261122T135200Z"), sigv4.FaultIncomplete, "'x-amz-date' must not occur twice"},
		"two amz headers":        {plus(plus(converse(), "X-Amz-Target", "a"), "x-aMz-target", "b"), sigv4.FaultIncomplete, "'x-amz-target' must not occur twice"},
		"two content types":      {plus(converse(), "Content-type", "text/plain"), sigv4.FaultIncomplete, "'content-type' must not occur twice"},
		"two content lengths":    {plus(plus(converse(), "content-length", "1"), "Content-Length", "2"), sigv4.FaultIncomplete, "'content-length' must not occur twice"},
		"too many fields": {func() *sigv4.Request {
			r := converse()
			r.Fields = append(r.Fields, make([]sigv4.Field, 300)...)
			return r
		}(), sigv4.FaultIncomplete, "too many"},
		"unsigned amz header": {plus(converse(), "X-Amz-Target", "a"), sigv4.FaultRefused, "'x-amz-target' must be a 'SignedHeader'"},
		"unsigned token":      {plus(converse(), "X-Amz-Security-Token", "a"), sigv4.FaultRefused, "'x-amz-security-token' must be a 'SignedHeader'"},
		"host not signed":     {edit(converse(), ";host;", ";"), sigv4.FaultRefused, "'Host' or ':authority' must be"},
		"host empty":          {func() *sigv4.Request { r := converse(); r.Host = ""; return r }(), sigv4.FaultRefused, "'Host' or ':authority' must be"},
		"names not sorted":    {edit(converse(), "content-type;host", "host;content-type"), sigv4.FaultIncomplete, "'SignedHeaders' must be"},
		"name twice":          {edit(converse(), ";host", ";host;host"), sigv4.FaultIncomplete, "'SignedHeaders' must be"},
		"name in upper case":  {edit(converse(), ";host", ";Host"), sigv4.FaultIncomplete, "'SignedHeaders' must be"},
		"empty name":          {edit(converse(), ";host", ";;host"), sigv4.FaultIncomplete, "'SignedHeaders' must be"},
		"hundreds of names":   {edit(converse(), ";host", strings.Repeat(";a", 200)), sigv4.FaultIncomplete, "'SignedHeaders' must be"},
	})
}

func TestFieldsThatTheServerActsOnMustBeSigned(t *testing.T) {
	prefixed := sigv4.Rules{Region: region, Service: service, Presigned: true, SignedPrefix: "x-amzn-bedrock-"}
	tier := sigv4.Field{Name: "X-Amzn-Bedrock-Service-Tier", Value: "priority"}
	const says = "'x-amzn-bedrock-service-tier' must be a 'SignedHeader'"
	checkRefusals(t, prefixed, map[string]refusal{
		"unsigned":               {plus(converse(), tier.Name, tier.Value), sigv4.FaultRefused, says},
		"unsigned in small type": {plus(converse(), strings.ToLower(tier.Name), tier.Value), sigv4.FaultRefused, says},
		"presigned":              {plus(link("/model/x/invoke", time.Hour), tier.Name, tier.Value), sigv4.FaultRefused, says},
	})
	for name, r := range map[string]*sigv4.Request{
		"signed": converse(tier), "another field": plus(converse(), "X-Amzn-Trace-Id", "a"), "a shorter name": plus(converse(), "X-Amzn-Bedrock", "a"),
	} {
		if _, err := sigv4.Parse(r, prefixed, noon); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sigv4.Parse(plus(converse(), tier.Name, tier.Value), rules, noon); err != nil {
		t.Errorf("without the rule: %v", err)
	}
}

func TestBadCredentialsAreRefused(t *testing.T) {
	scope := "20261122/us-east-1/bedrock/aws4_request"
	unsignedBody := func(value string) *sigv4.Request {
		return converse(sigv4.Field{Name: "X-Amz-Content-Sha256", Value: value})
	}
	checkRefusals(t, sigv4.Rules{Region: region, Service: service}, map[string]refusal{
		"no date":               {set(converse(), "X-Amz-Date", ""), sigv4.FaultIncomplete, "'X-Amz-Date'"},
		"date of another form":  {set(converse(), "X-Amz-Date", "Sun, 22 Nov 2026 13:52:00 GMT"), sigv4.FaultIncomplete, "ISO-8601"},
		"date without end":      {set(converse(), "X-Amz-Date", "20261122T135200"), sigv4.FaultIncomplete, "ISO-8601"},
		"date with signs":       {set(converse(), "X-Amz-Date", "20261122T-1+200Z"), sigv4.FaultIncomplete, "ISO-8601"},
		"day that is none":      {set(converse(), "X-Amz-Date", "20260230T135200Z"), sigv4.FaultIncomplete, "ISO-8601"},
		"hour that is none":     {set(converse(), "X-Amz-Date", "20261122T245200Z"), sigv4.FaultIncomplete, "ISO-8601"},
		"month that is none":    {set(converse(), "X-Amz-Date", "20261322T135200Z"), sigv4.FaultIncomplete, "ISO-8601"},
		"scope of another day":  {edit(converse(), "20261122", "20261121"), sigv4.FaultRefused, "'20261121' != '20261122', from '20261122T135200Z'."},
		"another region":        {edit(converse(), region, "eu-west-1"), sigv4.FaultRefused, "valid region: 'us-east-1'"},
		"another service":       {edit(converse(), "bedrock/", "s3/"), sigv4.FaultRefused, "correct service: 'bedrock'"},
		"another terminator":    {edit(converse(), "aws4_request", "aws5_request"), sigv4.FaultRefused, "terminator: 'aws4_request'"},
		"scope too short":       {edit(converse(), scope, "20261122/us-east-1/bedrock"), sigv4.FaultIncomplete, "5 slash-delimited"},
		"scope too long":        {edit(converse(), scope, scope+"/x"), sigv4.FaultIncomplete, "5 slash-delimited"},
		"no key id":             {edit(converse(), keyID+"/", "/"), sigv4.FaultIncomplete, "5 slash-delimited"},
		"endless key id":        {edit(converse(), keyID, strings.Repeat("A", 200)), sigv4.FaultIncomplete, "5 slash-delimited"},
		"key id with blanks":    {edit(converse(), keyID, "A\tB"), sigv4.FaultIncomplete, "5 slash-delimited"},
		"another algorithm":     {edit(converse(), sigv4.Algorithm, "AWS4-HMAC-SHA1"), sigv4.FaultIncomplete, "must start with"},
		"algorithm alone":       {set(converse(), "Authorization", sigv4.Algorithm), sigv4.FaultIncomplete, "must start with"},
		"empty authorization":   {set(converse(), "Authorization", ""), sigv4.FaultIncomplete, "must start with"},
		"no signature":          {set(converse(), "Authorization", sigv4.Algorithm+" Credential=a/"+scope+", SignedHeaders=host"), sigv4.FaultIncomplete, "requires 'Signature'"},
		"no credential":         {edit(converse(), "Credential="+keyID+"/"+scope+", ", ""), sigv4.FaultIncomplete, "requires 'Credential'"},
		"no signed headers":     {set(converse(), "Authorization", sigv4.Algorithm+" Credential=a/"+scope+", Signature="+strings.Repeat("0", 64)), sigv4.FaultIncomplete, "requires 'SignedHeaders'"},
		"two credentials":       {edit(converse(), "Credential=", "Credential=a/"+scope+", Credential="), sigv4.FaultIncomplete, "each once"},
		"unknown part":          {edit(converse(), "Credential=", "Foo=a, Credential="), sigv4.FaultIncomplete, "each once"},
		"part without value":    {edit(converse(), "Credential=", "Credential, Credential="), sigv4.FaultIncomplete, "each once"},
		"empty part":            {edit(converse(), "Credential=", ", Credential="), sigv4.FaultIncomplete, "each once"},
		"short signature":       {set(converse(), "Authorization", get(converse(), "Authorization")[:150]), sigv4.FaultIncomplete, "64 lower-case"},
		"no hexadecimal":        {edit(converse(), "Signature=", "Signature=zz"), sigv4.FaultIncomplete, "64 lower-case"},
		"unsigned payload":      {unsignedBody("UNSIGNED-PAYLOAD"), sigv4.FaultRefused, "UNSIGNED-PAYLOAD is not accepted"},
		"streaming payload":     {unsignedBody("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), sigv4.FaultRefused, "streaming signature is not accepted"},
		"streaming unsigned":    {unsignedBody("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), sigv4.FaultRefused, "streaming signature is not accepted"},
		"odd payload":           {unsignedBody("none"), sigv4.FaultRefused, "'X-Amz-Content-Sha256' must be"},
		"payload in upper case": {unsignedBody(strings.Repeat("A", 64)), sigv4.FaultRefused, "'X-Amz-Content-Sha256' must be"},
	})
}

func TestBadPresignedRequestsAreRefused(t *testing.T) {
	good := func() *sigv4.Request { return link("/foundation-models?byProvider=Anthropic", time.Hour) }
	without := func(name string) *sigv4.Request {
		path, query, _ := strings.Cut(good().URI, "?")
		pieces := slices.DeleteFunc(strings.Split(query, "&"), func(p string) bool { return strings.HasPrefix(p, name+"=") })
		return at(good(), path+"?"+strings.Join(pieces, "&"))
	}
	swap := func(old, new string) *sigv4.Request {
		return at(good(), strings.Replace(good().URI, old, new, 1))
	}
	if !accepted(good(), rules, nil, noon) {
		t.Fatal("the request that all cases start from is refused itself")
	}
	cases := map[string]refusal{
		"header too":           {plus(good(), "Authorization", get(converse(), "Authorization")), sigv4.FaultIncomplete, "Only one auth mechanism"},
		"bearer too":           {plus(good(), "Authorization", "Bearer x"), sigv4.FaultIncomplete, "Only one auth mechanism"},
		"header and a token":   {at(converse(), "/?X-Amz-Security-Token=a"), sigv4.FaultIncomplete, "Only one auth mechanism"},
		"header, hidden name":  {at(converse(), "/?X%2DAmz-Signature=a"), sigv4.FaultIncomplete, "Only one auth mechanism"},
		"parameter twice":      {at(good(), good().URI+"&X-Amz-Expires=3600"), sigv4.FaultIncomplete, "'X-Amz-Expires' is malformed or occurs twice"},
		"hidden and twice":     {at(good(), good().URI+"&X%2dAmz-Expires=3600"), sigv4.FaultIncomplete, "'X-Amz-Expires' is malformed or occurs twice"},
		"in lower case":        {swap("X-Amz-Expires", "x-amz-expires"), sigv4.FaultIncomplete, "malformed"},
		"another algorithm":    {swap(sigv4.Algorithm, "AWS4-ECDSA-P256-SHA256"), sigv4.FaultIncomplete, "X-Amz-Algorithm must be"},
		"date in a header too": {plus(good(), "X-Amz-Date", "20261122T135200Z"), sigv4.FaultIncomplete, "in the query alone"},
		"token in a header":    {plus(good(), "X-Amz-Security-Token", "a"), sigv4.FaultIncomplete, "in the query alone"},
		"never":                {swap("X-Amz-Expires=3600", "X-Amz-Expires=0"), sigv4.FaultRefused, "between 1 and 604800"},
		"too long":             {swap("X-Amz-Expires=3600", "X-Amz-Expires=604801"), sigv4.FaultRefused, "between 1 and 604800"},
		"endless":              {swap("X-Amz-Expires=3600", "X-Amz-Expires=99999999999999999999"), sigv4.FaultRefused, "between 1 and 604800"},
		"negative":             {swap("X-Amz-Expires=3600", "X-Amz-Expires=-1"), sigv4.FaultRefused, "between 1 and 604800"},
		"with a plus":          {swap("X-Amz-Expires=3600", "X-Amz-Expires=%2B3600"), sigv4.FaultRefused, "between 1 and 604800"},
		"with a zero":          {swap("X-Amz-Expires=3600", "X-Amz-Expires=03600"), sigv4.FaultRefused, "between 1 and 604800"},
		"unsigned amz header":  {plus(good(), "X-Amz-Target", "a"), sigv4.FaultRefused, "'x-amz-target' must be a 'SignedHeader'"},
		"unsigned payload":     {plus(good(), "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), sigv4.FaultRefused, "'x-amz-content-sha256' must be a 'SignedHeader'"},
	}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		cases["no "+name] = refusal{without(name), sigv4.FaultIncomplete, "must include '" + name + "'"}
	}
	checkRefusals(t, rules, cases)
	if got, message := fault(t, good(), sigv4.Rules{}, noon); got != sigv4.FaultRefused || !strings.Contains(message, "Presigned") {
		t.Errorf("where presigned requests are not accepted: fault %d %q", got, message)
	}
	if got, _ := fault(t, good(), sigv4.Rules{Presigned: true, MaxExpires: time.Minute}, noon); got != sigv4.FaultRefused {
		t.Errorf("an hour where a minute is the most: fault %d", got)
	}
}

func TestClockMayBeOffByFiveMinutes(t *testing.T) {
	r := converse()
	for offset, want := range map[time.Duration]string{
		0: "", 5 * time.Minute: "", -5 * time.Minute: "", 5*time.Minute + 900*time.Millisecond: "",
		5*time.Minute + time.Second:  "Signature expired: 20261122T135200Z is now earlier than 20261122T135201Z (20261122T135701Z - 5 min.)",
		-5*time.Minute - time.Second: "Signature not yet current: 20261122T135200Z is still later than 20261122T135159Z (20261122T134659Z + 5 min.)",
	} {
		got, message := fault(t, r, rules, noon.Add(offset))
		if message != want || want != "" && got != sigv4.FaultExpired {
			t.Errorf("%v: fault %d %q", offset, got, message)
		}
	}
	if _, message := fault(t, r, sigv4.Rules{Skew: 15 * time.Minute}, noon.Add(14*time.Minute)); message != "" {
		t.Errorf("a longer skew: %s", message)
	}
}

func TestPresignedRequestsExpire(t *testing.T) {
	r := link("/", time.Hour)
	for offset, want := range map[time.Duration]sigv4.Fault{
		0: 0, time.Hour: 0, -5 * time.Minute: 0, time.Hour + time.Second: sigv4.FaultExpired, -6 * time.Minute: sigv4.FaultExpired,
	} {
		if got, _ := fault(t, r, rules, noon.Add(offset)); got != want {
			t.Errorf("%v: fault %d, want %d", offset, got, want)
		}
	}
}

// TestAuthorityStandsForHost signs as the JavaScript SDK does over HTTP/2.
func TestAuthorityStandsForHost(t *testing.T) {
	r := &sigv4.Request{Method: "POST", URI: "/model/m/converse", Host: "localhost:8484", Fields: []sigv4.Field{
		{Name: "Content-Length", Value: "56"}, {Name: "X-Amz-Date", Value: "20261122T135200Z"},
		{Name: "X-Amz-Content-Sha256", Value: hexSum(body)},
	}}
	const names = ":authority;content-length;x-amz-content-sha256;x-amz-date"
	canonical := "POST\n/model/m/converse\n\n:authority:localhost:8484\ncontent-length:56\nx-amz-content-sha256:" + hexSum(body) +
		"\nx-amz-date:20261122T135200Z\n\n" + names + "\n" + hexSum(body)
	r = plus(r, "Authorization", authorization(canonical, names))
	if !accepted(r, rules, body, noon) {
		t.Error("refused")
	}
	if accepted(r, rules, []byte("another body"), noon) {
		t.Error("accepted with another body than X-Amz-Content-Sha256 says")
	}
}

// TestContentHashMustBeTheBodys has the header and the canonical request
// agree with each other, but not with the body.
func TestContentHashMustBeTheBodys(t *testing.T) {
	r := converse(sigv4.Field{Name: "X-Amz-Content-Sha256", Value: hexSum([]byte("another body"))})
	if accepted(r, rules, body, noon) || accepted(r, rules, []byte("another body"), noon) {
		t.Error("accepted")
	}
}

func TestPayloadsWhereTheRouteImplementsThem(t *testing.T) {
	s3 := &sigv4.Signer{KeyID: keyID, Secret: secret, Region: region, Service: "s3", Path: sigv4.PathAsSent}
	lax := sigv4.Rules{Region: region, Service: "s3", Presigned: true, Path: sigv4.PathAsSent, UnsignedPayload: true, StreamingPayload: true}
	presigned := &sigv4.Request{Method: "GET", URI: "/bucket/a%20b//c", Host: "h"}
	presigned.URI = s3.Presign(presigned, time.Hour, sha256.Sum256(nil), noon)
	s, err := sigv4.Parse(presigned, lax, noon)
	if err != nil || s.Payload != sigv4.PayloadUnsigned || !s.Verify(sigv4.Derive(secret, s.Scope), sha256.Sum256([]byte("anything"))) {
		t.Errorf("presigned: %+v, error %v", s.Payload, err)
	}
	lax.UnsignedPayload = false
	if got, _ := fault(t, presigned, lax, noon); got != sigv4.FaultRefused {
		t.Errorf("presigned, where the body must be signed: fault %d", got)
	}
	for value, want := range map[string]sigv4.Payload{
		"UNSIGNED-PAYLOAD": sigv4.PayloadUnsigned, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": sigv4.PayloadStreaming,
	} {
		r := &sigv4.Request{Method: "PUT", URI: "/bucket/key", Host: "h"}
		const names = "host;x-amz-content-sha256;x-amz-date"
		canonical := "PUT\n/bucket/key\n\nhost:h\nx-amz-content-sha256:" + value + "\nx-amz-date:20261122T135200Z\n\n" + names + "\n" + value
		r.Fields = []sigv4.Field{{Name: "x-amz-date", Value: "20261122T135200Z"}, {Name: "x-amz-content-sha256", Value: value},
			{Name: "authorization", Value: authorization(canonical, names)}}
		s, err := sigv4.Parse(r, sigv4.Rules{UnsignedPayload: true, StreamingPayload: true}, noon)
		if err != nil || s.Payload != want || !s.Verify(sigv4.Derive(secret, s.Scope), sha256.Sum256([]byte("anything"))) {
			t.Errorf("%s: %v, error %v", value, s.Payload, err)
		}
	}
}

// authorization signs by the book, with nothing of the package.
func authorization(canonical, names string) string {
	const scope = "20261122/us-east-1/bedrock/aws4_request"
	key := []byte("AWS4" + secret)
	for _, part := range []string{"20261122", region, service, "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, "AWS4-HMAC-SHA256\n20261122T135200Z\n"+scope+"\n"+hexSum([]byte(canonical)))
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", keyID, scope, names, signature)
}

func mac(key []byte, s string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(s))
	return m.Sum(nil)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestSignedHeadersMustBeThere(t *testing.T) {
	r := converse(sigv4.Field{Name: "Amz-Sdk-Request", Value: "attempt=1"})
	r.Fields = r.Fields[1:] // without content-type
	if accepted(r, rules, body, noon) {
		t.Error("accepted without a header that was signed")
	}
}

// TestLinesCannotBeForged smuggles a line of the canonical request into a
// header's value.
func TestLinesCannotBeForged(t *testing.T) {
	const names = "a;host;x-amz-date"
	canonical := "GET\n/\n\na:1\nhost:h\nx-amz-date:20261122T135200Z\n\n" + names + "\n" + hexSum(nil)
	r := &sigv4.Request{Method: "GET", URI: "/", Host: "h", Fields: []sigv4.Field{
		{Name: "a", Value: "1"}, {Name: "X-Amz-Date", Value: "20261122T135200Z"}, {Name: "Authorization", Value: authorization(canonical, names)}}}
	if !accepted(r, rules, nil, noon) {
		t.Fatal("the honest request is refused")
	}
	r.Method, r.URI = "GET\n/", "/"
	r.Fields[0].Value = "1\nhost:h"
	if accepted(r, rules, nil, noon) {
		t.Error("accepted")
	}
	honest := converse(sigv4.Field{Name: "Amz-Note", Value: "a\x00b"})
	if accepted(honest, rules, body, noon) {
		t.Error("a control character was accepted")
	}
}

func TestUnverifiedSignaturesNeverVerify(t *testing.T) {
	r := set(converse(), "X-Amz-Date", "19990101T000000Z")
	s, err := sigv4.ParseUnverified(r)
	if err != nil || s.KeyID != keyID {
		t.Fatalf("key id %q, error %v", s.KeyID, err)
	}
	s, err = sigv4.ParseUnverified(converse())
	if err != nil || s.Verify(sigv4.Derive(secret, s.Scope), sha256.Sum256(body)) {
		t.Errorf("verified, error %v", err)
	}
	var zero sigv4.Signature
	if zero.Verify(sigv4.Derive(secret, sigv4.Scope{}), sha256.Sum256(body)) {
		t.Error("the zero Signature verified")
	}
	if _, err := sigv4.ParseUnverified(edit(converse(), "Credential", "Credentials")); err == nil {
		t.Error("a malformed header was taken")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	key := sigv4.Derive(secret, sigv4.Scope{Day: "20261122", Region: region, Service: service})
	for _, text := range []string{fmt.Sprint(signer), fmt.Sprintf("%+v %#v", signer, signer), fmt.Sprintf("%v %+v %#v", key, key, key)} {
		if strings.Contains(text, secret) {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestKeyCacheIsBounded(t *testing.T) {
	var c sigv4.KeyCache
	scope := sigv4.Scope{Day: "20261122", Region: region, Service: service}
	first := c.Get(keyID, 1, secret, scope)
	if c.Get(keyID, 1, secret, scope) != first {
		t.Error("the key was derived twice")
	}
	if c.Get(keyID, 2, "new secret", scope) == first {
		t.Error("a new secret got the old one's key")
	}
	for i := range 3 * sigv4.MaxCached {
		scope.Day = fmt.Sprint(i)
		c.Get(keyID, 1, secret, scope)
		if c.Len() > sigv4.MaxCached {
			t.Fatalf("%d keys are kept", c.Len())
		}
	}
}

// TestEveryByteCounts changes each byte of each signed part of each vector,
// in several bits: the request must be refused. Names of
// headers may change their case, and a query its spelling, as long as what it
// says stays the same.
func TestEveryByteCounts(t *testing.T) {
	files, _ := filepath.Glob("testdata/vectors/*.txtar")
	tried := 0
	for _, file := range files {
		raw, _ := vector(t, file)
		r, payload := parseRaw(t, raw)
		signed := signedNames(t, r)
		try := func(what string, s *string, spare func(old, new string) bool) {
			old := *s
			defer func() { *s = old }()
			for i := range len(old) {
				for _, bit := range []int{0, 2, 5, 7} { // 5 is the case of a letter
					*s = old[:i] + string([]byte{old[i] ^ 1<<bit}) + old[i+1:]
					tried++
					if (spare == nil || !spare(old, *s)) && accepted(r, rules, payload, noon) {
						t.Fatalf("%s: accepted with %s %q instead of %q", file, what, *s, old)
					}
				}
			}
		}
		try("method", &r.Method, nil)
		try("host", &r.Host, sameValue)
		try("target", &r.URI, sameTarget)
		text := string(payload)
		for i := range len(text) {
			spoilt := []byte(text)
			spoilt[i] ^= 1 << (i % 8)
			if accepted(r, rules, spoilt, noon) {
				t.Fatalf("%s: accepted with body %q", file, spoilt)
			}
		}
		for i := range r.Fields {
			f := &r.Fields[i]
			if name := strings.ToLower(f.Name); name == "authorization" || slices.Contains(signed, name) {
				try(f.Name, &f.Value, sameValue)
				try("name", &f.Name, strings.EqualFold)
			}
		}
		if !accepted(r, rules, payload, noon) {
			t.Fatalf("%s: refused after all", file)
		}
	}
	if tried < 20_000 {
		t.Errorf("only %d changes were tried", tried)
	}
}

func signedNames(t *testing.T, r *sigv4.Request) []string {
	t.Helper()
	list := ""
	if _, after, ok := strings.Cut(get(r, "Authorization"), "SignedHeaders="); ok {
		list, _, _ = strings.Cut(after, ",")
	} else {
		u, err := url.ParseRequestURI(r.URI)
		if err != nil {
			t.Fatal(err)
		}
		list = u.Query().Get("X-Amz-SignedHeaders")
	}
	return strings.Split(list, ";")
}

// sameValue reports whether two values of a header differ in nothing but the
// blanks that the canonical form does not keep.
func sameValue(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ") && !strings.ContainsAny(b, "\n\r\v\f")
}

// sameTarget reports whether two targets mean the same: the paths by the
// rules of dot segments, the queries by what they decode to.
func sameTarget(a, b string) bool {
	pathA, queryA, _ := strings.Cut(a, "?")
	pathB, queryB, _ := strings.Cut(b, "?")
	valuesA, errA := url.ParseQuery(queryA)
	valuesB, errB := url.ParseQuery(queryB)
	for _, v := range []url.Values{valuesA, valuesB} {
		for _, list := range v {
			slices.Sort(list)
		}
	}
	return errA == nil && errB == nil && valuesA.Encode() == valuesB.Encode() && normal(pathA) == normal(pathB)
}

// normal takes out dot segments and empty ones, and keeps a last slash.
func normal(p string) string {
	if strings.HasSuffix(p, "/") && path.Clean(p) != "/" {
		return path.Clean(p) + "/"
	}
	return path.Clean(p)
}
