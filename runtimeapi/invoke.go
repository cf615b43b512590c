package runtimeapi

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
)

// runInvoke serves InvokeModel and InvokeModelWithResponseStream.
func (x *exchange) runInvoke(ctx context.Context) error {
	x.request.Streaming = x.call.Operation == outcrop.OpInvokeModelStream
	if err := x.readInvokeHeader(); err != nil {
		return err
	}
	dialect := bodyDialect(x.target.Card.Dialect, x.call.Body)
	if slices.Contains(x.target.Speaks, dialect) || slices.Contains(x.target.Speaks, outcrop.DialectConverse) {
		return x.relayInvoke(ctx, dialect)
	}
	return x.translateInvoke(ctx, fronts[dialect])
}

// readInvokeHeader takes over what InvokeModel says in headers.
func (x *exchange) readInvokeHeader() error {
	h := &x.call.Header
	if h.Guardrail != "" {
		return outcrop.Invalid("The guardrail identifier provided in the request does not exist.")
	}
	if h.Trace != "" && !slices.Contains([]string{"ENABLED", "DISABLED", "ENABLED_FULL"}, h.Trace) {
		return outOfEnum(h.Trace, "trace", "[ENABLED, DISABLED, ENABLED_FULL]")
	}
	return x.askFor(h.Tier, "serviceTier", h.Latency, "performanceConfigLatency")
}

// askFor takes over the tier and the latency that the members ask for, where
// these are not empty.
func (x *exchange) askFor(tier, tierMember, latency, latencyMember string) error {
	if tier != "" {
		x.request.Tier = outcrop.ServiceTier(tier)
		if !slices.Contains([]string{"priority", "default", "flex", "reserved"}, tier) {
			return outOfEnum(tier, tierMember, "[priority, default, flex, reserved]")
		}
	}
	if latency != "" {
		x.request.Latency = outcrop.Latency(latency)
		if latency != "standard" && latency != "optimized" {
			return outOfEnum(latency, latencyMember, "[standard, optimized]")
		}
	}
	return nil
}

func outOfEnum(value, member, set string) error {
	if len(value) > 32 {
		value = value[:32]
	}
	return outcrop.Invalid("1 validation error detected: Value '" + value + "' at '" + member +
		"' failed to satisfy constraint: Member must satisfy enum value set: " + set)
}

// translateInvoke decodes a native body into the hub, and encodes the answer
// in the same dialect.
func (x *exchange) translateInvoke(ctx context.Context, f front) error {
	c, hints, err := f.decode(x.call.Body, x.api.options.Strict())
	x.request.Hints = hints
	if err != nil {
		return err
	}
	x.request.Conversation = c
	if err := fits(c, x.target.Card); err != nil {
		return err
	}
	if x.request.Streaming {
		return x.streamInvoke(ctx, f.chunks(&x.request))
	}
	var answer outcrop.Answer
	if err := x.invoke(ctx, &answer); err != nil {
		return err
	}
	x.out = f.answer(x.out[:0], &x.request, &answer, x.receipt)
	return x.answerInvoke(jsonType)
}

// answerInvoke sends x.out as the body of InvokeModel, with the counts that
// real Bedrock puts into headers.
func (x *exchange) answerInvoke(contentType string) error {
	u := x.receipt.Usage
	x.fields = append(x.fields,
		Field{"X-Amzn-Bedrock-Invocation-Latency", strconv.FormatInt(x.elapsed().Milliseconds(), 10)},
		Field{"X-Amzn-Bedrock-Input-Token-Count", strconv.Itoa(u.Input)},
		Field{"X-Amzn-Bedrock-Output-Token-Count", strconv.Itoa(u.Output)})
	if u.CacheRead+u.CacheWrite > 0 {
		x.fields = append(x.fields,
			Field{"X-Amzn-Bedrock-Cache-Read-Input-Token-Count", strconv.Itoa(u.CacheRead)},
			Field{"X-Amzn-Bedrock-Cache-Write-Input-Token-Count", strconv.Itoa(u.CacheWrite)})
	}
	x.servedFields()
	return x.wire.Answer(200, contentType, x.fields, x.out)
}

// servedFields tells what served a caller who asked for something special, or
// whose request spilled.
func (x *exchange) servedFields() {
	if x.request.Tier != "" || x.receipt.Spilled {
		x.fields = append(x.fields, Field{"X-Amzn-Bedrock-Service-Tier", string(servedTier(x.receipt))})
	}
	if x.request.Latency != "" {
		x.fields = append(x.fields, Field{"X-Amzn-Bedrock-Performanceconfig-Latency", string(servedLatency(x.receipt))})
	}
	x.spilledField()
}

// foretoldFields are those of servedFields that are sure before an answer has
// ended: the head of a stream leaves before it is known what served, and a tier
// or a latency that was not granted must not be promised.
func (x *exchange) foretoldFields() {
	if x.request.Tier == outcrop.TierDefault && x.request.Unit == "" {
		x.fields = append(x.fields, Field{"X-Amzn-Bedrock-Service-Tier", string(outcrop.TierDefault)})
	}
	if x.request.Latency == outcrop.LatencyStandard {
		x.fields = append(x.fields, Field{"X-Amzn-Bedrock-Performanceconfig-Latency", string(outcrop.LatencyStandard)})
	}
}

func servedTier(r outcrop.Receipt) outcrop.ServiceTier {
	if r.Tier == "" {
		return outcrop.TierDefault
	}
	return r.Tier
}

func servedLatency(r outcrop.Receipt) outcrop.Latency {
	if r.Latency == "" {
		return outcrop.LatencyStandard
	}
	return r.Latency
}

// relayInvoke passes a native body to an engine that speaks its dialect.
func (x *exchange) relayInvoke(ctx context.Context, d outcrop.Dialect) error {
	x.passNative(d)
	if !x.request.Streaming {
		return x.relayAnswer(ctx, x.answerInvoke)
	}
	s := &chunkStream{exchange: x}
	if err := x.invoke(ctx, s); err != nil {
		return err
	}
	return s.close()
}

// relayAnswer collects an engine's native body and sends it on with answer,
// or plainly if answer is nil.
func (x *exchange) relayAnswer(ctx context.Context, answer func(contentType string) error) error {
	if err := x.invoke(ctx, (*nativeBody)(x)); err != nil {
		return err
	}
	if answer != nil {
		return answer(jsonType)
	}
	x.spilledField()
	return x.wire.Answer(200, jsonType, x.fields, x.out)
}

// A nativeBody is the exchange as the sink that collects a native body.
type nativeBody exchange

// Send appends what belongs to the body.
func (s *nativeBody) Send(e outcrop.Event) error {
	if e.Kind == outcrop.EventNative {
		s.out = append(s.out, e.Text...)
	}
	return nil
}

// streamInvoke encodes events as native chunks.
func (x *exchange) streamInvoke(ctx context.Context, c chunker) error {
	s := &chunkStream{exchange: x, chunks: c}
	if err := x.invoke(ctx, s); err != nil {
		return err
	}
	c.End(x.receipt, s.emit)
	return s.close()
}

// A chunkStream is the sink of InvokeModelWithResponseStream. The last chunk
// is known only at the end and carries the metrics of the invocation, so one
// chunk of the closing ones is kept back until close.
type chunkStream struct {
	*exchange
	chunks  chunker // nil if the engine sends native chunks itself
	last    []byte
	closing bool
}

// Send frames the event's chunks; a flush writes them.
func (s *chunkStream) Send(e outcrop.Event) error {
	if e.Kind == outcrop.EventFlush {
		return s.flush()
	}
	s.fields = s.fields[:0]
	s.fields = append(s.fields, Field{"X-Amzn-Bedrock-Content-Type", jsonType})
	s.foretoldFields()
	if err := s.open(s.fields...); err != nil {
		return err
	}
	if s.chunks != nil {
		s.closing = e.Kind == outcrop.EventStop
		s.chunks.Encode(e, s.emit)
		return s.spill()
	}
	if e.Kind == outcrop.EventNative {
		s.closing = e.Final
		s.emit(e.Text)
	}
	return s.spill()
}

// emit frames one chunk, or keeps it back if it may be the last.
func (s *chunkStream) emit(chunk []byte) {
	if len(s.last) > 0 {
		s.out = bedrock.AppendChunk(s.out, s.last)
		s.last = s.last[:0]
	}
	if s.closing {
		s.last = append(s.last, chunk...)
		return
	}
	s.out = bedrock.AppendChunk(s.out, chunk)
}

var metricsMember = []byte(`"amazon-bedrock-invocationMetrics"`)

// close ends the stream with the last chunk and the metrics in it.
func (s *chunkStream) close() error {
	if len(s.last) > 0 {
		if !bytes.Contains(s.last, metricsMember) { // an engine that is Bedrock has put them in itself
			s.last = bedrock.AppendInvocationMetrics(s.last, s.receipt, s.elapsed())
		}
		s.out = bedrock.AppendChunk(s.out, s.last)
	}
	return s.wire.Write(s.out, true)
}
