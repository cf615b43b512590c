package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop/identity"
)

func TestNewKeysHaveAWSsForm(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		id, secret := identity.NewAccessKey()
		if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(id) || len(secret.Reveal()) != 40 {
			t.Fatalf("access key %q with a secret of %d characters", id, len(secret.Reveal()))
		}
		apiID, token := identity.NewAPIKey("111122223333")
		text, ok := strings.CutPrefix(token.Reveal(), "ABSK")
		inside, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || !strings.HasPrefix(string(inside), apiID+"-at-111122223333:") || len(inside) < len(apiID)+60 {
			t.Fatalf("API key %q: %v", inside, err)
		}
		for _, s := range []string{id, secret.Reveal(), apiID, token.Reveal()} {
			if seen[s] {
				t.Fatal("one came twice")
			}
			seen[s] = true
		}
	}
}

func TestNewKeysOpen(t *testing.T) {
	id, secret := identity.NewAccessKey()
	apiID, token := identity.NewAPIKey("111122223333")
	key := identity.Key{Principal: principal(id), Kind: identity.KindSigV4, Secret: secret}
	a := keyed(key, bearerKey(apiID, token.Reveal()))
	s := signer()
	s.KeyID, s.Secret = id, secret.Reveal()
	check(t, a, signed(s), noon, id, "", "")
	check(t, a, bearer(token.Reveal()), noon, apiID, "", "")
}

// TestSecretsDoNotPrint tries all ways in which a value gets into a log.
func TestSecretsDoNotPrint(t *testing.T) {
	const canary = "CANARYsecret0123456789"
	s := identity.NewSecret(canary)
	inside := struct {
		Exported identity.Secret
		hidden   identity.Secret
		deeper   []map[string]identity.Secret
	}{s, s, []map[string]identity.Secret{{"a": s}}}
	key := signingKey(keyID)
	key.Secret, key.Token = s, s
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "s", s, "k", key)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "s", s, "k", key, "i", inside)
	for _, v := range []any{s, &s, inside, &inside, key, &key, []identity.Key{key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&log, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(b)
	}
	fmt.Fprintln(&log, fmt.Errorf("wrapped %v", s))
	hexed := fmt.Sprintf("%x", canary)
	if text := strings.ToLower(log.String()); strings.Contains(text, strings.ToLower(canary)) || strings.Contains(text, hexed) {
		t.Error("a secret was printed")
	}
	if !strings.Contains(log.String(), "***") || s.Reveal() != canary {
		t.Error("the test has lost its grip")
	}
}

func TestSecretsCompare(t *testing.T) {
	s := identity.NewSecret("abc")
	if !s.Equal("abc") || s.Equal("abd") || s.Equal("") || s.Equal("abcd") || s.IsZero() {
		t.Error("a secret")
	}
	var none identity.Secret
	if !none.Equal("") || none.Equal("a") || !none.IsZero() || !identity.NewSecret("").IsZero() || none.Reveal() != "" {
		t.Error("no secret")
	}
}

func TestKindsHaveNames(t *testing.T) {
	for _, k := range []identity.Kind{identity.KindSigV4, identity.KindBearer} {
		if got, ok := identity.ParseKind(k.String()); !ok || got != k {
			t.Errorf("%q means %v", k, got)
		}
	}
	for _, s := range []string{"", "sigv4", "Access-Key"} {
		if _, ok := identity.ParseKind(s); ok {
			t.Errorf("%q is a kind", s)
		}
	}
}

func TestActiveKeys(t *testing.T) {
	for name, c := range map[string]struct {
		key  identity.Key
		want bool
	}{
		"plain":   {identity.Key{}, true},
		"later":   {identity.Key{Expires: noon.Add(time.Second)}, true},
		"now":     {identity.Key{Expires: noon}, false},
		"revoked": {identity.Key{Revoked: noon, Expires: noon.Add(time.Hour)}, false},
	} {
		if c.key.Active(noon) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}
