package upstream_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/upstream"
)

// FuzzStream plays streams of an engine that may say anything. What comes out
// obeys the order of events, and ends cleanly only without an error. The
// frames of Bedrock are given as lines of type and payload.
func FuzzStream(f *testing.F) {
	f.Add(0, openaiStream)
	f.Add(1, anthropicStream)
	f.Add(2, openaiStream)
	f.Add(3, anthropicStream)
	for kind := 4; kind < 7; kind++ {
		f.Add(kind, "messageStart {\"role\":\"assistant\"}\ncontentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"x\"}}\n"+
			"contentBlockStart {\"contentBlockIndex\":1,\"start\":{\"toolUse\":{\"toolUseId\":\"a\",\"name\":\"n\"}}}\ncontentBlockStop {\"contentBlockIndex\":1}\n"+
			"messageStop {\"stopReason\":\"end_turn\",\"additionalModelResponseFields\":{\"a\":1}}\nmetadata {\"usage\":{\"inputTokens\":1,\"outputTokens\":1}}\nchunk {\"bytes\":\"e30=\"}")
	}
	f.Fuzz(func(t *testing.T, kind int, stream string) {
		s := speakers[uint(kind)%uint(len(speakers))]
		dialect, _, _ := strings.Cut(s.name, " ")
		if dialect == "bedrock" {
			stream = framed(stream)
		}
		var g outcroptest.Grammar
		broken := false
		err := upstream.DecodeStream(dialect, s.request("q", true), []byte(stream), sinkFunc(func(e outcrop.Event) error {
			err := g.Send(e)
			broken = broken || err != nil
			return err
		}))
		var told *outcrop.Error
		switch {
		case broken:
			t.Fatalf("%s: %v", s.name, g.Ended())
		case err == nil && g.Ended() != nil:
			t.Fatalf("%s: no error, but %v", s.name, g.Ended())
		case err != nil && errors.As(err, &told) && told.Code == "":
			t.Fatalf("%s: an error without a code: %v", s.name, err)
		}
	})
}

func framed(lines string) string {
	var b []byte
	for line := range strings.Lines(lines) {
		kind, payload, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if len(kind) < 100 {
			b = bedrock.AppendEvent(b, kind, []byte(payload))
		}
	}
	return string(b)
}
