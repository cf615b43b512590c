package native_test

import (
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/native"
	"github.com/outcrop/outcrop/openai"
)

// A dialect is what the doors use of each of the types of the package.
type dialect struct {
	decode func(body []byte, strict bool) (*outcrop.Conversation, []string, error)
	answer func(dst []byte, req *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte
	chunks func(req *outcrop.Request) chunker
}

type chunker interface {
	Encode(e outcrop.Event, emit func(chunk []byte))
	End(r outcrop.Receipt, emit func(chunk []byte))
}

var dialects = map[string]dialect{
	"nova":    {native.Nova{}.DecodeRequest, native.Nova{}.AppendAnswer, func(r *outcrop.Request) chunker { return native.Nova{}.NewChunks(r) }},
	"titan":   {native.Titan{}.DecodeRequest, native.Titan{}.AppendAnswer, func(r *outcrop.Request) chunker { return native.Titan{}.NewChunks(r) }},
	"llama":   {native.Llama{}.DecodeRequest, native.Llama{}.AppendAnswer, func(r *outcrop.Request) chunker { return native.Llama{}.NewChunks(r) }},
	"mistral": {native.Mistral{}.DecodeRequest, native.Mistral{}.AppendAnswer, func(r *outcrop.Request) chunker { return native.Mistral{}.NewChunks(r) }},
}

// chunked collects the answer and the chunks that the events become.
type chunked struct {
	t      *testing.T
	chunks chunker
	answer outcrop.Answer
	out    []string
}

func (c *chunked) Send(e outcrop.Event) error {
	c.chunks.Encode(e, c.emit)
	return c.answer.Send(e)
}

func (c *chunked) emit(chunk []byte) {
	if !jsonscan.Valid(chunk) {
		c.t.Errorf("not JSON: %s", chunk)
	}
	c.out = append(c.out, string(chunk))
}

// A whole exchange: the body of a caller, the chat completion that an engine
// would be sent for it, the events of the answer, and what the caller then
// gets, whole and in chunks.
func TestExchanges(t *testing.T) {
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) {
			goldens(t, name, func(t *testing.T, g *golden) { exchange(t, g, d) })
		})
	}
}

func exchange(t *testing.T, g *golden, d dialect) {
	_, strict := g.file("strict")
	c, hints, err := d.decode([]byte(g.must("body")), strict)
	if err != nil {
		g.want("want-error", err.Error())
		return
	}
	if len(hints) > 0 {
		g.want("want-hints", strings.Join(hints, "\n"))
	}
	sent, err := openai.AppendRequest(nil, c, openai.Options{Model: "m", KeepReasoning: true})
	if err != nil {
		t.Fatal(err)
	}
	g.want("want-request", string(sent))
	script, ok := g.file("events")
	if !ok {
		return
	}
	req := &outcrop.Request{ID: "id", Card: &outcrop.Card{ID: "card"}, Conversation: c}
	sink := &chunked{t: t, chunks: d.chunks(req)}
	receipt := perform(t, script, sink)
	sink.chunks.End(receipt, sink.emit)
	answer := d.answer(nil, req, &sink.answer, receipt)
	if !jsonscan.Valid(answer) {
		t.Errorf("not JSON: %s", answer)
	}
	g.want("want-answer", string(answer))
	g.want("want-chunks", strings.Join(sink.out, "\n"))
}

// perform sends the events that a script tells of: a line for each block, of
// its kind and its deltas parted by bars, and at last why the answer stopped.
func perform(t *testing.T, script string, out outcrop.Sink) outcrop.Receipt {
	send := func(e outcrop.Event) {
		if err := out.Send(e); err != nil {
			t.Fatal(err)
		}
	}
	send(outcrop.Event{Kind: outcrop.EventStart})
	index := 0
	for line := range strings.Lines(script) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if kind == "stop" {
			send(outcrop.Event{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopReason(rest)}})
			break
		}
		block := scripted[kind]
		if block == 0 {
			t.Fatalf("no such line: %s", line)
		}
		deltas := strings.Split(rest, "|")
		start := outcrop.Event{Kind: outcrop.EventBlockStart, Block: block, Index: index}
		if block == outcrop.BlockToolUse {
			start.Detail = &outcrop.Detail{ID: outcrop.Text(deltas[0]), Name: outcrop.Text(deltas[1])}
			deltas = deltas[2:]
		}
		send(start)
		for _, text := range deltas {
			of := block
			if signature, ok := strings.CutPrefix(text, "signature:"); ok {
				of, text = outcrop.BlockSignature, signature
			}
			send(outcrop.Event{Kind: outcrop.EventDelta, Block: of, Index: index, Text: outcrop.Text(text)})
		}
		send(outcrop.Event{Kind: outcrop.EventBlockStop, Block: block, Index: index})
		send(outcrop.Event{Kind: outcrop.EventFlush})
		index++
	}
	return outcrop.Receipt{Usage: outcrop.Usage{Input: 10, Output: 5, CacheRead: 2, CacheWrite: 1}}
}

var scripted = map[string]outcrop.BlockKind{
	"text": outcrop.BlockText, "tool": outcrop.BlockToolUse,
	"reasoning": outcrop.BlockReasoning, "redacted": outcrop.BlockRedacted,
}
