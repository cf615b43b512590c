package meter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/meter"
)

func entry() *meter.Entry {
	return &meter.Entry{
		Time: time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC), RequestID: "req-1", Operation: outcrop.OpConverse,
		Model: "amazon.nova-lite-v1:0", AskedModel: "us.amazon.nova-lite-v1:0", Account: "000000000000", KeyID: "AKIA",
		Status: 200, Duration: 1100 * time.Millisecond, BytesIn: 99,
		Receipt: outcrop.Receipt{
			Usage: outcrop.Usage{Input: 7, Output: 11}, FirstToken: 100 * time.Millisecond,
			Engine: "sim", Simulated: true, Stop: outcrop.StopEndTurn, Attempts: 1,
		},
	}
}

// written returns what a log in the format writes for the entries.
func written(format meter.Format, entries ...*meter.Entry) string {
	var out bytes.Buffer
	log := meter.NewLog(&out, format, slog.LevelInfo)
	for _, e := range entries {
		log.Invocation(e)
	}
	log.Flush()
	return out.String()
}

func TestJSONLineHoldsTheWholeInvocation(t *testing.T) {
	e := entry()
	e.Hints = []string{`max_tokens was absent: "4096" assumed`}
	var got map[string]any
	if err := json.Unmarshal([]byte(written(meter.JSON, e)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"time": "2026-11-23T04:05:06.000000Z", "level": "INFO", "msg": "invocation", "request_id": "req-1",
		"operation": "Converse", "model": "amazon.nova-lite-v1:0", "asked_model": "us.amazon.nova-lite-v1:0",
		"status": 200.0, "duration_ms": 1100.0, "first_token_ms": 100.0, "between_tokens_ms": 100.0,
		"input_tokens": 7.0, "output_tokens": 11.0, "stop": "end_turn", "engine": "sim", "simulated": true,
		"account": "000000000000", "key": "AKIA", "bytes_in": 99.0,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: got %v, want %v", name, got[name], value)
		}
	}
	for _, name := range []string{"class", "queued_ms", "unit", "spilled", "limit"} { // of what was scheduled or limited
		if got[name] != nil {
			t.Errorf("%s: %v", name, got[name])
		}
	}
	if hints, ok := got["hints"].([]any); !ok || len(hints) != 1 {
		t.Errorf("hints: %v", got["hints"])
	}
}

// spilled is an entry of a request that was over its unit.
func spilled() *meter.Entry {
	e := entry()
	e.Unit = "arn:aws:bedrock:us-east-1:000000000000:provisioned-model/pt9k2pt9k2pt"
	r := &e.Receipt
	r.Class, r.Scheduled, r.Spilled, r.Tier, r.Queued = outcrop.ClassDefault, true, true, outcrop.TierDefault, 12500*time.Microsecond
	r.Limit = &outcrop.Limit{Name: "unit-output", Next: &outcrop.Limit{Name: "tokens-per-minute"}}
	return e
}

func TestLinesTellWhatServed(t *testing.T) {
	provisioned := spilled()
	provisioned.Receipt.Class, provisioned.Receipt.Spilled = outcrop.ClassProvisioned, false
	provisioned.Receipt.Unit, provisioned.Receipt.Tier, provisioned.Receipt.Limit = provisioned.Unit, "", nil
	refused := spilled()
	refused.Status, refused.Code = 429, outcrop.CodeThrottling
	refused.Receipt = outcrop.Receipt{Limit: &outcrop.Limit{Name: "unit-input"}}
	arn := `"unit":"` + provisioned.Unit + `"`
	for name, c := range map[string]struct {
		entry      *meter.Entry
		json, text string
	}{
		"spilled":     {spilled(), `"tier":"default","class":"default","queued_ms":12.5,` + arn + `,"spilled":true,"limit":"unit-output,tokens-per-minute","account"`, "  simulated  spilled to default  queued 13ms  limit unit-output,tokens-per-minute  req-1\n"},
		"provisioned": {provisioned, `"simulated":true,"class":"provisioned","queued_ms":12.5,` + arn + `,"account"`, "  simulated  provisioned  queued 13ms  req-1\n"},
		"refused":     {refused, `"output_tokens":0,` + arn + `,"limit":"unit-input","account"`, "  1.1s  limit unit-input  ThrottlingException  req-1\n"},
	} {
		line := written(meter.JSON, c.entry)
		if !json.Valid([]byte(line)) || !strings.Contains(line, c.json) {
			t.Errorf("%s: got  %s\nwant %s", name, line, c.json)
		}
		if text := written(meter.Text, c.entry); !strings.HasSuffix(text, c.text) {
			t.Errorf("%s: got  %q\nwant %q", name, text, c.text)
		}
	}
}

func TestNobodyForgesLines(t *testing.T) {
	e := entry()
	e.Model, e.AskedModel = "", "evil\"\n{\"level\":\"INFO\"}\x1b[31m"
	e.Cause = errors.New("first\nsecond\r\n")
	for _, format := range []meter.Format{meter.JSON, meter.Text} {
		out := written(format, e)
		if strings.Count(out, "\n") != 1 || strings.ContainsRune(out, '\x1b') {
			t.Errorf("format %d: %q", format, out)
		}
	}
	e.AskedModel = "evil\u009b31m\u202e\u2028\x7f" // commands and line ends by other names
	if out := written(meter.Text, e); strings.ContainsAny(out, "\u009b\u202e\u2028\x7f") || !strings.Contains(out, `evil\u009b31m\u202e\u2028\x7f`) {
		t.Errorf("%q", out)
	}
}

func TestCallersFillNoLog(t *testing.T) {
	e := entry()
	e.Model, e.AskedModel, e.SDKAttempt = "", strings.Repeat("a", 30_000), strings.Repeat("b", 30_000)
	for _, format := range []meter.Format{meter.JSON, meter.Text} {
		if out := written(format, e); len(out) > 2000 {
			t.Errorf("format %d: %d bytes", format, len(out))
		}
	}
}

func TestTextLineIsShortAndColouredOnlyWhenAsked(t *testing.T) {
	plain, colour := written(meter.Text, entry()), written(meter.Colour, entry())
	want := "04:05:06 200 amazon.nova-lite-v1:0  Converse  first token 100ms, 1.1s  7 in 11 out  simulated  req-1\n"
	if plain != want {
		t.Errorf("got  %q\nwant %q", plain, want)
	}
	if !strings.Contains(colour, "\x1b[32m200\x1b[0m") {
		t.Errorf("no green status in %q", colour)
	}
}

func TestInternalErrorsAreLoggedAsErrorsWithTheirCause(t *testing.T) {
	e := entry()
	e.Code, e.Status, e.Cause = outcrop.CodeInternal, 500, errors.New("nil map")
	out := written(meter.JSON, e)
	if !strings.Contains(out, `"level":"ERROR"`) || !strings.Contains(out, `"cause":"nil map"`) {
		t.Error(out)
	}
}

func TestQuietLevelsLogNoInvocations(t *testing.T) {
	var out bytes.Buffer
	log := meter.NewLog(&out, meter.JSON, slog.LevelWarn)
	log.Invocation(entry())
	log.Logger().Info("quiet")
	log.Logger().Warn("loud")
	log.Flush()
	if got := out.String(); strings.Contains(got, "quiet") || strings.Contains(got, "req-1") || !strings.Contains(got, "loud") {
		t.Error(got)
	}
}

// stuck is a writer that never returns until it is released.
type stuck struct {
	release chan struct{}
	out     *bytes.Buffer
}

func (s stuck) Write(b []byte) (int, error) {
	<-s.release
	return s.out.Write(b)
}

func TestStuckWriterNeitherBlocksCallersNorGrowsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := stuck{make(chan struct{}), &out}
		log := meter.NewLog(w, meter.JSON, slog.LevelInfo)
		ctx, cancel := context.WithCancel(t.Context())
		go log.Run(ctx)
		for range 30_000 {
			log.Invocation(entry())
		}
		time.Sleep(time.Second)
		for range 30_000 {
			log.Invocation(entry())
			log.Logger().Error("panic", "stack", strings.Repeat("x", 1000))
		}
		close(w.release)
		cancel()
		synctest.Wait()
		if size := out.Len(); size > 16<<20 || !strings.Contains(out.String(), "log lines dropped") {
			t.Errorf("%d bytes were kept, and no loss was told of", size)
		}
	})
}

func TestRunWritesWithinATenthOfASecondAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := meter.NewLog(&out, meter.JSON, slog.LevelInfo)
		ctx, cancel := context.WithCancel(t.Context())
		go log.Run(ctx)
		log.Invocation(entry())
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("%d lines after 100 ms", n)
		}
		log.Invocation(entry())
		cancel()
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != 2 {
			t.Errorf("%d lines after the end", n)
		}
	})
}

func TestMetricsCountByModelOperationAndOutcome(t *testing.T) {
	reg := prometheus.NewRegistry()
	book := meter.NewBook(meter.NewLog(&bytes.Buffer{}, meter.JSON, slog.LevelInfo), reg)
	refused := entry()
	refused.Model, refused.Code, refused.Receipt = "", outcrop.CodeValidation, outcrop.Receipt{}
	book.Record(entry())
	book.Record(entry())
	book.Record(refused)
	want := `
# HELP outcrop_requests_total Invocations by model, operation and outcome (ok or the error's code).
# TYPE outcrop_requests_total counter
outcrop_requests_total{model="amazon.nova-lite-v1:0",operation="Converse",outcome="ok"} 2
outcrop_requests_total{model="unknown",operation="Converse",outcome="ValidationException"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "outcrop_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, "outcrop_first_token_seconds", "outcrop_time_between_tokens_seconds"); err != nil || n != 4 {
		t.Errorf("%d latency series, err %v", n, err)
	}
}

func TestMetricsCountSpills(t *testing.T) {
	reg := prometheus.NewRegistry()
	book := meter.NewBook(meter.NewLog(&bytes.Buffer{}, meter.JSON, slog.LevelInfo), reg)
	flex, stranger, refused := spilled(), spilled(), spilled()
	flex.Receipt.Class, flex.Operation = outcrop.ClassFlex, outcrop.OpInvokeModel
	stranger.Receipt.Spilled, stranger.Receipt.Class = false, outcrop.ClassProvisioned
	refused.Receipt = outcrop.Receipt{Limit: refused.Receipt.Limit}
	for _, e := range []*meter.Entry{entry(), spilled(), spilled(), flex, stranger, refused} {
		book.Record(e)
	}
	want := `
# HELP outcrop_spilled_requests_total Invocations over their provisioned throughput that were served on demand, by model and class.
# TYPE outcrop_spilled_requests_total counter
outcrop_spilled_requests_total{model="amazon.nova-lite-v1:0",to="default"} 2
outcrop_spilled_requests_total{model="amazon.nova-lite-v1:0",to="flex"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "outcrop_spilled_requests_total"); err != nil {
		t.Error(err)
	}
}

func TestRecordingAllocatesNothing(t *testing.T) {
	for name, e := range map[string]*meter.Entry{"on demand": entry(), "spilled": spilled()} {
		log := meter.NewLog(discard{}, meter.JSON, slog.LevelInfo)
		book := meter.NewBook(log, prometheus.NewRegistry())
		for range 2 { // both buffers grow
			for range 200 {
				book.Record(e)
			}
			log.Flush()
		}
		if n := testing.AllocsPerRun(100, func() { book.Record(e) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestQueuesAreMeasuredByClass(t *testing.T) {
	reg := prometheus.NewRegistry()
	book := meter.NewBook(meter.NewLog(&bytes.Buffer{}, meter.JSON, slog.LevelInfo), reg)
	book.Record(entry()) // it came to no queue
	scheduled := entry()
	scheduled.Receipt.Scheduled, scheduled.Receipt.Class, scheduled.Receipt.Queued = true, outcrop.ClassPriority, 3*time.Second
	book.Record(scheduled)
	scheduled.Receipt.FirstToken = 0 // refused in the queue
	book.Record(scheduled)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == "priority" {
				got[f.GetName()] += m.GetHistogram().GetSampleCount()
			}
		}
	}
	if len(got) != 2 || got["outcrop_queue_seconds"] != 2 || got["outcrop_class_first_token_seconds"] != 1 {
		t.Errorf("%v", got)
	}
}

func BenchmarkRecordScheduled(b *testing.B) {
	book := meter.NewBook(meter.NewLog(discard{}, meter.JSON, slog.LevelInfo), prometheus.NewRegistry())
	e := entry()
	e.Receipt.Scheduled, e.Receipt.Class = true, outcrop.ClassDefault
	b.ReportAllocs()
	for b.Loop() {
		book.Record(e)
	}
}

func BenchmarkRecord(b *testing.B) {
	book := meter.NewBook(meter.NewLog(discard{}, meter.JSON, slog.LevelInfo), prometheus.NewRegistry())
	e := entry()
	b.ReportAllocs()
	for b.Loop() {
		book.Record(e)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
