package runtimeapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/runtimeapi"
)

// An errand is one call whose request and answer carry a mark that no other
// call has.
type errand struct {
	op     outcrop.Operation
	mark   string
	detail string // "", "fail", "cut", "panic", "gone", "native", "long", "tools", "bad"
}

func anErrand(n int) *rapid.Generator[errand] {
	return rapid.Custom(func(t *rapid.T) errand {
		return errand{
			op:     rapid.SampledFrom(operations).Draw(t, "op"),
			mark:   fmt.Sprintf("mark%06dx", n),
			detail: rapid.SampledFrom([]string{"", "", "fail", "cut", "panic", "gone", "native", "long", "tools", "bad"}).Draw(t, "detail"),
		}
	})
}

// body is the errand's request: its text is its mark and its detail.
func (e errand) body() string {
	text := e.mark + " " + e.detail
	if e.detail == "long" {
		text += strings.Repeat(" "+e.mark, 200)
	}
	conversation := `{"messages":[{"role":"user","content":[{"text":"` + text + `"}]}],"system":[{"text":"` + e.mark + `"}],"inferenceConfig":{"stopSequences":["` + e.mark + `"]}`
	if e.detail == "tools" {
		conversation += `,"toolConfig":{"tools":[{"toolSpec":{"name":"` + e.mark + `","inputSchema":{"json":{"type":"object"}}}}]}`
	}
	if e.op != outcrop.OpInvokeModel && e.op != outcrop.OpInvokeModelStream && e.detail == "tools" {
		conversation += `,"requestMetadata":{"mark":"` + e.mark + `"},"additionalModelRequestFields":{"mark":"` + e.mark + `"}`
	}
	conversation += "}"
	if e.detail == "bad" {
		conversation = conversation[:len(conversation)-2]
	}
	if e.op == outcrop.OpCountTokens {
		return `{"input":{"converse":` + conversation + `}}`
	}
	return conversation
}

var anyMark = regexp.MustCompile(`mark[0-9]{6}x`)

// strangers returns the marks in text that are not the errand's.
func (e errand) strangers(text string) []string {
	var found []string
	for _, mark := range anyMark.FindAllString(text, -1) {
		if mark != e.mark {
			found = append(found, mark)
		}
	}
	return found
}

// echo is a model and a counter that check what they see, and answer with the
// mark of the request.
type echo struct{ native bool }

func (m echo) Resolve(context.Context, *outcrop.Principal, string) (*runtimeapi.Target, error) {
	t := &runtimeapi.Target{Card: card(outcrop.DialectNova), Model: m, Counter: m}
	if m.native {
		t.Speaks = []outcrop.Dialect{outcrop.DialectConverse}
	}
	return t, nil
}

func (echo) CountTokens(_ context.Context, req *outcrop.Request) (int, error) {
	_, err := seen(req)
	return 1, err
}

func (echo) Invoke(_ context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
	e, err := seen(req)
	if err != nil {
		return outcrop.Receipt{}, err
	}
	if e.detail == "fail" {
		return outcrop.Receipt{}, outcrop.Invalid(e.mark)
	}
	events := hello()
	if req.Native != nil {
		events = nativeChunks(`{"n":"`+e.mark+`"}`, `{"m":"`+e.mark+`"}`)
	} else {
		events[2].Text = outcrop.Text(e.mark)
		events[4].Text = outcrop.Text(strings.Repeat(e.mark+" ", 100))
		if e.detail == "tools" {
			events = weighs()
			events[2].Text = outcrop.Text(e.mark)
			events[9].Detail = &outcrop.Detail{Name: outcrop.Text(e.mark), ID: outcrop.Text(e.mark)}
		}
	}
	for i, event := range events {
		if i == 3 && e.detail == "panic" {
			panic(e.mark)
		}
		if i == 3 && e.detail == "cut" {
			return receipt, &outcrop.Error{Code: outcrop.CodeModelStream, Message: e.mark}
		}
		if err := out.Send(event); err != nil {
			return receipt, err
		}
	}
	return receipt, nil
}

// seen finds the errand of a request; a request that holds anything of another
// one is an error.
func seen(req *outcrop.Request) (errand, error) {
	text := ""
	if req.Native != nil {
		text = string(req.Native.Body)
	}
	if req.Conversation != nil {
		text = summary(req.Conversation)
	}
	text += fmt.Sprint(req.Metadata, req.ID, req.Hints)
	e := errand{mark: anyMark.FindString(text)}
	for _, detail := range []string{"fail", "cut", "panic", "tools"} {
		if strings.Contains(text, e.mark+" "+detail) {
			e.detail = detail
		}
	}
	if found := e.strangers(text); len(found) > 0 || e.mark == "" {
		return e, fmt.Errorf("the request of %s holds %v", e.mark, found)
	}
	return e, nil
}

// run serves the errand and returns what is wrong with its answer.
func (e errand) run(api *runtimeapi.API) error {
	call := newCall(e.op, e.body())
	call.RequestID = "request-" + e.mark
	w := &wire{}
	if e.detail == "gone" {
		w.failAt = 2
	}
	api.Serve(context.Background(), call, w)
	copy(call.Body, bytes.Repeat([]byte("*"), len(call.Body))) // it is ours again
	if len(w.misuse) > 0 {
		return fmt.Errorf("%+v: the wire was misused: %v", e, w.misuse)
	}
	text := string(w.body)
	for _, written := range w.writes {
		text += string(written)
	}
	text += decoded(w)
	if found := e.strangers(text); len(found) > 0 {
		return fmt.Errorf("%+v got %v", e, found)
	}
	if strings.Contains(text, "******") {
		return fmt.Errorf("%+v refers to the body after Serve", e)
	}
	if e.op != outcrop.OpCountTokens && e.detail != "gone" && e.detail != "bad" && !strings.Contains(text, e.mark) {
		return fmt.Errorf("%+v got no answer of its own: %q", e, text)
	}
	return nil
}

var base64Payload = regexp.MustCompile(`"bytes":"([^"]*)"`)

// decoded returns the native chunks of a stream.
func decoded(w *wire) string {
	text := ""
	for _, written := range w.writes {
		for _, m := range base64Payload.FindAllSubmatch(written, -1) {
			chunk, _ := base64.StdEncoding.DecodeString(string(m[1]))
			text += string(chunk)
		}
	}
	return text
}

func quietAPI(r runtimeapi.Resolver) *runtimeapi.API {
	book := meter.NewBook(meter.NewLog(io.Discard, meter.JSON, slog.LevelError), prometheus.NewRegistry())
	return runtimeapi.New(r, book, runtimeapi.Options{Region: "us-east-1", Strict: func() bool { return false }})
}

func TestCallsAfterEachOtherShareNothing(t *testing.T) {
	for _, native := range []bool{false, true} {
		rapid.Check(t, func(t *rapid.T) {
			api := quietAPI(echo{native})
			for n := range rapid.IntRange(2, 12).Draw(t, "calls") {
				if err := anErrand(n).Draw(t, "errand").run(api); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestCallsAtATimeShareNothing(t *testing.T) {
	details := []string{"", "tools", "long", "fail", "panic", "cut", "gone", "bad"}
	for _, native := range []bool{false, true} {
		api := quietAPI(echo{native})
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for i := range 60 {
					n := worker*1000 + i
					e := errand{operations[n%len(operations)], fmt.Sprintf("mark%06dx", n), details[(n/7)%len(details)]}
					if err := e.run(api); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	}
}

func TestARefusalRecordsNothingOfTheCallBefore(t *testing.T) {
	h := serving(outcrop.DialectNova, says(nil, hello()...))
	for _, op := range invoking {
		h.serve(t, newCall(op, bodies[op]))
		_, line := h.serve(t, newCall(op, "{"))
		for _, name := range []string{"engine", "first_token_ms", "stop", "hints"} {
			if line[name] != nil {
				t.Errorf("%s: a refusal was recorded with %s %v", op, name, line[name])
			}
		}
		if line["input_tokens"] != 0.0 || line["output_tokens"] != 0.0 {
			t.Errorf("%s: a refusal was recorded with tokens: %v", op, line)
		}
	}
}
