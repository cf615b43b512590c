package openai_test

import (
	"strings"
	"testing"

	"github.com/outcrop/outcrop/openai"
)

// uneven is the stream with a blank behind every other event, which means the
// same and keeps each from looking like the one before.
func uneven(stream string) string {
	var b strings.Builder
	odd := false
	for line := range strings.Lines(stream) {
		text := strings.TrimSuffix(line, "\n")
		b.WriteString(text)
		if data, ok := strings.CutPrefix(text, "data: "); ok && data != "[DONE]" {
			if odd {
				b.WriteByte(' ')
			}
			odd = !odd
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// decoded is what becomes of a stream.
func decoded(stream string) string {
	var d openai.Decoder
	d.Reset(request())
	r := &record{}
	err := play(&d, stream, r)
	return outcome(&d, r, err)
}

// What a chunk means does not depend on its looking like the one before.
func FuzzMould(f *testing.F) {
	seed(f, "stream", "stream")
	const chunk = `data: {"choices":[{"index":0,"delta":{"content":"`
	for _, second := range []string{`a"`, `a\"`, `\"`, `","content":"b"`, `","role":"x"`, `"},"finish_reason":"stop"`, "\x01\"", "\xff\""} {
		f.Add([]byte(chunk + "one\"}}]}\n" + chunk + second + "}}]}\n" + chunk + "three\"}}]}\n"))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		if got, want := decoded(string(stream)), decoded(uneven(string(stream))); got != want {
			t.Fatalf("got:\n%s\nwant:\n%s", got, want)
		}
	})
}

func TestOneChunkIsReadLikeTheOneBefore(t *testing.T) {
	stream := ""
	for _, word := range []string{"one ", "two ", `\n`, "three ", "\u00e9", ""} {
		stream += `data: {"id":"x","choices":[{"index":0,"delta":{"content":"` + word + `"},"finish_reason":null}]}` + "\n"
	}
	for _, thought := range []string{"hm ", "so "} {
		stream += `data: {"id":"x","choices":[{"index":0,"delta":{"reasoning_content":"` + thought + `"},"finish_reason":null}]}` + "\n"
	}
	stream += `data: {"id":"x","choices":[{"index":0,"delta":{"content":"done"},"finish_reason":"stop"}]}` + "\ndata: [DONE]\n"
	if got, want := decoded(stream), decoded(uneven(stream)); got != want || !strings.Contains(got, "three") || !strings.Contains(got, "so ") {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
