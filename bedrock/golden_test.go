package bedrock_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/eventstream"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

// golden runs f on each case of a folder under testdata. f returns the files
// that follow from the first one.
func golden(t *testing.T, folder string, f func(t *testing.T, input []byte) []txtar.File) {
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := txtar.Format(a)
			a.Files = append(a.Files[:1:1], f(t, a.Files[0].Data)...)
			got := txtar.Format(a)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" && !*update {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// Each case holds a request and either the canonical request, by which the
// conversation is told in full, or the error.
func TestDecode(t *testing.T) {
	golden(t, "decode", func(t *testing.T, request []byte) []txtar.File {
		var c bedrock.Converse
		if err := c.Decode(request); err != nil {
			var e *outcrop.Error
			if !errors.As(err, &e) || e.Code != outcrop.CodeValidation {
				t.Errorf("not a ValidationException: %v", err)
			}
			return []txtar.File{{Name: "error", Data: []byte(e.Message + "\n")}}
		}
		canonical := bedrock.AppendRequest(nil, &c.Conversation, options(&c))
		var again bedrock.Converse
		if err := again.Decode(canonical); err != nil {
			t.Fatalf("%s: %v", canonical, err)
		}
		same(t, &c, &again)
		return []txtar.File{{Name: "canonical.json", Data: pretty(t, canonical)}}
	})
}

func options(c *bedrock.Converse) bedrock.Options {
	return bedrock.Options{Tier: c.Tier, Latency: c.Latency, Metadata: c.Metadata}
}

// same compares what two Converses tell, and not how they store it.
func same(t interface {
	Helper()
	Errorf(string, ...any)
}, a, b *bedrock.Converse) {
	t.Helper()
	if diff := cmp.Diff(a, b, cmpopts.IgnoreUnexported(bedrock.Converse{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-first +second\n%s", diff)
	}
}

func pretty(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "\t"); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return append(out.Bytes(), '\n')
}

// Each case holds the events of an answer, one a line, and what the unary
// answer and the stream look like.
func TestAnswer(t *testing.T) {
	golden(t, "answer", func(t *testing.T, script []byte) []txtar.File {
		s := parse(t, script)
		frames := txtar.File{Name: "frames", Data: list(t, s.frames())}
		if s.fault != nil {
			return []txtar.File{frames}
		}
		var reply bedrock.Reply
		reply.Reset(&s.request)
		for _, e := range s.events {
			if err := reply.Send(e); err != nil {
				t.Fatal(err)
			}
		}
		body := reply.End(nil, s.receipt, 1234*time.Millisecond)
		return []txtar.File{{Name: "reply.json", Data: pretty(t, body)}, frames}
	})
}

// A script is an answer, as a case tells it.
type script struct {
	request outcrop.Request
	events  []outcrop.Event
	receipt outcrop.Receipt
	fault   error
}

func (s *script) frames() (out []byte) {
	f := bedrock.Frames{NoPadding: true}
	f.Reset(&s.request)
	for _, e := range s.events {
		out = f.Append(out, e)
	}
	if s.fault != nil {
		return bedrock.AppendException(out, s.fault, "the-request-id")
	}
	return f.End(out, s.receipt, 1234*time.Millisecond)
}

var kinds = map[string]outcrop.BlockKind{
	"text": outcrop.BlockText, "tool": outcrop.BlockToolUse, "reasoning": outcrop.BlockReasoning,
	"signature": outcrop.BlockSignature, "redacted": outcrop.BlockRedacted,
}

// parse reads a script. Its lines are
//
//	request {"paths": [...], "tier": "", "latency": ""}
//	start
//	open KIND INDEX [ID NAME]
//	delta KIND INDEX TEXT
//	close INDEX
//	stop REASON [SEQUENCE [EXTRA]]
//	usage INPUT OUTPUT READ WRITE [TIER]
//	error CODE MESSAGE
func parse(t *testing.T, data []byte) *script {
	s := &script{request: outcrop.Request{Conversation: &outcrop.Conversation{}}}
	for line := range strings.Lines(string(data)) {
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		s.line(t, w, strings.TrimSuffix(line, "\n"))
	}
	return s
}

func (s *script) line(t *testing.T, w []string, line string) {
	word := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	number := func(i int) (n int) {
		if _, err := fmt.Sscan(word(i), &n); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return n
	}
	e := outcrop.Event{Block: kinds[word(1)]}
	switch w[0] {
	case "request":
		var r struct {
			Paths         []string
			Tier, Latency string
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "request ")), &r); err != nil {
			t.Fatal(err)
		}
		s.request.Conversation.ResponseFields = r.Paths
		s.request.Tier, s.request.Latency = outcrop.ServiceTier(r.Tier), outcrop.Latency(r.Latency)
		return
	case "start":
		e.Kind = outcrop.EventStart
	case "open":
		e.Kind, e.Index = outcrop.EventBlockStart, number(2)
		e.Detail = &outcrop.Detail{ID: outcrop.Text(word(3)), Name: outcrop.Text(word(4))}
	case "delta":
		e.Kind, e.Index = outcrop.EventDelta, number(2)
		e.Text = outcrop.Text(strings.TrimPrefix(line, strings.Join(w[:3], " ")+" "))
	case "close":
		e.Kind, e.Index = outcrop.EventBlockStop, number(1)
	case "stop":
		e.Kind = outcrop.EventStop
		e.Detail = &outcrop.Detail{Stop: outcrop.StopReason(word(1)), StopSequence: outcrop.Text(word(2)), Extra: outcrop.JSON(strings.Join(w[min(3, len(w)):], " "))}
	case "usage":
		s.receipt.Usage = outcrop.Usage{Input: number(1), Output: number(2), CacheRead: number(3), CacheWrite: number(4)}
		s.receipt.Tier = outcrop.ServiceTier(word(5))
		return
	case "error":
		s.fault = &outcrop.Error{Code: outcrop.Code(word(1)), Message: strings.Join(w[2:], " "), Status: 500, Original: "oops"}
		return
	default:
		t.Fatalf("what is %s?", line)
	}
	s.events = append(s.events, e)
}

// list renders frames, one a line.
func list(t *testing.T, frames []byte) (out []byte) {
	t.Helper()
	for len(frames) > 0 {
		m, n, err := eventstream.Decode(frames)
		if err != nil || n == 0 {
			t.Fatalf("a broken frame: %v", err)
		}
		if !json.Valid(m.Payload) {
			t.Errorf("not JSON: %s", m.Payload)
		}
		out = fmt.Appendf(out, "%s %s%s %s\n", m.MessageType, m.EventType, m.ExceptionType, m.Payload)
		frames = frames[n:]
	}
	return out
}
