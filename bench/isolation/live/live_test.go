package live_test

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/bench/isolation/live"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/eventstream"
	"github.com/outcrop/outcrop/sim"
)

const second = time.Second

// plan has segments from 10 to 20 and from 20 to 30 seconds.
func plan() *live.Plan {
	return &live.Plan{Setup: isolation.Setup{Engines: 1, Warmup: 10 * second}, Seeds: []uint64{7, 8}, Segment: 10 * second, Tail: 5 * second, Speed: .5}
}

func TestRequestsWithoutAFirstTokenCountAsInfinite(t *testing.T) {
	var records []live.Record
	add := func(seed uint64, k isolation.Kind, first time.Duration, o live.Outcome) {
		records = append(records, live.Record{Seed: seed, Kind: k, At: 12 * second, First: first, End: 15 * second, Outcome: o})
	}
	for range 97 {
		add(7, isolation.Provisioned, 12100*time.Millisecond, live.Whole)
	}
	for _, o := range []live.Outcome{live.Late, live.Failed, live.Refused} {
		add(7, isolation.Provisioned, 0, o)
	}
	add(7, isolation.OnDemand, 0, live.Refused)
	add(7, isolation.OnDemand, 0, live.Cut)
	add(0, isolation.Provisioned, 0, live.Late) // before or after what is measured
	r := plan().Results(records)[0]
	if p := r.Percentile(96, isolation.Provisioned); math.Abs(p-.1) > 1e-9 {
		t.Errorf("p96 is %v", p)
	}
	if p := r.Percentile(97, isolation.Provisioned); !math.IsInf(p, 1) {
		t.Errorf("p97 is %v", p)
	}
	if r.Sent[isolation.Provisioned] != 100 || r.Refused[isolation.Provisioned] != 1 || r.Finished[isolation.Provisioned] != 97 {
		t.Errorf("%v sent, %v refused, %v finished", r.Sent, r.Refused, r.Finished)
	}
	if len(r.First[isolation.OnDemand]) != 1 || r.Refused[isolation.OnDemand] != 1 {
		t.Errorf("on demand: %v, %v refused", r.First[isolation.OnDemand], r.Refused[isolation.OnDemand])
	}
}

func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	r := plan().Results([]live.Record{{Seed: 8, At: 21 * second, Sent: 23 * second, First: 24 * second, End: 25 * second, Outcome: live.Whole}})
	if got := r[1].Percentile(50, isolation.Provisioned); got != 3 {
		t.Errorf("%v s", got)
	}
}

func TestTokensCountWhereTheyCame(t *testing.T) {
	r := plan().Results([]live.Record{
		{Kind: isolation.Batch, First: 19 * second, End: 29 * second, Prompt: 500, Tokens: 100},  // 10 in the first segment
		{Kind: isolation.Aggressor, First: 22 * second, End: 22 * second, Prompt: 30, Tokens: 1}, // all at once
		{Kind: isolation.OnDemand, End: 25 * second, Prompt: 1000},                               // nothing came
	})
	want := [2][4]float64{{0, 0, 0, 51}, {0, 0, 3.1, 9}}
	for i := range r {
		for k, got := range r[i].Tokens {
			if math.Abs(got-want[i][k]) > 1e-9 {
				t.Errorf("segment %d, %s: %v tokens/s, want %v", i, isolation.Kind(k), got, want[i][k])
			}
		}
	}
}

func TestMergeIsOneLongerRun(t *testing.T) {
	a := &isolation.Result{Seconds: 10}
	a.First[0], a.Sent[0], a.Tokens[0] = []float64{1, 2}, 2, 100
	b := &isolation.Result{Seconds: 30}
	b.First[0], b.Sent[0], b.Refused[0], b.Tokens[0] = []float64{3}, 2, 1, 200
	m := live.Merge([]*isolation.Result{a, b})
	if len(m.First[0]) != 3 || m.Sent[0] != 4 || m.Refused[0] != 1 || m.Tokens[0] != 175 || m.Seconds != 40 {
		t.Errorf("%+v", m)
	}
}

func TestRecordsSurviveTheWayBetweenProcesses(t *testing.T) {
	records := []live.Record{{Seed: 7, Kind: isolation.Aggressor, Tenant: "a", At: 1, Sent: 2, First: 3, End: 4, Prompt: 5, Output: 6, Tokens: 7, Outcome: live.Cut}, {}}
	var b strings.Builder
	if err := live.WriteRecords(&b, records); err != nil {
		t.Fatal(err)
	}
	got, err := live.ReadRecords(strings.NewReader(b.String()))
	if err != nil || len(got) != 2 || got[0] != records[0] {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := live.ReadRecords(strings.NewReader(b.String()[:len(b.String())-5])); err == nil {
		t.Error("half a record is read")
	}
}

func TestTheGatewayTakesTheConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "outcrop.yaml")
	for _, engines := range []int{1, 4} {
		for _, r := range live.Runs(isolation.Base(engines), second, isolation.Loads()[:3], live.Policies()) {
			text := live.Configuration(r, .5, []string{"127.0.0.1:1", "127.0.0.1:2"})
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, problems := config.Load(file, nil, nil); len(problems) > 0 {
				t.Fatalf("%s, %s: %v\n%s", r.Load, r.Policy.Name, problems, text)
			}
		}
	}
}

// The engine counts the tokens of a prompt as the plan does.
func TestPromptsHaveTheTokensThatWereDrawn(t *testing.T) {
	engine := sim.New(sim.Config{})
	for _, n := range []int{20, 1155, 14_050} {
		var c bedrock.Converse
		if err := c.Decode(live.Body(n, 77)); err != nil {
			t.Fatal(err)
		}
		got, err := engine.CountTokens(t.Context(), &outcrop.Request{Conversation: &c.Conversation})
		if err != nil || got != n {
			t.Errorf("%d tokens, want %d; %v", got, n, err)
		}
		if extra := string(c.Conversation.Extra); !strings.Contains(extra, `"outcrop:output-tokens":"77"`) {
			t.Errorf("the engine is told %s", extra)
		}
	}
}

// A plan sends what virtual time sends for the same seed, segment by segment.
func TestSegmentsHaveTheRequestsOfTheirSeeds(t *testing.T) {
	p := plan()
	p.Setup = isolation.Base(1)
	p.Setup.Warmup = 10 * second
	isolation.Loads()[0].Apply(&p.Setup)
	sent := map[uint64]int{}
	last := int64(0)
	live.Schedule(p, func(seed uint64, tenant string, at int64, prompt, output int) {
		if at < last || time.Duration(at) >= p.Length() {
			t.Errorf("%s at %v after %v", tenant, time.Duration(at), time.Duration(last))
		}
		if in := time.Duration(at) >= 20*second && time.Duration(at) < 30*second; in != (seed == 8) {
			t.Errorf("seed %d at %v", seed, time.Duration(at))
		}
		last = at
		sent[seed]++
	})
	for _, seed := range p.Seeds {
		s := p.Setup
		s.Seed = seed
		want := 0
		for _, source := range s.Sources() {
			for ; source.At() < p.Segment; want++ {
				source.Take()
			}
		}
		if sent[seed] != want || want < 300 {
			t.Errorf("seed %d: %d requests, want %d", seed, sent[seed], want)
		}
	}
	if sent[0] == 0 {
		t.Error("no warm-up and no tail")
	}
}

// A fake gateway answers everybody with three tokens but those whom it refuses
// or keeps waiting. Enough is called when it has seen all kinds of traffic.
type fake struct {
	enough func()
	mu     sync.Mutex
	seen   map[string]int // by path and key
	flex   int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.note(r.URL.Path+" "+key, strings.Contains(string(body), `"serviceTier":{"type":"flex"}`))
	switch key {
	case "refused":
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case "kept":
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	event := func(name, payload string) {
		frame := append(eventstream.Begin(nil, eventstream.EventHead(name)), payload...)
		_, _ = w.Write(eventstream.Seal(frame, 0))
	}
	event("messageStart", `{"role":"assistant"}`)
	for range 3 {
		event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"x"}}`)
	}
	event("messageStop", `{"stopReason":"end_turn"}`)
	event("metadata", `{"usage":{"outputTokens":3}}`)
}

const bought = "arn:aws:bedrock:us-east-1:1:provisioned-model/x"

func (f *fake) note(request string, flex bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[request]++
	if flex {
		f.flex++
	}
	n := func(model, key string) int { return f.seen["/model/"+model+"/converse-stream "+key] }
	if n(bought, "whole") > 2 && n("m", "refused") > 2 && n("m", "kept") > 0 && f.flex > 10 {
		f.enough()
	}
}

func TestTheGeneratorTellsWhatBecameOfEachRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{seen: map[string]int{}, enough: cancel}
	server := httptest.NewServer(f)
	defer server.Close()
	s := isolation.Base(1)
	s.Warmup, s.Provisioned, s.Units, s.OnDemand, s.Tenants, s.Aggressor = 0, 50, 1, 50, 1, 50
	records, err := live.Generate(ctx, &live.Plan{
		Addr: strings.TrimPrefix(server.URL, "http://"), Model: "m", Setup: s, Seeds: []uint64{1}, Speed: 1, Rows: 2,
		Keys:    map[string]string{"unita": "whole", "tenanta": "refused", "aggressora": "kept", "joba": "whole", "jobb": "refused"},
		Models:  map[string]string{"unita": bought},
		Segment: time.Hour, Tail: time.Second, Patience: time.Hour, Start: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	may := map[string]live.Outcome{"unita": live.Whole, "tenanta": live.Refused, "aggressora": live.Cut, "joba": live.Whole, "jobb": live.Refused}
	got := map[string]int{}
	for _, r := range records {
		if r.Outcome != live.Cut && r.Outcome != may[r.Tenant] {
			t.Errorf("%+v", r)
		}
		if whole := r.Outcome == live.Whole; whole != (r.Tokens == 3) && r.Outcome != live.Cut || whole && (r.First == 0 || r.End < r.First) {
			t.Errorf("%+v", r)
		}
		got[r.Tenant]++
	}
	for tenant := range may {
		if got[tenant] == 0 {
			t.Errorf("%s sent nothing: %v", tenant, got)
		}
	}
}
