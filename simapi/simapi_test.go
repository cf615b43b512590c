package simapi_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sim"
	"github.com/outcrop/outcrop/simapi"
	"github.com/outcrop/outcrop/upstream"
)

var update = flag.Bool("update", false, "write the golden files anew")

func haiku() *outcrop.Card {
	return &outcrop.Card{ID: "anthropic.claude-3-haiku-20240307-v1:0", Context: 200_000, MaxOutput: 4096}
}

// handler serves haiku and a model called tiny, on which nothing waits.
func handler() http.Handler {
	return simapi.NewHandler([]simapi.Model{
		simapi.Simulated("haiku", sim.Config{Card: haiku(), Seed: 1}),
		simapi.Simulated("tiny", sim.Config{Seed: 1, Replies: []sim.Reply{
			{Match: regexp.MustCompile(`ping`), Text: "pong"},
		}}),
	})
}

func serve(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler())
	t.Cleanup(s.Close)
	return s
}

func post(t *testing.T, url, body string, headers ...string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Request-Id", "test")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp, string(all), err
}

var created = regexp.MustCompile(`"created":\d+`)

// Each golden file holds a request, its first line method, path and headers,
// and the response to it.
func TestGoldenExchanges(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := exchange(t, archive.Files[0].Data)
			if *update {
				archive.Files = []txtar.File{archive.Files[0], {Name: "response", Data: got}}
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), string(got)); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func exchange(t *testing.T, request []byte) []byte {
	t.Helper()
	first, body, _ := strings.Cut(string(request), "\n")
	words := strings.Fields(first)
	r := httptest.NewRequest(words[0], words[1], strings.NewReader(body))
	r.Header.Set("X-Request-Id", "test")
	for _, h := range words[2:] {
		name, value, _ := strings.Cut(h, "=")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	handler().ServeHTTP(w, r)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d %s simulated=%s retry-after=%s\n", w.Code, w.Header().Get("Content-Type"),
		w.Header().Get("X-Outcrop-Simulated"), w.Header().Get("Retry-After"))
	b.WriteString(created.ReplaceAllString(w.Body.String(), `"created":0`))
	if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Our own client of OpenAI-compatible engines is the oracle: what it makes of
// the server's answers must be what the engine behind the server said.
func TestOurOwnClientReadsTheAnswers(t *testing.T) {
	s := serve(t)
	client, err := upstream.NewOpenAI(upstream.OpenAIConfig{Model: "haiku", Tokenizer: true,
		Server: upstream.Server{Name: "sim", URL: s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	direct := sim.New(sim.Config{Card: &outcrop.Card{ID: "haiku", Context: 200_000, MaxOutput: 4096}, Seed: 1})
	for _, streaming := range []bool{false, true} {
		for _, req := range conversations() {
			req.Streaming = streaming
			var want, got outcrop.Answer
			wanted, err := direct.Invoke(t.Context(), req, &want)
			if err != nil {
				t.Fatal(err)
			}
			receipt, err := client.Invoke(t.Context(), req, &got)
			if err != nil {
				t.Fatal(err)
			}
			if said(&got) != said(&want) || got.Stop != want.Stop || receipt.Usage.Output != wanted.Usage.Output {
				t.Errorf("streaming %v: want %s %+v\n%s\ngot %s %+v\n%s", streaming, want.Stop, wanted.Usage, said(&want), got.Stop, receipt.Usage, said(&got))
			}
		}
	}
	n, err := client.CountTokens(t.Context(), conversations()[0])
	if err != nil || n < 5 {
		t.Errorf("CountTokens: %d, %v", n, err)
	}
}

func conversations() []*outcrop.Request {
	text := func(s string) outcrop.Block { return outcrop.Block{Kind: outcrop.BlockText, Text: outcrop.Quote(s)} }
	say := func(s string) *outcrop.Conversation {
		return &outcrop.Conversation{Messages: []outcrop.Message{{Role: outcrop.RoleUser, Content: []outcrop.Block{text(s)}}}}
	}
	short := say("Explain machine learning")
	short.Inference.MaxTokens = 20
	tool := say("Please use get_weather")
	tool.Tools = []outcrop.Tool{{Name: outcrop.Text("get_weather"), Schema: outcrop.JSON(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`)}}
	form := say("Please answer in JSON")
	form.Format = &outcrop.Format{Name: outcrop.Text("x"), Schema: outcrop.JSON(`{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}`)}
	var all []*outcrop.Request
	for _, c := range []*outcrop.Conversation{say("Hello \"there\"\n\u00e9\U0001F600"), short, tool, form} {
		all = append(all, &outcrop.Request{ID: "1", ModelID: "haiku", Card: &outcrop.Card{ID: "haiku", Context: 200_000, MaxOutput: 4096},
			Principal: &outcrop.Principal{Account: "000000000000"}, Conversation: c})
	}
	return all
}

func said(a *outcrop.Answer) string {
	var b strings.Builder
	for _, c := range a.Content {
		if c.Kind == outcrop.BlockToolUse {
			fmt.Fprintf(&b, "%s(%s)", c.Use.Name, c.Use.Input)
			continue
		}
		b.WriteString(c.Text.String())
	}
	return b.String()
}

func TestACutStreamHasNoEndMarker(t *testing.T) {
	s := serve(t)
	_, body, err := post(t, s.URL+"/v1/chat/completions",
		`{"stream":true,"messages":[{"role":"user","content":"Hi"}]}`, "X-Outcrop-Fault", "stream_cut:3")
	if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(body, "[DONE]") || strings.Count(body, "data: ") != 4 {
		t.Errorf("%v\n%s", err, body)
	}
	if _, _, err := post(t, s.URL+"/v1/chat/completions",
		`{"messages":[{"role":"user","content":"Hi"}]}`, "X-Outcrop-Fault", "stream_cut:3"); err == nil {
		t.Error("a unary answer that is to break off arrives")
	}
}

func TestPrioritiesOrderTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.ConstantsFor(nil)
		c.MaxSeqs = 1
		h := simapi.NewHandler([]simapi.Model{simapi.Simulated("slow", sim.Config{Speed: 1, Constants: c})})
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		for _, member := range []string{``, `"priority":100,`, `"priority":20,`, `"service_tier":"flex",`, `"priority":0,`, `"priority":-1,`} {
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("POST", "/v1/chat/completions",
					strings.NewReader(`{`+member+`"messages":[{"role":"user","content":"Hi"}]}`)))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, member)
				if w.Code != 200 {
					t.Errorf("%s: %s", member, w.Body)
				}
			})
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		want := []string{``, `"priority":-1,`, `"priority":0,`, `"service_tier":"flex",`, `"priority":20,`, `"priority":100,`}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Error(diff)
		}
	})
}

func TestACallerWhoLeavesFreesTheEngine(t *testing.T) {
	m := simapi.Simulated("slow", sim.Config{Card: haiku(), Speed: 1})
	s := httptest.NewServer(simapi.NewHandler([]simapi.Model{m}))
	defer s.Close()
	resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"stream":true,"ignore_eos":true,"max_tokens":4000,"messages":[{"role":"user","content":"Hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if got := m.Stats().Running; got != 1 {
		t.Errorf("%d requests run, want 1", got)
	}
	resp.Body.Close()
	for end := time.Now().Add(20 * time.Second); m.Stats().Running > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the engine still works for a caller who left")
		}
	}
}

func TestMetricsHaveTheNamesOfVLLM(t *testing.T) {
	s := serve(t)
	for _, body := range []string{
		`{"model":"haiku","messages":[{"role":"user","content":"Hi"}]}`,
		`{"model":"haiku","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}`,
	} {
		if _, _, err := post(t, s.URL+"/v1/chat/completions", body); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.Get(s.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "vllm:num_preemptions_total",
		"vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total",
		"vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds",
		"vllm:e2e_request_latency_seconds", "vllm:request_queue_time_seconds", "vllm:request_success_total", "vllm:cache_config_info", "outcrop_simulated",
	} {
		if f := families[name]; f == nil || f.Metric[0].Label[0].GetName() == "" {
			t.Errorf("no metric %s", name)
		}
	}
	ended := map[string]float64{}
	for _, m := range families["vllm:request_success_total"].Metric {
		labels := map[string]string{}
		for _, l := range m.Label {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["model_name"] == "haiku" {
			ended[labels["finished_reason"]] = m.Counter.GetValue()
		}
	}
	if diff := cmp.Diff(map[string]float64{"stop": 1, "length": 1, "abort": 0, "error": 0}, ended); diff != "" {
		t.Errorf("requests by reason (-want +got):\n%s", diff)
	}
}

func TestLargeBodiesAreRefused(t *testing.T) {
	s := serve(t)
	resp, body, err := post(t, s.URL+"/v1/chat/completions", `{"x":"`+strings.Repeat("x", 26_000_000)+`"}`)
	if err == nil && resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %.200s", resp.StatusCode, body)
	}
}

func FuzzChat(f *testing.F) {
	f.Add([]byte(`{"stream":true,"metadata":{"outcrop:fault":"delay:0s"},"messages":[{"role":"user","content":"Hi"}],"max_tokens":3}`))
	f.Add([]byte(`{"prompt":["x"],"stop":["a","b"],"max_tokens":7,"messages":7}`))
	h := handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(body, []byte("fault")) {
			return // it may hang, as told
		}
		for _, path := range []string{"/v1/chat/completions", "/v1/completions", "/tokenize"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", path, bytes.NewReader(body)))
			if w.Code != 200 && w.Code != 400 && w.Code != 404 {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
}
