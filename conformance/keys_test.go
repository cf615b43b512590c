package conformance_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/smithy-go"
)

// A key is what `outcrop keys add` made.
type key struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Secret string `json:"secret"`
}

// takeEffect bounds how long a running server may take to learn of a key: a
// second is promised, the rest is for a busy machine.
const takeEffect = 10 * time.Second

// keys runs `outcrop keys` on the server's data folder.
func (s *server) keys(t *testing.T, args ...string) string {
	t.Helper()
	c := program(append(append([]string{"keys"}, args...), "--data", s.Data, "--json")...)
	c.Env = cleanEnvironment()
	c.Dir = t.TempDir()
	var talk strings.Builder
	c.Stderr = &talk
	out, err := c.Output()
	if err != nil {
		t.Fatalf("outcrop keys %s: %v\n%s", strings.Join(args, " "), err, talk.String())
	}
	return string(out)
}

func (s *server) addKey(t *testing.T, args ...string) (k key) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.keys(t, append([]string{"add"}, args...)...)), &k); err != nil {
		t.Fatal(err)
	}
	if k.ID == "" || k.Secret == "" {
		t.Fatalf("the key is %+v", k)
	}
	return k
}

// awaitKey waits until the server knows the key.
func (s *server) awaitKey(t *testing.T, k key) {
	t.Helper()
	if !eventually(takeEffect, func() bool { return s.accepts(t, k) }) {
		t.Fatalf("the server does not learn of the key")
	}
}

// accepts asks the server with the key.
func (s *server) accepts(t *testing.T, k key) bool {
	t.Helper()
	if strings.HasPrefix(k.Kind, "access") || strings.HasPrefix(k.ID, "AKIA") {
		return codeOf(s.askAs(t, k.ID, k.Secret, haiku)) == ""
	}
	return s.askWithBearer(t, k.Secret) == http.StatusOK
}

func (s *server) askAs(t *testing.T, access, secret, model string) error {
	t.Helper()
	_, err := runtimeOf(s, access, secret, 1).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(model), Messages: turn("Hello")})
	return err
}

func (s *server) askWithBearer(t *testing.T, token string) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/model/"+haiku+"/converse", strings.NewReader(`{"messages":`+hello+`}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// codeOf is the error's code, or "" for no error.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	var told smithy.APIError
	if errors.As(err, &told) {
		return told.ErrorCode()
	}
	return err.Error()
}

func TestKeysTakeEffectOnARunningServer(t *testing.T) {
	t.Parallel()
	s := start(t, "keys: required\nsim: {speed: 0}\n")
	if code := codeOf(s.askAs(t, "AKIAIOSFODNN7EXAMPLE", "nobody", haiku)); code != "UnrecognizedClientException" {
		t.Errorf("an unknown key gets %s", code)
	}
	k := s.addKey(t)
	s.awaitKey(t, k)
	s.keys(t, "revoke", k.ID)
	if !eventually(takeEffect, func() bool { return !s.accepts(t, k) }) {
		t.Fatal("a revoked key stays valid")
	}
	if code := codeOf(s.askAs(t, k.ID, k.Secret, haiku)); code != "UnrecognizedClientException" {
		t.Errorf("a revoked key gets %s", code)
	}
}

func TestAddingTheFirstKeyClosesAnOpenServer(t *testing.T) {
	t.Parallel()
	s := start(t, "sim: {speed: 0}\n")
	if err := s.askAs(t, "any", "thing", haiku); err != nil {
		t.Fatal(err)
	}
	k := s.addKey(t)
	s.awaitKey(t, k)
	if !eventually(takeEffect, func() bool { return codeOf(s.askAs(t, "any", "thing", haiku)) != "" }) {
		t.Error("any credentials are still accepted")
	}
}

func TestWrongSecretsAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "keys: required\nsim: {speed: 0}\n")
	signing, bearer := s.addKey(t), s.addKey(t, "--kind", "api-key")
	s.awaitKey(t, signing)
	s.awaitKey(t, bearer)
	if code := codeOf(s.askAs(t, signing.ID, signing.Secret+"x", haiku)); code != "InvalidSignatureException" {
		t.Errorf("a wrong secret gets %s", code)
	}
	if status := s.askWithBearer(t, bearer.Secret+"x"); status != http.StatusForbidden {
		t.Errorf("a wrong token gets %d", status)
	}
	response, err := http.Post(s.URL+"/model/"+haiku+"/converse", "application/json", strings.NewReader(`{"messages":`+hello+`}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got := response.Header.Get("X-Amzn-Errortype"); response.StatusCode != http.StatusForbidden || !strings.HasPrefix(got, "MissingAuthenticationTokenException") {
		t.Errorf("no credentials get %d %s", response.StatusCode, got)
	}
}

func TestKeysAreLimitedToModelsAndActions(t *testing.T) {
	t.Parallel()
	s := start(t, "keys: required\nsim: {speed: 0}\n")
	models := s.addKey(t, "--models", "anthropic.*")
	actions := s.addKey(t, "--actions", "bedrock:ListFoundationModels")
	s.awaitKey(t, models)
	if !eventually(takeEffect, func() bool { return codeOf(s.askAs(t, actions.ID, actions.Secret, haiku)) == "AccessDeniedException" }) {
		t.Error("an action that the key may not perform is not denied")
	}
	if code := codeOf(s.askAs(t, models.ID, models.Secret, "meta.llama3-1-8b-instruct-v1:0")); code != "AccessDeniedException" {
		t.Errorf("another model gets %q", code)
	}
}

func TestSecretsAreNeverListed(t *testing.T) {
	t.Parallel()
	s := start(t, "keys: required\nsim: {speed: 0}\n")
	for _, k := range []key{s.addKey(t), s.addKey(t, "--kind", "api-key")} {
		s.awaitKey(t, k)
		if list := s.keys(t, "list"); strings.Contains(list, k.Secret) || !strings.Contains(list, k.ID) {
			t.Errorf("the list is %s", list)
		}
		if log := s.err.String() + s.out.String(); strings.Contains(log, k.Secret) {
			t.Error("the secret stands in the log")
		}
	}
}

// TestKeysAddedWhileTheServerStartsTakeEffect adds a key at several moments of
// the start: none of them may fall between what is read at first and what is
// watched for afterwards.
func TestKeysAddedWhileTheServerStartsTakeEffect(t *testing.T) {
	t.Parallel()
	for range 4 {
		s := launch(t, "keys: required\nsim: {speed: 0}\n")
		k := s.addKey(t)
		if !s.ready() {
			t.Fatal(s.err)
		}
		s.awaitKey(t, k)
		more := s.addKey(t) // as soon as it says that it is ready
		s.awaitKey(t, more)
		s.stop()
	}
}
