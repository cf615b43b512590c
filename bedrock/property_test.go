package bedrock_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/eventstream"
)

// The generators draw what is legal in a conversation.
var (
	anyText  = rapid.Custom(func(t *rapid.T) outcrop.Text { return outcrop.Quote(rapid.String().Draw(t, "text")) })
	fullText = rapid.Custom(func(t *rapid.T) outcrop.Text {
		return append(anyText.Draw(t, "text"), rapid.SampledFrom([]string{"x", `\u0041`, `\"`, "é"}).Draw(t, "tail")...)
	})
	name = rapid.Custom(func(t *rapid.T) outcrop.Text {
		return outcrop.Text(rapid.StringMatching(`[a-zA-Z0-9_-]{1,64}`).Draw(t, "name"))
	})
	object = rapid.SampledFrom([]outcrop.JSON{outcrop.JSON(`{}`), outcrop.JSON(`{"a": [1, null, "\u0041"]}`), outcrop.JSON(`{"type":"object"}`)})
	bits   = rapid.Custom(func(t *rapid.T) outcrop.Text {
		raw := rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "bytes")
		return outcrop.Text(base64.StdEncoding.EncodeToString(raw))
	})
	share = rapid.SampledFrom([]outcrop.Number{nil, outcrop.Number("0"), outcrop.Number("0.25"), outcrop.Number("1"), outcrop.Number("1.0"), outcrop.Number("2e-1")})
)

func image(t *rapid.T) outcrop.Block {
	format := rapid.SampledFrom([]string{"png", "jpeg", "gif", "webp"}).Draw(t, "format")
	return outcrop.Block{Kind: outcrop.BlockImage, Media: &outcrop.Media{Format: format, Base64: bits.Draw(t, "image")}}
}

func document(t *rapid.T) outcrop.Block {
	m := &outcrop.Media{Name: outcrop.Text(rapid.StringMatching(`[a-z]{1,20}( [0-9()-]{1,9})?`).Draw(t, "name"))}
	if rapid.Bool().Draw(t, "binary") {
		m.Format, m.Base64 = rapid.SampledFrom([]string{"pdf", "docx", "xls"}).Draw(t, "format"), bits.Draw(t, "bytes")
	} else {
		m.Format, m.Text = rapid.SampledFrom([]string{"txt", "md", "html", "csv", "pdf"}).Draw(t, "format"), fullText.Draw(t, "text")
	}
	return outcrop.Block{Kind: outcrop.BlockDocument, Media: m}
}

func textBlock(t *rapid.T) outcrop.Block {
	return outcrop.Block{Kind: outcrop.BlockText, Text: fullText.Draw(t, "block")}
}

func cachePoint(t *rapid.T) outcrop.Block {
	ttl := rapid.SampledFrom([]outcrop.Text{nil, outcrop.Text("5m"), outcrop.Text("1h")}).Draw(t, "ttl")
	return outcrop.Block{Kind: outcrop.BlockCachePoint, Text: ttl}
}

func reasoning(t *rapid.T) outcrop.Block {
	if rapid.Bool().Draw(t, "redacted") {
		return outcrop.Block{Kind: outcrop.BlockRedacted, Text: bits.Draw(t, "redacted")}
	}
	b := outcrop.Block{Kind: outcrop.BlockReasoning, Text: anyText.Draw(t, "thought")}
	if rapid.Bool().Draw(t, "signed") {
		b.Signature = fullText.Draw(t, "signature")
	}
	return b
}

// conversation draws a legal one.
func conversation(t *rapid.T) outcrop.Conversation {
	var c outcrop.Conversation
	tools := rapid.IntRange(0, 3).Draw(t, "tools")
	for i := range tools {
		tool := outcrop.Tool{Name: outcrop.Text(fmt.Sprintf("tool_%d", i)), Schema: object.Draw(t, "schema"), Strict: rapid.Bool().Draw(t, "strict")}
		if rapid.Bool().Draw(t, "described") {
			tool.Description = fullText.Draw(t, "description")
		}
		c.Tools = append(c.Tools, tool)
		if rapid.Bool().Draw(t, "point") {
			c.Tools = append(c.Tools, outcrop.Tool{CachePoint: true})
		}
	}
	if tools > 0 {
		c.ToolChoice.Kind = outcrop.ToolChoiceKind(rapid.IntRange(0, 3).Draw(t, "choice"))
		if c.ToolChoice.Kind == outcrop.ToolChoiceTool {
			c.ToolChoice.Name = c.Tools[0].Name
		}
	}
	c.Messages = turns(t, tools > 0)
	for range rapid.IntRange(0, 2).Draw(t, "system") {
		c.System = append(c.System, rapid.SampledFrom([]func(*rapid.T) outcrop.Block{textBlock, cachePoint}).Draw(t, "kind")(t))
	}
	c.Inference = outcrop.Inference{MaxTokens: rapid.IntRange(0, 5000).Draw(t, "max"), Temperature: share.Draw(t, "temperature"), TopP: share.Draw(t, "topP")}
	c.Inference.Stop = rapid.SliceOfN(fullText, 0, 3).Draw(t, "stop")
	if rapid.Bool().Draw(t, "extra") {
		c.Extra = object.Draw(t, "extra")
		c.ResponseFields = []string{"/stop_sequence", "/a~0/\"b"}
		c.Format = &outcrop.Format{Name: anyText.Draw(t, "format"), Schema: object.Draw(t, "schema")}
	}
	return c
}

// turns draws messages; each tool use is answered in the next one.
func turns(t *rapid.T, tools bool) (all []outcrop.Message) {
	var uses []outcrop.Block
	for i := range 1 + 2*rapid.IntRange(0, 2).Draw(t, "turns") {
		m := outcrop.Message{Role: outcrop.RoleUser, Content: []outcrop.Block{textBlock(t)}}
		kinds := []func(*rapid.T) outcrop.Block{textBlock, image, document, cachePoint}
		if i%2 == 1 {
			m.Role = outcrop.RoleAssistant
			kinds = []func(*rapid.T) outcrop.Block{textBlock, reasoning, cachePoint}
		}
		for _, use := range uses {
			m.Content = append(m.Content, outcrop.Block{Kind: outcrop.BlockToolResult, Result: &outcrop.ToolResult{
				ID: use.Use.ID, Error: rapid.Bool().Draw(t, "error"), Content: []outcrop.Block{textBlock(t)}}})
		}
		uses = nil
		for range rapid.IntRange(0, 1).Draw(t, "more") {
			m.Content = append(m.Content, rapid.SampledFrom(kinds).Draw(t, "kind")(t))
		}
		for j := range rapid.IntRange(0, 2).Draw(t, "uses") {
			if tools && m.Role == outcrop.RoleAssistant {
				uses = append(uses, outcrop.Block{Kind: outcrop.BlockToolUse, Use: &outcrop.ToolUse{
					ID: outcrop.Text(fmt.Sprintf("use_%d_%d", i, j)), Name: name.Draw(t, "tool"), Input: object.Draw(t, "input")}})
			}
		}
		m.Content = append(m.Content, uses...)
		all = append(all, m)
	}
	return all
}

func TestDecodeReadsWhatAppendRequestWrote(t *testing.T) {
	var got bedrock.Converse // reused, as servers do
	rapid.Check(t, func(t *rapid.T) {
		c := conversation(t)
		o := bedrock.Options{
			Tier:     rapid.SampledFrom([]outcrop.ServiceTier{"", outcrop.TierFlex}).Draw(t, "tier"),
			Latency:  rapid.SampledFrom([]outcrop.Latency{"", outcrop.LatencyOptimized}).Draw(t, "latency"),
			Metadata: rapid.SampledFrom([][]outcrop.Metadata{nil, {{Key: "a b", Value: "c"}, {Key: "d", Value: ""}}}).Draw(t, "metadata"),
		}
		body := bedrock.AppendRequest(nil, &c, o)
		if err := got.Decode(body); err != nil {
			t.Fatalf("%s\n%v", body, err)
		}
		want := bedrock.Converse{Conversation: c, Tier: o.Tier, Latency: o.Latency, Metadata: o.Metadata}
		same(t, &want, &got)
	})
}

// answer draws the events of an answer as the contract of EventKind has them,
// without adjoining deltas of one kind so that it equals its collected form.
func answer(t *rapid.T) (events []outcrop.Event) {
	events = append(events, outcrop.Event{Kind: outcrop.EventStart})
	for i := range rapid.IntRange(0, 4).Draw(t, "blocks") {
		kind := rapid.SampledFrom([]outcrop.BlockKind{outcrop.BlockText, outcrop.BlockToolUse, outcrop.BlockReasoning}).Draw(t, "kind")
		start := outcrop.Event{Kind: outcrop.EventBlockStart, Block: kind, Index: i}
		delta := outcrop.Event{Kind: outcrop.EventDelta, Block: kind, Index: i, Text: fullText.Draw(t, "delta")}
		if kind == outcrop.BlockToolUse {
			start.Detail = &outcrop.Detail{ID: name.Draw(t, "id"), Name: name.Draw(t, "name")}
			delta.Text = outcrop.Quote(string(object.Draw(t, "input")))
		}
		events = append(events, start, delta)
		if kind == outcrop.BlockReasoning && rapid.Bool().Draw(t, "signed") {
			events = append(events, outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockSignature, Index: i, Text: fullText.Draw(t, "signature")})
		}
		events = append(events, outcrop.Event{Kind: outcrop.EventBlockStop, Block: kind, Index: i})
	}
	stop := outcrop.Event{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: rapid.SampledFrom([]outcrop.StopReason{outcrop.StopEndTurn, outcrop.StopSequence, "guardrail_intervened"}).Draw(t, "stop")}}
	if rapid.Bool().Draw(t, "sequence") {
		stop.Detail.StopSequence = fullText.Draw(t, "sequence")
	}
	return append(events, stop)
}

// A recorder keeps copies of the events it is sent.
type recorder struct{ events []outcrop.Event }

func (r *recorder) Send(e outcrop.Event) error {
	e.Text = e.Text.Clone()
	if d := e.Detail; d != nil { // without Extra: the asked-for fields come back in it, which is told apart
		e.Detail = &outcrop.Detail{Stop: d.Stop, ID: d.ID.Clone(), Name: d.Name.Clone(), StopSequence: d.StopSequence.Clone()}
	}
	r.events = append(r.events, e)
	return nil
}

var asked = outcrop.Request{Conversation: &outcrop.Conversation{ResponseFields: []string{"/stop_sequence"}}, Tier: outcrop.TierFlex}

var served = outcrop.Receipt{Usage: outcrop.Usage{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4}, Tier: outcrop.TierPriority, Latency: outcrop.LatencyOptimized}

func checkServed(t *rapid.T, d *bedrock.Decoder, stop outcrop.StopReason) {
	tier, latency := d.Served()
	if d.Usage() != served.Usage || tier != served.Tier || latency != served.Latency || d.Stop() != stop || !d.Done() {
		t.Errorf("usage %v, served %v %v, stop %v, done %v", d.Usage(), tier, latency, d.Stop(), d.Done())
	}
}

func TestDecoderReadsWhatFramesWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := answer(t)
		f := bedrock.Frames{NoPadding: rapid.Bool().Draw(t, "plain")}
		f.Reset(&asked)
		var wire []byte
		for _, e := range events {
			wire = f.Append(wire, e)
		}
		wire = f.End(wire, served, time.Second)
		var d bedrock.Decoder
		var got recorder
		for len(wire) > 0 {
			m, n, err := eventstream.Decode(wire)
			if err != nil || n == 0 {
				t.Fatalf("frame: %v", err)
			}
			if err := d.Event(m, &got); err != nil {
				t.Fatalf("%s: %v", m.Payload, err)
			}
			wire = wire[n:]
		}
		if diff := cmp.Diff(events, got.events, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-sent +got\n%s", diff)
		}
		checkServed(t, &d, events[len(events)-1].More().Stop)
	})
}

func TestDecoderReadsWhatReplyWrote(t *testing.T) {
	var reply bedrock.Reply
	rapid.Check(t, func(t *rapid.T) {
		events := answer(t)
		reply.Reset(&asked)
		var want, got outcrop.Answer
		for _, e := range events {
			if err := reply.Send(e); err != nil {
				t.Fatal(err)
			}
			_ = want.Send(e)
		}
		body := reply.End(nil, served, time.Second)
		var d bedrock.Decoder
		if err := d.Answer(body, &got); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		got.Extra = nil
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-sent +got\n%s", diff)
		}
		checkServed(t, &d, want.Stop)
	})
}
