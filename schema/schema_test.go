package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/schema"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// oracle compiles a schema with an independent implementation.
func oracle(t rapid.TB, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("schema %s: %v", text, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("test.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("test.json")
	if err != nil {
		t.Fatalf("schema %s: %v", text, err)
	}
	return s
}

func mustHold(t rapid.TB, s *jsonschema.Schema, text, value []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		t.Fatalf("example %s is not JSON: %v", value, err)
	}
	if err := s.Validate(v); err != nil {
		t.Fatalf("schema %s\nexample %s\n%v", text, value, err)
	}
	if !schema.Valid(text, value) {
		t.Fatalf("Valid says no to %s\nagainst %s", value, text)
	}
}

// The golden schemas are those of tools and answers that people write.
func TestExamplesOfGoldenSchemasAreValid(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden schemas", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			t.Run(f.Name, func(t *testing.T) {
				s := oracle(t, f.Data)
				for seed := range uint64(50) {
					v, err := schema.Example(f.Data, seed)
					if err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
					mustHold(t, s, f.Data, v)
				}
			})
		}
	}
}

func TestExamplesOfAnySchemaAreValid(t *testing.T) {
	found, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		doc := anySchema(3).Draw(t, "schema")
		text, err := json.Marshal(map[string]any{
			"$defs": map[string]any{"leaf": leaf().Draw(t, "leaf"), "tree": tree},
			"allOf": []any{doc},
		})
		if err != nil {
			t.Fatal(err)
		}
		s := oracle(t, text)
		all++
		v, err := schema.Example(text, rapid.Uint64().Draw(t, "seed"))
		if errors.Is(err, schema.ErrNoExample) {
			return
		}
		if err != nil {
			t.Fatalf("schema %s: %v", text, err)
		}
		found++
		mustHold(t, s, text, v)
	})
	if found*10 < all*8 {
		t.Errorf("only %d of %d schemas got an example", found, all)
	}
}

// tree is recursive and can end.
var tree = map[string]any{
	"type": "object", "required": []any{"name"},
	"properties": map[string]any{
		"name":     map[string]any{"type": "string"},
		"children": map[string]any{"type": "array", "items": map[string]any{"$ref": "#/$defs/tree"}},
	},
}

func leaf() *rapid.Generator[map[string]any] {
	return rapid.OneOf(text(), number(), rapid.Just(map[string]any{"type": "boolean"}),
		rapid.Just(map[string]any{"type": "null"}),
		rapid.Just(map[string]any{"enum": []any{"red", 1.5, nil, []any{1}}}),
		rapid.Just(map[string]any{"const": map[string]any{"a": 1}}))
}

func text() *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		s := map[string]any{"type": "string"}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			s["format"] = rapid.SampledFrom([]string{"date", "date-time", "time", "duration", "email", "uri", "uuid", "ipv4", "ipv6", "hostname", "json-pointer", "regex"}).Draw(t, "format")
		case 1:
			s["pattern"] = rapid.SampledFrom([]string{`^[A-Z]{2}-\d{4}$`, `^(a|b)+$`, `[0-9]{3,5}`, `^\+?[1-9]\d{1,14}$`, `^.{5,9}$`, `^[^a-z]*$`}).Draw(t, "pattern")
		default:
			lo := rapid.IntRange(0, 20).Draw(t, "min")
			s["minLength"], s["maxLength"] = lo, lo+rapid.IntRange(0, 9).Draw(t, "more")
		}
		return s
	})
}

func number() *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		s := map[string]any{"type": rapid.SampledFrom([]string{"integer", "number"}).Draw(t, "type")}
		lo := rapid.IntRange(-1000, 1000).Draw(t, "min")
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}), 0, 3, rapid.ID).Draw(t, "bounds") {
			s[key] = lo
			if strings.HasSuffix(key, "aximum") {
				s[key] = lo + 40
			}
		}
		if rapid.Bool().Draw(t, "multiple") {
			s["multipleOf"] = rapid.SampledFrom([]any{0.01, 0.5, 3, 7, 2.5}).Draw(t, "of")
		}
		return s
	})
}

func anySchema(depth int) *rapid.Generator[map[string]any] {
	if depth == 0 {
		return leaf()
	}
	return rapid.OneOf(leaf(), object(depth), array(depth), combined(depth),
		rapid.Just(map[string]any{"$ref": "#/$defs/leaf"}), rapid.Just(map[string]any{"$ref": "#/$defs/tree"}))
}

func object(depth int) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"city", "unit", "date", "count", "tags", "a/b", "x~y"}), 0, 4, rapid.ID).Draw(t, "names")
		properties := map[string]any{}
		var required []any
		for _, name := range names {
			properties[name] = anySchema(depth-1).Draw(t, name)
			if rapid.Bool().Draw(t, "required") {
				required = append(required, name)
			}
		}
		s := map[string]any{"type": "object", "properties": properties}
		if required != nil {
			s["required"] = required
		}
		switch rapid.IntRange(0, 4).Draw(t, "rest") {
		case 0:
			s["additionalProperties"] = false
		case 1:
			s["additionalProperties"] = leaf().Draw(t, "additional")
			s["minProperties"] = 2
		case 2:
			s["propertyNames"] = map[string]any{"maxLength": 12}
			s["maxProperties"] = len(names) + 1
		}
		return s
	})
}

func array(depth int) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		lo := rapid.IntRange(0, 4).Draw(t, "min")
		s := map[string]any{"type": "array", "items": anySchema(depth-1).Draw(t, "items"), "minItems": lo}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			s["maxItems"] = lo + 1
		case 1:
			s["prefixItems"] = []any{leaf().Draw(t, "first"), leaf().Draw(t, "second")}
		case 2:
			s["items"] = map[string]any{"type": "integer"}
			s["uniqueItems"] = true
			s["contains"] = map[string]any{"minimum": 500}
		}
		return s
	})
}

func combined(depth int) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		one, two := anySchema(depth-1).Draw(t, "one"), anySchema(depth-1).Draw(t, "two")
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return map[string]any{"anyOf": []any{one, two}}
		case 1:
			return map[string]any{"oneOf": []any{one, map[string]any{"type": "array", "maxItems": 0}}}
		case 2:
			return map[string]any{"allOf": []any{one, map[string]any{"description": "more"}}}
		case 3:
			return map[string]any{
				"type": "object", "required": []any{"kind"},
				"properties": map[string]any{"kind": map[string]any{"enum": []any{"a", "b"}}},
				"if":         map[string]any{"properties": map[string]any{"kind": map[string]any{"const": "a"}}},
				"then":       map[string]any{"required": []any{"one"}, "properties": map[string]any{"one": one}},
				"else":       map[string]any{"required": []any{"two"}, "properties": map[string]any{"two": two}},
			}
		}
		return map[string]any{"type": []any{"string", "integer"}, "not": map[string]any{"const": "amber"}}
	})
}

func TestTheSameSeedGivesTheSameValue(t *testing.T) {
	const text = `{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"integer"},"c":{"type":"array","items":{"type":"number"}}}}`
	differ := 0
	for seed := range uint64(20) {
		one, err1 := schema.Example([]byte(text), seed)
		two, err2 := schema.Example([]byte(text), seed)
		if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
			t.Fatalf("seed %d: %s %v, then %s %v", seed, one, err1, two, err2)
		}
		if next, _ := schema.Example([]byte(text), seed+1); !bytes.Equal(one, next) {
			differ++
		}
	}
	if differ == 0 {
		t.Error("all seeds give the same value")
	}
}

func TestSchemasWithoutExampleAreRefused(t *testing.T) {
	deep := strings.Repeat(`{"items":`, 100) + `{}` + strings.Repeat(`}`, 100)
	for text, want := range map[string]error{
		`false`:       schema.ErrNoExample,
		`{"enum":[]}`: schema.ErrNoExample,
		`{"type":"string","minLength":5,"maxLength":2}`:  schema.ErrNoExample,
		`{"type":"integer","minimum":1.2,"maximum":1.8}`: schema.ErrNoExample,
		`{"type":"array","minItems":9999999}`:            schema.ErrNoExample,
		`{"type":"string","minLength":999999999}`:        schema.ErrNoExample,
		`{"$ref":"#"}`: schema.ErrNoExample,
		`{"type":"object","required":["x"],"properties":{"x":{"$ref":"#"}}}`: schema.ErrNoExample,
		`{"$ref":"#/$defs/none"}`:              schema.ErrSchema,
		`{"$ref":"https://example.com"}`:       schema.ErrSchema,
		`[1]`:                                  schema.ErrSchema,
		`{"type":`:                             schema.ErrSchema,
		``:                                     schema.ErrSchema,
		deep:                                   schema.ErrSchema,
		`"` + strings.Repeat("x", 2<<20) + `"`: schema.ErrSchema,
	} {
		v, err := schema.Example([]byte(text), 1)
		if !errors.Is(err, want) {
			t.Errorf("Example(%.60s) = %.60s, %v; want %v", text, v, err, want)
		}
	}
}

// Schemas that multiply work at each level must end within the bounds.
func TestHostileSchemasEnd(t *testing.T) {
	branches := strings.Repeat(`{"anyOf":[`, 15) + `false` + strings.Repeat(`,false]}`, 15)
	wide := `{"allOf":[` + strings.TrimSuffix(strings.Repeat(`{"anyOf":[{"minimum":5},{"maximum":3}]},`, 200), ",") + `,{"not":{}}]}`
	huge := `{"multipleOf":1e999999999,"minimum":1e-999999999}`
	loop := `{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"},{"$ref":"#/$defs/b"}]},"b":{"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}`
	for _, text := range []string{branches, wide, huge, loop} {
		if v, err := schema.Example([]byte(text), 7); err == nil && !json.Valid(v) {
			t.Errorf("Example(%.60s) = %s", text, v)
		}
	}
}

func FuzzExample(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range txtar.Parse(b).Files {
			f.Add(part.Data, uint64(1))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		v, err := schema.Example(text, seed)
		if err != nil {
			return
		}
		if !json.Valid(v) || !schema.Valid(text, v) {
			t.Fatalf("schema %q\nexample %q", text, v)
		}
	})
}

func ExampleExample() {
	v, err := schema.Example([]byte(`{
		"type": "object",
		"properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
		"required": ["city", "unit"]
	}`), 4)
	fmt.Println(string(v), err)
	// Output: {"city":"Oslo","unit":"celsius"} <nil>
}

func BenchmarkExample(b *testing.B) {
	text := []byte(`{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":7}},"required":["city"]}`)
	for b.Loop() {
		if _, err := schema.Example(text, 3); err != nil {
			b.Fatal(err)
		}
	}
}
