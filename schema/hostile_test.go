package schema_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/schema"
)

// each writes one text for each number below n, with commas in between.
func each(n int, format string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, strings.ReplaceAll(format, "#", "%[1]d"), i)
	}
	return b.String()
}

// costly are schemas within the bounds of size that ask for much work.
var costly = map[string]string{
	"ranges that overlap":    `{"oneOf":[` + each(4000, `{"type":"integer","minimum":0,"maximum":10#}`) + `]}`,
	"ranges":                 `{"oneOf":[` + each(4000, `{"type":"integer","minimum":#1,"maximum":#2}`) + `]}`,
	"patterns":               `{"type":"string","allOf":[` + each(3000, `{"pattern":"^(x#|[a-z]{1,9})+$"}`) + `]}`,
	"branches of patterns":   `{"oneOf":[` + each(3000, `{"type":"string","pattern":"^[a-z]{#}"}`) + `]}`,
	"patterns of names":      `{"type":"object","minProperties":500,"patternProperties":{` + each(3000, `"^f.{#}":{}`) + `}}`,
	"a program of a pattern": `{"type":"string","pattern":"((a{1,100}){1,100}){1,90}"}`,
	"a pattern that is slow": `{"type":"string","minLength":8000,"pattern":"^(.*a.*|.*b.*|.*c.*){1,40}z$"}`,
	"nested items":           strings.Repeat(`{"type":"array","minItems":1000,"items":`, 4) + `{"type":"integer"}` + strings.Repeat(`}`, 4),
	"unique items":           `{"type":"array","minItems":1000,"uniqueItems":true,"items":{"type":"number","minimum":0.1,"maximum":99999.5}}`,
	"properties":             `{"type":"object","properties":{` + each(25000, `"p#":{}`) + `}}`,
	"required":               `{"type":"object","required":[` + each(29000, `"p#"`) + `]}`,
	"values of an enum":      `{"enum":[` + each(15000, `1.#`) + `],"not":{"enum":[` + each(14000, `1.0#`) + `]}}`,
	"closed properties":      `{"allOf":[` + each(200, `{"properties":{"p#":{},"q#":{}},"required":["p#"],"additionalProperties":false}`) + `]}`,
	"anchors":                `{"allOf":[` + strings.Repeat(`{"$ref":"#z"},`, 4000) + `{}` + `],"$defs":{"a":{"$anchor":"z"}}}`,
	"a long text":            `{"type":"string","minLength":131072,"maxLength":131071}`,
	"a longer text":          `{"type":"string","minLength":131072,"pattern":"^b"}`,
	"numbers of many digits": `{"oneOf":[` + each(900, `{"type":"number","minimum":#.`+strings.Repeat("7", 500)+`}`) + `]}`,
}

// TestTheWorkForAnExampleIsBounded counts allocations, since a timing decides
// no test: what is not bounded makes millions of them.
func TestTheWorkForAnExampleIsBounded(t *testing.T) {
	for name, text := range costly {
		t.Run(name, func(t *testing.T) {
			v, err := schema.Example([]byte(text), 3)
			if err != nil && !errors.Is(err, schema.ErrNoExample) && !errors.Is(err, schema.ErrSchema) {
				t.Fatal(err)
			}
			if err == nil && !schema.Valid([]byte(text), v) {
				t.Errorf("%.80s is not valid", v)
			}
			if n := testing.AllocsPerRun(1, func() { _, _ = schema.Example([]byte(text), 3) }); n > 700_000 {
				t.Errorf("%.0f allocations", n)
			}
		})
	}
}

func BenchmarkCostly(b *testing.B) {
	for name, text := range costly {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = schema.Example([]byte(text), 3)
			}
		})
	}
}
