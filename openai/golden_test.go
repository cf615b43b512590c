package openai_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/native"
	"github.com/outcrop/outcrop/openai"
)

var update = flag.Bool("update", false, "write what the code does into the golden files")

// A golden is one case: some files are given, the others are what should come
// of them.
type golden struct {
	t       *testing.T
	path    string
	archive *txtar.Archive
	written map[string]bool
}

// goldens runs a subtest for each file in testdata/folder.
func goldens(t *testing.T, folder string, run func(t *testing.T, g *golden)) {
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files in %s: %v", folder, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			g := &golden{t: t, path: path, archive: archive, written: map[string]bool{}}
			run(t, g)
			g.finish()
		})
	}
}

// file returns a given file, and whether it is there.
func (g *golden) file(name string) (string, bool) {
	for _, f := range g.archive.Files {
		if f.Name == name {
			return strings.TrimSuffix(string(f.Data), "\n"), true
		}
	}
	return "", false
}

// must returns a given file.
func (g *golden) must(name string) string {
	g.t.Helper()
	text, ok := g.file(name)
	if !ok {
		g.t.Fatalf("%s lacks %s", g.path, name)
	}
	return text
}

// want compares got with the file of the name.
func (g *golden) want(name, got string) {
	g.t.Helper()
	g.written[name] = true
	if *update {
		g.put(name, got+"\n")
		return
	}
	want, _ := g.file(name)
	if diff := cmp.Diff(want, got); diff != "" {
		g.t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func (g *golden) put(name, data string) {
	for i := range g.archive.Files {
		if g.archive.Files[i].Name == name {
			g.archive.Files[i].Data = []byte(data)
			return
		}
	}
	g.archive.Files = append(g.archive.Files, txtar.File{Name: name, Data: []byte(data)})
}

// finish fails if the file wants something that nothing was compared with.
func (g *golden) finish() {
	kept := g.archive.Files[:0]
	for _, f := range g.archive.Files {
		if strings.HasPrefix(f.Name, "want") && !g.written[f.Name] {
			if !*update {
				g.t.Errorf("%s was never compared", f.Name)
			}
			continue
		}
		kept = append(kept, f)
	}
	g.archive.Files = kept
	if !*update {
		return
	}
	if err := os.WriteFile(g.path, txtar.Format(g.archive), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

// options reads the file of the name; without it the model is "m".
func (g *golden) options() openai.Options {
	o := openai.Options{Model: "m"}
	if text, ok := g.file("options"); ok {
		if err := json.Unmarshal([]byte(text), &o, json.RejectUnknownMembers(true)); err != nil {
			g.t.Fatal(err)
		}
	}
	return o
}

// A conversation is written as Nova's body, which can say nearly all that the
// hub can.
func (g *golden) conversation(name string) *outcrop.Conversation {
	c, _, err := native.Nova{}.DecodeRequest([]byte(g.must(name)), false)
	if err != nil {
		g.t.Fatalf("%s: %v", name, err)
	}
	return c
}

func request() *outcrop.Request {
	return &outcrop.Request{
		ID:           "00000000-0000-4000-8000-000000000001",
		Operation:    outcrop.OpInvokeModel,
		Card:         &outcrop.Card{ID: "openai.gpt-oss-120b-1:0"},
		Received:     time.Unix(1700000000, 0),
		Conversation: &outcrop.Conversation{},
	}
}

// A record is a Sink that writes events down, one a line, and checks that
// their order and bytes are what the dictionary promises. With failAt > 0 the
// failAt-th Send fails.
type record struct {
	lines   []string
	answer  outcrop.Answer
	broken  []string
	sent    int
	failAt  int
	started bool
	stopped bool
	open    outcrop.BlockKind
	next    int
}

var errSink = errors.New("the sink is full")

func (r *record) Send(e outcrop.Event) error {
	r.sent++
	if r.sent == r.failAt {
		return errSink
	}
	if r.failAt > 0 && r.sent > r.failAt {
		r.complain("an event was sent after Send had failed")
	}
	r.check(e)
	r.lines = append(r.lines, line(e))
	return r.answer.Send(e)
}

func (r *record) complain(format string, args ...any) {
	r.broken = append(r.broken, fmt.Sprintf(format, args...))
}

func line(e outcrop.Event) string {
	switch e.Kind {
	case outcrop.EventStart:
		return "start"
	case outcrop.EventBlockStart:
		s := fmt.Sprintf("open %d %s", e.Index, kinds[e.Block])
		if e.Block == outcrop.BlockToolUse {
			s += " " + string(e.More().ID) + " " + string(e.More().Name)
		}
		return s
	case outcrop.EventDelta:
		return fmt.Sprintf("delta %d ", e.Index) + string(e.Text)
	case outcrop.EventBlockStop:
		return fmt.Sprintf("close %d", e.Index)
	case outcrop.EventStop:
		s := "stop " + string(e.More().Stop)
		if len(e.More().StopSequence) > 0 {
			s += " at " + string(e.More().StopSequence)
		}
		if e.More().Extra != nil {
			s += " extra " + string(e.More().Extra)
		}
		return s
	}
	return "unknown event"
}

var kinds = map[outcrop.BlockKind]string{
	outcrop.BlockText: "text", outcrop.BlockToolUse: "tool", outcrop.BlockReasoning: "reasoning",
}

func usageLine(u outcrop.Usage) string {
	return fmt.Sprintf("usage in=%d out=%d read=%d write=%d", u.Input, u.Output, u.CacheRead, u.CacheWrite)
}
