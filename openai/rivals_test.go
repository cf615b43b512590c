package openai_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/openai"
)

// The tests in this file each stand for something that users of other
// gateways were bitten by.

// Blocks that never closed made SDKs assemble empty messages.
func TestEveryBlockThatOpensIsClosed(t *testing.T) {
	everyStream(t, func(t *testing.T, g *golden, lines []string) {
		var d openai.Decoder
		d.Reset(g.request())
		r := &record{}
		if err := play(&d, strings.Join(lines, "\n"), r); err != nil {
			return
		}
		opened, closed := 0, 0
		for _, l := range r.lines {
			if strings.HasPrefix(l, "open ") {
				opened++
			}
			if strings.HasPrefix(l, "close ") {
				closed++
			}
		}
		if d.Finished() && opened != closed {
			t.Errorf("%d blocks opened and %d closed", opened, closed)
		}
	})
}

// Streams that were cut passed for whole answers.
func TestEveryCutOfAStreamIsAnError(t *testing.T) {
	everyStream(t, func(t *testing.T, g *golden, lines []string) {
		for n := range lines {
			var d openai.Decoder
			d.Reset(g.request())
			r := &record{}
			err := play(&d, strings.Join(append(lines[:n:n], "eof"), "\n"), r)
			switch {
			case err == nil && !(d.Done() && d.Finished()):
				t.Errorf("cut before line %d: no error, and not done", n)
			case err != nil && !errors.Is(err, outcrop.CodeModelStream):
				t.Errorf("cut before line %d: %v", n, err)
			case r.stopped != d.Done():
				t.Errorf("cut before line %d: stopped %v, done %v", n, r.stopped, d.Done())
			}
		}
	})
}

func everyStream(t *testing.T, run func(t *testing.T, g *golden, lines []string)) {
	goldens(t, "stream", func(t *testing.T, g *golden) {
		if *update {
			t.Skip("writes nothing")
		}
		g.written["want"] = true
		run(t, g, strings.Split(g.must("stream"), "\n"))
	})
}

// Answers that were cut or cancelled were billed as nothing.
func TestUsageThatWasSeenSurvivesACut(t *testing.T) {
	var d openai.Decoder
	d.Reset(request())
	err := play(&d, `data: {"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":7,"completion_tokens":1}}
data: {"choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}
eof`, &record{})
	if err == nil || !d.HasUsage() || d.Usage() != (outcrop.Usage{Input: 7, Output: 2}) {
		t.Errorf("usage %+v, error %v", d.Usage(), err)
	}
}

// Cached tokens were counted twice, or dropped.
func TestCachedTokensAreCountedOnce(t *testing.T) {
	const answer = `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,"prompt_tokens_details":{"cached_tokens":64}}}`
	var d openai.Decoder
	d.Reset(request())
	r := &record{}
	if err := d.Answer([]byte(answer), r); err != nil {
		t.Fatal(err)
	}
	if u := d.Usage(); u != (outcrop.Usage{Input: 36, Output: 5, CacheRead: 64}) || u.Total() != 105 {
		t.Errorf("usage %+v", u)
	}
	back := string(openai.AppendAnswer(nil, request(), &r.answer, outcrop.Receipt{Usage: d.Usage()}))
	want := `"usage":{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,"prompt_tokens_details":{"cached_tokens":64}}`
	if !strings.Contains(back, want) {
		t.Errorf("got %s", back)
	}
	if n, err := openai.NativeAnswer([]byte(answer)); err != nil || n.Usage != d.Usage() {
		t.Errorf("untouched: %+v, error %v", n.Usage, err)
	}
}

// The order of tools changed from request to request, and with it every
// prefix that an engine had cached.
func TestToolsKeepTheirOrder(t *testing.T) {
	c := hello()
	for _, name := range []string{"zeta", "alpha", "mid"} {
		c.Tools = append(c.Tools, outcrop.Tool{Name: outcrop.Text(name), Schema: outcrop.JSON(`{"z":1,"a":2}`)})
	}
	first, err := openai.AppendRequest(nil, c, openai.Options{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	z, a, m := strings.Index(string(first), `"zeta"`), strings.Index(string(first), `"alpha"`), strings.Index(string(first), `"mid"`)
	if z < 0 || z > a || a > m || strings.Count(string(first), `{"z":1,"a":2}`) != 3 {
		t.Errorf("got %s", first)
	}
	for range 20 {
		if again, _ := openai.AppendRequest(nil, c, openai.Options{Model: "m"}); string(again) != string(first) {
			t.Fatalf("got %s after %s", again, first)
		}
	}
}
