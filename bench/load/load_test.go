package load_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/outcrop/outcrop/bench/load"
)

// drive sends a little load to a server that answers with the handler.
func drive(t *testing.T, o load.Options, handler http.HandlerFunc) load.Result {
	t.Helper()
	s := httptest.NewServer(handler)
	defer s.Close()
	o.Addr = strings.TrimPrefix(s.URL, "http://")
	o.Model, o.Prompt, o.Conns, o.Duration, o.Timeout = "m:0", 100, 2, 200*time.Millisecond, 10*time.Second
	r, err := load.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func answering(contentType string, parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		for _, p := range parts {
			_, _ = io.WriteString(w, p)
		}
	}
}

const chat = `{"choices":[{"message":{"content":"hello"}}],"usage":{"total_tokens":2}}`

func TestRightAnswersCount(t *testing.T) {
	r := drive(t, load.Options{Protocol: load.OpenAI, WantBytes: 5}, answering("application/json", chat))
	if r.Requests == 0 || r.Failed() > 0 || r.Latency.P50 == 0 {
		t.Errorf("%+v", r)
	}
}

func TestWrongAnswersAreFailures(t *testing.T) {
	stream := "data: {\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n"
	usage := "data: {\"choices\":[],\"usage\":{\"total_tokens\":2}}\n\n"
	for name, c := range map[string]struct {
		stream  bool
		handler http.HandlerFunc
	}{
		"other bytes":             {false, answering("application/json", strings.Replace(chat, "hello", "hell", 1))},
		"no usage":                {false, answering("application/json", strings.Replace(chat, "usage", "u", 1))},
		"an error":                {false, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) }},
		"a stream without an end": {true, answering("text/event-stream", stream, usage)},
		"a stream without usage":  {true, answering("text/event-stream", stream, "data: [DONE]\n\n")},
		"an event too few":        {true, answering("text/event-stream", usage, "data: [DONE]\n\n")},
	} {
		t.Run(name, func(t *testing.T) {
			r := drive(t, load.Options{Protocol: load.OpenAI, Stream: c.stream, WantBytes: 5, WantEvents: 1}, c.handler)
			if r.Requests > 0 || r.Failed() == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestBrokenFramesAreFailures(t *testing.T) {
	r := drive(t, load.Options{Protocol: load.Converse, Stream: true, WantBytes: -1, WantEvents: -1},
		answering("application/vnd.amazon.eventstream", "\x00\x00\x00\x20\x00\x00\x00\x00\x12\x34\x56\x78", strings.Repeat("x", 20)))
	if r.Requests > 0 || r.Failed() == 0 {
		t.Errorf("%+v", r)
	}
}

func TestSignatureIsTheSDKs(t *testing.T) {
	wrong := make(chan string, 1)
	drive(t, load.Options{Protocol: load.Converse, Auth: load.Auth{Access: "AKIDEXAMPLE", Secret: "secret", Region: "us-east-1"}, WantBytes: -1},
		func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
			again := r.Clone(r.Context())
			again.URL.Host = r.Host
			again.ContentLength = 0 // the load generator does not sign it
			again.Header = http.Header{"Content-Type": r.Header["Content-Type"]}
			sum := sha256.Sum256(body)
			if err == nil {
				err = v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, again,
					hex.EncodeToString(sum[:]), "bedrock", "us-east-1", at)
			}
			if got, want := r.Header.Get("Authorization"), again.Header.Get("Authorization"); err != nil || got != want {
				select {
				case wrong <- got + " is not " + want:
				default:
				}
			}
		})
	select {
	case difference := <-wrong:
		t.Error(difference)
	default:
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	if _, err := load.Run(t.Context(), load.Options{Protocol: "gopher"}); err == nil {
		t.Error("an unknown protocol is driven")
	}
}
