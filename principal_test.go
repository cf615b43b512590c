package outcrop_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
)

func TestMatch(t *testing.T) {
	cases := []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "ab", false}, {"a", "A", false},
		{"*", "", true}, {"*", "anything", true}, {"**", "x", true},
		{"amazon.*", "amazon.nova-lite-v1:0", true}, {"amazon.*", "amazon", false}, {"*haiku*", "anthropic.claude-3-haiku-20240307-v1:0", true},
		{"a*b", "ab", true}, {"a*b", "aXb", true}, {"a*b", "abX", false}, {"ab*ba", "aba", false}, {"a*bc*c", "abc", false}, {"a*bc*c", "abcc", true},
		{"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream", false}, {"bedrock:InvokeModel*", "bedrock:InvokeModelWithResponseStream", true},
		{"a.c", "abc", false}, {"a?c", "abc", false},
	}
	for _, c := range cases {
		if got := outcrop.Match(c.pattern, c.s); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

func TestMatchAgreesWithRegexp(t *testing.T) {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("ab.\n")), 0, 12, -1)
	patterns := rapid.StringOfN(rapid.SampledFrom([]rune("ab.\n**")), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		pattern, s := patterns.Draw(t, "pattern"), letters.Draw(t, "s")
		oracle := regexp.MustCompile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `\z`)
		if got, want := outcrop.Match(pattern, s), oracle.MatchString(s); got != want {
			t.Fatalf("Match(%q, %q) = %v, the regular expression says %v", pattern, s, got, want)
		}
	})
}

func TestPrincipalMayDoWhatItsListsAllow(t *testing.T) {
	all := outcrop.Principal{}
	if !all.MayDo("bedrock:InvokeModel") || !all.MayUse("amazon.nova-lite-v1:0") {
		t.Error("empty lists must allow everything")
	}
	some := outcrop.Principal{Actions: []string{"bedrock:Count*", "bedrock:InvokeModel"}, Models: []string{"amazon.*", "meta.llama3-8b-instruct-v1:0"}}
	for action, want := range map[string]bool{
		"bedrock:InvokeModel": true, "bedrock:CountTokens": true, "bedrock:InvokeModelWithResponseStream": false, "": false,
	} {
		if some.MayDo(action) != want {
			t.Errorf("MayDo(%q) = %v", action, !want)
		}
	}
	for model, want := range map[string]bool{
		"amazon.nova-lite-v1:0": true, "meta.llama3-8b-instruct-v1:0": true, "meta.llama3-8b-instruct-v1:01": false, "xamazon.nova": false,
	} {
		if some.MayUse(model) != want {
			t.Errorf("MayUse(%q) = %v", model, !want)
		}
	}
}

func TestCardAccepts(t *testing.T) {
	card := outcrop.Card{Input: []outcrop.Modality{outcrop.ModalityText}}
	if !card.Accepts(outcrop.ModalityText) || card.Accepts(outcrop.ModalityImage) {
		t.Errorf("a card with %v", card.Input)
	}
}

func TestUsageTotalCountsEachTokenOnce(t *testing.T) {
	if got := (outcrop.Usage{Input: 1, Output: 20, CacheRead: 300, CacheWrite: 4000}).Total(); got != 4321 {
		t.Errorf("total %d", got)
	}
}

func TestEveryDialectHasItsOwnName(t *testing.T) {
	seen := map[string]bool{}
	for d := outcrop.DialectConverse; d <= outcrop.DialectMistral; d++ {
		if d.String() == "" || seen[d.String()] {
			t.Errorf("dialect %d is called %q", d, d)
		}
		seen[d.String()] = true
	}
	if s := outcrop.Dialect(200).String(); s != "" {
		t.Errorf("an unknown dialect is called %q", s)
	}
}
