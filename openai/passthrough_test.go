package openai_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/openai"
)

func TestNativeBodiesPassByteForByte(t *testing.T) {
	unary, stream := openai.Options{Model: "e"}, openai.Options{Model: "e", Stream: true}
	ranked := openai.Options{Model: "e", Priorities: true, Priority: 100}
	for _, c := range []struct {
		body string
		o    openai.Options
		want string
	}{
		{`{}`, unary, `{"model":"e"}`},
		{` { } `, stream, `{"model":"e","stream":true,"stream_options":{"include_usage":true}}`},
		{`{"messages": [ {"a":"\u00e9"} ] ,"x":1.50}`, unary, `{"model":"e","messages": [ {"a":"\u00e9"} ] ,"x":1.50}`},
		{`{"model":"c","messages":[]}`, unary, `{"model":"e","messages":[]}`},
		{`{"messages":[],"model":"c"}`, unary, `{"model":"e","messages":[]}`},
		{`{"a":1, "model":"c" , "b":2}`, unary, `{"model":"e","a":1, "b":2}`},
		{`{"a":1,"mod\u0065l":"c","b":2}`, unary, `{"model":"e","a":1,"b":2}`},
		{`{"stream":true,"stream_options":{"x":1},"a":1}`, unary, `{"model":"e","a":1}`},
		{`{"a":1,"stream":false,"b":2,"stream_options":null}`, stream, `{"model":"e","stream":true,"stream_options":{"include_usage":true},"a":1,"b":2}`},
		{`{"a":1,"a":2}`, unary, `{"model":"e","a":1,"a":2}`}, // not ours to judge
		{`{"a":1}`, openai.Options{Model: "e", Stream: true, NoStreamOptions: true}, `{"model":"e","stream":true,"a":1}`},
		{`{"a":1,"priority":-9}`, unary, `{"model":"e","a":1,"priority":-9}`},
		{`{"a":1}`, ranked, `{"model":"e","priority":100,"a":1}`},
		{`{"priority":-9,"a":1}`, ranked, `{"model":"e","priority":100,"a":1}`},
		{`{"a":1,"Priorit\u0079":-9,"b":2}`, ranked, `{"model":"e","priority":100,"a":1,"b":2}`},
	} {
		got, err := openai.AppendNative([]byte("kept"), []byte(c.body), c.o)
		if err != nil || string(got) != "kept"+c.want {
			t.Errorf("%s\ngot  %s %v\nwant kept%s", c.body, got, err, c.want)
		}
	}
}

func TestNativeBodiesThatAreNoObjectsAreRefused(t *testing.T) {
	for _, body := range []string{
		"", "{", "[]", "null", `"x"`, `{"a":1}x`, `{"a":1,}`, `{"a":01}`, `{,}`, "{\"a\":\"\xff\"}", `{"\x":1}`,
		`{"model":"a","model":"b"}`, `{"stream":true,"a":1,"stream":false}`, `{"stream_options":{},"stream_o\u0070tions":{}}`,
		`{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
	} {
		got, err := openai.AppendNative([]byte("kept"), []byte(body), openai.Options{Model: "e"})
		if !errors.Is(err, outcrop.CodeValidation) || string(got) != "kept" {
			t.Errorf("%.40s: got %s, error %v", body, got, err)
		}
	}
}

// TestNoSpellingChoosesTheModel reads the body as an engine written in Go does.
func TestNoSpellingChoosesTheModel(t *testing.T) {
	for _, name := range []string{"model", "Model", "MODEL", `\u004dodel`, `M\u006fdel`} {
		got, err := openai.AppendNative(nil, []byte(`{"a":1,"`+name+`":"other","Stream":true,"\u017ftream_options":{}}`), openai.Options{Model: "ours"})
		var read struct {
			A      int
			Model  string
			Stream bool
		}
		if err != nil || json.Unmarshal(got, &read) != nil || read.Model != "ours" || read.Stream || read.A != 1 {
			t.Errorf("%s became %s, error %v", name, got, err)
		}
		if _, err := openai.AppendNative(nil, []byte(`{"model":"a","`+name+`":"b"}`), openai.Options{}); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("%s twice: error %v", name, err)
		}
	}
}

func TestAPriorityTwiceIsRefusedWhereItIsOurs(t *testing.T) {
	body := []byte(`{"priority":1,"Priority":2}`)
	if _, err := openai.AppendNative(nil, body, openai.Options{Priorities: true}); !errors.Is(err, outcrop.CodeValidation) {
		t.Errorf("error %v", err)
	}
	if got, err := openai.AppendNative(nil, body, openai.Options{}); err != nil || string(got) != `{"model":"","priority":1,"Priority":2}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestNativeAnswersAreMeteredUntouched(t *testing.T) {
	for _, c := range []struct {
		data string
		want openai.Native
	}{
		{`[DONE]`, openai.Native{Done: true}},
		{`{"choices":[{"delta":{"role":"assistant","content":""}}]}`, openai.Native{}},
		{`{"choices":[{"delta":{"content":"x"}}]}`, openai.Native{Content: true}},
		{`{"choices":[{"delta":{"reasoning":"x"}}]}`, openai.Native{Content: true}},
		{`{"choices":[{"delta":{"tool_calls":[{}]}}]}`, openai.Native{Content: true}},
		{`{"choices":[{"delta":{},"finish_reason":"length"}]}`, openai.Native{Stop: outcrop.StopMaxTokens}},
		{`{"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":"stop"}]}`, openai.Native{}},
		{`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}`,
			openai.Native{Bare: true, HasUsage: true, Usage: outcrop.Usage{Input: 5, Output: 2, CacheRead: 4}}},
	} {
		if got, err := openai.NativeChunk([]byte(c.data)); err != nil || got != c.want {
			t.Errorf("%s: got %+v, error %v", c.data, got, err)
		}
	}
	got, err := openai.NativeAnswer([]byte(`{"choices":[{"message":{"content":"x"},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`))
	want := openai.Native{Content: true, Stop: outcrop.StopToolUse, HasUsage: true, Usage: outcrop.Usage{Input: 3, Output: 1}}
	if err != nil || got != want {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestNativeAnswersThatAreBrokenAreErrors(t *testing.T) {
	for _, data := range []string{``, `{`, `[]`, `{"error":{"message":"no"}}`, `{"choices":[{"delta":{},"finish_reason":"abort"}]}`, `{"a":01}`} {
		if _, err := openai.NativeChunk([]byte(data)); !errors.Is(err, outcrop.CodeModelStream) {
			t.Errorf("chunk %s: %v", data, err)
		}
	}
	for _, data := range []string{``, `{}`, `{"choices":[]}`, `{"error":"no"}`, `[DONE]`} {
		if _, err := openai.NativeAnswer([]byte(data)); !errors.Is(err, outcrop.CodeModelError) {
			t.Errorf("answer %s: %v", data, err)
		}
	}
}

// sameButForOurs compares two objects, the members that AppendNative replaces
// aside: always these three, and more.
func sameButForOurs(t *testing.T, body, native []byte, more ...string) {
	if !jsonscan.Valid(native) {
		t.Fatalf("not JSON: %s", native)
	}
	ours := append([]string{"model", "stream", "stream_options"}, more...)
	got, want := without(t, native, ours), without(t, body, ours)
	if len(got) != len(want) {
		t.Fatalf("%s\nbecame %s", body, native)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s\nbecame %s", body, native)
		}
	}
}

func without(t *testing.T, body []byte, ours []string) (members []string) {
	s := jsonscan.Scanner{B: body}
	s.Eat('{')
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok {
			t.Fatalf("no object: %s", body)
		}
		if !more {
			return members
		}
		value, _ := s.Value()
		if name := outcrop.Text(key).String(); !slices.Contains(ours, strings.ToLower(strings.ToUpper(name))) {
			members = append(members, string(key)+":"+string(value))
		}
	}
}
