package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/probe"
)

// server answers each path with a body; "404" and paths that it does not know
// are not found.
func server(t *testing.T, bodies map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, found := bodies[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const ollamaModels = `{"object":"list","data":[{"id":"llama3.1:8b","object":"model","created":1,"owned_by":"library"},
	{"id":"nomic-embed-text:latest","object":"model","created":1,"owned_by":"library"},{"id":"phi4:latest","owned_by":"library"}]}`

func TestEnginesAreFoundWithVersionsAndModels(t *testing.T) {
	ollama := server(t, map[string]string{"/v1/models": ollamaModels, "/api/version": `{"version":"0.12.0"}`})
	vllm := server(t, map[string]string{"/v1/models": `{"data":[{"id":"meta-llama/Llama-3.1-8B-Instruct","owned_by":"vllm"}]}`, "/version": `{"version":"0.11.2"}`})
	website := server(t, map[string]string{"/v1/models": "<html>", "/version": `{"version":"1"}`})
	empty := server(t, map[string]string{"/v1/models": `{"data":[]}`})
	got := probe.Find(t.Context(), http.DefaultTransport, []probe.Place{
		{URL: ollama, Product: "Ollama"}, {URL: website, Product: "vLLM"}, {URL: empty, Product: "LM Studio"},
		{URL: "http://127.0.0.1:1", Product: "SGLang"}, {URL: vllm, Product: "llama.cpp"},
	})
	want := []probe.Engine{
		{Product: "Ollama", Version: "0.12.0", URL: ollama, Models: []string{"llama3.1:8b", "phi4:latest"}},
		{Product: "vLLM", Version: "0.11.2", URL: vllm, Models: []string{"meta-llama/Llama-3.1-8B-Instruct"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnEngineTellsWhatItIs(t *testing.T) {
	e := probe.Engine{Product: "Ollama", Version: "0.12", URL: "http://127.0.0.1:11434", Models: []string{"a", "b", "c"}}
	if got := e.String(); got != "Ollama 0.12 at 127.0.0.1:11434, 3 models" {
		t.Error(got)
	}
	if got := (probe.Engine{Product: "vLLM", URL: "http://127.0.0.1:8000", Models: []string{"a"}}).String(); got != "vLLM at 127.0.0.1:8000, 1 model" {
		t.Error(got)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Servers that never answer must not keep the user waiting: all places are
// asked at once, and for a second.
func TestASilentMachineTakesOneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		silent := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		if got := probe.Find(context.Background(), silent, probe.Places()); got != nil {
			t.Errorf("%v", got)
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("it took %s", d)
		}
	})
}

func TestOnlyThisMachineIsAsked(t *testing.T) {
	for _, place := range probe.Places() {
		u, err := url.Parse(place.URL)
		if err != nil || u.Hostname() != "127.0.0.1" {
			t.Errorf("%s: %v", place.URL, err)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	target := server(t, map[string]string{"/v1/models": ollamaModels})
	away := httptest.NewServer(http.RedirectHandler(target+"/v1/models", http.StatusFound))
	t.Cleanup(away.Close)
	if got := probe.Find(t.Context(), http.DefaultTransport, []probe.Place{{URL: away.URL, Product: "Ollama"}}); got != nil {
		t.Errorf("%v", got)
	}
}

// Whichever call fails, the rest is found, and what is found is a
// configuration that loads.
func TestAnyFailingCallLosesOnlyItsOwn(t *testing.T) {
	place := probe.Place{URL: server(t, map[string]string{"/v1/models": ollamaModels, "/api/version": `{"version":"0.12.0"}`}), Product: "Ollama"}
	for k := int64(1); ; k++ {
		var calls atomic.Int64
		failing := roundTripper(func(r *http.Request) (*http.Response, error) {
			if calls.Add(1) == k {
				return nil, errors.New("connection reset by peer")
			}
			return http.DefaultTransport.RoundTrip(r)
		})
		got := probe.Find(t.Context(), failing, []probe.Place{place})
		mustLoad(t, probe.Config(got))
		switch {
		case calls.Load() < k:
			if k != 3 || len(got) != 1 || got[0].Version == "" {
				t.Errorf("after %d calls: %v", k-1, got)
			}
			return
		case k == 1 && got != nil, k == 2 && (len(got) != 1 || got[0].Version != ""):
			t.Errorf("call %d failed: %v", k, got)
		}
	}
}

// mustLoad returns what the file says.
func mustLoad(t interface {
	Helper()
	Fatalf(string, ...any)
}, content []byte) *config.Config {
	t.Helper()
	c, problems := config.Source{Path: "outcrop.yaml", Read: func(string) ([]byte, error) { return content, nil }}.Load()
	if len(problems) > 0 {
		t.Fatalf("%s\n%s", problems, content)
	}
	return c
}

func TestOneModelMakesAFileOfSixLines(t *testing.T) {
	content := probe.Config([]probe.Engine{{Product: "Ollama", URL: "http://127.0.0.1:11434", Models: []string{"llama3.1:8b"}}})
	want := `models:
  - id: meta.llama3-1-8b-instruct-v1:0
    engines:
      - url: http://127.0.0.1:11434
        model: llama3.1:8b
keys: open                          # refused unless listen is loopback
`
	if diff := cmp.Diff(want, string(content)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if c := mustLoad(t, content); c.ServesBuiltin() {
		t.Error("invented models stand beside the true one")
	}
}

func TestEveryModelOfEveryEngineIsServed(t *testing.T) {
	content := probe.Config([]probe.Engine{
		{URL: "http://127.0.0.1:11434", Models: []string{"llama3.1:8b", "llama3.1:latest", "phi4:latest"}},
		{URL: "http://127.0.0.1:8000", Models: []string{"meta-llama/Llama-3.1-8B-Instruct", `odd "name" {x}`}},
	})
	c := mustLoad(t, content)
	var got []string
	for _, m := range c.Models {
		got = append(got, m.ID+" "+m.Engines[0].URL+" "+m.Engines[0].Model)
	}
	want := []string{
		"meta.llama3-1-8b-instruct-v1:0 http://127.0.0.1:11434 llama3.1:8b",
		"local.llama3-1-latest http://127.0.0.1:11434 llama3.1:latest",
		"local.phi4-latest http://127.0.0.1:11434 phi4:latest",
		"local.llama-3-1-8b-instruct http://127.0.0.1:8000 meta-llama/Llama-3.1-8B-Instruct",
		`local.odd-name-x http://127.0.0.1:8000 odd "name" {x}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if lines := strings.Count(string(content), "\n"); lines != 7 {
		t.Errorf("%d lines", lines)
	}
}

func TestWithoutEnginesTheSimulatorServes(t *testing.T) {
	content := probe.Config(nil)
	if c := mustLoad(t, content); !c.ServesBuiltin() || len(c.Models) != 0 {
		t.Errorf("%+v", c)
	}
	if lines := strings.Count(string(content), "\n"); lines != 6 {
		t.Errorf("%d lines", lines)
	}
}

func TestOpenModelsGetTheirBedrockIDs(t *testing.T) {
	cards := catalog.Builtin()
	for name, want := range map[string]string{
		"llama3.1": "meta.llama3-1-8b-instruct-v1:0", "llama3.1:70b": "meta.llama3-1-70b-instruct-v1:0",
		"meta-llama/Meta-Llama-3.1-405B-Instruct-FP8": "meta.llama3-1-405b-instruct-v1:0",
		"llama3.2": "meta.llama3-2-3b-instruct-v1:0", "llama3.2:1b": "meta.llama3-2-1b-instruct-v1:0",
		"llama3.2-vision:11b": "meta.llama3-2-11b-instruct-v1:0", "meta-llama/Llama-3.2-90B-Vision-Instruct": "meta.llama3-2-90b-instruct-v1:0",
		"llama3.3:latest": "meta.llama3-3-70b-instruct-v1:0", "llama3:8b": "meta.llama3-8b-instruct-v1:0",
		"gpt-oss:120b": "openai.gpt-oss-120b-1:0", "openai/gpt-oss-20b": "openai.gpt-oss-20b-1:0", "gpt-oss-20b-mxfp4.gguf": "openai.gpt-oss-20b-1:0",
		"mistral": "mistral.mistral-7b-instruct-v0:2", "mistralai/Mistral-7B-Instruct-v0.3": "mistral.mistral-7b-instruct-v0:2",
		"mixtral:8x7b": "mistral.mixtral-8x7b-instruct-v0:1", "Qwen/Qwen3-32B": "qwen.qwen3-32b-v1:0", "qwen3-coder:30b": "qwen.qwen3-coder-30b-a3b-v1:0",
		"Qwen/Qwen3-235B-A22B-Instruct-2507": "qwen.qwen3-235b-a22b-2507-v1:0", "Qwen/Qwen3-Coder-480B-A35B-Instruct": "qwen.qwen3-coder-480b-a35b-v1:0",
		"deepseek-ai/DeepSeek-R1": "deepseek.r1-v1:0",
		// Not the same models:
		"deepseek-r1:8b": "local.deepseek-r1-8b", "DeepSeek-R1-Distill-Llama-8B": "local.deepseek-r1-distill-llama-8b",
		"llama3.1:8b-text-q4_0": "local.llama3-1-8b-text-q4-0", "mistral-nemo": "local.mistral-nemo", "llama3-gradient": "local.llama3-gradient",
		"qwen3:8b": "local.qwen3-8b", "///": "local.model", "模型": "local.model",
	} {
		c := mustLoad(t, probe.Config([]probe.Engine{{URL: "http://127.0.0.1:1", Models: []string{name}}}))
		if got := c.Models[0].ID; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if !strings.HasPrefix(want, "local.") && cards.Lookup(want) == nil {
			t.Errorf("%s: the catalogue does not know %s", name, want)
		}
	}
}

func TestSaveNeverReplacesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outcrop.yaml")
	if err := probe.Save(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := probe.Save(path, []byte("second")); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("%v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "first" {
		t.Errorf("%q", got)
	}
	if err := probe.Save(filepath.Join(path, "below-a-file"), nil); err == nil {
		t.Error("no error")
	}
}

// Whatever an engine calls its models, the file loads and has all of them.
func FuzzConfig(f *testing.F) {
	f.Add("llama3.1:8b", "phi4:latest")
	f.Add("a: b # c", "- x")
	f.Add("null", "\"")
	f.Add("\\", "x\u2028y")
	f.Fuzz(func(t *testing.T, a, b string) {
		type entry struct {
			ID string `json:"id"`
		}
		body, err := json.Marshal(map[string]any{"data": []entry{{a}, {b}}})
		if err != nil {
			t.Fatal(err)
		}
		bodies := roundTripper(func(*http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			_, _ = w.Write(body)
			return w.Result(), nil
		})
		engines := probe.Find(context.Background(), bodies, []probe.Place{{URL: "http://127.0.0.1:1", Product: "Ollama"}})
		c := mustLoad(t, probe.Config(engines))
		var got, want []string
		for _, m := range c.Models {
			got = append(got, m.Engines[0].Model)
		}
		for _, e := range engines {
			want = append(want, e.Models...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
