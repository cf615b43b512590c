package upstream_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A speaker is one way of talking to an engine: a dialect, and whether bodies
// pass untouched.
type speaker struct {
	name   string
	engine func(t testing.TB, s upstream.Server) engine
	native *outcrop.Native
	stream string // a whole answer of the engine, streamed
	unary  string // and not streamed
	text   string // what the answer says; empty for native bodies
	usage  outcrop.Usage
	header http.Header // of a unary answer
}

type engine interface {
	outcrop.Model
	outcrop.Counter
	Close()
}

const openaiStream = `data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" you"},"finish_reason":null}]}

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}

data: [DONE]

`

const openaiUnary = `{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello you"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`

const anthropicStream = `event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","usage":{"input_tokens":9,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" you"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

`

const anthropicUnary = `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hello you"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":2}}`

func newOpenAI(t testing.TB, s upstream.Server) engine {
	e, err := upstream.NewOpenAI(upstream.OpenAIConfig{Server: s, Model: "m", Key: "sk-1", Tokenizer: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func newAnthropic(t testing.TB, s upstream.Server) engine {
	e, err := upstream.NewAnthropic(upstream.AnthropicConfig{Server: s, Model: "m", Key: "sk-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func newBedrock(t testing.TB, s upstream.Server) engine {
	e, err := upstream.NewBedrock(upstream.BedrockConfig{Server: s, Model: "arn:aws:bedrock:us-east-1::foundation-model/x.y-v1:0", Region: "us-east-1", AccessKey: "AKID", SecretKey: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

const bedrockUnary = `{"output":{"message":{"role":"assistant","content":[{"text":"Hello you"}]}},"stopReason":"end_turn","usage":{"inputTokens":9,"outputTokens":2,"totalTokens":11},"metrics":{"latencyMs":5},"serviceTier":{"type":"flex"},"performanceConfig":{"latency":"optimized"}}`

// bedrockStream is a ConverseStream with the padding that Bedrock puts in.
var bedrockStream = frames(
	"messageStart", `{"role":"assistant","p":"abc"}`,
	"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"Hello"},"p":"abcdefghijkl"}`,
	"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":" you"},"p":"ab"}`,
	"contentBlockStop", `{"contentBlockIndex":0,"p":"abcd"}`,
	"messageStop", `{"stopReason":"end_turn","p":"abcdefgh"}`,
	"metadata", `{"usage":{"inputTokens":9,"outputTokens":2,"totalTokens":11},"metrics":{"latencyMs":5},"serviceTier":{"type":"flex"},"p":"a"}`,
)

func frames(typesAndPayloads ...string) string {
	var b []byte
	for i := 0; i < len(typesAndPayloads); i += 2 {
		b = bedrock.AppendEvent(b, typesAndPayloads[i], []byte(typesAndPayloads[i+1]))
	}
	return string(b)
}

var invokeStream = chunks(
	`{"type":"message_start","message":{"usage":{"input_tokens":9}}}`,
	`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}`,
	`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" you"}}`,
	`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}`,
	`{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":9,"outputTokenCount":2,"invocationLatency":5,"firstByteLatency":2}}`,
)

func chunks(all ...string) string {
	var b []byte
	for _, c := range all {
		b = bedrock.AppendChunk(b, []byte(c))
	}
	return string(b)
}

var counted = outcrop.Usage{Input: 9, Output: 2}

var speakers = []speaker{
	{name: "openai", engine: newOpenAI, stream: openaiStream, unary: openaiUnary, text: "Hello you", usage: counted},
	{name: "anthropic", engine: newAnthropic, stream: anthropicStream, unary: anthropicUnary, text: "Hello you", usage: counted},
	{
		name: "openai native", engine: newOpenAI, stream: openaiStream, unary: openaiUnary, usage: counted,
		native: &outcrop.Native{Dialect: outcrop.DialectOpenAI, Body: []byte(`{"messages":[{"role":"user","content":"q"}]}`)},
	},
	{
		name: "anthropic native", engine: newAnthropic, stream: anthropicStream, unary: anthropicUnary, usage: counted,
		native: &outcrop.Native{Dialect: outcrop.DialectAnthropic, Body: []byte(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"q"}]}`)},
	},
	{name: "bedrock", engine: newBedrock, stream: bedrockStream, unary: bedrockUnary, text: "Hello you", usage: counted},
	{
		name: "bedrock native", engine: newBedrock, stream: bedrockStream, unary: bedrockUnary, usage: counted,
		native: &outcrop.Native{Dialect: outcrop.DialectConverse, Body: []byte(`{"messages":[{"role":"user","content":[{"text":"q"}]}]}`)},
	},
	{
		name: "bedrock invoke", engine: newBedrock, stream: invokeStream, unary: anthropicUnary, usage: counted,
		header: http.Header{
			"X-Amzn-Bedrock-Input-Token-Count": {"9"}, "X-Amzn-Bedrock-Output-Token-Count": {"2"},
			"X-Amzn-Bedrock-Service-Tier": {"flex"}, "X-Amzn-Bedrock-PerformanceConfig-Latency": {"optimized"},
		},
		native: &outcrop.Native{Dialect: outcrop.DialectAnthropic, Body: []byte(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"q"}]}`)},
	},
}

// half is where in the stream some of the answer has come, and not all.
func (s *speaker) half() int {
	if i := strings.LastIndex(s.stream, " you"); i > 0 {
		return i
	}
	return len(s.stream) * 6 / 10
}

// request returns a request of the speaker. prompt decides how the scripted
// engine behaves.
func (s *speaker) request(prompt string, streaming bool) *outcrop.Request {
	r := &outcrop.Request{
		ID: "11112222-3333-4444-5555-666677778888", Operation: outcrop.OpConverse, Streaming: streaming,
		Principal: &outcrop.Principal{}, ModelID: "x.y", Card: &outcrop.Card{ID: "x.y", MaxOutput: 100},
	}
	if s.native != nil {
		n := *s.native
		n.Body = []byte(strings.Replace(string(n.Body), `"q"`, `"`+prompt+`"`, 1))
		r.Native = &n
		return r
	}
	r.Conversation = &outcrop.Conversation{Messages: []outcrop.Message{{
		Role: outcrop.RoleUser, Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text(prompt)}},
	}}}
	return r
}

// answer is the reply with the speaker's whole answer.
func (s *speaker) answer(streaming bool, f outcroptest.Framing) outcroptest.Reply {
	if streaming {
		return outcroptest.Reply{Body: []byte(s.stream), Framing: f, Header: http.Header{"Content-Type": {"text/event-stream"}}}
	}
	header := http.Header{"Content-Type": {"application/json"}}
	for k, v := range s.header {
		header[k] = v
	}
	return outcroptest.Reply{Body: []byte(s.unary), Framing: f, Header: header}
}

// start starts the engine, and a server that answers each call with reply.
func (s *speaker) start(t testing.TB, reply outcroptest.Reply) (engine, *outcroptest.Engine) {
	fake := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply { return reply })
	return s.engine(t, upstream.Server{Name: "fake", URL: fake.URL}), fake
}

func eachSpeaker(t *testing.T, run func(t *testing.T, s *speaker)) {
	for i := range speakers {
		t.Run(speakers[i].name, func(t *testing.T) { run(t, &speakers[i]) })
	}
}

// short is for a timeout that an engine which stays silent lets pass.
const short = 50 * time.Millisecond

func isStream(c outcroptest.Call) bool {
	return strings.Contains(string(c.Body), `"stream":true`) || strings.Contains(c.Target, "stream")
}
