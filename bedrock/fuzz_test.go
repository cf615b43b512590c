package bedrock_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/eventstream"
	"github.com/outcrop/outcrop/jsonscan"
)

// seed adds the first file of each case in a folder.
func seed(f *testing.F, folder string) {
	paths, _ := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(txtar.Parse(data).Files[0].Data)
	}
}

// oddities are requests that a scanner takes easily for common ones.
var oddities = []string{
	`{"messages":[{"role":"user","content":[{"text":"a"}]}],"messages":[{"role":"user","content":[{"text":"b"}]}]}`,
	`{"messages":[{"role":"user","role":"user","content":[{"text":"a"}]}]}`,
	`{"messages":[{"role":"user","content":[],"content":[{"text":"a"}]}]}`,
	`{"messages":[{"role":"user","content":[{"text":"a","text":"b"}]}]}`,
	`{"system":[],"system":[],"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"inferenceConfig":{},"inferenceConfig":{},"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"inferenceConfig":{"maxTokens":1,"maxTokens":2},"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"inferenceConfig":{"topP":1,"topP":0},"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"inferenceConfig":{"temperature":0.,"topP":.5},"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"inferenceConfig":{"stopSequences":["a"],"stopSequences":["b"]},"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"inferenceConfig":{"stopSequences":[""]},"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"inferenceConfig":{"maxTokens":01},"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"inferenceConfig":{"maxTokens":2147483648},"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"messages":[{"role":"user","content":[{"text":"\ud800"}]}]}`,
	"{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"\xff\"}]}]}",
	`{"messages":[{"r\u006fle":"user","content":[{"text":"a"}]}]}`,
	`{"messages":[{"role":"us\u0065r","content":[{"text":"a"}]}]}`,
	`{"messages":[{"role":"user","content":[{"text":"a"}]}],}`,
	`{"messages":[{"role":"user","content":[{"text":"a"}]}]}x`,
	`{"system":[{"text":""}],"messages":[{"role":"user","content":[{"text":"a"}]}]}`,
	`{"messages":[{"role":"user","content":[{"text":"a"}]}],"requestMetadata":{"outcrop:spillover":"fl\u0065x","\u0061":"b"}}`,
	` { "messages" : [ { "content" : [ { "text" : "a" } ] , "role" : "user" } ] } `,
}

// FuzzDecode: what the scanner takes, the typed decoder takes with the same
// result; what is decoded survives being written and read, and its metadata is
// found without decoding; an error is always a bounded ValidationException.
func FuzzDecode(f *testing.F) {
	seed(f, "decode")
	for _, body := range oddities {
		f.Add([]byte(body))
	}
	var fast, typed, again bedrock.Converse
	f.Fuzz(func(t *testing.T, body []byte) {
		taken := fast.Scan(body)
		err := typed.Typed(body)
		if err != nil {
			var e *outcrop.Error
			if taken {
				t.Fatalf("the scanner took what the decoder refuses: %v", err)
			}
			if !errors.As(err, &e) || e.Code != outcrop.CodeValidation || len(e.Message) > 10_000 {
				t.Fatalf("a strange error: %v", err)
			}
			return
		}
		if taken {
			same(t, &fast, &typed)
		}
		canonical := bedrock.AppendRequest(nil, &typed.Conversation, options(&typed))
		if !json.Valid(canonical) {
			t.Fatalf("not JSON: %s", canonical)
		}
		if err := again.Decode(canonical); err != nil {
			t.Fatalf("%s: %v", canonical, err)
		}
		same(t, &typed, &again)
		if tier, latency := bedrock.Asked(body); tier != typed.Tier || latency != typed.Latency {
			t.Fatalf("found %q and %q, decoded %q and %q", tier, latency, typed.Tier, typed.Latency)
		}
		for _, m := range typed.Metadata {
			if v, ok := bedrock.RequestMetadata(body, m.Key); v != m.Value || ok != bytes.Contains(body, []byte(m.Key)) {
				t.Fatalf("%q is %q, found %q %v", m.Key, m.Value, v, ok)
			}
		}
	})
}

func FuzzDecodeCountTokens(f *testing.F) {
	f.Add([]byte(`{"input":{"invokeModel":{"body":"eyJhIjoxfQ=="}}}`))
	f.Add([]byte(`{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":7}}}`))
	var c bedrock.Converse
	f.Fuzz(func(t *testing.T, body []byte) {
		native, err := bedrock.DecodeCountTokens(body, &c)
		var e *outcrop.Error
		if err != nil && (!errors.As(err, &e) || e.Code != outcrop.CodeValidation) {
			t.Fatalf("a strange error: %v", err)
		}
		if err == nil && (native == nil) == (len(c.Conversation.Messages) == 0) {
			t.Fatal("neither or both inputs")
		}
	})
}

// FuzzEvent feeds the payloads of an engine's frames.
func FuzzEvent(f *testing.F) {
	for _, payload := range []string{
		`{"role":"assistant"}`, `{"delta":{"text":"x"},"contentBlockIndex":0}`, `{"usage":{"inputTokens":1}}`,
		`{"delta":{"reasoningContent":{"signature":"x"}}}`, `{"start":{"toolUse":{"toolUseId":"a","name":"b"}}}`,
		`{"stopReason":"x","additionalModelResponseFields":{"stop_sequence":"\n"}}`, `{"message":"m","originalStatusCode":500}`,
	} {
		f.Add("event", "contentBlockDelta", []byte(payload))
		f.Add("event", "messageStop", []byte(payload))
		f.Add("exception", "throttlingException", []byte(payload))
	}
	f.Fuzz(func(t *testing.T, kind, name string, payload []byte) {
		m := eventstream.Message{MessageType: kind, EventType: name, ExceptionType: name, ErrorCode: name, Payload: payload}
		var d bedrock.Decoder
		err := d.Event(m, checked{t})
		var e *outcrop.Error
		if err != nil && (!errors.As(err, &e) || e.Message == "" || len(e.Message) > 2000) {
			t.Fatalf("a strange error: %v", err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"output":{"message":{"role":"assistant","content":[{"text":"hi"},{"toolUse":{"toolUseId":"a","name":"b","input":{}}}]}},"stopReason":"end_turn","usage":{"inputTokens":1}}`))
	f.Add([]byte(`{"output":{"message":{"content":[{"reasoningContent":{"reasoningText":{"text":"x","signature":"y"}}},{"image":{}}]}},"stopReason":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var d bedrock.Decoder
		if err := d.Answer(body, checked{t}); err != nil {
			var e *outcrop.Error
			if !errors.As(err, &e) {
				t.Fatalf("a strange error: %v", err)
			}
		}
	})
}

// checked demands that the texts of events are what they are said to be.
type checked struct{ t *testing.T }

func (c checked) Send(e outcrop.Event) error {
	for _, text := range []outcrop.Text{e.Text, e.More().ID, e.More().Name, e.More().StopSequence} {
		if !json.Valid([]byte(`"` + string(text) + `"`)) {
			c.t.Errorf("not the inside of a JSON string: %q", text)
		}
	}
	if len(e.More().Extra) > 0 && !json.Valid(e.More().Extra) {
		c.t.Errorf("not JSON: %q", e.More().Extra)
	}
	return nil
}

// FuzzUnescape compares with encoding/json.
func FuzzUnescape(f *testing.F) {
	f.Add(`a\n\u00e9\ud83d\ude00\"\\`)
	f.Fuzz(func(t *testing.T, s string) {
		var want string
		if json.Unmarshal([]byte(`"`+s+`"`), &want) != nil {
			bedrock.Unescape([]byte(s)) // must not panic
			return
		}
		if !outcropText(s) {
			return
		}
		if got := bedrock.Unescape([]byte(s)); string(got) != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	})
}

// outcropText reports whether s may be an outcrop.Text: the standard decoder
// also takes what is no UTF-8.
func outcropText(s string) bool { return jsonscan.Clean([]byte(s)) }
