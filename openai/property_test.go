package openai_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/openai"
)

// diffAnswers compares answers by what they stand for: escapes may differ.
func diffAnswers(a, b *outcrop.Answer) string { return cmp.Diff(plainly(a), plainly(b)) }

func plainly(a *outcrop.Answer) []string {
	lines := []string{string(a.Stop) + " " + a.StopSequence.String()}
	for _, b := range a.Content {
		line := kinds[b.Kind] + " " + b.Text.String()
		if b.Use != nil {
			line += b.Use.ID.String() + " " + b.Use.Name.String() + " " + string(b.Use.Input)
		}
		lines = append(lines, line)
	}
	return lines
}

// A said is what a model says: what it thinks, then a text, then calls.
type said struct {
	thinking, text string
	arguments      []string
}

func drawSaid(t *rapid.T) said {
	words := rapid.StringOfN(rapid.RuneFrom([]rune("ab \"\\\n\t{}é漢😀/")), 0, 12, -1)
	return said{
		thinking: words.Draw(t, "thinking"),
		text:     words.Draw(t, "text"),
		arguments: rapid.SliceOfN(rapid.Map(words, func(s string) string {
			b, _ := json.Marshal(map[string]string{"a": s})
			return string(b)
		}), 0, 3).Draw(t, "arguments"),
	}
}

type object = map[string]any

func (s said) call(i int, arguments string) object {
	return object{"index": i, "id": "call_" + strconv.Itoa(i), "type": "function",
		"function": object{"name": "f" + strconv.Itoa(i), "arguments": arguments}}
}

func (s said) body() []byte {
	var calls []object
	for i, a := range s.arguments {
		calls = append(calls, s.call(i, a))
	}
	b, _ := json.Marshal(object{"choices": []object{{"finish_reason": "stop", "message": object{
		"reasoning_content": s.thinking, "content": s.text, "tool_calls": calls,
	}}}})
	return b
}

// chunks cuts what is said at random places.
func (s said) chunks(t *rapid.T) [][]byte {
	var all [][]byte
	add := func(delta object, finish any) {
		b, _ := json.Marshal(object{"choices": []object{{"delta": delta, "finish_reason": finish}}})
		all = append(all, b)
	}
	for _, piece := range cut(t, s.thinking) {
		add(object{"reasoning_content": piece}, nil)
	}
	for _, piece := range cut(t, s.text) {
		add(object{"content": piece}, nil)
	}
	for i, a := range s.arguments {
		for j, piece := range cut(t, a) {
			call := s.call(i, piece)
			if j > 0 && rapid.Bool().Draw(t, "terse") {
				call = object{"index": i, "function": object{"arguments": piece}}
			}
			add(object{"content": "", "tool_calls": []object{call}}, nil)
		}
	}
	add(object{}, "stop")
	return append(all, []byte("[DONE]"))
}

func cut(t *rapid.T, s string) (pieces []string) {
	runes := []rune(s)
	for len(runes) > 0 {
		n := rapid.IntRange(1, len(runes)).Draw(t, "cut")
		pieces = append(pieces, string(runes[:n]))
		runes = runes[n:]
	}
	return pieces
}

func TestAnyChunkingGivesTheSameAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSaid(t)
		var d openai.Decoder
		whole, streamed := &record{}, &record{}
		d.Reset(request())
		if err := d.Answer(s.body(), whole); err != nil {
			t.Fatal(err)
		}
		d.Reset(request())
		for _, chunk := range s.chunks(t) {
			if err := d.Event(chunk, streamed); err != nil {
				t.Fatalf("%s: %v", chunk, err)
			}
		}
		if diff := diffAnswers(&whole.answer, &streamed.answer); diff != "" {
			t.Fatal(diff)
		}
		if len(streamed.broken)+len(whole.broken) > 0 {
			t.Fatal(streamed.broken, whole.broken)
		}
	})
}
