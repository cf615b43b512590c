package runtimeapi_test

import (
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
)

func withExtra(extra string) string {
	return strings.TrimSuffix(converseBody, "}") + `,"additionalModelRequestFields":` + extra + `}`
}

// The card's MaxOutput is 4096.
func TestAdditionalFieldsDoNotGetAroundTheLimitsOfTheCard(t *testing.T) {
	const number = "must be 1, since an answer has one message. Remove it and try again."
	over := bedrock.MaxTokensExceeded(4096)
	for extra, text := range map[string]string{
		`{"max_tokens":4097}`:                         over,
		`{"max_completion_tokens": 4097 }`:            over,
		`{"top_k":3,"a":{"b":[1]},"MAX_TOKENS":4097}`: over,
		`{"max_tokens":1,"Max_Tokens":4097}`:          over,
		`{"m\u0061x_tokens":4097}`:                    over,
		`{"max_tokens":1e6}`:                          over,
		`{"max_tokens":1e999}`:                        over,
		`{"max_tokens":"4097"}`:                       over,
		`{"max_tokens":" \u0034097"}`:                 over,
		`{"n_predict":4097}`:                          over,
		`{"max_new_tokens":4097}`:                     over,
		`{"max_tokens":-1}`:                           "The additional field max_tokens must be at least 1.",
		`{"max_tokens":0}`:                            "The additional field max_tokens must be at least 1.",
		`{"n":2}`:                                     "The additional field n " + number,
		`{"N":"2"}`:                                   "The additional field n " + number,
		`{"n":0}`:                                     "The additional field n " + number,
		`{"best_of":20}`:                              "The additional field best_of " + number,
	} {
		for _, op := range []outcrop.Operation{outcrop.OpConverse, outcrop.OpConverseStream} {
			refused(t, serving(outcrop.DialectNova, never(t)), newCall(op, withExtra(extra)), 400, "ValidationException", text)
		}
	}
}

func TestAdditionalFieldsWithinTheLimitsPass(t *testing.T) {
	for _, extra := range []string{
		`{}`, `{"max_tokens":4096}`, `{"max_tokens":1.0}`, `{"max_tokens":null}`, `{"max_tokens":{"a":1}}`, `{"max_tokens":"many"}`,
		`{"n":1}`, `{"n":"1"}`, `{"n":null}`, `{"thinking":{"n":7,"max_tokens":9999}}`, `{"max":9999,"nn":3}`,
	} {
		if w, _ := serving(outcrop.DialectNova, says(nil, hello()...)).serve(t, newCall(outcrop.OpConverse, withExtra(extra))); w.status != 200 {
			t.Errorf("%s: %d %s", extra, w.status, w.body)
		}
	}
}
