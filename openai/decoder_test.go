package openai_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/openai"
)

// fields is in a golden file that asks for response fields.
const fields = "fields"

func (g *golden) request() *outcrop.Request {
	req := request()
	if pointer, ok := g.file(fields); ok {
		req.Conversation.ResponseFields = []string{pointer}
	}
	return req
}

// play feeds a stream, written as lines of server-sent events, to d; a line
// "eof" is the clean end of the body.
func play(d *openai.Decoder, stream string, out outcrop.Sink) error {
	for text := range strings.Lines(stream) {
		text = strings.TrimSuffix(text, "\n")
		var err error
		if data, ok := strings.CutPrefix(text, "data: "); ok {
			err = d.Event([]byte(data), out)
		} else if text == "eof" {
			err = d.End(out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// outcome is what a golden file wants to see of a decoded answer.
func outcome(d *openai.Decoder, r *record, err error) string {
	lines := append([]string(nil), r.lines...)
	if d.HasUsage() {
		lines = append(lines, usageLine(d.Usage()))
	} else {
		lines = append(lines, "no usage")
	}
	if err != nil {
		lines = append(lines, "error "+err.Error())
	} else if !d.Done() {
		lines = append(lines, "not done")
	}
	return strings.Join(append(lines, r.broken...), "\n")
}

func TestStreamsOfEnginesBecomeEvents(t *testing.T) {
	goldens(t, "stream", func(t *testing.T, g *golden) {
		var d openai.Decoder
		d.Reset(g.request())
		r := &record{}
		err := play(&d, g.must("stream"), r)
		g.want("want", outcome(&d, r, err))
	})
}

func TestWholeAnswersOfEnginesBecomeEvents(t *testing.T) {
	goldens(t, "answer", func(t *testing.T, g *golden) {
		var d openai.Decoder
		d.Reset(g.request())
		r := &record{}
		err := d.Answer([]byte(g.must("answer")), r)
		g.want("want", outcome(&d, r, err))
	})
}

func TestFailureOfEverySendComesBackUnchanged(t *testing.T) {
	goldens(t, "stream", func(t *testing.T, g *golden) {
		if *update {
			t.Skip("writes nothing")
		}
		g.written["want"] = true
		whole := &record{}
		var d openai.Decoder
		d.Reset(g.request())
		_ = play(&d, g.must("stream"), whole)
		for k := 1; k <= whole.sent; k++ {
			r := &record{failAt: k}
			d.Reset(g.request())
			if err := play(&d, g.must("stream"), r); err != errSink {
				t.Errorf("Send %d failed, and the error is %v", k, err)
			}
			if len(r.broken) > 0 {
				t.Errorf("Send %d failed: %v", k, r.broken)
			}
		}
	})
}

func TestDecoderForgetsTheAnswerBefore(t *testing.T) {
	var used, fresh openai.Decoder
	goldens(t, "stream", func(t *testing.T, g *golden) {
		g.written["want"] = true
		if *update {
			t.Skip("writes nothing")
		}
		used.Reset(g.request())
		fresh = openai.Decoder{}
		fresh.Reset(g.request())
		a, b := &record{}, &record{}
		errA, errB := play(&used, g.must("stream"), a), play(&fresh, g.must("stream"), b)
		if got, want := outcome(&used, a, errA), outcome(&fresh, b, errB); got != want {
			t.Errorf("a used decoder says\n%s\na fresh one\n%s", got, want)
		}
	})
}

func TestNothingIsSentBeforeTheEngineHasAnswered(t *testing.T) {
	for _, data := range []string{`{"error":{"message":"no","code":503}}`, `not json`, `[DONE]`, `{}x`} {
		var d openai.Decoder
		d.Reset(request())
		r := &record{}
		err := d.Event([]byte(data), r)
		if !errors.Is(err, outcrop.CodeModelStream) || r.sent != 0 {
			t.Errorf("%s: %d events, error %v", data, r.sent, err)
		}
	}
}

func TestEngineErrorsInStreamsKeepStatusAndWords(t *testing.T) {
	var d openai.Decoder
	d.Reset(request())
	err := d.Event([]byte(`{"error":{"message":"out of memory","code":503}}`), &record{})
	var e *outcrop.Error
	if !errors.As(err, &e) || e.Status != 503 || e.Original != "out of memory" {
		t.Errorf("got %#v", err)
	}
}

func TestGeneratedToolIDsAreDeterministicAndDistinct(t *testing.T) {
	const call = `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}},{"index":1,"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}` + "\ndata: [DONE]"
	ids := func() (string, string) {
		var d openai.Decoder
		d.Reset(request())
		r := &record{}
		if err := play(&d, call, r); err != nil {
			t.Fatal(err)
		}
		return r.answer.Content[0].Use.ID.String(), r.answer.Content[1].Use.ID.String()
	}
	a, b := ids()
	again, _ := ids()
	if a != again || a == b || len(a) != len("tooluse_")+22 {
		t.Errorf("ids %q and %q, and again %q", a, b, again)
	}
}
