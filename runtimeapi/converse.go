package runtimeapi

import (
	"context"
	"slices"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
)

// runConverse serves Converse and ConverseStream.
func (x *exchange) runConverse(ctx context.Context) error {
	x.request.Streaming = x.call.Operation == outcrop.OpConverseStream
	if slices.Contains(x.target.Speaks, outcrop.DialectConverse) {
		return x.relayConverse(ctx)
	}
	if err := x.converse.Decode(x.call.Body); err != nil {
		return err
	}
	c := &x.converse
	x.request.Conversation = &c.Conversation
	x.request.Tier, x.request.Latency, x.request.Metadata = c.Tier, c.Latency, c.Metadata
	if err := x.readSpillEntry(); err != nil {
		return err
	}
	if err := fits(&c.Conversation, x.target.Card); err != nil {
		return err
	}
	if x.request.Streaming {
		return x.streamConverse(ctx)
	}
	return x.answerConverse(ctx)
}

// answerConverse invokes the model and answers with the whole of what it
// said.
func (x *exchange) answerConverse(ctx context.Context) error {
	x.reply.Reset(&x.request)
	if err := x.invoke(ctx, &x.reply); err != nil {
		return err
	}
	x.out = x.reply.End(x.out[:0], x.receipt, x.elapsed())
	x.spilledField()
	return x.wire.Answer(200, jsonType, x.fields, x.out)
}

// firstFrames is room for the frames of a stream that trickles.
const firstFrames = 512 // bytes

// streamConverse invokes the model and answers with its events as they come.
func (x *exchange) streamConverse(ctx context.Context) error {
	x.frames.Reset(&x.request)
	x.out = slices.Grow(x.out[:0], firstFrames)
	if err := x.invoke(ctx, (*converseStream)(x)); err != nil {
		return err
	}
	return x.endConverse()
}

func (x *exchange) endConverse() error {
	x.out = x.frames.End(x.out, x.receipt, x.elapsed())
	return x.wire.Write(x.out, true)
}

// A converseStream is the exchange as the sink of a ConverseStream.
type converseStream exchange

// Send appends the event's frames; a flush writes them.
func (s *converseStream) Send(e outcrop.Event) error {
	x := (*exchange)(s)
	if e.Kind == outcrop.EventFlush {
		return x.flush()
	}
	if err := x.open(); err != nil {
		return err
	}
	x.out = x.frames.Append(x.out, e)
	return x.spill()
}

// open commits to a 200 with the first event.
func (x *exchange) open(fields ...Field) error {
	if x.streamed {
		return nil
	}
	x.streamed = true
	return x.wire.Begin(fields)
}

// flush writes the frames that have gathered.
func (x *exchange) flush() error {
	if len(x.out) == 0 {
		return nil
	}
	err := x.wire.Write(x.out, false)
	x.out = x.out[:0]
	return err
}

// maxGathered is how much may gather between two flushes.
const maxGathered = 64 << 10

func (x *exchange) spill() error {
	if len(x.out) < maxGathered {
		return nil
	}
	return x.flush()
}

// relayConverse passes the body to an engine that speaks Converse itself, and
// its answer back, both untouched.
func (x *exchange) relayConverse(ctx context.Context) error {
	if err := x.readRelayedSpillEntry(); err != nil {
		return err
	}
	if err := x.readRelayedService(); err != nil {
		return err
	}
	x.passNative(outcrop.DialectConverse)
	if !x.request.Streaming {
		return x.relayAnswer(ctx, nil)
	}
	if err := x.invoke(ctx, (*relayStream)(x)); err != nil {
		return err
	}
	return x.wire.Write(x.out, true)
}

// readRelayedService takes over the service that a body which is not decoded
// asks for, by which it is limited and scheduled.
func (x *exchange) readRelayedService() error {
	tier, latency := bedrock.Asked(x.call.Body)
	return x.askFor(string(tier), "serviceTier.type", string(latency), "performanceConfig.latency")
}

// passNative makes the request carry the caller's body as it is.
func (x *exchange) passNative(d outcrop.Dialect) {
	x.native = outcrop.Native{Dialect: d, ContentType: x.call.Header.ContentType, Accept: x.call.Header.Accept, Body: x.call.Body}
	x.request.Native = &x.native
}

// A relayStream is the exchange as the sink of a ConverseStream whose frames
// come from an engine that speaks Converse: each event names its type, and
// its payload passes untouched.
type relayStream exchange

// Send frames one payload again; a flush writes.
func (s *relayStream) Send(e outcrop.Event) error {
	x := (*exchange)(s)
	if e.Kind == outcrop.EventFlush {
		return x.flush()
	}
	if e.Kind != outcrop.EventNative {
		return nil
	}
	if err := x.open(); err != nil {
		return err
	}
	x.out = bedrock.AppendEvent(x.out, string(e.More().Name), e.Text)
	return x.spill()
}
