package bedrock_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/eventstream"
)

// events are those of a short streamed answer.
var events = []outcrop.Event{
	{Kind: outcrop.EventStart},
	{Kind: outcrop.EventBlockStart, Block: outcrop.BlockText},
	{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("Hello, ")},
	{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("world")},
	{Kind: outcrop.EventBlockStop, Block: outcrop.BlockText},
	{Kind: outcrop.EventBlockStart, Block: outcrop.BlockToolUse, Index: 1, Detail: &outcrop.Detail{ID: outcrop.Text("a"), Name: outcrop.Text("b")}},
	{Kind: outcrop.EventDelta, Block: outcrop.BlockToolUse, Index: 1, Text: outcrop.Text(`{\"a\":1}`)},
	{Kind: outcrop.EventBlockStop, Block: outcrop.BlockToolUse, Index: 1},
	{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopToolUse}},
	{Kind: outcrop.EventFlush},
}

var plain = outcrop.Request{Conversation: &outcrop.Conversation{}}

func TestTheHotPathAllocatesNothing(t *testing.T) {
	var c bedrock.Converse
	var f bedrock.Frames
	var r bedrock.Reply
	var d bedrock.Decoder
	buffer := make([]byte, 0, 64<<10)
	request := []byte(shortRequest)
	payload := []byte(`{"contentBlockIndex":0,"delta":{"text":"Hello"},"p":"abc"}`)
	exact := map[string]func(){
		"scan": func() { c.Scan(request) },
		"frames": func() {
			f.Reset(&plain)
			out := buffer
			for _, e := range events {
				out = f.Append(out, e)
			}
			f.End(out, served, time.Second)
		},
		"reply": func() {
			r.Reset(&plain)
			for _, e := range events {
				_ = r.Send(e)
			}
			r.End(buffer, served, time.Second)
		},
		"chunk": func() { bedrock.AppendChunk(buffer, request) },
		"event": func() { _ = d.Event(eventstream.Message{EventType: "contentBlockDelta", Payload: payload}, nil) },
	}
	for name, run := range exact {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func sized(n int) []byte {
	return []byte(strings.Replace(shortRequest, "What is", strings.Repeat("lorem ipsum ", n/12)+"What is", 1))
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1 << 10, 8 << 10, 128 << 10} {
		body := sized(n)
		for name, decode := range map[string]func(*bedrock.Converse) error{
			"common": func(c *bedrock.Converse) error { return c.Decode(body) },
			"typed":  func(c *bedrock.Converse) error { return c.Typed(body) },
		} {
			b.Run(fmt.Sprintf("%s/%dKB", name, n>>10), func(b *testing.B) {
				var c bedrock.Converse
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if err := decode(&c); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkFrames(b *testing.B) {
	delta := outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text(" token")}
	for _, plain := range []bool{false, true} {
		b.Run(fmt.Sprintf("delta/padding=%v", !plain), func(b *testing.B) {
			f := bedrock.Frames{NoPadding: plain}
			f.Reset(&asked)
			buffer := make([]byte, 0, 1<<10)
			b.ReportAllocs()
			for b.Loop() {
				buffer = f.Append(buffer[:0], delta)
			}
		})
	}
}

func BenchmarkReply(b *testing.B) {
	var r bedrock.Reply
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(&plain)
		for _, e := range events {
			_ = r.Send(e)
		}
		out = r.End(out[:0], served, time.Second)
	}
}

func BenchmarkEvent(b *testing.B) {
	m := eventstream.Message{EventType: "contentBlockDelta", Payload: []byte(`{"contentBlockIndex":0,"delta":{"text":"Hello"},"p":"abcdefgh"}`)}
	var d bedrock.Decoder
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Event(m, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendChunk(b *testing.B) {
	chunk := []byte(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}`)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = bedrock.AppendChunk(out[:0], chunk)
	}
}
