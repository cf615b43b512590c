package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop/eventstream"
)

// A sight is what a caller saw of one stream.
type sight struct {
	first, whole  time.Duration // until the first piece of the answer, and its end
	input, output int           // by the last event
}

// watch streams an answer of at most so many tokens and notes when what came.
func (h *house) watch(t *testing.T, client *http.Client, model string, most int) (s sight) {
	t.Helper()
	body := fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":%q}]}],"inferenceConfig":{"maxTokens":%d}}`, strings.Repeat("Tell me more. ", 10*most), most)
	req, err := http.NewRequest("POST", h.URL+"/model/"+url.PathEscape(model)+"/converse-stream", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer x")
	began := time.Now()
	r, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var rest []byte
	for buf := make([]byte, 4096); ; {
		n, err := r.Body.Read(buf)
		rest = append(rest, buf[:n]...)
		for len(rest) > 0 {
			m, size, frame := eventstream.Decode(rest)
			if frame != nil || size == 0 {
				break
			}
			s.hear(t, &m, time.Since(began))
			rest = rest[size:]
		}
		if err == io.EOF {
			s.whole = time.Since(began)
			return s
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *sight) hear(t *testing.T, m *eventstream.Message, at time.Duration) {
	switch m.EventType {
	case "contentBlockDelta":
		if s.first == 0 {
			s.first = at
		}
	case "metadata":
		var last struct {
			Usage struct{ InputTokens, OutputTokens int }
		}
		if err := json.Unmarshal(m.Payload, &last); err != nil {
			t.Error(err)
		}
		s.input, s.output = last.Usage.InputTokens, last.Usage.OutputTokens
	}
}

// samples are those of the metrics page, by name and labels.
func (h *house) samples(t *testing.T, client *http.Client) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(h.ask(t, client, "GET", "/metrics", "").body) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "} ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			all[name+"}"] = v
		}
	}
	return all
}

// mustObserve holds a histogram against the times that were seen.
func mustObserve(t *testing.T, samples map[string]float64, name, labels string, seen []time.Duration) {
	t.Helper()
	sum := 0.0
	for _, d := range seen {
		sum += d.Seconds()
	}
	if got := samples[name+"_sum{"+labels+"}"]; math.Abs(got-sum) > 1e-9 {
		t.Errorf("%s{%s}: a sum of %v, seen %v", name, labels, got, seen)
	}
	if got := samples[name+"_count{"+labels+"}"]; got != float64(len(seen)) {
		t.Errorf("%s{%s}: %v observations, seen %d", name, labels, got, len(seen))
	}
	bound := regexp.MustCompile(`^` + name + `_bucket\{.*le="([^"]*)"`)
	buckets := 0
	for sample, got := range samples {
		m := bound.FindStringSubmatch(sample)
		if m == nil || !strings.Contains(sample, labels) {
			continue
		}
		buckets++
		le, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, d := range seen {
			if d.Seconds() <= le {
				want++
			}
		}
		if got != float64(want) {
			t.Errorf("%s: %v, seen %v", sample, got, seen)
		}
	}
	if buckets < 10 {
		t.Errorf("%s{%s} has %d buckets", name, labels, buckets)
	}
}

// What the metrics say is what the caller saw, to the nanosecond and the token.
func TestMetricsTellWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, lifelike)
		client := newClient(t, &http.Transport{DialContext: p.dial})
		var firsts, wholes, between []time.Duration
		input, output := 0, 0
		for _, most := range []int{3, 40, 200, 700} {
			s := h.watch(t, client, haiku, most)
			if s.first <= 0 || s.whole <= s.first || s.output < 2 || s.input == 0 {
				t.Fatalf("up to %d tokens: saw %+v", most, s)
			}
			firsts, wholes = append(firsts, s.first), append(wholes, s.whole)
			between = append(between, (s.whole-s.first)/time.Duration(s.output-1))
			input, output = input+s.input, output+s.output
			time.Sleep(time.Minute)
		}
		if slices.Min(firsts) == slices.Max(firsts) || slices.Max(wholes) < 2*slices.Min(wholes) {
			t.Fatalf("answers all take as long: %v, %v", firsts, wholes)
		}
		if r := h.converse(t, client, "no.such-model"); r.status == 200 {
			t.Fatal("an unknown model was served")
		}
		samples := h.samples(t, client)
		by := `model="` + haiku + `",`
		mustObserve(t, samples, "outcrop_first_token_seconds", by+`outcome="ok"`, firsts)
		mustObserve(t, samples, "outcrop_request_duration_seconds", by+`operation="ConverseStream",outcome="ok"`, wholes)
		mustObserve(t, samples, "outcrop_time_between_tokens_seconds", by+`outcome="ok"`, between)
		mustObserve(t, samples, "outcrop_class_first_token_seconds", `class="default",`+strings.TrimSuffix(by, ","), firsts)
		mustObserve(t, samples, "outcrop_queue_seconds", `class="default",`+strings.TrimSuffix(by, ","), make([]time.Duration, len(firsts)))
		for sample, want := range map[string]float64{
			`outcrop_tokens_total{class="input",` + by + `outcome="ok"}`:                                               float64(input),
			`outcrop_tokens_total{class="output",` + by + `outcome="ok"}`:                                              float64(output),
			`outcrop_requests_total{` + by + `operation="ConverseStream",outcome="ok"}`:                                float64(len(firsts)),
			`outcrop_requests_total{model="unknown",operation="Converse",outcome="ValidationException"}`:               1,
			`outcrop_request_duration_seconds_sum{model="unknown",operation="Converse",outcome="ValidationException"}`: 0,
		} {
			if got, there := samples[sample]; !there || got != want {
				t.Errorf("%s: %v, want %v", sample, got, want)
			}
		}
	})
}
