package openai_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/outcrop/outcrop/openai"
)

func TestErrorMessageFindsTheEnginesWords(t *testing.T) {
	for body, want := range map[string]string{
		``:                                      "",
		`{}`:                                    "",
		`null`:                                  "null",
		`{"error":{"message":"too long"}}`:      "too long",
		`{"error":"Model not loaded"}`:          "Model not loaded",
		`{"error":{"code":1},"message":"m"}`:    "m",
		`{"message":"gateway"}`:                 "gateway",
		`{"detail":"Not Found"}`:                "Not Found",
		`{"object":"error","message":"boom"}`:   "boom",
		`[{"error":{"message":"from a list"}}]`: "from a list",
		`{"detail":[{"loc":["body","messages",0],"msg":"Field required","input":"SECRET"},{"loc":["body"],"msg":"bad"}]}`: "body.messages.0: Field required; body: bad",
		"plain\r\n\x1b[31m words\x00":                        "plain [31m words",
		"<html><head><title>502 Bad\nGateway</title></head>": "502 Bad Gateway",
		"<p>no <b>title</b></p>":                             "no title",
		"<":                                                  "",
		`{"error":{"message":"cut`:                           "",
		`{"error":{"error":{"error":{"error":"too deep"}}}}`: "",
		"{\"error\":\"half \xff\"}":                          "half \ufffd",
	} {
		if got := openai.ErrorMessage([]byte(body)); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestErrorMessageIsBounded(t *testing.T) {
	for _, body := range []string{
		strings.Repeat("ä", 5000), `{"error":"` + strings.Repeat("ä", 5000) + `"}`, "<p>" + strings.Repeat("ä ", 5000),
	} {
		got := openai.ErrorMessage([]byte(body))
		if len(got) > 1024 || len(got) < 1000 || !utf8.ValidString(got) {
			t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
	}
}
