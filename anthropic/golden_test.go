package anthropic_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/anthropic"
	"github.com/outcrop/outcrop/jsonscan"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden runs each case of testdata/golden. Its files, as far as it has
// them: body.json is an InvokeModel body and engine.json what an engine gets
// for it; native.json what an engine of the same dialect gets; answer.json an
// engine's answer and unary.json what the caller gets; stream.sse and
// chunks.jsonl the same for a stream; fields are the response fields asked
// for.
func TestGolden(t *testing.T) {
	cases, _ := filepath.Glob("testdata/golden/*.txtar")
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { golden(t, path) })
	}
}

func golden(t *testing.T, path string) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g := &goldenCase{t: t, a: a, req: request()}
	g.derive("body.json", "engine.json", engineBody)
	g.derive("body.json", "native.json", nativeBody)
	g.derive("answer.json", "unary.json", g.unary)
	g.derive("stream.sse", "chunks.jsonl", g.stream)
	if *update && !t.Failed() {
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type goldenCase struct {
	t   *testing.T
	a   *txtar.Archive
	req *outcrop.Request
}

func (g *goldenCase) derive(from, to string, f func(t *testing.T, in []byte) []byte) {
	in, want := g.file(from), g.file(to)
	if in == nil || want == nil {
		return
	}
	got := f(g.t, bytes.TrimSpace(in.Data))
	for s := (jsonscan.Scanner{B: got}); !s.End(); {
		if _, ok := s.Value(); !ok {
			g.t.Fatalf("%s is not valid JSON at %d: %s", to, s.I, got)
		}
	}
	got = append(got, '\n')
	if *update {
		want.Data = got
	}
	if diff := cmp.Diff(string(want.Data), string(got)); diff != "" {
		g.t.Errorf("%s: (-want +got)\n%s", to, diff)
	}
}

func (g *goldenCase) file(name string) *txtar.File {
	for i := range g.a.Files {
		if g.a.Files[i].Name == name {
			return &g.a.Files[i]
		}
	}
	return nil
}

func request() *outcrop.Request {
	return &outcrop.Request{
		ID:           "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
		Card:         &outcrop.Card{ID: "anthropic.claude-3-haiku-20240307-v1:0"},
		Conversation: &outcrop.Conversation{},
	}
}

func engineBody(t *testing.T, in []byte) []byte {
	c, _, err := anthropic.DecodeRequest(in, false)
	if err != nil {
		t.Fatal(err)
	}
	out, beta, err := anthropic.AppendRequest(nil, c, anthropic.Options{Model: "claude-engine", Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	return withBeta(out, beta)
}

func nativeBody(t *testing.T, in []byte) []byte {
	out, beta, err := anthropic.AppendNative(nil, in, anthropic.Options{Model: "claude-engine", MaxTokens: 100})
	if err != nil {
		t.Fatal(err)
	}
	return withBeta(out, beta)
}

func withBeta(out []byte, beta string) []byte {
	if beta != "" {
		out = append(out, "\n\""+beta+"\""...)
	}
	return out
}

func (g *goldenCase) unary(t *testing.T, in []byte) []byte {
	var d anthropic.Decoder
	var a outcrop.Answer
	d.Reset(g.req)
	if err := d.Answer(in, &a); err != nil {
		t.Fatal(err)
	}
	return anthropic.AppendAnswer(nil, g.req, &a, outcrop.Receipt{Usage: d.Usage()})
}

func (g *goldenCase) stream(t *testing.T, in []byte) []byte {
	var d anthropic.Decoder
	d.Reset(g.req)
	enc := anthropic.NewChunks(g.req)
	var out []byte
	emit := func(chunk []byte) { out = append(append(out, chunk...), '\n') }
	sink := sinkFunc(func(e outcrop.Event) error { enc.Encode(e, emit); return nil })
	for _, data := range events(in) {
		if err := d.Event(data, sink); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
	}
	if !d.Done() {
		t.Fatal("the stream is not done")
	}
	enc.End(outcrop.Receipt{Usage: d.Usage()}, emit)
	return bytes.TrimSpace(out)
}

type sinkFunc func(outcrop.Event) error

func (f sinkFunc) Send(e outcrop.Event) error { return f(e) }

// events returns the data of the server-sent events in b.
func events(b []byte) (all [][]byte) {
	for line := range bytes.Lines(b) {
		if data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: ")); ok {
			all = append(all, data)
		}
	}
	return all
}
