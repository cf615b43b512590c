package runtimeapi_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
)

var update = flag.Bool("update", false, "write the golden files anew")

// answers are what the models of the golden cases say, by the name after
// "answer:" in a case's first line.
var answers = map[string]func() []outcrop.Event{"hello": hello, "weighs": weighs, "cut": cutShort}

// cutShort is an answer that the limit of tokens ended.
func cutShort() []outcrop.Event {
	events := hello()
	events[len(events)-2].Detail.Stop = outcrop.StopMaxTokens
	return events
}

// TestFronts holds each native dialect to its golden cases. A case has the
// body of a request, what the model gets of it, what the caller gets of the
// model's answer, whole and streamed, and the line of the log if it has hints.
func TestFronts(t *testing.T) {
	files, err := filepath.Glob("testdata/front/*.txtar")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { checkFront(t, file, a) })
		})
	}
}

func checkFront(t *testing.T, file string, a *txtar.Archive) {
	setting := map[string]string{}
	for line := range strings.Lines(string(a.Comment)) {
		name, value, _ := strings.Cut(line, ":")
		setting[name] = strings.TrimSpace(value)
	}
	d := outcrop.DialectConverse
	for d.String() != setting["dialect"] && d.String() != "" {
		d++
	}
	request := string(a.Files[0].Data)
	got := &txtar.Archive{Comment: a.Comment, Files: a.Files[:1:1]}
	add := func(name, text string) {
		got.Files = append(got.Files, txtar.File{Name: name, Data: []byte(strings.TrimSuffix(text, "\n") + "\n")})
	}
	var seen string
	model := func(ctx context.Context, req *outcrop.Request, out outcrop.Sink) (outcrop.Receipt, error) {
		seen = summary(req.Conversation)
		return slowly(answers[setting["answer"]](), receipt)(ctx, req, out)
	}
	h := serving(d, model)
	w, line := h.serve(t, newCall(outcrop.OpInvokeModel, request))
	add("conversation", seen)
	if hints, ok := line["hints"].([]any); ok {
		add("hints", fmt.Sprintln(hints...))
	}
	add("answer.json", string(w.body))
	seen = ""
	w, _ = h.serve(t, newCall(outcrop.OpInvokeModelStream, request))
	if seen == "" {
		t.Error("the stream was not asked for")
	}
	add("chunks", asLines(w.chunks(t)))
	compareGolden(t, file, a, got)
}

func compareGolden(t *testing.T, file string, want, got *txtar.Archive) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(got))); diff != "" {
		t.Error(diff)
	}
}

// summary writes a conversation in a few lines for people.
func summary(c *outcrop.Conversation) string {
	var b strings.Builder
	for _, s := range c.System {
		fmt.Fprintf(&b, "system %s\n", block(&s))
	}
	for _, m := range c.Messages {
		for i := range m.Content {
			fmt.Fprintf(&b, "%s %s\n", m.Role, block(&m.Content[i]))
		}
	}
	i := c.Inference
	fmt.Fprintf(&b, "max tokens %d, temperature %s, top p %s, top k %s, stop %s\n", i.MaxTokens, i.Temperature, i.TopP, i.TopK, i.Stop)
	for _, tool := range c.Tools {
		fmt.Fprintf(&b, "tool %s %q %s strict %v\n", tool.Name, tool.Description, tool.Schema, tool.Strict)
	}
	if c.ToolChoice.Kind != outcrop.ToolChoiceNone {
		fmt.Fprintf(&b, "choice %d %s\n", c.ToolChoice.Kind, c.ToolChoice.Name)
	}
	if c.Format != nil {
		fmt.Fprintf(&b, "format %s %s\n", c.Format.Name, c.Format.Schema)
	}
	if c.Extra != nil {
		fmt.Fprintf(&b, "extra %s\n", c.Extra)
	}
	return b.String()
}

func block(b *outcrop.Block) string {
	switch b.Kind {
	case outcrop.BlockText:
		return fmt.Sprintf("text %s", b.Text)
	case outcrop.BlockReasoning:
		return fmt.Sprintf("reasoning %s signed %s", b.Text, b.Signature)
	case outcrop.BlockImage, outcrop.BlockDocument:
		return fmt.Sprintf("media %s %s %.12s %s", b.Media.Format, b.Media.Name, b.Media.Base64, b.Media.Text)
	case outcrop.BlockToolUse:
		return fmt.Sprintf("uses %s %s %s", b.Use.ID, b.Use.Name, b.Use.Input)
	case outcrop.BlockToolResult:
		var inside []string
		for i := range b.Result.Content {
			inside = append(inside, block(&b.Result.Content[i]))
		}
		return fmt.Sprintf("result %s error %v [%s]", b.Result.ID, b.Result.Error, strings.Join(inside, ", "))
	case outcrop.BlockCachePoint:
		return fmt.Sprintf("cache point %s", b.Text)
	}
	return fmt.Sprintf("kind %d", b.Kind)
}
