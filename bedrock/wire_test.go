package bedrock_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/eventstream"
)

const shortRequest = `{"messages":[{"role":"user","content":[{"text":"What is the capital of France?"}]}],"system":[{"text":"Be brief."}],"inferenceConfig":{"maxTokens":512,"temperature":0.5,"topP":0.9,"stopSequences":["END"]}}`

func TestDecodeCountTokens(t *testing.T) {
	var c bedrock.Converse
	native, err := bedrock.DecodeCountTokens([]byte(`{"input": {"invokeModel": {"body": "eyJhIjoxfQ=="}}}`), &c)
	if err != nil || string(native) != `{"a":1}` {
		t.Errorf("%s, %v", native, err)
	}
	// What is no member of this input is ignored, whatever it holds.
	native, err = bedrock.DecodeCountTokens([]byte(`{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hi"}]}],"system":[{"text":"s"}],"inferenceConfig":"?"}}}`), &c)
	if err != nil || native != nil || len(c.Conversation.Messages) != 1 || len(c.Conversation.System) != 1 {
		t.Errorf("%s, %v, %+v", native, err, c.Conversation)
	}
	for body, want := range map[string]string{
		`{}`:                                     "Value null at 'input' failed to satisfy constraint: Member must not be null",
		`{"input":{}}`:                           "Member must have exactly one of these members set: [invokeModel, converse]",
		`{"input":{"invokeModel":{"body":"?"}}}`: "#/input/invokeModel/body: not valid base64",
		`{"input":{"converse":{}}}`:              "A conversation must start with a user message.",
	} {
		if _, err := bedrock.DecodeCountTokens([]byte(body), &c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", body, err, want)
		}
	}
	n, ok := bedrock.ParseCount(bedrock.AppendCount(nil, 42))
	if n != 42 || !ok {
		t.Error(n, ok)
	}
	if err := c.Decode([]byte(shortRequest)); err != nil {
		t.Fatal(err)
	}
	var again bedrock.Converse
	if _, err := bedrock.DecodeCountTokens(bedrock.AppendCountRequest(nil, &c.Conversation), &again); err != nil || len(again.Conversation.Messages) != 1 {
		t.Errorf("%v", err)
	}
}

func TestMediaLimits(t *testing.T) {
	image := `{"messages":[{"role":"user","content":[{"text":"x"},{"image":{"format":"png","source":{"bytes":"%s"}}}]}]}`
	document := `{"messages":[{"role":"user","content":[{"text":"x"},{"document":{"format":"%s","name":"d","source":{"bytes":"%s"}}}]}]}`
	bytes := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	tests := map[string]struct{ body, want string }{
		"image":            {fmt.Sprintf(image, bytes(3_932_160)), ""},
		"image too large":  {fmt.Sprintf(image, bytes(3_932_161)), "The image at messages.0.content.1.image exceeds the maximum size of 3.75 MB."},
		"pdf":              {fmt.Sprintf(document, "pdf", bytes(4_718_592)), ""},
		"pdf too large":    {fmt.Sprintf(document, "pdf", bytes(4_718_593)), "The document at messages.0.content.1.document exceeds the maximum size of 4.5 MB."},
		"text too large":   {fmt.Sprintf(document, "txt", bytes(4_718_593)), "exceeds the maximum size of 4.5 MB."},
		"no bytes":         {fmt.Sprintf(image, ""), "'messages.1.member.content.2.member.image.source.bytes' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"text that is not": {fmt.Sprintf(document, "txt", base64.StdEncoding.EncodeToString([]byte("\xff\x00"))), ""},
	}
	for name, test := range tests {
		var c bedrock.Converse
		err := c.Decode([]byte(test.body))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// Results are found by id, whatever their order and number.
func TestEachOfManyToolUsesFindsItsResult(t *testing.T) {
	const n = 5_000
	var uses, results, tools []byte
	for i := range n {
		comma := ","[:min(i, 1)]
		uses = fmt.Appendf(uses, `%s{"toolUse":{"toolUseId":"%d","name":"t","input":{}}}`, comma, i)
		results = fmt.Appendf(results, `%s{"toolResult":{"toolUseId":"%d","content":[]}}`, comma, n-1-i)
		tools = fmt.Appendf(tools, `%s{"toolSpec":{"name":"t%d","inputSchema":{"json":{}}}}`, comma, i)
	}
	body := fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":"x"}]},{"role":"assistant","content":[%s]},{"role":"user","content":[%s]}],"toolConfig":{"tools":[%s]}}`, uses, results, tools)
	var c bedrock.Converse
	if err := c.Decode([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if got := len(c.Conversation.Messages[2].Content); got != n {
		t.Errorf("%d results", got)
	}
}

func TestDecodeForgetsTheRequestBefore(t *testing.T) {
	var c bedrock.Converse
	if err := c.Decode([]byte(`{"messages":[{"role":"user","content":[{"text":"a"}]}],"system":[{"text":"s"}],"serviceTier":{"type":"flex"},"requestMetadata":{"a":"b"},"additionalModelRequestFields":{},"toolConfig":{"tools":[{"cachePoint":{"type":"default"}}]}}`)); err != nil {
		t.Fatal(err)
	}
	if err := c.Decode([]byte(`{"messages":[{"role":"user","content":[{"text":"b"}]}]}`)); err != nil {
		t.Fatal(err)
	}
	want := bedrock.Converse{Conversation: outcrop.Conversation{Messages: []outcrop.Message{
		{Role: outcrop.RoleUser, Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text("b")}}}}}}
	same(t, &want, &c)
	if !c.Scan([]byte(shortRequest)) {
		t.Error("the common request goes the slow way")
	}
}

func TestChunksAndMetrics(t *testing.T) {
	receipt := outcrop.Receipt{Usage: outcrop.Usage{Input: 5, Output: 7}, FirstToken: 30 * time.Millisecond}
	for in, want := range map[string]string{
		`{"a":1}`: `{"a":1,"amazon-bedrock-invocationMetrics":{"inputTokenCount":5,"outputTokenCount":7,"invocationLatency":1500,"firstByteLatency":30}}`,
		`{}`:      `{"amazon-bedrock-invocationMetrics":{"inputTokenCount":5,"outputTokenCount":7,"invocationLatency":1500,"firstByteLatency":30}}`,
		`[]`:      `[]`,
		``:        ``,
	} {
		if got := string(bedrock.AppendInvocationMetrics([]byte(in), receipt, 1500*time.Millisecond)); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	receipt.Usage.CacheRead, receipt.Usage.CacheWrite = 3, 4
	chunk := bedrock.AppendInvocationMetrics([]byte(`{"a":"é"}`), receipt, time.Second)
	frame := bedrock.AppendChunk(nil, chunk)
	m, _, err := eventstream.Decode(frame)
	if err != nil || m.EventType != "chunk" || m.ContentType != "application/json" {
		t.Fatalf("%+v %v", m, err)
	}
	back, err := bedrock.ChunkBytes(nil, m.Payload)
	if err != nil || string(back) != string(chunk) {
		t.Errorf("%s, %v", back, err)
	}
	if u, ok := bedrock.InvocationMetrics(back); !ok || u != receipt.Usage {
		t.Errorf("%+v %v", u, ok)
	}
	if _, ok := bedrock.InvocationMetrics([]byte(`{"a":1}`)); ok {
		t.Error("metrics from nowhere")
	}
	for _, payload := range []string{``, `{}`, `{"bytes":7}`, `{"bytes":"?"}`} {
		if _, err := bedrock.ChunkBytes(nil, []byte(payload)); err == nil {
			t.Errorf("%q passed", payload)
		}
	}
}

func TestPaddingHidesTheLengthOfFrames(t *testing.T) {
	var f bedrock.Frames
	f.Reset(&asked)
	lengths := map[int]bool{}
	for range 1000 {
		frame := f.Append(nil, outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("x")})
		m, _, err := eventstream.Decode(frame)
		var payload struct{ P *string }
		if err != nil || json.Unmarshal(m.Payload, &payload) != nil || payload.P == nil || len(*payload.P) > 62 {
			t.Fatalf("%s %v", m.Payload, err)
		}
		lengths[len(frame)] = true
	}
	if len(lengths) < 30 {
		t.Errorf("%d different lengths in 1000 frames", len(lengths))
	}
}

func TestAppendEventKeepsThePayload(t *testing.T) {
	for _, name := range []string{"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "futureEvent"} {
		m, _, err := eventstream.Decode(bedrock.AppendEvent(nil, name, []byte(`{"p":"x"}`)))
		if err != nil || m.EventType != name || string(m.Payload) != `{"p":"x"}` {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
}

func TestAStreamWithoutItsEndIsNotDone(t *testing.T) {
	frames := []eventstream.Message{
		{MessageType: "event", EventType: "messageStart", Payload: []byte(`{"role":"assistant"}`)},
		{MessageType: "event", EventType: "contentBlockDelta", Payload: []byte(`{"delta":{"text":"x"},"contentBlockIndex":0}`)},
		{MessageType: "event", EventType: "contentBlockStop", Payload: []byte(`{"contentBlockIndex":0}`)},
		{MessageType: "event", EventType: "messageStop", Payload: []byte(`{"stopReason":"end_turn"}`)},
		{MessageType: "event", EventType: "metadata", Payload: []byte(`{"usage":{"inputTokens":1,"outputTokens":1},"metrics":{"latencyMs":1}}`)},
	}
	var d bedrock.Decoder
	for _, m := range frames {
		if d.Done() {
			t.Fatalf("done before %s", m.EventType)
		}
		if err := d.Event(m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !d.Done() {
		t.Error("not done at the end")
	}
}

// A sink whose k-th call fails.
type failing struct{ left int }

var errSink = errors.New("the caller is gone")

func (f *failing) Send(outcrop.Event) error {
	if f.left--; f.left < 0 {
		return errSink
	}
	return nil
}

func TestDecoderPassesTheSinksErrorWhateverCallFails(t *testing.T) {
	body := []byte(`{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"t","signature":"s"}}},{"text":"x"},{"toolUse":{"toolUseId":"a","name":"b","input":{}}}]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":1}}`)
	for k := range 12 {
		var d bedrock.Decoder
		if err := d.Answer(body, &failing{left: k}); !errors.Is(err, errSink) {
			t.Errorf("call %d: %v", k, err)
		}
	}
	var d bedrock.Decoder
	if err := d.Answer(body, &failing{left: 12}); err != nil {
		t.Errorf("all 12 calls: %v", err)
	}
}

func TestAnswerRefusesWhatIsNoConverseAnswer(t *testing.T) {
	for _, body := range []string{``, `{}`, `[]`, `<html>`, `{"output":{"message":{"content":[]}}}`, `{"output":{"message":{"content":{}}},"stopReason":"end_turn"}`,
		`{"output":{"message":{"content":[]}},"stopReason":"end_turn"`, `{"output":{"message":{"content":[]}},"stopReason":"end_turn","usage":{"inputTokens":"1"}}`} {
		var d bedrock.Decoder
		if err := d.Answer([]byte(body), &failing{}); !errors.Is(err, outcrop.CodeModelError) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestReplyRefusesAnAnswerWithoutEnd(t *testing.T) {
	var r bedrock.Reply
	r.Reset(&asked)
	big := outcrop.Text(strings.Repeat("x", 1<<20))
	for range 65 {
		if err := r.Send(outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: big}); err != nil {
			if !errors.Is(err, outcrop.CodeModelError) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("65 MiB were collected")
}

func TestAppendRequestMakesWhatBedrockTakes(t *testing.T) {
	c := outcrop.Conversation{
		Messages: []outcrop.Message{{Role: outcrop.RoleUser, Content: []outcrop.Block{
			{Kind: outcrop.BlockText, Text: outcrop.Text("x")},
			{Kind: outcrop.BlockDocument, Media: &outcrop.Media{Format: "pdf", Name: outcrop.Text("a_b.pdf"), Base64: outcrop.Text("AQI=")}},
			{Kind: outcrop.BlockDocument, Media: &outcrop.Media{Format: "pdf", Base64: outcrop.Text("AQI=")}},
		}}},
		Tools:     []outcrop.Tool{{Name: outcrop.Text("t")}},
		Inference: outcrop.Inference{TopK: outcrop.Number("5")},
	}
	for extra, want := range map[string]string{"": `{"top_k":5}`, " { } ": `{"top_k":5}`, `{"a":1}`: `{"top_k":5,"a":1}`, `{"top_k":9}`: `{"top_k":9}`} {
		c.Extra = outcrop.JSON(extra)
		var got bedrock.Converse
		if err := got.Decode(bedrock.AppendRequest(nil, &c, bedrock.Options{})); err != nil {
			t.Fatal(err)
		}
		k := &got.Conversation
		if string(k.Extra) != want || string(k.Tools[0].Schema) != `{"type":"object"}` {
			t.Errorf("%q: %s, %s", extra, k.Extra, k.Tools[0].Schema)
		}
		if n := k.Messages[0].Content; string(n[1].Media.Name) != "a-b-pdf" || string(n[2].Media.Name) != "document" {
			t.Errorf("%s, %s", n[1].Media.Name, n[2].Media.Name)
		}
	}
}

func TestTexts(t *testing.T) {
	if got := bedrock.ProfileOnly("x"); got != "Invocation of model ID x with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model." {
		t.Error(got)
	}
	if got := bedrock.MaxTokensExceeded(4096); got != "The maximum tokens you requested exceed the model limit of 4096. Try again with a maximum tokens value lower than 4096." {
		t.Error(got)
	}
	if got := bedrock.ErrorType(outcrop.CodeThrottling); got != "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/" {
		t.Error(got)
	}
}

func TestTheServiceAskedForIsFoundWithoutDecoding(t *testing.T) {
	for body, want := range map[string]string{
		`{"messages":[],"serviceTier":{"type":"flex"},"performanceConfig":{"latency":"optimized"}}`: "flex optimized",
		` { "serviceTier" : { "type" : "priority" } , "messages":[{"content":[{"text":"{"}]}]}`:     "priority ",
		`{"s\u0065rviceTier":{"t\u0079pe":"pri\u006frity"}}`:                                        "priority ",
		`{"serviceTier":{"type":"flex"},"serviceTier":{"type":"default","type":"priority"}}`:        "priority ",
		`{"performanceConfig":{"latency":"standard"}}`:                                              " standard",
		`{"serviceTier":{"type":"gold"}}`:                                                           "gold ",
		`{"serviceTier":{"type":7},"performanceConfig":null}`:                                       " ",
		`{"serviceTier":"flex"}`:                                                                    " ",
		`{"messages":[{"serviceTier":{"type":"flex"}}]}`:                                            " ",
		`{"system":[{"text":"{\"serviceTier\":{\"type\":\"flex\"}}"}]}`:                             " ",
		`{"serviceTier":{"type":"fl`:                                                                " ",
		`serviceTier`:                                                                               " ",
		``:                                                                                          " ",
	} {
		tier, latency := bedrock.Asked([]byte(body))
		if got := string(tier) + " " + string(latency); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestMetadataIsFoundWithoutDecoding(t *testing.T) {
	for body, want := range map[string]string{
		`{"messages":[],"requestMetadata":{"a":"b", "k" : "v" }}`:                          "v",
		` { "requestMetadata" : {"k":"\u0076"} , "messages":[{"content":[{"text":"k"}]}]}`: "v",
		`{"requestMetadata":{"k":""}}`:                                                     "",
		`{"requestMetadata":{"kk":"v"},"k":"v"}`:                                           "none",
		`{"messages":[{"requestMetadata":{"k":"v"}}]}`:                                     "none",
		`{"system":[{"text":"{\"requestMetadata\":{\"k\":\"v\"}}"}]}`:                      "none",
		`{"requestMetadata":null,"k":1}`:                                                   "none",
		`{"requestMetadata":{"k":7}}`:                                                      "none",
		`{"requestMetadata":{"k":"v`:                                                       "none",
		`{"requestMetadata":{"k"`:                                                          "none",
		`k`:                                                                                "none",
		``:                                                                                 "none",
	} {
		v, ok := bedrock.RequestMetadata([]byte(body), "k")
		if ok != (want != "none") || ok && v != want {
			t.Errorf("%s: %q %v", body, v, ok)
		}
	}
}
