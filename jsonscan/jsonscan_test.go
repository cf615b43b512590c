package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop/jsonscan"
)

// documents are valid ones.
var documents = []string{
	`null`, `true`, `false`, ` 0 `, `-0`, `1.5e-3`, `1E+9`, `""`, `"a"`, `[]`, `{}`, "\n{\t\"a\" : [1 , 2,{}] }\r\n",
	`"\"\\\/\b\f\n\r\t\u00e9"`, `"\ud83d\ude00"`, `"é 世界 😀"`, `{"a":1,"a":2}`, `{"":""}`, `[[[[]]],{"a":[{}]}]`,
	`12345678901234567890123456789012345678901234567890.5`, `"` + strings.Repeat("x", 100) + `"`,
	`{"messages":[{"role":"user","content":[{"text":"a\"b\\\u00e9"}]}],"inferenceConfig":{"maxTokens":1,"temperature":0.5}}`,
}

// broken are no documents.
var broken = []string{
	``, ` `, `nul`, `nulll`, `True`, `1.`, `.5`, `01`, `-`, `+1`, `1e`, `1e+`, `0x1`, `NaN`, `"`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`,
	"\"\x00\"", "\"\x1f\"", "\"\n\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
	`"\ud800"`, `"\udc00"`, `"\ud800\ud800"`, `"\ud800x"`, `"\ud800\n"`, `"\ude00\ud83d"`, `"aaaaaaaa\ud83d"`, `'a'`,
	`[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[,]`, `[1 2]`, `[1,,2]`, `{`, `}`, `{"a"`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,`, `{"a":1,}`,
	`{,}`, `{a:1}`, `{1:1}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":1:2}`, `[}`, `{]`, `[{]}`, `1 2`, `{}{}`, `[]]`, `"a"b`, "\ufeff{}", "\v1", "1\x00",
	"{\"a\xff\":1}", `{"\ud800":1}`, `/**/1`,
}

func strict(b []byte) bool {
	return jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true))
}

func TestValidAgreesWithJSONText(t *testing.T) {
	for _, s := range documents {
		if !jsonscan.Valid([]byte(s)) || !strict([]byte(s)) {
			t.Errorf("%q: Valid %v, jsontext %v, want both true", s, jsonscan.Valid([]byte(s)), strict([]byte(s)))
		}
	}
	for _, s := range broken {
		if jsonscan.Valid([]byte(s)) || strict([]byte(s)) {
			t.Errorf("%q: Valid %v, jsontext %v, want both false", s, jsonscan.Valid([]byte(s)), strict([]byte(s)))
		}
	}
}

func TestNestingEndsAtMaxDepth(t *testing.T) {
	for _, pair := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"a":`, "}]"}} {
		per := strings.Count(pair[0], "[") + strings.Count(pair[0], "{")
		for depth := per; depth <= jsonscan.MaxDepth+2*per; depth += per {
			doc := []byte(strings.Repeat(pair[0], depth/per) + "1" + strings.Repeat(pair[1], depth/per))
			want := depth <= jsonscan.MaxDepth
			if got := jsonscan.Valid(doc); got != want {
				t.Errorf("%s at depth %d: Valid = %v", pair[0], depth, got)
			}
			s := jsonscan.Scanner{B: doc}
			if got := s.Skip() && s.End(); got != want {
				t.Errorf("%s at depth %d: Skip = %v", pair[0], depth, got)
			}
		}
	}
	if s := (jsonscan.Scanner{B: bytes.Repeat([]byte("["), 1<<20)}); s.Skip() {
		t.Error("Skip took a million brackets")
	}
}

// walk visits a document by the cursor and writes it back, compact.
func walk(s *jsonscan.Scanner, out *bytes.Buffer, depth int) bool {
	switch c := s.Peek(); {
	case c == '{' && depth < 80:
		s.Eat('{')
		out.WriteByte('{')
		for n := 0; ; {
			k, more, ok := s.Key(&n)
			if !ok || !more {
				out.WriteByte('}')
				return ok
			}
			if n > 1 {
				out.WriteByte(',')
			}
			out.WriteString(`"` + string(k) + `":`)
			if !jsonscan.Clean(k) || !walk(s, out, depth+1) {
				return false
			}
		}
	case c == '[' && depth < 80:
		s.Eat('[')
		out.WriteByte('[')
		for n := 0; ; {
			more, ok := s.Elem(&n)
			if !ok || !more {
				out.WriteByte(']')
				return ok
			}
			if n > 1 {
				out.WriteByte(',')
			}
			if !walk(s, out, depth+1) {
				return false
			}
		}
	case c == '"':
		raw, ok := s.Text()
		out.WriteString(`"` + string(raw) + `"`)
		return ok
	case c == 't' || c == 'f':
		v, ok := s.Bool()
		out.WriteString(map[bool]string{true: "true", false: "false"}[v])
		return ok
	case c == 'n':
		out.WriteString("null")
		return s.Null()
	default:
		v, ok := s.Number()
		out.Write(v)
		return ok
	}
}

func TestCursorSeesWhatIsThere(t *testing.T) {
	for _, doc := range documents {
		var got, want bytes.Buffer
		s := jsonscan.Scanner{B: []byte(doc)}
		if !walk(&s, &got, 0) || !s.End() {
			t.Errorf("%q: the cursor got stuck at %d", doc, s.I)
		}
		if err := json.Compact(&want, []byte(doc)); err != nil || got.String() != want.String() {
			t.Errorf("%q: the cursor saw %s", doc, got.String())
		}
	}
}

func TestSkipAndValueEndAtTheSameByte(t *testing.T) {
	for _, doc := range documents {
		for _, behind := range []string{"", ",", "}", "]", " 1"} {
			v := jsonscan.Scanner{B: []byte(doc + behind)}
			q := v
			value, ok := v.Value()
			if !ok || !q.Skip() {
				t.Errorf("%q: Value %v", doc, ok)
				continue
			}
			if v.Space(); true {
				q.Space()
			}
			if v.I != q.I || string(value) != strings.TrimSpace(doc) {
				t.Errorf("%q: Value ended at %d with %q, Skip at %d", doc+behind, v.I, value, q.I)
			}
		}
	}
}

func TestSkipRefusesWhatHasNoEnd(t *testing.T) {
	for _, doc := range []string{``, ` `, `"a`, `"a\"`, `[`, `{`, `[}`, `{]`, `[{]}`, `}`, `]`, `,`, `1:2`, `1"a"`, `a[`, `{"a`} {
		s := jsonscan.Scanner{B: []byte(doc)}
		if s.Skip() {
			t.Errorf("Skip took %q", doc)
		}
	}
}

func TestIntTakesIntegersOnly(t *testing.T) {
	for doc, want := range map[string]int{"0": 0, "-0": 0, " 42": 42, "-7": -7, "9223372036854775807": 1<<63 - 1} {
		s := jsonscan.Scanner{B: []byte(doc)}
		if got, ok := s.Int(); !ok || got != want || !s.End() {
			t.Errorf("%q: got %d, %v", doc, got, ok)
		}
	}
	for _, doc := range []string{"", "1.0", "1e3", "9223372036854775808", "99999999999999999999", `"1"`, "-", "null", "- 1"} {
		s := jsonscan.Scanner{B: []byte(doc)}
		if got, ok := s.Int(); ok {
			t.Errorf("%q: got %d", doc, got)
		}
	}
}

func TestCleanFindsEveryBadByteAnywhere(t *testing.T) {
	for length := range 40 {
		for at := range length {
			for c := range 256 {
				raw := bytes.Repeat([]byte{'a'}, length)
				raw[at] = byte(c)
				want := json.Valid([]byte(`"`+string(raw)+`"`)) && c < 0x80
				if got := jsonscan.Clean(raw); got != want {
					t.Fatalf("byte %#x at %d of %d: Clean = %v", c, at, length, got)
				}
			}
		}
	}
}

func TestScanningAllocatesNothing(t *testing.T) {
	doc := request(4 << 10)
	if n := testing.AllocsPerRun(100, func() {
		s := jsonscan.Scanner{B: doc}
		if _, ok := s.Value(); !ok || !jsonscan.Valid(doc) {
			t.Fatal("not valid")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzValid(f *testing.F) {
	for _, s := range append(documents, broken...) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, want := jsonscan.Valid(doc), strict(doc) && nesting(doc) <= jsonscan.MaxDepth
		if got != want {
			t.Fatalf("%q: Valid = %v, jsontext says %v", doc, got, want)
		}
		if got && !json.Valid(doc) {
			t.Fatalf("%q: encoding/json refuses it", doc)
		}
		var out, compact bytes.Buffer
		s := jsonscan.Scanner{B: doc}
		if walked := walk(&s, &out, 0) && s.End(); got && !walked || walked && nesting(doc) <= jsonscan.MaxDepth && !got {
			t.Fatalf("%q: Valid = %v, the cursor %v", doc, got, walked)
		}
		q := jsonscan.Scanner{B: doc}
		if !got {
			q.Skip() // must end
			return
		}
		if json.Compact(&compact, doc); compact.String() != out.String() {
			t.Fatalf("%q: the cursor saw %s", doc, out.String())
		}
		if !q.Skip() || !q.End() {
			t.Fatalf("%q: Skip ended at %d", doc, q.I)
		}
	})
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "abc", `a\"b`, `\ud83d\ude00`, `\ud83d`, "é", "\xff", `"`, `aaaaaaaaaaaaaaa\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		quoted := append(append([]byte{'"'}, raw...), '"')
		if got, want := jsonscan.Clean(raw), strict(quoted); got != want {
			t.Fatalf("%q: Clean = %v, jsontext says %v", raw, got, want)
		}
		s := jsonscan.Scanner{B: quoted}
		if text, ok := s.Text(); ok && s.End() != jsonscan.Clean(raw) || ok && s.End() && !bytes.Equal(text, raw) {
			t.Fatalf("%q: Text = %q, %v", raw, text, ok)
		}
	})
}

// nesting is how deep a valid document nests.
func nesting(doc []byte) int {
	deepest := 0
	d := jsontext.NewDecoder(bytes.NewReader(doc), jsontext.AllowDuplicateNames(true))
	for {
		if _, err := d.ReadToken(); err != nil {
			return deepest
		}
		deepest = max(deepest, d.StackDepth())
	}
}

// request is a Converse request of about n bytes.
func request(n int) []byte {
	text := strings.Repeat(`The quick brown fox says \"hello\".\n`, n/36+1)
	return []byte(`{"messages":[{"role":"user","content":[{"text":"` + text[:n/36*36] + `"}]}],"inferenceConfig":{"maxTokens":100,"temperature":0.5}}`)
}

func benchmarkSizes(b *testing.B, scan func(doc []byte) bool) {
	for name, n := range map[string]int{"1K": 1 << 10, "128K": 128 << 10} {
		doc := request(n)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				if !scan(doc) {
					b.Fatal("not valid")
				}
			}
		})
	}
}

func BenchmarkValid(b *testing.B) { benchmarkSizes(b, jsonscan.Valid) }

func BenchmarkSkip(b *testing.B) {
	benchmarkSizes(b, func(doc []byte) bool { s := jsonscan.Scanner{B: doc}; return s.Skip() })
}

func BenchmarkClean(b *testing.B) {
	text := []byte(strings.Repeat("The quick brown fox says hello. ", 32))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if !jsonscan.Clean(text) {
			b.Fatal("not clean")
		}
	}
}
