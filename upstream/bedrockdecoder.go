package upstream

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/eventstream"
	"github.com/outcrop/outcrop/h1"
	"github.com/outcrop/outcrop/jsonscan"
)

// bedrockDecoder decodes translated and native answers of Bedrock's runtime.
type bedrockDecoder struct {
	d      bedrock.Decoder
	frames eventstream.Reader
	native outcrop.Dialect // 0 for a conversation
	n      outcome         // of native bodies that are not Converse's
	order  ordered
	chunk  []byte
	detail outcrop.Detail // with chunk as its name
	began  bool
}

func (d *bedrockDecoder) reset(req *outcrop.Request) {
	d.d.Reset()
	d.frames.Reset()
	d.order.reset()
	d.native, d.n, d.chunk, d.began = 0, outcome{}, d.chunk[:0], false
	if req.Native != nil {
		d.native = req.Native.Dialect
	}
}

// invoke reports whether the answer is that of InvokeModel.
func (d *bedrockDecoder) invoke() bool { return d.native != 0 && d.native != outcrop.DialectConverse }

// accept reads what Bedrock tells of an invocation in the header.
func (d *bedrockDecoder) accept(resp *h1.Response) {
	if !d.invoke() {
		return
	}
	d.n.tier = outcrop.ServiceTier(word(resp.Header("x-amzn-bedrock-service-tier")))
	d.n.latency = outcrop.Latency(word(resp.Header("x-amzn-bedrock-performanceconfig-latency")))
	count := func(name string, to *int) bool {
		n, err := strconv.Atoi(resp.Header("x-amzn-bedrock-" + name + "-token-count"))
		if err == nil && n >= 0 {
			*to = n
		}
		return err == nil
	}
	u := &d.n.usage
	d.n.metered = count("input", &u.Input)
	count("output", &u.Output)
	count("cache-read-input", &u.CacheRead)
	count("cache-write-input", &u.CacheWrite)
}

// word is s if it can be one of Bedrock's words, else empty.
func word(s string) string {
	if len(s) > 32 || strings.ContainsFunc(s, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return ""
	}
	return strings.Clone(s)
}

func (d *bedrockDecoder) refusal(name string, resp *h1.Response, body []byte) *outcrop.Error {
	return failure(name, resp, body)
}

func (d *bedrockDecoder) outcome() outcome {
	if d.invoke() {
		return d.n
	}
	tier, latency := d.d.Served()
	u := d.d.Usage()
	return outcome{
		usage: u, metered: u != outcrop.Usage{}, began: d.began, done: d.d.Done(), stop: d.d.Stop(),
		tier: outcrop.ServiceTier(word(string(tier))), latency: outcrop.Latency(word(string(latency))),
	}
}

func (d *bedrockDecoder) answer(body []byte, out outcrop.Sink) error {
	switch {
	case d.native == 0:
		d.order.out = out
		if err := d.d.Answer(body, &d.order); err != nil {
			return err
		}
		return d.order.release()
	case d.invoke():
		if !jsonscan.Valid(body) {
			return errMalformed()
		}
		d.n.stop = stopReason(body)
		d.n.done = true
	default:
		if err := d.d.Answer(body, nil); err != nil {
			return err
		}
	}
	d.n.began, d.began = true, true
	return out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: body, Final: true})
}

func errMalformed() error {
	return &outcrop.Error{Code: outcrop.CodeModelStream, Message: "The model's answer is malformed."}
}

func (d *bedrockDecoder) fill(src io.Reader) error { return d.frames.Fill(src) }

func (d *bedrockDecoder) next(out outcrop.Sink) (bool, error) {
	m, ok := d.frames.Next()
	switch {
	case !ok:
		return false, nil
	case m.MessageType != "event" || d.native == 0:
		d.order.out = out
		if err := d.d.Event(m, &d.order); err != nil || !d.d.Done() {
			return true, err
		}
		return true, d.order.release()
	case d.invoke():
		return true, d.nativeChunk(m, out)
	}
	return true, d.nativeEvent(m, out)
}

// nativeEvent passes one event of ConverseStream.
func (d *bedrockDecoder) nativeEvent(m eventstream.Message, out outcrop.Sink) error {
	if !jsonscan.Valid(m.Payload) || !jsonscan.Clean([]byte(m.EventType)) {
		return errMalformed()
	}
	if err := d.d.Event(m, nil); err != nil {
		return err
	}
	d.began = d.began || m.EventType == "contentBlockDelta"
	d.chunk = append(d.chunk[:0], m.EventType...)
	d.detail.Name = d.chunk
	return out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: m.Payload, Final: d.d.Done(), Detail: &d.detail})
}

// nativeChunk passes one chunk of InvokeModelWithResponseStream. The last one
// of every model holds the invocation's metrics.
func (d *bedrockDecoder) nativeChunk(m eventstream.Message, out outcrop.Sink) error {
	if m.EventType != "chunk" {
		return nil
	}
	var err error
	if d.chunk, err = bedrock.ChunkBytes(d.chunk[:0], m.Payload); err != nil {
		return err
	}
	if !jsonscan.Valid(d.chunk) {
		return errMalformed()
	}
	d.n.began = true
	if stop := stopReason(d.chunk); stop != "" {
		d.n.stop = stop
	}
	if u, ok := bedrock.InvocationMetrics(d.chunk); ok {
		d.n.usage, d.n.metered, d.n.done = u, true, true
	}
	return out.Send(outcrop.Event{Kind: outcrop.EventNative, Text: d.chunk, Final: d.n.done})
}

// stopReason finds the reason why the answer ended in a native body or chunk
// of any model; it is empty if there is none.
func stopReason(b []byte) outcrop.StopReason {
	if !bytes.Contains(b, []byte("eason\"")) {
		return ""
	}
	s := jsonscan.Scanner{B: b}
	v := findReason(&s, 4)
	switch strings.ToLower(string(v)) {
	case "":
		return ""
	case "max_tokens", "length":
		return outcrop.StopMaxTokens
	case "tool_use", "tool_calls":
		return outcrop.StopToolUse
	case "stop_sequence":
		return outcrop.StopSequence
	case "content_filtered", "content_filter", "refusal", "content_filtering":
		return outcrop.StopContentFiltered
	}
	return outcrop.StopEndTurn
}

// findReason walks the members that lead to a reason, and returns the last
// that is a string.
func findReason(s *jsonscan.Scanner, depth int) (reason []byte) {
	keep := func(v []byte) {
		if len(v) > 0 {
			reason = v
		}
	}
	switch {
	case depth == 0:
		s.Skip()
	case s.Eat('['):
		for n := 0; ; {
			if more, ok := s.Elem(&n); !ok || !more {
				return reason
			}
			keep(findReason(s, depth-1))
		}
	case s.Eat('{'):
		for n := 0; ; {
			k, more, ok := s.Key(&n)
			if !ok || !more {
				return reason
			}
			switch string(k) {
			case "stop_reason", "stopReason", "finish_reason", "completionReason":
				if s.At('"') {
					v, _ := s.Raw()
					keep(v)
					continue
				}
				s.Skip()
			case "delta", "messageStop", "results", "choices", "outputs":
				keep(findReason(s, depth-1))
			default:
				s.Skip()
			}
		}
	default:
		s.Skip()
	}
	return reason
}

func (d *bedrockDecoder) end(bool, outcrop.Sink) error {
	if d.outcome().done {
		return nil
	}
	return &outcrop.Error{Code: outcrop.CodeModelStream, Message: saysStream}
}

// An ordered is a Sink between a decoder that trusts its engine and one that
// relies on the order of events. It numbers the blocks anew, closes those
// that were left open, refuses what has no place, and holds the Stop back
// until the end marker was seen.
type ordered struct {
	out      outcrop.Sink
	started  bool
	open     outcrop.BlockKind // 0 if no block is
	theirs   int               // the engine's number of the open block
	index    int
	stop     outcrop.Event
	sequence []byte
	extra    []byte
	detail   outcrop.Detail // of stop, with the two above
}

func (o *ordered) reset() { *o = ordered{sequence: o.sequence[:0], extra: o.extra[:0]} }

// Send passes the event on if it is its turn.
func (o *ordered) Send(e outcrop.Event) error {
	if o.started == (e.Kind == outcrop.EventStart) || o.stop.Kind != 0 {
		return errMalformed()
	}
	switch e.Kind {
	case outcrop.EventStart:
		o.started = true
	case outcrop.EventBlockStart:
		if d := e.More(); e.Block == outcrop.BlockToolUse && (len(d.ID) == 0 || len(d.Name) == 0) {
			return errMalformed()
		}
		if err := o.close(); err != nil {
			return err
		}
		o.open, o.theirs = e.Block, e.Index
	case outcrop.EventDelta:
		if o.open == 0 || e.Index != o.theirs {
			return errMalformed()
		}
	case outcrop.EventBlockStop:
		if e.Index != o.theirs {
			return errMalformed()
		}
		return o.close()
	case outcrop.EventStop:
		return o.hold(e)
	}
	e.Index = o.index
	return o.out.Send(e)
}

func (o *ordered) close() error {
	if o.open == 0 {
		return nil
	}
	e := outcrop.Event{Kind: outcrop.EventBlockStop, Block: o.open, Index: o.index}
	o.open = 0
	o.index++
	return o.out.Send(e)
}

func (o *ordered) hold(e outcrop.Event) error {
	d := e.More()
	o.sequence = append(o.sequence[:0], d.StopSequence...)
	o.extra = append(o.extra[:0], d.Extra...)
	o.detail = outcrop.Detail{Stop: d.Stop, StopSequence: o.sequence, Extra: o.extra}
	e.Detail = &o.detail
	err := o.close()
	o.stop = e
	return err
}

// release sends the Stop that was held back.
func (o *ordered) release() error {
	if o.stop.Kind == 0 {
		return nil
	}
	e := o.stop
	o.stop = outcrop.Event{}
	return o.out.Send(e)
}
