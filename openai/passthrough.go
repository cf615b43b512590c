package openai

import (
	"bytes"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
	"github.com/outcrop/outcrop/jsonscan"
)

// AppendNative appends a caller's chat completion body to dst as the request
// for an engine: its members as they are, byte for byte, but with the engine's
// model, and with stream and stream_options as o has it. So with priority, if
// the engine takes it: a caller could move before all others otherwise, and
// one who says nothing would. The body must be a JSON object in which none of
// these members stands twice; otherwise the error is a ValidationException and
// dst comes back at its old length.
func AppendNative(dst, body []byte, o Options) ([]byte, error) {
	start := len(dst)
	dst = append(dst, `{"model":"`...)
	dst = outcrop.AppendQuote(dst, o.Model)
	dst = append(dst, '"')
	dst = appendOptions(dst, o)
	s := jsonscan.Scanner{B: body}
	if !s.Eat('{') {
		return dst[:start], jsonbody.NoObject()
	}
	ours := replaced{priorities: o.Priorities}
	from := -1 // of the run of members that goes over in one piece
	for n := 0; ; {
		s.Space()
		before := s.I
		key, more, ok := s.Key(&n)
		if !ok || !jsonscan.Clean(key) {
			return dst[:start], jsonbody.NoObject()
		}
		cut := more && ours.has(key)
		if from >= 0 && (cut || !more) {
			dst = appendRun(dst, body[from:before])
			from = -1
		}
		if !more {
			break
		}
		if ours.twice != "" {
			return dst[:start], jsonbody.Malformed("duplicate key [" + ours.twice + "]")
		}
		at := before
		if _, ok = s.Value(); !ok {
			return dst[:start], jsonbody.NoObject()
		}
		if from < 0 && !cut {
			from = at
		}
	}
	if !s.End() {
		return dst[:start], jsonbody.NoObject()
	}
	return append(dst, '}'), nil
}

// appendRun appends members that stand together in the caller's body, with or
// without the comma before them.
func appendRun(dst, run []byte) []byte {
	if run[0] != ',' {
		dst = append(dst, ',')
	}
	return append(dst, run...)
}

// replaced tells the members that are not the caller's to choose.
type replaced struct {
	model, stream, options, priority bool

	priorities bool   // priority is one of them
	twice      string // the one that was there already
}

// has reports whether the raw key is one of them, however it is escaped and in
// whatever case: engines whose JSON decoder is Go's take "Model" for "model",
// and of the two the last.
func (r *replaced) has(key []byte) bool {
	seen, name := r.member(key)
	if seen == nil && bytes.IndexByte(key, '\\') >= 0 {
		seen, name = r.member([]byte(outcrop.Text(key).String()))
	}
	if seen == nil {
		return false
	}
	if *seen {
		r.twice = name
	}
	*seen = true
	return true
}

func (r *replaced) member(key []byte) (seen *bool, name string) {
	switch {
	case bytes.EqualFold(key, keyModel):
		return &r.model, "model"
	case bytes.EqualFold(key, keyStream):
		return &r.stream, "stream"
	case bytes.EqualFold(key, keyStreamOptions):
		return &r.options, "stream_options"
	case r.priorities && bytes.EqualFold(key, keyPriority):
		return &r.priority, "priority"
	}
	return nil, ""
}

var (
	keyModel, keyStream = []byte("model"), []byte("stream")
	keyStreamOptions    = []byte("stream_options")
	keyPriority         = []byte("priority")
)

// A Native is what metering needs to know of an answer, or of one chunk of
// it, that goes to the caller untouched.
type Native struct {
	Usage    outcrop.Usage
	HasUsage bool
	// Content tells that the chunk adds to the answer: the first such chunk is
	// the first token.
	Content bool
	// Stop is set once the engine says why the answer ended.
	Stop outcrop.StopReason
	// Bare tells of a chunk without choices, such as the one that
	// stream_options.include_usage asks for. A caller that did not ask for it
	// may not expect it.
	Bare bool
	// Done tells of the end marker, which is no JSON and not for the caller.
	Done bool
}

// NativeChunk reads the data of one server-sent event. Unless Done, the data
// is a valid JSON object. Errors are as those of Decoder.Event.
func NativeChunk(data []byte) (Native, error) {
	if string(data) == "[DONE]" {
		return Native{Done: true}, nil
	}
	d := Decoder{code: outcrop.CodeModelStream}
	return d.native(data, "The model sent a malformed event.")
}

// NativeAnswer reads the body of an answer that was not streamed. Errors are
// as those of Decoder.Answer.
func NativeAnswer(body []byte) (Native, error) {
	d := Decoder{code: outcrop.CodeModelError}
	n, err := d.native(body, "The model sent a malformed answer.")
	if err == nil && n.Bare {
		return n, d.broken("The model sent a malformed answer.")
	}
	return n, err
}

func (d *Decoder) native(data []byte, complaint string) (Native, error) {
	var c chunk
	if !jsonscan.Valid(data) || !c.read(&jsonscan.Scanner{B: data}) {
		return Native{}, d.broken(complaint)
	}
	if c.fault {
		return Native{}, d.fault(data)
	}
	if aborted(c.choice.finish) {
		return Native{}, d.broken("The model gave up in the middle of its answer.")
	}
	n := Native{Usage: c.usage, HasUsage: c.metered, Content: c.choice.adds(), Bare: c.choices == 0}
	if len(c.choice.finish) > 0 {
		n.Stop = stopReason(c.choice.finish)
	}
	return n, nil
}

// adds reports whether the choice holds content of any kind.
func (c *choice) adds() bool {
	return len(c.text)+len(c.refusal)+len(c.parts)+len(c.reasoning)+len(c.reasoningContent)+len(c.calls) > 0
}
