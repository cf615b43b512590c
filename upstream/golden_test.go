package upstream_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
	"github.com/outcrop/outcrop/outcroptest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGoldenExchanges runs each case of testdata/golden, whose name begins
// with the engine's dialect: converse.json is what the caller asks, sent what
// the engine is asked, answer.* what it answers (.sse and .frames are streams;
// of frames each line is a type and a payload), and events what becomes of it.
func TestGoldenExchanges(t *testing.T) {
	cases, _ := filepath.Glob("testdata/golden/*.txtar")
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { exchange(t, path) })
	}
}

func exchange(t *testing.T, path string) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*txtar.File{}
	for i := range a.Files {
		files[a.Files[i].Name] = &a.Files[i]
	}
	var c bedrock.Converse
	if err := c.Decode(files["converse.json"].Data); err != nil {
		t.Fatal(err)
	}
	dialect, _, _ := strings.Cut(filepath.Base(path), "-")
	s := speakers[index(dialect)]
	req := s.request("", false)
	req.Conversation, req.Tier, req.Latency, req.Metadata = &c.Conversation, c.Tier, c.Latency, c.Metadata
	reply := s.answer(false, outcroptest.FramingLength)
	reply.Body, req.Streaming = scripted(files)
	if req.Streaming {
		reply.Header = http.Header{"Content-Type": {"text/event-stream"}}
	}
	e, fake := s.start(t, reply)
	var events bytes.Buffer
	receipt, err := e.Invoke(t.Context(), req, sinkFunc(func(ev outcrop.Event) error { return write(&events, ev) }))
	receipt.FirstToken = 0
	fmt.Fprintf(&events, "%s\nerror: %v\n", told(receipt), err)
	call := fake.Calls()[0]
	compare(t, files["sent"], []byte(call.Method+" "+call.Target+"\n"+string(call.Body)+"\n"))
	compare(t, files["events"], events.Bytes())
	if *update {
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func scripted(files map[string]*txtar.File) (body []byte, stream bool) {
	if f := files["answer.json"]; f != nil {
		return bytes.TrimSpace(f.Data), false
	}
	if f := files["answer.sse"]; f != nil {
		return append(f.Data, '\n'), true
	}
	for line := range strings.Lines(string(files["answer.frames"].Data)) {
		kind, payload, _ := strings.Cut(strings.TrimSpace(line), " ")
		body = bedrock.AppendEvent(body, kind, []byte(payload))
	}
	return body, true
}

// told writes what the receipt says, so that fields that are added to it later
// change nothing here.
func told(r outcrop.Receipt) string {
	var said []string
	v := reflect.ValueOf(r)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			said = append(said, fmt.Sprintf("%s:%+v", v.Type().Field(i).Name, v.Field(i)))
		}
	}
	return "{" + strings.Join(said, " ") + "}"
}

var kinds = [...]string{"", "start", "block", "delta", "block stop", "stop", "native", "flush"}

func write(b *bytes.Buffer, e outcrop.Event) error {
	if e.Kind == outcrop.EventFlush {
		return nil // where reads end is the network's business
	}
	fmt.Fprintf(b, "%s", kinds[e.Kind])
	if e.Block != 0 {
		fmt.Fprintf(b, " %d of kind %d", e.Index, e.Block)
	}
	for _, part := range [][]byte{e.More().ID, e.More().Name, e.Text, e.More().StopSequence, e.More().Extra} {
		if len(part) > 0 {
			fmt.Fprintf(b, " [%s]", part)
		}
	}
	if e.More().Stop != "" {
		fmt.Fprintf(b, " %s", e.More().Stop)
	}
	b.WriteByte('\n')
	return nil
}

func compare(t *testing.T, want *txtar.File, got []byte) {
	t.Helper()
	if *update {
		want.Data = got
	}
	if diff := cmp.Diff(string(want.Data), string(got)); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", want.Name, diff)
	}
}
