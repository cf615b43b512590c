package explain_test

import (
	"errors"
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/explain"
)

const (
	account = "111111111111"
	haiku   = "anthropic.claude-3-haiku-20240307-v1:0"
	unitARN = "arn:aws:bedrock:us-east-1:111111111111:provisioned-model/pt9k2pt9k2pt"
)

var received = time.Date(2026, 11, 22, 13, 3, 11, 482_000_000, time.UTC)

func request(id string) *outcrop.Request {
	return &outcrop.Request{ID: id, Operation: outcrop.OpConverse, ModelID: haiku, Card: &outcrop.Card{ID: haiku}, Received: received,
		Principal: &outcrop.Principal{Account: account, KeyID: "AKIAEXAMPLE"}}
}

func served() outcrop.Receipt {
	return outcrop.Receipt{Usage: outcrop.Usage{Input: 1200, Output: 31}, FirstToken: 293 * time.Millisecond, Engine: "vllm-0", Stop: outcrop.StopEndTurn,
		Attempts: 1, Scheduled: true, Class: outcrop.ClassDefault, Queued: 88 * time.Millisecond}
}

func outputLimit() *outcrop.Limit {
	return &outcrop.Limit{Name: "unit-output", Unit: unitARN, Level: 4380, Max: 4000, Need: 300, Percent: 109, Wait: 1900 * time.Millisecond}
}

func dayLimit() *outcrop.Limit {
	return &outcrop.Limit{Name: "tokens-per-day", Account: account, Model: haiku, Level: 2_000_000, Max: 2_000_000, Need: 315, Percent: 100, Wait: -1}
}

// overslept is the receipt of one that waited too long in the queue.
func overslept() outcrop.Receipt {
	return outcrop.Receipt{Scheduled: true, Class: outcrop.ClassDefault, Queued: 3100 * time.Millisecond, Limit: &outcrop.Limit{Name: "scheduler-wait",
		Account: account, Model: haiku, Level: 24, Max: 20, Percent: 120, Wait: 4 * time.Second, Waited: 3100 * time.Millisecond}}
}

// cases are one record of each kind, by name.
func cases() map[string]explain.Record {
	throttled := &outcrop.Error{Code: outcrop.CodeThrottling, Message: "Too many tokens, please wait before trying again.", RetryAfter: 1900 * time.Millisecond}
	made := map[string]explain.Record{}
	add := func(name string, edit func(*outcrop.Request, *outcrop.Receipt) error) {
		req, r := request("7f3a2c10-5b1e-4c0e-9a44-0d7f6a1b2c3d"), served()
		err := edit(req, &r)
		made[name] = explain.Of(req, &r, err, 1031*time.Millisecond)
	}
	none := func(r *outcrop.Receipt, l *outcrop.Limit) error {
		*r = outcrop.Receipt{Limit: l}
		return throttled
	}
	add("served", func(*outcrop.Request, *outcrop.Receipt) error { return nil })
	add("simulated", func(req *outcrop.Request, r *outcrop.Receipt) error {
		r.Simulated, r.Estimated, r.Queued, r.Usage.CacheRead = true, true, 0, 4096
		req.Tier, r.Tier, r.Class, req.Latency = outcrop.TierPriority, outcrop.TierPriority, outcrop.ClassPriority, outcrop.LatencyOptimized
		return nil
	})
	add("within its unit", func(req *outcrop.Request, r *outcrop.Receipt) error {
		req.Unit, r.Unit, r.Class = unitARN, unitARN, outcrop.ClassProvisioned
		return nil
	})
	add("waited for its unit", func(req *outcrop.Request, r *outcrop.Receipt) error {
		req.Unit, r.Unit, r.Class, r.Limit = unitARN, unitARN, outcrop.ClassProvisioned, outputLimit()
		r.Limit.Wait, r.Limit.Waited = 40*time.Millisecond, 40*time.Millisecond
		return nil
	})
	add("spilled", func(req *outcrop.Request, r *outcrop.Receipt) error {
		req.Unit, req.Spill, r.Spilled, r.Tier, r.Class, r.Limit = unitARN, outcrop.SpillFlex, true, outcrop.TierFlex, outcrop.ClassFlex, outputLimit()
		return nil
	})
	add("reserved tier overflowed", func(req *outcrop.Request, r *outcrop.Receipt) error {
		req.Tier, r.Tier, r.Limit = outcrop.TierReserved, outcrop.TierDefault, outputLimit()
		r.Limit.Unit = "reserved/111111111111/" + haiku
		return nil
	})
	add("refused by its unit", func(req *outcrop.Request, r *outcrop.Receipt) error {
		req.Unit = unitARN
		return none(r, outputLimit())
	})
	add("refused on demand", func(_ *outcrop.Request, r *outcrop.Receipt) error { return none(r, dayLimit()) })
	add("refused after spilling", func(req *outcrop.Request, r *outcrop.Receipt) error {
		req.Unit = unitARN
		l := outputLimit()
		l.Next = dayLimit()
		return none(r, l)
	})
	add("refused by the scheduler", func(req *outcrop.Request, r *outcrop.Receipt) error {
		*r = overslept()
		return throttled
	})
	add("failed", func(_ *outcrop.Request, r *outcrop.Receipt) error {
		r.Usage, r.FirstToken, r.Stop, r.Attempts = outcrop.Usage{}, 0, "", 2
		return &outcrop.Error{Code: outcrop.CodeModelError, Message: "The engine broke off."}
	})
	add("internal", func(_ *outcrop.Request, r *outcrop.Receipt) error {
		*r = outcrop.Receipt{}
		return errors.New("a secret")
	})
	down := &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "The engine does not answer."}
	add("served at the second try", func(_ *outcrop.Request, r *outcrop.Receipt) error {
		r.Attempts, r.Queued = 2, 300*time.Millisecond
		r.Tries = &outcrop.Try{Engine: "vllm-1", Ran: 12 * time.Millisecond, Code: down.Code, Next: &outcrop.Try{
			Engine: "vllm-0", Queued: 300 * time.Millisecond, Ran: 719 * time.Millisecond,
			Held: &outcrop.Hold{Class: outcrop.ClassProvisioned, Ahead: 4200, Gates: []outcrop.Gate{{Engine: "vllm-0", Gate: "prefill"}, {Engine: "vllm-1", Gate: "draining"}}}}}
		return nil
	})
	add("gave way", func(_ *outcrop.Request, r *outcrop.Receipt) error {
		r.Attempts = 2
		r.Tries = &outcrop.Try{Engine: "vllm-1", Ran: 40 * time.Millisecond, TakenBack: true, Next: &outcrop.Try{Engine: "vllm-0", Ran: 600 * time.Millisecond}}
		return nil
	})
	add("failed on all engines", func(_ *outcrop.Request, r *outcrop.Receipt) error {
		*r = outcrop.Receipt{Scheduled: true, Class: outcrop.ClassDefault, Attempts: 2}
		r.Tries = &outcrop.Try{Engine: "vllm-1", Ran: 12 * time.Millisecond, Code: down.Code, Next: &outcrop.Try{Engine: "vllm-0", Ran: 2 * time.Second, Code: down.Code}}
		return down
	})
	add("waited and was refused", func(_ *outcrop.Request, r *outcrop.Receipt) error {
		*r = overslept()
		h := &outcrop.Hold{Class: outcrop.ClassDefault, Ahead: 600_000}
		for i := range 12 {
			h.Gates = append(h.Gates, outcrop.Gate{Engine: "vllm-" + strconv.Itoa(i), Gate: "memory"})
		}
		r.Tries = &outcrop.Try{Queued: 3100 * time.Millisecond, Code: throttled.Code, Held: h}
		return throttled
	})
	left := made["failed on all engines"]
	left.Tries = slices.Clone(left.Tries)
	left.Leave()
	made["left at the second try"] = left
	gone := made["served"]
	gone.Leave()
	made["left by its caller"] = gone
	made["of no class"] = explain.Of(request("7f3a2c10-5b1e-4c0e-9a44-0d7f6a1b2c3d"), &outcrop.Receipt{}, nil, time.Millisecond)
	return made
}

var update = flag.Bool("update", false, "rewrite the golden files")

func TestTextsAndJSON(t *testing.T) {
	const golden = "testdata/records.txtar"
	all := cases()
	if *update {
		a := &txtar.Archive{Comment: []byte("Records as text and as JSON.\n")}
		for _, name := range names(all) {
			a.Files = append(a.Files, txtar.File{Name: name + ".txt", Data: []byte(text(t, all[name]))}, txtar.File{Name: name + ".json", Data: asJSON(t, all[name])})
		}
		if err := os.WriteFile(golden, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Files) != 2*len(all) {
		t.Errorf("%d files for %d records", len(a.Files), len(all))
	}
	for _, f := range a.Files {
		name, kind, _ := strings.Cut(f.Name, ".")
		got := text(t, all[name])
		if kind == "json" {
			got = string(asJSON(t, all[name]))
		}
		if got != string(f.Data) {
			t.Errorf("%s:\n%s", f.Name, got)
		}
	}
}

func names(all map[string]explain.Record) []string { return slices.Sorted(maps.Keys(all)) }

func text(t *testing.T, r explain.Record) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asJSON(t *testing.T, r explain.Record) []byte {
	t.Helper()
	b, err := r.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func TestRecordsSurviveTheBookAndJSON(t *testing.T) {
	for name, r := range cases() {
		b := explain.NewBook(explain.Config{})
		b.Add(&r)
		got, ok := b.Find(r.ID)
		if !ok || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: the book has\n%+v, want\n%+v", name, got, r)
		}
		parsed, err := explain.Parse(asJSON(t, r))
		if err != nil || !reflect.DeepEqual(parsed, r) {
			t.Errorf("%s: parsed\n%+v, want\n%+v, %v", name, parsed, r, err)
		}
		var b2 strings.Builder
		if err := explain.Print(&b2, asJSON(t, r)); err != nil || b2.String() != text(t, r) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoCauseIsTold(t *testing.T) {
	r := cases()["internal"]
	if strings.Contains(text(t, r)+string(asJSON(t, r)), "secret") {
		t.Error("an internal error is told")
	}
}

func TestWhatIsNoRecordIsNotPrinted(t *testing.T) {
	for _, s := range []string{"", "{}", "null", "[]", `{"request_id":1}`, `{"message":"No request"}`} {
		var b strings.Builder
		if err := explain.Print(&b, []byte(s)); err == nil || b.Len() > 0 {
			t.Errorf("%q: %v, %q", s, err, b.String())
		}
	}
}

func TestTextsCannotBeForged(t *testing.T) {
	r := cases()["served"]
	r.Asked.Model = "x\n 9 answer 200\x1b[2J"
	r.Served.Engine = "a\r\nb\u202e"
	r.Tries = []explain.Try{{Engine: "a\nb", Held: &explain.Held{Class: "\n", Gates: []explain.Gate{{Engine: "\r", Gate: "\x1b"}}}}}
	if s := text(t, r); strings.Count(s, "\n") != strings.Count(text(t, cases()["served"]), "\n")+2 || strings.ContainsAny(s, "\x1b\r\u202e") {
		t.Errorf("%q", s)
	}
}

func TestOrdinaryRecordsAreSampledAndSpecialOnesKept(t *testing.T) {
	b := explain.NewBook(explain.Config{Keep: 1000, Sample: 10, Slow: time.Second})
	all := cases()
	kinds := []string{"refused by its unit", "spilled", "waited for its unit", "failed", "gave way", "slow"}
	all["slow"] = all["served"]
	for i := range 1000 {
		r := all["served"]
		r.ID = "ordinary " + strconv.Itoa(i)
		b.Add(&r)
	}
	for i, kind := range kinds {
		r := all[kind]
		r.ID = strconv.Itoa(i)
		if kind == "slow" {
			r.FirstToken = time.Second
		}
		b.Add(&r)
		if _, ok := b.Find(r.ID); !ok {
			t.Errorf("%s is not kept", kind)
		}
	}
	if n := b.Len(); n != 100+len(kinds) {
		t.Errorf("%d records", n)
	}
}

func TestBookIsBoundedAndKeepsTheLatest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keep := rapid.IntRange(1, 5).Draw(t, "keep")
		b := explain.NewBook(explain.Config{Keep: keep})
		var ordinary, special []string
		all := cases()
		for i := range rapid.IntRange(0, 20).Draw(t, "records") {
			r, list := all["served"], &ordinary
			if rapid.Bool().Draw(t, "special") {
				r, list = all["failed"], &special
			}
			r.ID = strconv.Itoa(i)
			b.Add(&r)
			*list = append(*list, r.ID)
		}
		for _, list := range [][]string{ordinary, special} {
			for i, id := range list {
				if _, ok := b.Find(id); ok != (i >= len(list)-keep) {
					t.Fatalf("%s of %v, of which %d are kept: %v", id, list, keep, ok)
				}
			}
		}
	})
}

func TestManyAddAndFind(t *testing.T) {
	b := explain.NewBook(explain.Config{Keep: 50})
	all := cases()
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for i := range 200 {
				r := all[[]string{"served", "spilled"}[i%2]]
				r.ID = strconv.Itoa(worker*1000 + i)
				b.Add(&r)
				if got, ok := b.Find(r.ID); ok && got.ID != r.ID {
					t.Errorf("found %s, want %s", got.ID, r.ID)
				}
			}
		})
	}
	workers.Wait()
	if b.Len() != 100 {
		t.Error(b.Len())
	}
}

func BenchmarkAdd(b *testing.B) {
	book := explain.NewBook(explain.Config{})
	req, receipt := request("7f3a2c10-5b1e-4c0e-9a44-0d7f6a1b2c3d"), served()
	b.ReportAllocs()
	for b.Loop() {
		r := explain.Of(req, &receipt, nil, time.Second)
		book.Add(&r)
	}
	b.ReportMetric(float64(explain.EntryBytes+len(req.ID)), "B/record")
}

func BenchmarkAddRefused(b *testing.B) {
	book := explain.NewBook(explain.Config{})
	req, receipt := request("7f3a2c10-5b1e-4c0e-9a44-0d7f6a1b2c3d"), outcrop.Receipt{Limit: outputLimit()}
	err := &outcrop.Error{Code: outcrop.CodeThrottling, Message: strings.Repeat("Too many tokens. ", 20)}
	b.ReportAllocs()
	for b.Loop() {
		r := explain.Of(req, &receipt, err, time.Second)
		book.Add(&r)
	}
}

func TestOfManyTriesAndGatesTheFirstAreKept(t *testing.T) {
	receipt := served()
	hold := &outcrop.Hold{Gates: make([]outcrop.Gate, 64)}
	for range 100 {
		receipt.Tries = &outcrop.Try{Engine: "vllm-0", Held: hold, Next: receipt.Tries}
	}
	b := explain.NewBook(explain.Config{})
	r := explain.Of(request("7f3a"), &receipt, nil, time.Second)
	b.Add(&r)
	got, ok := b.Find("7f3a")
	if !ok || len(got.Tries) != 8 || len(got.Tries[7].Held.Gates) != 8 || got.Tries[7].Held.Engines != 64 {
		t.Errorf("found %v, %d tries", ok, len(got.Tries))
	}
}

func TestRecordsAreSmall(t *testing.T) {
	if explain.EntryBytes > 256 {
		t.Errorf("%d bytes", explain.EntryBytes)
	}
}
