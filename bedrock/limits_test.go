package bedrock_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/bedrock"
)

func many(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }

// crowds are requests of n parts, wherever the parts stand.
var crowds = map[string]func(n int) string{
	"blocks": func(n int) string {
		return `{"messages":[{"role":"user","content":[` + many(n-1, `{"text":"a"}`) + `]}]}`
	},
	"system": func(n int) string {
		return `{"system":[` + many(n-2, `{"text":"a"}`) + `],"messages":[{"role":"user","content":[{"text":"a"}]}]}`
	},
	"messages": func(n int) string {
		pair := `{"role":"user","content":[{"text":"a"}]},{"role":"assistant","content":[{"text":"a"}]},`
		return `{"messages":[` + strings.Repeat(pair, (n-2)/4) + `{"role":"user","content":[{"text":"a"}` + strings.Repeat(`,{"text":"a"}`, (n-2)%4) + `]}]}`
	},
	"cache points": func(n int) string {
		return `{"messages":[{"role":"user","content":[{"text":"a"},` + many(n-2, `{"cachePoint":{"type":"default"}}`) + `]}]}`
	},
	"results": func(n int) string {
		return `{"messages":[{"role":"user","content":[{"text":"a"}]},{"role":"assistant","content":[{"toolUse":{"toolUseId":"u","name":"t","input":{}}}]},` +
			`{"role":"user","content":[{"toolResult":{"toolUseId":"u","content":[` + many(n-7, `{"text":"a"}`) + `]}}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"t","inputSchema":{"json":{}}}}]}}`
	},
	"tools": func(n int) string {
		return `{"messages":[{"role":"user","content":[{"text":"a"}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"t","inputSchema":{"json":{}}}},` + many(n-3, `{"cachePoint":{"type":"default"}}`) + `]}}`
	},
}

func TestARequestHasABoundedNumberOfParts(t *testing.T) {
	const most = 100_000
	for name, crowd := range crowds {
		t.Run(name, func(t *testing.T) {
			var c bedrock.Converse
			if err := c.Decode([]byte(crowd(most))); err != nil {
				t.Fatalf("%d parts: %v", most, err)
			}
			over := []byte(crowd(most + 1))
			err := c.Decode(over)
			if err == nil || !strings.Contains(err.Error(), "ValidationException: The request has more than 100000 messages, content blocks and tools.") {
				t.Fatalf("%d parts: %v", most+1, err)
			}
			if c.Scan(over) {
				t.Error("the fast decoder takes it")
			}
			count := fmt.Appendf(nil, `{"input":{"converse":%s}}`, over)
			if _, err := bedrock.DecodeCountTokens(count, &c); err == nil {
				t.Error("CountTokens takes it")
			}
		})
	}
}

// A body of the largest size that is nothing but tiny blocks must not be held
// as that many large ones.
func TestTinyBlocksTakeLittleMemory(t *testing.T) {
	body := []byte(crowds["blocks"](1_300_000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var c bedrock.Converse
	err := c.Decode(body)
	runtime.ReadMemStats(&after)
	if made := (after.TotalAlloc - before.TotalAlloc) >> 20; err == nil || made > 200 {
		t.Errorf("%d MiB for a body of %d MiB: %v", made, len(body)>>20, err)
	}
}
