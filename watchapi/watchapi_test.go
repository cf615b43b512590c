package watchapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/estimate"
	"github.com/outcrop/outcrop/explain"
	"github.com/outcrop/outcrop/fair"
	"github.com/outcrop/outcrop/quota"
	"github.com/outcrop/outcrop/watchapi"
)

const (
	mine   = "111111111111"
	theirs = "222222222222"
	llama  = "meta.llama3-1-70b-instruct-v1:0"
	haiku  = "anthropic.claude-3-haiku-20240307-v1:0"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 123_456_789, time.UTC)

func provisioned(account, id, name string, units int) outcrop.Provisioned {
	return outcrop.Provisioned{
		ARN:  outcrop.ARN{Partition: "aws", Service: "bedrock", Region: "us-east-1", Account: account, Type: "provisioned-model", ID: id},
		Name: name, Model: llama, DesiredModel: llama, Units: units, DesiredUnits: units, Status: outcrop.ProvisionedInService, Served: noon,
	}
}

// scene is a pool with three engines that is contended for, and an idle one;
// units of two accounts, one of which was never used.
func scene() watchapi.Scene {
	search, other := provisioned(mine, "pt9k2pt9k2pt", "search", 3), provisioned(theirs, "oooooooooooo", "other", 1)
	s := watchapi.Scene{
		Provisioned: []outcrop.Provisioned{other, search},
		PoolOf: func(model string) string {
			base, _, _ := strings.Cut(model, ":48k")
			return base
		},
		Pools: []watchapi.PoolState{{State: capacity.State{Model: llama, Rate: 28_000, Guarded: true}, Sellable: 6}, {State: capacity.State{Model: haiku}, Simulated: true, Sellable: 10}},
	}
	busy := &s.Pools[0].State
	busy.Classes[outcrop.ClassProvisioned] = fair.ClassState{Flying: 9, Pace: 12_000.04, Served: 9_000_000, Counts: fair.Counts{Finished: 9000}}
	busy.Classes[outcrop.ClassDefault] = fair.ClassState{Queued: 14, Flying: 32, Cost: 28_000, Rate: 14_000, Oldest: 3100 * time.Millisecond, Pace: 10_000, Counts: fair.Counts{Finished: 70, Failed: 2, Refused: 3, Lost: 1}}
	full := fair.Capacity{KVTokens: 400_000, MaxSeqs: 256}
	busy.Engines = []capacity.EngineState{
		{Name: "vllm-0", Load: fair.EngineState{Sequences: 41, Unread: 1820, KV: 248_000, Capacity: full}, Factor: 1, Prefill: 28_571.4, Decode: 147, Samples: 2100, Served: 4400,
			Scraped: 200 * time.Millisecond, Said: estimate.Scrape{Waiting: 2, KVUsage: 0.6}},
		{Name: "vllm-1", Drained: true, Load: fair.EngineState{Sequences: 6, KV: 72_000, Capacity: full}, Factor: 0.9, Scraped: -1},
		{Name: "vllm-2", Condition: estimate.Resting, RestsFor: 4 * time.Second, Failures: 3, Failed: 5, Load: fair.EngineState{Capacity: capacity.Unknown(0)}, Factor: 1, Scraped: -1},
	}
	busy.Engines[0].Gates[outcrop.ClassDefault] = fair.GatePrefill
	busy.Engines[1].Gates[outcrop.ClassDefault] = fair.GateDraining
	busy.Engines[2].Gates[outcrop.ClassDefault] = fair.GateDraining
	s.Limits = quota.Status{
		Uses: []quota.UseStatus{
			{Account: mine, Model: haiku, Levels: []quota.Level{{Limit: "tokens-per-minute", Level: 398_112, Max: 400_000, Percent: 99}}, Admitted: 12, Refused: []quota.Count{{Name: "tokens-per-minute", Count: 4}}, Used: 3_000_000},
			{Account: theirs, Model: haiku},
		},
		Units: []quota.UnitStatus{{ARN: search.ARN.String(), Name: "search", Account: mine, Model: llama, Units: 3,
			Levels: []quota.Level{{Limit: "unit-output", Level: 4380, Max: 4000, Percent: 109}}, Input: 540_000, Output: 108_000, UsedInput: 42, UsedOutput: 87,
			InFlight: 9, Admitted: 9009, Waited: 31, WaitTime: 1500 * time.Millisecond, Refused: []quota.Count{{Name: "unit-output", Count: 2}}, Spilled: []quota.Count{{Name: "default", Count: 5}}}},
		Reserved: []quota.UnitStatus{{Name: "reserved", Account: theirs, Model: haiku, Units: 1, Input: 60_000}},
	}
	return s
}

var update = flag.Bool("update", false, "rewrite the golden files")

func TestJSONOfAView(t *testing.T) {
	const golden = "testdata/view.json"
	s := scene()
	v := watchapi.Look(&s, noon)
	line, err := v.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, append(line, '\n'), "", "  "); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s", got.Bytes())
	}
	back, err := watchapi.Parse(line)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.AppendJSON(nil)
	if err != nil || !bytes.Equal(again, line) {
		t.Errorf("after parsing: %s %v", again, err)
	}
}

func TestWhatIsNoViewIsNotParsed(t *testing.T) {
	for _, s := range []string{"", "{}", "null", "[]", `{"version":"1"}`, `{"message":"no"}`} {
		if v, err := watchapi.Parse([]byte(s)); err == nil {
			t.Errorf("%q: %+v", s, v)
		}
	}
	if _, err := watchapi.Parse([]byte(`{"version":1,"new":{}}`)); err != nil {
		t.Error(err)
	}
}

// TestUnitsOfAPool changes what is sold: what is on the way counts, and once.
func TestUnitsOfAPool(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*outcrop.Provisioned)
		want watchapi.Units
	}{
		{"as it is", func(*outcrop.Provisioned) {}, watchapi.Units{Sold: 4, Used: 2.6, Idle: 1.4, Free: 6}},
		{"growing", func(p *outcrop.Provisioned) { p.Status, p.DesiredUnits = outcrop.ProvisionedUpdating, 5 }, watchapi.Units{Sold: 6, Used: 2.6, Idle: 3.4, Free: 6}},
		{"to another context", func(p *outcrop.Provisioned) { p.Status, p.DesiredModel = outcrop.ProvisionedUpdating, llama+":48k" }, watchapi.Units{Sold: 4, Used: 2.6, Idle: 1.4, Free: 6}},
		{"to another model", func(p *outcrop.Provisioned) { p.Status, p.DesiredModel = outcrop.ProvisionedUpdating, haiku }, watchapi.Units{Sold: 4, Used: 2.6, Idle: 1.4, Free: 6}},
		{"overdrawn", func(p *outcrop.Provisioned) { p.Units, p.DesiredUnits = 1, 1 }, watchapi.Units{Sold: 2, Used: 2, Free: 6}},
	} {
		s := scene()
		c.edit(&s.Provisioned[1])
		if got := watchapi.Look(&s, noon).Pools[1]; got.Model != llama || got.Units != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got.Units, c.want)
		}
	}
}

func TestAnAccountSeesItsOwnAndNobodyElse(t *testing.T) {
	s := scene()
	v := watchapi.Look(&s, noon).OfAccount(mine)
	line, err := v.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(line); strings.Contains(text, theirs) || strings.Contains(text, `"other"`) || len(v.Units) != 1 || len(v.OnDemand) != 1 {
		t.Errorf("%s", text)
	}
	s.Provisioned = s.Provisioned[1:]
	s.Limits.Uses, s.Limits.Reserved = s.Limits.Uses[:1], nil
	alone := watchapi.Look(&s, noon).OfAccount(mine)
	if !reflect.DeepEqual(alone.Units, v.Units) || !reflect.DeepEqual(alone.OnDemand, v.OnDemand) {
		t.Errorf("without the others: %+v", alone)
	}
}

func TestDoor(t *testing.T) {
	book := explain.NewBook(explain.Config{})
	book.Add(&explain.Record{ID: "an-id", Account: mine, Status: 200, Time: noon})
	api := watchapi.New(func(r *http.Request) (string, bool, error) {
		who := r.Header.Get("Who")
		if who == "" {
			return "", false, &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "Missing Authentication Token"}
		}
		return who, who == "all", nil
	}, scene, book)
	for _, c := range []struct {
		method, path, who, accept string
		status                    int
		body                      string
	}{
		{"GET", "/outcrop/explain/an-id", mine, "", 200, `{"request_id":"an-id"`},
		{"GET", "/outcrop/explain/an-id", "all", "", 200, `{"request_id":"an-id"`},
		{"GET", "/outcrop/explain/an-id", mine, "text/plain", 200, "EXPLAIN an-id"},
		{"GET", "/outcrop/explain/an-id", theirs, "", 404, "No request with this id"},
		{"GET", "/outcrop/explain/unknown", mine, "", 404, "No request with this id"},
		{"GET", "/outcrop/explain/", mine, "", 404, "No request with this id"},
		{"GET", "/outcrop/explain/an-id", "", "", 403, "Missing Authentication Token. Sign the request"},
		{"POST", "/outcrop/explain/an-id", mine, "", 405, "Ask with GET"},
		{"GET", "/outcrop/capacity", "all", "", 200, `"account":"` + theirs},
		{"GET", "/outcrop/capacity", mine, "", 200, `"account":"` + mine},
		{"HEAD", "/outcrop/capacity", mine, "", 200, ""},
		{"GET", "/outcrop/capacity", "", "", 403, "Sign the request"},
		{"PUT", "/outcrop/capacity", "", "", 405, "Ask with GET"},
	} {
		w := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil)
		req.Header.Set("Who", c.who)
		req.Header.Set("Accept", c.accept)
		api.ServeHTTP(w, req)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
		if !watchapi.Serves(c.path) {
			t.Errorf("%s is not served", c.path)
		}
	}
	for _, path := range []string{"/outcrop", "/outcrop/capacity/", "/outcrop/explain", "/Outcrop/capacity", "//outcrop/capacity", "/model/outcrop/converse"} {
		if watchapi.Serves(path) {
			t.Errorf("%s is served", path)
		}
	}
}

// TestEveryGateHasWords: a new gate must be told of in words too.
func TestEveryGateHasWords(t *testing.T) {
	for g := fair.GateOpen; g.String() != ""; g++ {
		s := scene()
		s.Pools[0].Engines[0].Gates[outcrop.ClassDefault] = g
		if got := watchapi.Look(&s, noon).Pools[1].Engines[0].Gates; len(got) != 1 || got[0].Gate != g.String() || got[0].Why == "" {
			t.Errorf("%s: %+v", g, got)
		}
	}
}
