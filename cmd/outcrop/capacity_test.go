package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/sigv4"
	"github.com/outcrop/outcrop/watchapi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// answered is what a server sends, as the door's own test has it.
func answered(t *testing.T) []byte {
	t.Helper()
	indented, err := os.ReadFile("../../watchapi/testdata/view.json")
	if err != nil {
		t.Fatal(err)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, indented); err != nil {
		t.Fatal(err)
	}
	return append(line.Bytes(), '\n')
}

// golden compares got with a file.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	file = "testdata/capacity/" + file
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s", file, got)
	}
}

// server answers every question with the status and body.
func server(t *testing.T, status int, body []byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// try runs the program.
func try(ctx context.Context, args ...string) (out, talk string, code int) {
	var o, e bytes.Buffer
	code = run(ctx, args, nil, &o, &e)
	return o.String(), e.String(), code
}

func TestCapacityForPeople(t *testing.T) {
	view, err := watchapi.Parse(answered(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file   string
		all    bool
		colour bool
	}{{"table.txt", false, false}, {"table-all.txt", true, false}, {"table-colour.txt", false, true}} {
		v := viewer{all: c.all}
		golden(t, c.file, v.picture(&view, true, c.colour))
	}
	v := viewer{}
	if got := string(v.picture(&watchapi.View{}, true, false)); got != "Nothing is in use.\n" {
		t.Errorf("%q", got)
	}
}

func TestCapacityForPrograms(t *testing.T) {
	url := server(t, 200, answered(t))
	lines, talk, code := try(t.Context(), "capacity", "--endpoint", url)
	if code != exitOK || talk != "" {
		t.Errorf("%d %s", code, talk)
	}
	golden(t, "lines.tsv", []byte(lines))
	columns := map[string]int{}
	for line := range strings.Lines(lines) {
		kind, _, _ := strings.Cut(line, "\t")
		if n := strings.Count(line, "\t"); columns[kind] != 0 && columns[kind] != n {
			t.Errorf("%q has %d tabs, others of its kind %d", line, n, columns[kind])
		} else {
			columns[kind] = n
		}
	}
	if out, _, _ := try(t.Context(), "capacity", "--endpoint", url, "--json"); out != string(answered(t)) {
		t.Errorf("JSON is not as it was sent: %s", out)
	}
	if out, _, _ := try(t.Context(), "capacity", "--endpoint", url, "--all"); !strings.Contains(out, "pool\tanthropic.") || strings.Contains(lines, "pool\tanthropic.") {
		t.Errorf("--all shows %s", out)
	}
}

// TestWatchGoesOnUntilItIsInterrupted: the server fails once in between.
func TestWatchGoesOnUntilItIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked++; asked {
		case 2:
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		case 4:
			interrupt()
		}
		_, _ = w.Write(answered(t))
	}))
	defer s.Close()
	out, talk, code := try(ctx, "capacity", "--watch", "--every", "1ms", "--endpoint", s.URL)
	if line := string(answered(t)); code != exitSignal || !strings.HasPrefix(out, line+line) || strings.ReplaceAll(out, line, "") != "" {
		t.Errorf("%d, %d bytes", code, len(out))
	}
	if !strings.Contains(talk, "503") {
		t.Errorf("nothing was said of the failure: %q", talk)
	}
}

func TestQuestionsThatFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		code   int
		says   string
	}{
		{"not there", 404, `{"message":"No request."}`, exitNotFound, "error: No request."},
		{"no rights", 403, `{"message":"Missing Authentication Token."}`, exitDenied, "AWS_ACCESS_KEY_ID"},
		{"another server", 200, `<html>`, exitFailed, "not a"},
		{"an error", 500, `{"message":"x\u001b[31m"}`, exitFailed, "answers: x?[31m"},
		{"redirected", 302, ``, exitFailed, "302"},
	} {
		for _, args := range [][]string{{"capacity"}, {"capacity", "--watch"}, {"explain", "an-id"}} {
			url := server(t, c.status, []byte(c.body))
			if out, talk, code := try(t.Context(), append(args, "--endpoint", url)...); code != c.code || out != "" || !strings.Contains(talk, c.says) {
				t.Errorf("%s, %v: %d %q %q", c.name, args, code, out, talk)
			}
		}
	}
}

// TestQuestionsAreSignedAsTheEnvironmentSays checks the signature as the
// server does, over a path that must be escaped.
func TestQuestionsAreSignedAsTheEnvironmentSays(t *testing.T) {
	clear := func() {
		for _, name := range []string{"AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"} {
			t.Setenv(name, "")
		}
	}
	var got *http.Request
	var err error
	keys := identity.New(identity.Options{Region: "eu-west-1"})
	keys.SetKeys([]identity.Key{{Principal: outcrop.Principal{KeyID: "AKIATEST"}, Kind: identity.KindSigV4, Secret: identity.NewSecret("a secret")}})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		head := sigv4.Request{Method: r.Method, URI: r.RequestURI, Host: r.Host, Fields: sigv4.AppendFields(nil, r.Header)}
		_, err = keys.Authenticate(&identity.Request{Head: head}, nil, time.Now())
	}))
	defer s.Close()
	ask := func() { try(t.Context(), "explain", "--endpoint", s.URL+"/", "an id/of §") }

	clear()
	ask()
	if got.Header.Get("Authorization") != "" || got.URL.Path != "/outcrop/explain/an id/of §" {
		t.Errorf("without credentials: %s %v", got.URL, got.Header)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "a secret")
	t.Setenv("AWS_DEFAULT_REGION", "eu-west-1")
	if ask(); err != nil {
		t.Errorf("with an access key: %v", err)
	}
	t.Setenv("AWS_BEARER_TOKEN_BEDROCK", "a token")
	if ask(); got.Header.Get("Authorization") != "Bearer a token" {
		t.Errorf("with an API key: %v", got.Header)
	}
}

func TestTheEndpointIsTheOneThatIsNamed(t *testing.T) {
	const flagged, own, aws = "http://flag", "http://own", "https://aws"
	for _, c := range []struct{ flag, own, aws, want string }{
		{flagged, own, aws, flagged}, {"", own, aws, own}, {"", "", aws, aws}, {"", "", "", defaultEndpoint},
	} {
		t.Setenv("OUTCROP_ENDPOINT", c.own)
		t.Setenv("AWS_ENDPOINT_URL", c.aws)
		if got, err := newClient(c.flag); err != nil || got.endpoint != c.want {
			t.Errorf("%+v: %+v %v", c, got, err)
		}
	}
	for _, bad := range []string{"127.0.0.1:8484", "ftp://host", "http://", "\x00"} {
		if out, _, code := try(t.Context(), "capacity", "--endpoint", bad); code != exitUsage {
			t.Errorf("%q: %d %s", bad, code, out)
		}
	}
}

func TestBriefTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "-", time.Millisecond: "1ms", 999 * time.Millisecond: "999ms", 3100 * time.Millisecond: "3.1s", 20 * time.Second: "20s",
		10 * time.Minute: "10m0s", 61 * time.Second: "1m1s", 26*time.Hour + 5*time.Minute: "26h5m",
	} {
		if got := brief(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
