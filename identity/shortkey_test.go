package identity_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
)

const shortPrefix = "bedrock-api-key-"

// shortKeys returns keys that AWS's own generator made.
func shortKeys(t testing.TB) map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/shortkeys.txtar")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for _, f := range archive.Files {
		keys[f.Name] = strings.TrimSpace(string(f.Data))
	}
	return keys
}

func TestShortTermKeysOfAWSsGenerator(t *testing.T) {
	keys := shortKeys(t)
	temporary := signingKey(keyID)
	temporary.Token = identity.NewSecret(session)
	withSession := identity.New(identity.Options{Region: region})
	withSession.SetKeys([]identity.Key{temporary})

	check(t, keyed(), bearer(keys["plain"]), noon, keyID, "", "")
	check(t, keyed(), bearer(keys["plain"]), noon.Add(12*time.Hour), keyID, "", "")
	check(t, withSession, bearer(keys["session"]), noon, keyID, "", "")
	check(t, identity.New(identity.Options{}), bearer(keys["plain"]), noon, "api-key", "", "")

	for name, c := range map[string]struct {
		a   *identity.Authenticator
		key string
		at  time.Time
	}{
		"expired":                  {keyed(), keys["plain"], noon.Add(12*time.Hour + time.Second)},
		"not yet":                  {keyed(), keys["plain"], noon.Add(-time.Hour)},
		"another region":           {keyed(), keys["eu-west-1"], noon},
		"longer than twelve hours": {keyed(), keys["thirteen-hours"], noon},
		"session without token":    {withSession, keys["plain"], noon},
		"token without session":    {keyed(), keys["session"], noon},
	} {
		t.Run(name, func(t *testing.T) { check(t, c.a, bearer(c.key), c.at, "", outcrop.CodeAccessDenied, badAPIKey) })
	}
	if got := identity.NewShortKey(signer(), 12*time.Hour, noon).Reveal(); got != keys["plain"] {
		t.Errorf("an own short-term key is %s, want %s", decoded(t, got), decoded(t, keys["plain"]))
	}
}

func decoded(t testing.TB, key string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, shortPrefix))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func encoded(url string) string {
	return shortPrefix + base64.StdEncoding.EncodeToString([]byte(url))
}

func TestBentShortTermKeysAreRefused(t *testing.T) {
	url := decoded(t, shortKeys(t)["plain"])
	a := keyed()
	for name, bent := range map[string]string{
		"not base64":         shortPrefix + "!!!!",
		"empty":              shortPrefix,
		"huge":               encoded(url + strings.Repeat("A", 1<<20)),
		"another host":       encoded(strings.Replace(url, "bedrock.", "evil.", 1)),
		"another path":       encoded(strings.Replace(url, "/?", "/x?", 1)),
		"with a scheme":      encoded("https://" + url),
		"another action":     encoded(strings.Replace(url, "CallWithBearerToken", "DeleteEverything", 1)),
		"two actions":        encoded(strings.Replace(url, "Action=CallWithBearerToken", "Action=CallWithBearerToken&Action=CallWithBearerToken", 1)),
		"no action":          encoded(strings.Replace(url, "Action=CallWithBearerToken&", "", 1)),
		"no version":         encoded(strings.TrimSuffix(url, "&Version=1")),
		"another version":    encoded(strings.Replace(url, "&Version=1", "&Version=2", 1)),
		"more after it":      encoded(url + "&a=b"),
		"longer life":        encoded(strings.Replace(url, "X-Amz-Expires=43200", "X-Amz-Expires=43201", 1)),
		"another key":        encoded(strings.Replace(url, "AKIDEXAMPLE", "AKIDANOTHER", 1)),
		"URL of a call":      encoded("bedrock.amazonaws.com" + presigned(signer(), true).Head.URI + "&Version=1"),
		"without the prefix": strings.TrimPrefix(shortKeys(t)["plain"], shortPrefix),
	} {
		t.Run(name, func(t *testing.T) { check(t, a, bearer(bent), noon, "", outcrop.CodeAccessDenied, badAPIKey) })
	}
	for i := range len(url) {
		bent := []byte(url)
		bent[i] ^= 1
		if _, err := a.Authenticate(bearer(encoded(string(bent))), nil, noon); !errors.Is(err, outcrop.CodeAccessDenied) {
			t.Fatalf("accepted %q: %v", bent, err)
		}
	}
}

// FuzzAuthenticate takes any Authorization header and target. Nobody gets in.
func FuzzAuthenticate(f *testing.F) {
	for _, key := range shortKeys(f) {
		f.Add("/", "Bearer "+key)
		f.Add("/", "Bearer "+shortPrefix+decoded(f, key))
	}
	f.Add(presigned(signer(), true).Head.URI+"0", "")
	for _, field := range signed(signer()).Head.Fields {
		f.Add("/model/x/converse", field.Value)
	}
	a := identity.New(identity.Options{Region: region})
	strange := signingKey(keyID)
	strange.Secret = identity.NewSecret("a secret that no seed was made with")
	a.SetKeys([]identity.Key{strange, bearerKey("api", "a token that no seed holds")})
	open := identity.New(identity.Options{})
	f.Fuzz(func(t *testing.T, uri, authorization string) {
		r := with("X-Amz-Date", "20261122T135200Z")
		r.Head.URI, r.Presigned = uri, true
		if authorization != "" {
			r.Head.Fields = append(r.Head.Fields, with("Authorization", authorization).Head.Fields[1])
		}
		var e *outcrop.Error
		if p, err := a.Authenticate(r, body, noon); p != nil || !errors.As(err, &e) {
			t.Fatalf("principal %+v, error %v", p, err)
		}
		p, err := open.Authenticate(r, body, noon)
		if err == nil && (p.KeyID == "" || len(p.KeyID) > 64 || strings.ContainsAny(p.KeyID, "\"\\\n/<>{} ")) {
			t.Fatalf("key id %q", p.KeyID)
		}
	})
}
