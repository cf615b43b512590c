package openai_test

import (
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/openai"
)

// chunked collects the chunks that the events of a stream become.
type chunked struct {
	record
	chunks *openai.Chunks
	out    []string
}

func (c *chunked) Send(e outcrop.Event) error {
	c.chunks.Encode(e, c.emit)
	return c.record.Send(e)
}

func (c *chunked) emit(chunk []byte) {
	if !jsonscan.Valid(chunk) {
		c.complain("not JSON: %s", chunk)
	}
	c.out = append(c.out, string(chunk))
}

// A whole exchange: the body of a caller, what the engine is sent, what it
// answers, and what the caller then gets, whole and in chunks.
func TestExchangesWithCallersOfChatCompletions(t *testing.T) {
	goldens(t, "exchange", func(t *testing.T, g *golden) {
		_, strict := g.file("strict")
		c, hints, err := openai.DecodeRequest([]byte(g.must("body")), strict)
		if err != nil {
			g.want("want-error", err.Error())
			return
		}
		if len(hints) > 0 {
			t.Errorf("hints: %q", hints)
		}
		sent, err := openai.AppendRequest(nil, c, g.options())
		if err != nil {
			t.Fatal(err)
		}
		g.want("want-request", string(sent))
		if !jsonscan.Valid(sent) {
			t.Errorf("not JSON: %s", sent)
		}
		stream, ok := g.file("stream")
		if !ok {
			return
		}
		req := request()
		req.Conversation = c
		var d openai.Decoder
		d.Reset(req)
		sink := &chunked{chunks: openai.NewChunks(req)}
		if err := play(&d, stream, sink); err != nil || !d.Done() {
			t.Fatalf("stream: done %v, error %v", d.Done(), err)
		}
		receipt := outcrop.Receipt{Usage: d.Usage(), Stop: d.Stop()}
		sink.chunks.End(receipt, sink.emit)
		answer := openai.AppendAnswer(nil, req, &sink.answer, receipt)
		if !jsonscan.Valid(answer) {
			t.Errorf("not JSON: %s", answer)
		}
		g.want("want-answer", string(answer))
		g.want("want-chunks", strings.Join(sink.out, "\n"))
		if len(sink.broken) > 0 {
			t.Error(sink.broken)
		}
	})
}

func TestChunksDecodeToTheAnswerTheyWereMadeOf(t *testing.T) {
	goldens(t, "exchange", func(t *testing.T, g *golden) {
		for _, f := range g.archive.Files {
			g.written[f.Name] = true
		}
		chunks, ok := g.file("want-chunks")
		if !ok || *update {
			t.Skip("no chunks")
		}
		req := request()
		var streamed, whole openai.Decoder
		streamed.Reset(req)
		whole.Reset(req)
		a, b := &record{}, &record{}
		lines := "data: " + strings.ReplaceAll(chunks, "\n", "\ndata: ") + "\ndata: [DONE]"
		if err := play(&streamed, lines, a); err != nil {
			t.Fatal(err)
		}
		if err := whole.Answer([]byte(g.must("want-answer")), b); err != nil {
			t.Fatal(err)
		}
		if same := diffAnswers(&a.answer, &b.answer); same != "" || streamed.Usage() != whole.Usage() {
			t.Errorf("streamed and whole differ:\n%s\n%v\n%v", same, streamed.Usage(), whole.Usage())
		}
	})
}
