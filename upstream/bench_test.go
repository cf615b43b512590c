package upstream_test

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/upstream"
)

// plainEngine answers each request on each connection with the same bytes and
// allocates nothing per request, so that what a benchmark counts is ours.
func plainEngine(b testing.TB, answer []byte) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(c, answer)
		}
	}()
	return "http://" + ln.Addr().String()
}

func answerAll(c net.Conn, answer []byte) {
	defer c.Close()
	buf := make([]byte, 256<<10)
	n := 0
	for {
		m, err := c.Read(buf[n:])
		if n += m; err != nil {
			return
		}
		head := bytes.Index(buf[:n], []byte("\r\n\r\n"))
		if head < 0 {
			continue
		}
		const name = "Content-Length: "
		at := bytes.Index(buf[:head], []byte(name)) + len(name)
		length := 0
		for ; buf[at] != '\r'; at++ {
			length = length*10 + int(buf[at]-'0')
		}
		if n < head+4+length {
			continue
		}
		n = 0
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func withHead(kind, body string) []byte {
	return []byte("HTTP/1.1 200 OK\r\ncontent-type: " + kind + "\r\ncontent-length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

// chunked is a stream as vLLM frames it, one chunk for each event.
func chunked(stream string) []byte {
	out := []byte("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n")
	for event := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		event += "\n\n"
		out = append(out, strconv.FormatInt(int64(len(event)), 16)+"\r\n"+event+"\r\n"...)
	}
	return append(out, "0\r\n\r\n"...)
}

type drop struct{ events int }

func (d *drop) Send(outcrop.Event) error { d.events++; return nil }

func openai64() string {
	var s strings.Builder
	for range 64 {
		s.WriteString(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}` + "\n\n")
	}
	return s.String() + openaiStream[strings.Index(openaiStream, `data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},`):]
}

func anthropic64() string {
	const delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" you\"}}\n\n"
	return strings.Replace(anthropicStream, delta, strings.Repeat(delta, 64), 1)
}

func BenchmarkInvoke(b *testing.B) {
	long := strings.Repeat("words of a prompt ", 57) // about 1 KB
	answer := strings.Replace(openaiUnary, "Hello you", long, 1)
	frames := string(bedrockStream)
	for _, c := range []struct {
		name      string
		s         *speaker
		streaming bool
		answer    []byte
	}{
		{"openai-unary-1k", &speakers[0], false, withHead("application/json", answer)},
		{"openai-stream-64", &speakers[0], true, chunked(openai64())},
		{"openai-native-unary-1k", &speakers[2], false, withHead("application/json", answer)},
		{"openai-native-stream-64", &speakers[2], true, chunked(openai64())},
		{"anthropic-unary-1k", &speakers[1], false, withHead("application/json", strings.Replace(anthropicUnary, "Hello you", long, 1))},
		{"anthropic-stream-64", &speakers[1], true, chunked(anthropic64())},
		{"bedrock-unary-1k", &speakers[4], false, withHead("application/json", strings.Replace(bedrockUnary, "Hello you", long, 1))},
		{"bedrock-stream", &speakers[4], true, withHead("application/vnd.amazon.eventstream", frames)},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := c.s.engine(b, upstream.Server{Name: "fake", URL: plainEngine(b, c.answer)})
			req := c.s.request(long, c.streaming)
			var out drop
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Invoke(b.Context(), req, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What an invocation allocates is h1's answer and its watch over the context.
func TestInvocationsAllocateLittle(t *testing.T) {
	if raced {
		t.Skip("allocations cannot be counted under the race detector")
	}
	for _, c := range []struct {
		s         *speaker
		streaming bool
		answer    []byte
		most      float64
	}{
		{&speakers[0], false, withHead("application/json", openaiUnary), 4},
		{&speakers[0], true, chunked(openai64()), 5},
		{&speakers[1], true, chunked(anthropic64()), 5},
	} {
		e := c.s.engine(t, upstream.Server{Name: "fake", URL: plainEngine(t, c.answer)})
		req := c.s.request("q", c.streaming)
		var out drop
		got := testing.AllocsPerRun(200, func() {
			if _, err := e.Invoke(t.Context(), req, &out); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.most {
			t.Errorf("%s, streaming %v: %v allocations an invocation, want at most %v", c.s.name, c.streaming, got, c.most)
		}
		e.Close()
	}
}
