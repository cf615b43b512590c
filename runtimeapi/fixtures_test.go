package runtimeapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/eventstream"
	"github.com/outcrop/outcrop/explain"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/runtimeapi"
)

const requestID = "11111111-2222-4333-8444-555555555555"

// modelFunc is a Model, and a Counter that counts nothing.
type modelFunc func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error)

func (f modelFunc) Invoke(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	return f(ctx, req, out)
}

// counterFunc is a Counter.
type counterFunc func(ctx context.Context, req *outcrop.Request) (int, error)

func (f counterFunc) CountTokens(ctx context.Context, req *outcrop.Request) (int, error) {
	return f(ctx, req)
}

// receipt is what scripted models return.
var receipt = outcrop.Receipt{
	Usage: outcrop.Usage{Input: 12, Output: 5}, FirstToken: 20 * time.Millisecond, Engine: "fake", Stop: outcrop.StopEndTurn, Attempts: 1,
}

// says returns a model that sends the events and ends with err.
func says(err error, events ...outcrop.Event) modelFunc {
	return func(_ context.Context, _ *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		for _, e := range events {
			if err := out.Send(e); err != nil {
				return receipt, err
			}
		}
		return receipt, err
	}
}

// hello is an answer of text alone, in two reads from the engine.
func hello() []outcrop.Event {
	return []outcrop.Event{
		{Kind: outcrop.EventStart},
		{Kind: outcrop.EventBlockStart, Block: outcrop.BlockText},
		{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("Hello")},
		{Kind: outcrop.EventFlush},
		{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text(`, w\u00f6rld\n`)},
		{Kind: outcrop.EventBlockStop},
		{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopEndTurn}},
		{Kind: outcrop.EventFlush},
	}
}

// weighs is an answer with reasoning, text and a tool use.
func weighs() []outcrop.Event {
	return []outcrop.Event{
		{Kind: outcrop.EventStart},
		{Kind: outcrop.EventBlockStart, Block: outcrop.BlockReasoning},
		{Kind: outcrop.EventDelta, Block: outcrop.BlockReasoning, Text: outcrop.Text("Rain?")},
		{Kind: outcrop.EventDelta, Block: outcrop.BlockSignature, Text: outcrop.Text("c2ln")},
		{Kind: outcrop.EventBlockStop},
		{Kind: outcrop.EventFlush},
		{Kind: outcrop.EventBlockStart, Block: outcrop.BlockText, Index: 1},
		{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Index: 1, Text: outcrop.Text("I look it up.")},
		{Kind: outcrop.EventBlockStop, Index: 1},
		{Kind: outcrop.EventBlockStart, Block: outcrop.BlockToolUse, Index: 2, Detail: &outcrop.Detail{ID: outcrop.Text("tool_1"), Name: outcrop.Text("weather")}},
		{Kind: outcrop.EventDelta, Block: outcrop.BlockToolUse, Index: 2, Text: outcrop.Text(`{\"city\":`)},
		{Kind: outcrop.EventFlush},
		{Kind: outcrop.EventDelta, Block: outcrop.BlockToolUse, Index: 2, Text: outcrop.Text(`\"Oslo\"}`)},
		{Kind: outcrop.EventBlockStop, Index: 2},
		{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopToolUse}},
		{Kind: outcrop.EventFlush},
	}
}

// card returns the card of a text model that speaks the dialect.
func card(d outcrop.Dialect) *outcrop.Card {
	return &outcrop.Card{
		ID: "maker.model-v1:0", Name: "Model", Provider: "Maker", Dialect: d, Streaming: true,
		Input: []outcrop.Modality{outcrop.ModalityText, outcrop.ModalityImage}, Output: []outcrop.Modality{outcrop.ModalityText},
		Context: 100_000, MaxOutput: 4096,
	}
}

// oneTarget resolves every model id to the same target.
type oneTarget struct{ target *runtimeapi.Target }

func (r oneTarget) Resolve(context.Context, *outcrop.Principal, string) (*runtimeapi.Target, error) {
	return r.target, nil
}

type noTarget struct{ err error }

func (r noTarget) Resolve(context.Context, *outcrop.Principal, string) (*runtimeapi.Target, error) {
	return nil, r.err
}

// A house is an API with the log and the records that it writes.
type house struct {
	api *runtimeapi.API
	log *meter.Log
	why *explain.Book
	mu  sync.Mutex
	buf bytes.Buffer
}

func (h *house) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.Write(p)
}

func newHouse(resolver runtimeapi.Resolver, strict bool) *house {
	h := &house{why: explain.NewBook(explain.Config{})}
	h.log = meter.NewLog(h, meter.JSON, slog.LevelInfo)
	book := meter.NewBook(h.log, prometheus.NewRegistry())
	h.api = runtimeapi.New(resolver, book, runtimeapi.Options{Region: "us-east-1", Strict: func() bool { return strict }, Explain: h.why})
	return h
}

// serving returns a house with one model, which speaks no dialect itself.
func serving(d outcrop.Dialect, model modelFunc) *house {
	return newHouse(oneTarget{&runtimeapi.Target{Card: card(d), Model: model, Counter: counterFunc(countBytes)}}, false)
}

func countBytes(_ context.Context, req *outcrop.Request) (int, error) {
	n := 0
	for _, m := range req.Conversation.Messages {
		for _, b := range m.Content {
			n += len(b.Text.String())
		}
	}
	return n, nil
}

// record returns the one line that was logged since the last call.
func (h *house) record(t testing.TB) map[string]any {
	t.Helper()
	h.log.Flush()
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := strings.TrimSuffix(h.buf.String(), "\n")
	h.buf.Reset()
	var line map[string]any
	if err := json.Unmarshal([]byte(lines), &line); err != nil {
		t.Fatalf("want one line of log, got %q", lines)
	}
	return line
}

// A wire records an answer and can fail on the way.
type wire struct {
	status      int
	contentType string
	fields      map[string]string
	body        []byte
	begun       bool
	writes      [][]byte
	ended       bool

	failAt int // the call that fails, from 1; 0 for none
	once   bool
	calls  int
	misuse []string
}

var errWire = errors.New("write: broken pipe")

func (w *wire) step(what string) error {
	if w.ended {
		w.misuse = append(w.misuse, what+" after the end")
	}
	w.calls++
	if w.calls == w.failAt || w.failAt > 0 && w.calls > w.failAt && !w.once {
		return errWire
	}
	return nil
}

func (w *wire) keep(fields []runtimeapi.Field) {
	w.fields = map[string]string{}
	for _, f := range fields {
		if _, twice := w.fields[f.Name]; twice {
			w.misuse = append(w.misuse, f.Name+" stands twice")
		}
		w.fields[f.Name] = f.Value
	}
}

func (w *wire) Answer(status int, contentType string, fields []runtimeapi.Field, body []byte) error {
	if err := w.step("Answer"); err != nil {
		return err
	}
	if w.begun {
		w.misuse = append(w.misuse, "Answer after Begin")
	}
	w.status, w.contentType, w.body, w.ended = status, contentType, bytes.Clone(body), true
	w.keep(fields)
	return nil
}

func (w *wire) Begin(fields []runtimeapi.Field) error {
	if err := w.step("Begin"); err != nil {
		return err
	}
	if w.begun {
		w.misuse = append(w.misuse, "Begin twice")
	}
	w.begun, w.status = true, 200
	w.keep(fields)
	return nil
}

func (w *wire) Write(frames []byte, last bool) error {
	if err := w.step("Write"); err != nil {
		return err
	}
	if !w.begun {
		w.misuse = append(w.misuse, "Write before Begin")
	}
	w.writes = append(w.writes, bytes.Clone(frames))
	w.ended = last
	return nil
}

// frames decodes what was written, one list for each write.
func (w *wire) frames(t testing.TB) [][]eventstream.Message {
	t.Helper()
	var all [][]eventstream.Message
	for _, written := range w.writes {
		var messages []eventstream.Message
		for len(written) > 0 {
			m, n, err := eventstream.Decode(written)
			if err != nil || n == 0 {
				t.Fatalf("a write does not end with a frame: %v", err)
			}
			messages = append(messages, m)
			written = written[n:]
		}
		all = append(all, messages)
	}
	return all
}

// types lists the types of the frames, one line for each write.
func (w *wire) types(t testing.TB) string {
	t.Helper()
	var lines []string
	for _, messages := range w.frames(t) {
		var names []string
		for _, m := range messages {
			names = append(names, m.EventType+m.ExceptionType)
		}
		lines = append(lines, strings.Join(names, " "))
	}
	return strings.Join(lines, "\n")
}

// chunks lists the native chunks, one line for each write.
func (w *wire) chunks(t testing.TB) [][]string {
	t.Helper()
	var all [][]string
	for _, messages := range w.frames(t) {
		var chunks []string
		for _, m := range messages {
			var payload struct{ Bytes string }
			if err := json.Unmarshal(m.Payload, &payload); err != nil || m.EventType != "chunk" {
				t.Fatalf("%s %s: %v", m.EventType, m.Payload, err)
			}
			chunk, err := base64.StdEncoding.DecodeString(payload.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			chunks = append(chunks, string(chunk))
		}
		all = append(all, chunks)
	}
	return all
}

func anyone() *outcrop.Principal {
	return &outcrop.Principal{KeyID: "AKIATEST", Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/test"}
}

func newCall(op outcrop.Operation, body string) *runtimeapi.Call {
	return &runtimeapi.Call{
		RequestID: requestID, Received: time.Now(), Principal: anyone(), Operation: op, ModelID: "maker.model-v1:0", Body: []byte(body), Remote: "127.0.0.1:5",
	}
}

// serve answers one call and returns what went over the wire and to the log.
func (h *house) serve(t testing.TB, call *runtimeapi.Call) (*wire, map[string]any) {
	t.Helper()
	w := &wire{}
	return w, h.serveOn(t, context.Background(), call, w)
}

func (h *house) serveOn(t testing.TB, ctx context.Context, call *runtimeapi.Call, w *wire) map[string]any {
	t.Helper()
	h.api.Serve(ctx, call, w)
	for _, m := range w.misuse {
		t.Errorf("the wire was misused: %s", m)
	}
	return h.record(t)
}

const converseBody = `{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}`

// bodies holds a good body for each operation, for a card of DialectNova.
var bodies = map[outcrop.Operation]string{
	outcrop.OpConverse:          converseBody,
	outcrop.OpConverseStream:    converseBody,
	outcrop.OpInvokeModel:       `{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"Hi"}]}]}`,
	outcrop.OpInvokeModelStream: `{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"Hi"}]}]}`,
	outcrop.OpCountTokens:       `{"input":{"converse":` + converseBody + `}}`,
}

func streams(op outcrop.Operation) bool {
	return op == outcrop.OpConverseStream || op == outcrop.OpInvokeModelStream
}
