package openai_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/openai"
)

// wellFormed asks another parser than ours, which also refuses duplicates.
func wellFormed(b []byte) bool { return jsontext.Value(b).IsValid() }

type discard struct{}

func (discard) Send(outcrop.Event) error { return nil }

var textChunk = []byte(`{"id":"chatcmpl-8b1a6f0c2d","object":"chat.completion.chunk","created":1700000000,"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{"index":0,"delta":{"content":" a token of text"},"logprobs":null,"finish_reason":null}]}`)

func conversation(size int) *outcrop.Conversation {
	c := hello()
	c.System = []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text("Be brief.")}}
	c.Messages[0].Content[0].Text = outcrop.Text(strings.Repeat("Lorem ip", size/8))
	c.Inference = outcrop.Inference{MaxTokens: 512, Temperature: outcrop.Number("0.5"), Stop: []outcrop.Text{outcrop.Text("END")}}
	return c
}

func TestTextAllocatesNothing(t *testing.T) {
	c, dst := conversation(1024), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { dst, _ = openai.AppendRequest(dst[:0], c, openai.Options{Model: "m", Stream: true}) }); n > 0 {
		t.Errorf("a request: %v allocations", n)
	}
	var d openai.Decoder
	d.Reset(request())
	if n := testing.AllocsPerRun(100, func() { _ = d.Event(textChunk, discard{}) }); n > 0 {
		t.Errorf("a chunk: %v allocations", n)
	}
	req, answer := request(), []byte(`{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	if n := testing.AllocsPerRun(100, func() {
		d.Reset(req)
		_ = d.Answer(answer, discard{})
	}); n > 0 {
		t.Errorf("an answer: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = openai.NativeChunk(textChunk) }); n > 0 {
		t.Errorf("a native chunk: %v allocations", n)
	}
	body := []byte(`{"messages":[{"role":"user","content":"Hi"}],"model":"x"}`)
	if n := testing.AllocsPerRun(100, func() { dst, _ = openai.AppendNative(dst[:0], body, openai.Options{Model: "m"}) }); n > 0 {
		t.Errorf("a native body: %v allocations", n)
	}
}

func BenchmarkDecoderTextChunk(b *testing.B) {
	var d openai.Decoder
	d.Reset(request())
	b.ReportAllocs()
	for b.Loop() {
		_ = d.Event(textChunk, discard{})
	}
}

func BenchmarkNativeChunk(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = openai.NativeChunk(textChunk)
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	for name, size := range map[string]int{"1KB": 1 << 10, "128KB": 128 << 10} {
		b.Run(name, func(b *testing.B) {
			c, dst := conversation(size), make([]byte, 0, 2*size)
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = openai.AppendRequest(dst[:0], c, openai.Options{Model: "m", Stream: true})
			}
		})
	}
}

func BenchmarkAppendNative(b *testing.B) {
	body, dst := []byte(`{"messages":[{"role":"user","content":"`+strings.Repeat("Lorem ip", 128)+`"}]}`), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = openai.AppendNative(dst[:0], body, openai.Options{Model: "m"})
	}
}
