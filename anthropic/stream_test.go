package anthropic_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/anthropic"
	"github.com/outcrop/outcrop/jsonscan"
)

var wholeStream = []string{
	`{"type":"message_start","message":{"id":"msg_9","model":"claude-engine","usage":{"input_tokens":12,"output_tokens":1}}}`,
	`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
	`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}`,
	`{"type":"content_block_stop","index":0}`,
	`{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":6}}`,
	`{"type":"message_stop"}`,
}

// record writes events down, each as one word.
type record struct{ words []string }

func (r *record) Send(e outcrop.Event) error {
	names := [...]string{"", "start", "open", "delta", "close", "stop", "native", "flush"}
	w := fmt.Sprintf("%s%d", names[e.Kind], e.Index)
	if len(e.Text) > 0 {
		w += "(" + string(e.Text) + ")"
	}
	r.words = append(r.words, w)
	return nil
}

func (r *record) String() string { return strings.Join(r.words, " ") }

func play(d *anthropic.Decoder, out outcrop.Sink, stream ...string) error {
	for _, data := range stream {
		if err := d.Event([]byte(data), out); err != nil {
			return err
		}
	}
	return nil
}

func TestAStreamIsDoneOnlyWithItsEndMarker(t *testing.T) {
	for cut := range wholeStream {
		var d anthropic.Decoder
		var r record
		d.Reset(request())
		if err := play(&d, &r, wholeStream[:cut]...); err != nil {
			t.Fatal(err)
		}
		if d.Done() || strings.Contains(r.String(), "stop") {
			t.Errorf("after %d events the stream is over: %s", cut, &r)
		}
	}
	var d anthropic.Decoder
	var r record
	d.Reset(request())
	if err := play(&d, &r, wholeStream...); err != nil {
		t.Fatal(err)
	}
	if want := "start0 open0 delta0(Hi) close0 stop0"; r.String() != want || !d.Done() {
		t.Errorf("got %s, want %s", &r, want)
	}
	if d.Usage() != (outcrop.Usage{Input: 12, Output: 6}) || d.Stop() != outcrop.StopMaxTokens {
		t.Errorf("usage %+v, stop %s", d.Usage(), d.Stop())
	}
}

// Pain 1 of the rivals: a block that was opened is always closed.
func TestBlocksAreAlwaysClosed(t *testing.T) {
	var d anthropic.Decoder
	var r record
	d.Reset(request())
	err := play(&d, &r, wholeStream[0], wholeStream[1], wholeStream[2], strings.Replace(wholeStream[1], "0", "1", 1), wholeStream[5])
	if want := "start0 open0 delta0(Hi) close0 open1 close1 stop0"; err != nil || r.String() != want {
		t.Errorf("got %s, want %s (%v)", &r, want, err)
	}
}

func TestErrorsInTheStream(t *testing.T) {
	fault := func(kind string) string {
		return `{"type":"error","error":{"type":"` + kind + `","message":"its\u0020words"}}`
	}
	for kind, want := range map[string]outcrop.Code{
		"overloaded_error": outcrop.CodeModelError, "api_error": outcrop.CodeModelError, "new_error": outcrop.CodeModelError,
		"rate_limit_error": outcrop.CodeThrottling, "invalid_request_error": outcrop.CodeValidation,
		"authentication_error": outcrop.CodeUnavailable, "timeout_error": outcrop.CodeModelTimeout,
	} {
		var d anthropic.Decoder
		d.Reset(request())
		err := play(&d, new(record), fault(kind))
		var e *outcrop.Error
		if !errors.As(err, &e) || e.Code != want || e.Original != "its words" {
			t.Errorf("%s before the answer: %v, want %s", kind, err, want)
		}
		d.Reset(request())
		err = play(&d, new(record), wholeStream[0], fault(kind))
		if !errors.Is(err, outcrop.CodeModelStream) {
			t.Errorf("%s in the answer: %v", kind, err)
		}
	}
}

func TestMalformedStreams(t *testing.T) {
	start := wholeStream[0]
	for name, stream := range map[string][]string{
		"no JSON":          {`hello`},
		"cut JSON":         {start, `{"type":"content_block_delta","index":0`},
		"end before start": {`{"type":"message_stop"}`},
		"two starts":       {start, start},
		"two ends":         {start, `{"type":"message_stop"}`, `{"type":"message_stop"}`},
		"delta, no block":  {start, wholeStream[2]},
		"control byte":     {start, wholeStream[1], strings.Replace(wholeStream[2], "Hi", "\x01", 1)},
		"bad escape":       {start, wholeStream[1], strings.Replace(wholeStream[2], "Hi", `\q`, 1)},
		"bad UTF-8":        {start, wholeStream[1], strings.Replace(wholeStream[2], "Hi", "\xff", 1)},
		"nameless tool":    {start, `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"i"}}`},
		"negative count":   {strings.Replace(start, "12", "-12", 1)},
		"fantastic count":  {strings.Replace(start, "12", "99999999999999999", 1)},
	} {
		var d anthropic.Decoder
		d.Reset(request())
		if err := play(&d, new(record), stream...); !errors.Is(err, outcrop.CodeModelError) {
			t.Errorf("%s: got %v, want a ModelErrorException", name, err)
		}
	}
}

func TestMalformedAnswersSendNothing(t *testing.T) {
	const good = `{"type":"message","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":1,"output_tokens":1}}`
	for _, bad := range []string{
		``, `{}`, `[]`, `{"content":{}}`, `{"type":"error","content":[]}`, `{"content":[{"type":"text","text":"x"},{}]}`, `{"content":[1]}`,
		good[:len(good)-1], good + "x", strings.Replace(good, "1", "-1", 1), strings.Replace(good, `"x"`, `"\x"`, 1),
	} {
		var d anthropic.Decoder
		var r record
		d.Reset(request())
		if err := d.Answer([]byte(bad), &r); !errors.Is(err, outcrop.CodeModelError) || r.String() != "" {
			t.Errorf("%s: %v, sent %q", bad, err, &r)
		}
		d.Reset(request())
		if err := d.NativeAnswer([]byte(bad), &r); !errors.Is(err, outcrop.CodeModelError) && !strings.Contains(bad, "[1]") && !strings.Contains(bad, "{}]") {
			t.Errorf("%s native: %v", bad, err)
		}
	}
}

func TestAnErrorOfTheSinkComesBackUnchanged(t *testing.T) {
	gone := errors.New("gone")
	for k := range 5 {
		var d anthropic.Decoder
		d.Reset(request())
		n := 0
		err := play(&d, sinkFunc(func(outcrop.Event) error {
			if n++; n > k {
				return gone
			}
			return nil
		}), wholeStream...)
		if err != gone || n != k+1 {
			t.Errorf("send %d failed: got %v after %d sends", k, err, n)
		}
	}
}

func TestResponseFieldsAreThoseOfTheAnswer(t *testing.T) {
	req := request()
	req.Conversation.ResponseFields = []string{"/stop_sequence"}
	const want = `{"id":"msg_9","model":"claude-engine","stop_sequence":"END"}`
	stream := append([]string{}, wholeStream...)
	stream[4] = `{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END"}}`
	var d anthropic.Decoder
	var a outcrop.Answer
	d.Reset(req)
	if err := play(&d, &a, stream...); err != nil || string(a.Extra) != want {
		t.Errorf("stream: got %s, want %s (%v)", a.Extra, want, err)
	}
	d.Reset(req)
	unary := `{"id":"msg_9","type":"message","model":"claude-engine","content":[],"stop_reason":"stop_sequence","stop_sequence":"END"}`
	if err := d.Answer([]byte(unary), &a); err != nil || string(a.Extra) != want {
		t.Errorf("unary: got %s, want %s (%v)", a.Extra, want, err)
	}
}

func TestNativeStreamsPassUntouchedAndAreMetered(t *testing.T) {
	var d anthropic.Decoder
	d.Reset(&outcrop.Request{Native: &outcrop.Native{}})
	var got []string
	final := 0
	out := sinkFunc(func(e outcrop.Event) error {
		if e.Kind != outcrop.EventNative {
			t.Errorf("event of kind %d", e.Kind)
		}
		if e.Final {
			final = len(got)
		}
		got = append(got, string(e.Text))
		return nil
	})
	for i, data := range append([]string{`{"type":"ping"}`}, wholeStream...) {
		if d.Done() {
			t.Errorf("done before event %d", i)
		}
		if err := d.NativeEvent([]byte(data), out); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Join(got, "\n") != strings.Join(wholeStream, "\n") || final != len(wholeStream)-1 {
		t.Errorf("got %q, final %d", got, final)
	}
	if d.Usage() != (outcrop.Usage{Input: 12, Output: 6}) || d.Stop() != outcrop.StopMaxTokens || !d.Began() || !d.Done() {
		t.Errorf("usage %+v, stop %s", d.Usage(), d.Stop())
	}
}

func TestErrorMessage(t *testing.T) {
	for body, want := range map[string]string{
		`{"type":"error","error":{"type":"x","message":"a\nb \"c\""}}`: `a b "c"`,
		`{"message":"m"}`: "m", `{"error":"x"}`: "", `<html>`: "", ``: "",
		`{"message":"` + strings.Repeat("ä", 2000) + `"}`: strings.Repeat("ä", 500),
	} {
		if got := anthropic.ErrorMessage([]byte(body)); got != want {
			t.Errorf("%.40s: got %.40q, want %.40q", body, got, want)
		}
	}
}

func TestInputTokens(t *testing.T) {
	if n, ok := anthropic.InputTokens([]byte(`{"a":[],"input_tokens":14}`)); n != 14 || !ok {
		t.Error(n, ok)
	}
	for _, bad := range []string{`{}`, `{"input_tokens":"x"}`, `{"input_tokens":1`} {
		if _, ok := anthropic.InputTokens([]byte(bad)); ok {
			t.Error(bad)
		}
	}
}

func TestTheHotPathDoesNotAllocate(t *testing.T) {
	var d anthropic.Decoder
	drop := sinkFunc(func(outcrop.Event) error { return nil })
	var out outcrop.Sink = drop
	req := request()
	stream := make([][]byte, len(wholeStream))
	for i := range stream {
		stream[i] = []byte(wholeStream[i])
	}
	if n := testing.AllocsPerRun(100, func() {
		d.Reset(req)
		for _, data := range stream {
			if d.Event(data, out) != nil {
				t.Fatal("no stream")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations a stream", n)
	}
}

func FuzzEvent(f *testing.F) {
	for _, data := range wholeStream {
		f.Add([]byte(data))
	}
	f.Add([]byte(`{"type":"content_block_start","content_block":{"type":"tool_use","id":"i","name":"n","input":{"a":"\n"}}}`))
	f.Add([]byte(`{"type":"error","error":{"type":"api_error","message":"m"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		req := request()
		req.Conversation.ResponseFields = []string{"/id"}
		check := sinkFunc(func(e outcrop.Event) error {
			for _, s := range [][]byte{e.Text, e.More().ID, e.More().Name, e.More().StopSequence} {
				if e.Kind != outcrop.EventNative && !jsonscan.Clean(s) {
					t.Fatalf("%q from %s", s, data)
				}
			}
			if len(e.More().Extra) > 0 && !jsonscan.Valid(e.More().Extra) {
				t.Fatalf("%s from %s", e.More().Extra, data)
			}
			return nil
		})
		var d anthropic.Decoder
		for _, before := range [][]string{nil, wholeStream[:2], wholeStream[:5]} {
			d.Reset(req)
			if err := play(&d, check, before...); err != nil {
				t.Fatal(err)
			}
			_ = d.Event(data, check)
		}
		d.Reset(req)
		_ = d.NativeEvent(data, check)
		d.Reset(req)
		_ = d.Answer(data, check)
		anthropic.ErrorMessage(data)
	})
}

func BenchmarkTextDelta(b *testing.B) {
	var d anthropic.Decoder
	var out outcrop.Sink = sinkFunc(func(outcrop.Event) error { return nil })
	d.Reset(request())
	if err := play(&d, out, wholeStream[:2]...); err != nil {
		b.Fatal(err)
	}
	data := []byte(wholeStream[2])
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Event(data, out); err != nil {
			b.Fatal(err)
		}
	}
}
