package anthropic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/anthropic"
	"github.com/outcrop/outcrop/jsonscan"
)

func conversation(blocks ...outcrop.Block) *outcrop.Conversation {
	return &outcrop.Conversation{Messages: []outcrop.Message{{Role: outcrop.RoleUser, Content: blocks}}}
}

func text(s string) outcrop.Block {
	return outcrop.Block{Kind: outcrop.BlockText, Text: outcrop.Quote(s)}
}

func TestAdditionalFieldsJoinTheRequest(t *testing.T) {
	c := conversation(text("x"))
	c.Tools = []outcrop.Tool{{Name: outcrop.Text("n")}}
	c.Extra = outcrop.JSON(`{"top_k":5,"max_tokens":77,"anthropic_beta":["a-1"],"tools":[{"type":"bash_20250124","name":"bash"}],"thinking":{"type":"enabled"}}`)
	out, beta, err := anthropic.AppendRequest(nil, c, anthropic.Options{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"model":"m","tools":[{"name":"n","input_schema":{"type":"object"}},{"type":"bash_20250124","name":"bash"}],` +
		`"messages":[{"role":"user","content":"x"}],"top_k":5,"max_tokens":77,"thinking":{"type":"enabled"}}`
	if string(out) != want || beta != "a-1" {
		t.Errorf("got  %s\nwant %s\nbeta %q", out, want, beta)
	}
}

func TestAdditionalFieldsCannotOverrideTheRequest(t *testing.T) {
	for _, extra := range []string{
		`{"model":"x"}`, `{"messages":[]}`, `{"stream":true}`, `{"max_tokens":1}`, `{"m\u0061x_tokens":1}`,
		`{"a":1,"a":2}`, `{"anthropic_beta":["a\r\nb"]}`, `{"anthropic_beta":"x"}`, `{"tools":{}}`, `[]`,
	} {
		c := conversation(text("x"))
		c.Inference.MaxTokens = 5
		c.Extra = outcrop.JSON(extra)
		if _, _, err := anthropic.AppendRequest(nil, c, anthropic.Options{Model: "m"}); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("%s: got %v, want a ValidationException", extra, err)
		}
	}
}

func TestDocumentsGoAsTextWhereThatIsWhatTheyAre(t *testing.T) {
	doc := func(format, b64 string) outcrop.Block {
		return outcrop.Block{Kind: outcrop.BlockDocument, Media: &outcrop.Media{Format: format, Name: outcrop.Text("d"), Base64: outcrop.Text(b64)}}
	}
	out, _, err := anthropic.AppendRequest(nil, conversation(text("x"), doc("md", "IyAiYSIK")), anthropic.Options{Model: "m"})
	if err != nil || !strings.Contains(string(out), `"source":{"type":"text","media_type":"text/plain","data":"# \"a\"\n"}`) {
		t.Errorf("%s, %v", out, err)
	}
	for _, d := range []outcrop.Block{doc("docx", "AAAA"), doc("txt", "%%%%")} {
		if _, _, err := anthropic.AppendRequest(nil, conversation(text("x"), d), anthropic.Options{Model: "m"}); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("%s: got %v, want a ValidationException", d.Media.Format, err)
		}
	}
}

func TestCountingBodiesHoldWhatTheEndpointTakes(t *testing.T) {
	c := conversation(text("x"))
	c.Inference = outcrop.Inference{MaxTokens: 5, Temperature: outcrop.Number("1")}
	c.Extra = outcrop.JSON(`{"top_k":5,"thinking":{"type":"enabled"}}`)
	out, _, err := anthropic.AppendRequest(nil, c, anthropic.Options{Model: "m", Count: true})
	if want := `{"model":"m","messages":[{"role":"user","content":"x"}],"thinking":{"type":"enabled"}}`; err != nil || string(out) != want {
		t.Errorf("got %s, %v", out, err)
	}
	out, _, err = anthropic.AppendNative(nil, []byte(`{"max_tokens":5,"system":"s","messages":[],"top_p":1}`), anthropic.Options{Model: "m", Count: true})
	if want := `{"model":"m","system":"s","messages":[]}`; err != nil || string(out) != want {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestNativeBodiesPassUntouchedButForWhatMustDiffer(t *testing.T) {
	body := `{"anthropic_version":"bedrock-2023-05-31","model":"evil","stream":false, "messages" : [ {"x": 1.50} ],"foo":null}`
	out, _, err := anthropic.AppendNative([]byte("> "), []byte(body), anthropic.Options{Model: `m"`, Stream: true, MaxTokens: 3})
	if want := `> {"model":"m\"","stream":true,"max_tokens":3,"messages":[ {"x": 1.50} ],"foo":null}`; err != nil || string(out) != want {
		t.Errorf("got  %s\nwant %s (%v)", out, want, err)
	}
	for _, bad := range []string{``, `{`, `[]`, `{"a":1}x`, `{"a":1,"a":1}`, `{"mod\u0065l":"x"}`, `{"Model":"x"}`, `{"ſtream":true}`, `{"MAX_TOKENS":9}`, `{"a":01}`, `{"anthropic_beta":[1]}`} {
		if _, _, err := anthropic.AppendNative(nil, []byte(bad), anthropic.Options{}); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("%s: got %v, want a ValidationException", bad, err)
		}
	}
}

// TestNoSpellingOfAnExtraFieldChoosesTheModel keeps out what an engine written
// in Go would take for the model or the framing.
func TestNoSpellingOfAnExtraFieldChoosesTheModel(t *testing.T) {
	for _, name := range []string{"model", "Model", "STREAM", "ſtream", "Messages", `mod\u0065l`} {
		c := &outcrop.Conversation{
			Messages: []outcrop.Message{{Role: outcrop.RoleUser, Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text("Hi")}}}},
			Extra:    outcrop.JSON(`{"` + name + `":true}`),
		}
		if out, _, err := anthropic.AppendRequest(nil, c, anthropic.Options{Model: "ours"}); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("%s: %s, error %v", name, out, err)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":"x"}]}`))
	f.Add([]byte(user(`[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]`)))
	f.Add([]byte(`{"system":[{"type":"text","text":"a"}],"thinking":{},"anthropic_beta":["a"],"tools":[{"name":"n","input_schema":{}}],"tool_choice":{"type":"none"},"messages":[{"role":"user","content":[{"type":"document","title":"t","source":{"type":"text","media_type":"text/plain","data":"x"}}]},{"role":"assistant","content":[{"type":"tool_use","id":"i","name":"n","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":"x"}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, _, err := anthropic.DecodeRequest(body, false)
		if err != nil {
			if !errors.Is(err, outcrop.CodeValidation) {
				t.Fatalf("%v is no ValidationException", err)
			}
			return
		}
		out, _, err := anthropic.AppendRequest(nil, c, anthropic.Options{Model: "m"})
		if err != nil {
			return
		}
		if !jsonscan.Valid(out) {
			t.Fatalf("%s\nbecame invalid: %s", body, out)
		}
		again, _, err := anthropic.DecodeRequest(out, false)
		if err != nil {
			t.Fatalf("%s\nbecame %s: %v", body, out, err)
		}
		twice, _, err := anthropic.AppendRequest(nil, again, anthropic.Options{Model: "m"})
		if err != nil || string(twice) != string(out) {
			t.Fatalf("%s\nbecame %s, %v", out, twice, err)
		}
	})
}

func FuzzAppendNative(f *testing.F) {
	f.Add([]byte(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":1,"messages":[]}`))
	f.Add([]byte(`{"anthropic_beta":["a"],"messages":[{"role":"user","content":"x"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		out, beta, err := anthropic.AppendNative(nil, body, anthropic.Options{Model: "m"})
		if err == nil && !jsonscan.Valid(out) {
			t.Fatalf("%s\nbecame invalid: %s", body, out)
		}
		if strings.ContainsAny(beta, "\r\n") {
			t.Fatalf("header %q", beta)
		}
	})
}
