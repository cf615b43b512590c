package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// settings say how an answer is to be.
type settings struct {
	first, gap   time.Duration
	events, size int
}

// named returns the settings with what the model's name overrides.
func (s settings) named(model string) settings {
	for _, f := range strings.Split(model, "-") {
		if len(f) < 2 {
			continue
		}
		v, err := strconv.Atoi(f[1:])
		if err != nil || v < 0 {
			continue
		}
		switch f[0] {
		case 't':
			s.first = time.Duration(v) * time.Millisecond
		case 'g':
			s.gap = time.Duration(v) * time.Millisecond
		case 'n':
			s.events = min(max(v, 1), 1<<16)
		case 's':
			s.size = min(v, 1<<24)
		}
	}
	return s
}

// A shape is a model's answer, rendered once.
type shape struct {
	settings
	openai, anthropic wire
}

// A wire is an answer in one dialect.
type wire struct {
	unary   []byte   // the whole HTTP answer
	head    []byte   // stream: response header and what comes before the content
	content [][]byte // stream: content events, each one HTTP chunk
	stamp   int      // offset of the 16 hex digits in a content event, -1 for none
	stop    []byte   // stream: what comes after the content
	usage   []byte   // stream: the event with usage, where the client asks for it
	done    []byte   // stream: the end
}

func render(model string, s settings) *shape {
	return &shape{settings: s, openai: openai(model, s), anthropic: anthropic(model, s)}
}

func openai(model string, s settings) (w wire) {
	usage := fmt.Sprintf(`{"prompt_tokens":256,"completion_tokens":%d,"total_tokens":%d}`, s.events, 256+s.events)
	const id = `"id":"chatcmpl-mock","created":1700000000`
	w.unary = answer("200 OK", fmt.Sprintf(`{%s,"object":"chat.completion","model":%q,"choices":[{"index":0,`+
		`"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":%s}`, id, model, text(s.size), usage))
	event := func(rest string) []byte {
		return chunk(fmt.Sprintf("data: {%s,\"object\":\"chat.completion.chunk\",\"model\":%q,%s}\n\n", id, model, rest))
	}
	choice := func(delta, finish string) []byte {
		return event(fmt.Sprintf(`"choices":[{"index":0,"delta":%s,"finish_reason":%s}]`, delta, finish))
	}
	w.head = append([]byte(streamHead), choice(`{"role":"assistant","content":""}`, "null")...)
	w.fill(s, func(text string) []byte { return choice(fmt.Sprintf(`{"content":%q}`, text), "null") })
	w.stop = choice(`{}`, `"stop"`)
	w.usage = event(`"choices":[],"usage":` + usage)
	w.done = append(chunk("data: [DONE]\n\n"), lastChunk...)
	return w
}

func anthropic(model string, s settings) (w wire) {
	w.unary = answer("200 OK", fmt.Sprintf(`{"id":"msg_mock","type":"message","role":"assistant","model":%q,`+
		`"content":[{"type":"text","text":%q}],"stop_reason":"end_turn","stop_sequence":null,`+
		`"usage":{"input_tokens":256,"output_tokens":%d}}`, model, text(s.size), s.events))
	event := func(name, rest string) []byte {
		return chunk(fmt.Sprintf("event: %s\ndata: {\"type\":%q%s}\n\n", name, name, rest))
	}
	w.head = append([]byte(streamHead), event("message_start", fmt.Sprintf(`,"message":{"id":"msg_mock","type":"message",`+
		`"role":"assistant","model":%q,"content":[],"stop_reason":null,"stop_sequence":null,`+
		`"usage":{"input_tokens":256,"output_tokens":1}}`, model))...)
	w.head = append(w.head, event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)...)
	w.fill(s, func(text string) []byte {
		return event("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"text_delta","text":%q}`, text))
	})
	w.stop = event("content_block_stop", `,"index":0`)
	w.stop = append(w.stop, event("message_delta", fmt.Sprintf(
		`,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":%d}`, s.events))...)
	w.done = append(event("message_stop", ""), lastChunk...)
	return w
}

// fill renders the content events.
func (w *wire) fill(s settings, event func(text string) []byte) {
	w.stamp = -1
	piece := text(max(s.size/s.events, 1))
	if s.gap > 0 {
		piece = "@0000000000000000" + text(max(s.size/s.events-17, 1))
	}
	for range s.events {
		w.content = append(w.content, event(piece))
	}
	if s.gap > 0 {
		w.stamp = bytes.Index(w.content[0], []byte("@0000")) + 1
	}
}

const filler = "The quick brown fox jumps over the lazy dog while tokens flow. "

// text is n bytes of it.
func text(n int) string { return strings.Repeat(filler, n/len(filler)+1)[:n] }

// stamp writes v as 16 hex digits.
func stamp(dst []byte, v uint64) {
	const hex = "0123456789abcdef"
	for i := 15; i >= 0; i-- {
		dst[i] = hex[v&15]
		v >>= 4
	}
}
