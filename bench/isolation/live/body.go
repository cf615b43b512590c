package live

import (
	"fmt"
	"strings"

	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/tokens"
)

// framing is what the simulated engine counts beside the text of a single
// message.
const framing = 7

// usualMaximum is the maxTokens of requests whose answers are not longer: what
// callers write who do not know how long the answer will be.
const usualMaximum = 1024

// A text is a long text that can be cut after any token.
type text struct {
	all  string
	ends []int // offset after so many tokens
}

const words = " tell me step by step how the tide turns and why the moon is to blame for it"

// newText returns a text of n tokens.
func newText(n int) *text {
	t := &text{ends: []int{0}}
	t.all = strings.Repeat(words, n/8)
	for end := 0; len(t.ends) <= n; {
		end += tokens.Next([]byte(t.all[end:min(len(t.all), end+64)]))
		t.ends = append(t.ends, end)
	}
	return t
}

// body is a Converse request whose prompt has so many tokens for the simulated
// engine, of which nothing but the first few can be in its prefix cache, and
// that it answers with so many.
func (t *text) body(number int, d due) []byte {
	opening := fmt.Sprintf("%d.", number)
	n := d.prompt - framing - tokens.Count([]byte(opening))
	prompt := opening + t.all[:t.ends[min(max(n, 0), len(t.ends)-1)]]
	tier := ""
	if d.kind == isolation.Batch {
		tier = `"serviceTier":{"type":"` + BacklogTier + `"},`
	}
	return fmt.Appendf(nil, `{"messages":[{"role":"user","content":[{"text":"%s"}]}],"inferenceConfig":{"maxTokens":%d},%s`+
		`"additionalModelRequestFields":{"metadata":{"outcrop:output-tokens":"%d"}}}`,
		prompt, max(usualMaximum, d.output), tier, d.output)
}
