package records_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/records"
)

const maxLine = 1000

// texts reads all lines of a file.
func texts(t *testing.T, file string) (all []records.Line, err error) {
	t.Helper()
	l := records.NewLines(iotest.OneByteReader(strings.NewReader(file)), 0, maxLine)
	for {
		line, ok := l.Next()
		if !ok {
			return all, l.Err()
		}
		line.Text = bytes.Clone(line.Text)
		all = append(all, line)
	}
}

func TestLinesOfEveryKindOfFile(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"", "[]"},
		{"\n\r\n  \n", "[]"},
		{"{a}\n{b}\n", "[1:0-4{a} 2:4-8{b}]"},
		{"{a}\r\n\r\n{b}", "[1:0-5{a} 3:7-10{b}]"},
		{"\xef\xbb\xbf{a}\n", "[1:3-7{a}]"},
		{"  {a}\t\n", "[1:0-7{a}]"},
	} {
		lines, err := texts(t, c.file)
		got := "["
		for i, l := range lines {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("%d:%d-%d%s", l.Number, l.From, l.To, l.Text)
		}
		if got += "]"; got != c.want || err != nil {
			t.Errorf("%q: %s %v, want %s", c.file, got, err, c.want)
		}
	}
}

func TestFilesThatAreNoLines(t *testing.T) {
	if _, err := texts(t, "\x1f\x8b\x08\x00abc"); !errors.Is(err, records.ErrCompressed) {
		t.Errorf("gzip: %v", err)
	}
	lines, err := texts(t, "{}\n"+strings.Repeat("x", maxLine+1)+"\n{}\n")
	if !errors.Is(err, records.ErrLongLine) || len(lines) != 1 {
		t.Errorf("a long line: %d lines, %v", len(lines), err)
	}
	if _, err := texts(t, strings.Repeat("x", maxLine-1)+"\n"); err != nil {
		t.Errorf("a line that just fits: %v", err)
	}
	broken := records.NewLines(io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(io.ErrUnexpectedEOF)), 0, maxLine)
	if _, ok := broken.Next(); !ok {
		t.Error("the whole line before the fault is missing")
	}
	if l, ok := broken.Next(); ok || !errors.Is(broken.Err(), io.ErrUnexpectedEOF) {
		t.Errorf("a half line counts: %q %v", l.Text, broken.Err())
	}
}

func TestRecords(t *testing.T) {
	for line, want := range map[string]error{
		`{"recordId":"a","modelInput":{"x":1}}`:           nil,
		`{"modelInput":{},"other":[1]}`:                   nil,
		`{"recordId":"a"}`:                                records.ErrNoInput,
		`{"modelInput":[]}`:                               records.ErrInput,
		`{"modelInput":"{}"}`:                             records.ErrInput,
		`{"recordId":7,"modelInput":{}}`:                  records.ErrID,
		`{"modelInput":{},"modelInput":{}}`:               records.ErrTwice,
		`{"recordId":"a","recordId":"b","modelInput":{}}`: records.ErrTwice,
		`[{"modelInput":{}}]`:                             records.ErrNoObject,
		`{"modelInput":{}} {}`:                            records.ErrNoObject,
		`{"modelInput":{}`:                                records.ErrNoObject,
		`{"modelInput":{"a"}}`:                            records.ErrNoObject,
		"{\"recordId\":\"\xff\",\"modelInput\":{}}":       records.ErrNoObject,
		`not json`: records.ErrNoObject,
		`null`:     records.ErrNoObject,
		`{"recordId":"a","modelInput":{"t":"` + "\x01" + `"}}`: records.ErrNoObject,
	} {
		if _, err := records.Parse([]byte(line)); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", line, err, want)
		}
	}
	r, err := records.Parse([]byte(`{"modelInput" : {"x": "\u00e9"} , "recordId":"a\"b"}`))
	if err != nil || string(r.ID) != `a\"b` || string(r.Input) != `{"x": "\u00e9"}` {
		t.Errorf("%s %s %v", r.ID, r.Input, err)
	}
}

func TestLinesOfTheOutput(t *testing.T) {
	r := records.Record{ID: records.AppendID(nil, 42), Input: outcrop.JSON(`{"p":1}`)}
	got := string(records.AppendAnswer(nil, r, []byte("{\n \"a\": \"x\\n\"\r\n}")))
	if want := `{"recordId":"R0000000042","modelInput":{"p":1},"modelOutput":{ "a": "x\n"}}` + "\n"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
	got = string(records.AppendFailure(nil, r, records.Failure{Status: 400, Message: `bad "request"`}))
	if want := `{"recordId":"R0000000042","modelInput":{"p":1},"error":{"errorCode":400,"errorMessage":"bad \"request\""}}` + "\n"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
	got = string(records.AppendFailure(nil, r, records.Failure{Status: 500, Message: "late", Attempts: 3}))
	if !strings.Contains(got, `"errorMessage":"late (3 attempts)"`) {
		t.Errorf("got %s", got)
	}
	got = string(records.AppendManifest(nil, outcrop.JobCounts{Total: 9, Succeeded: 5, Failed: 2}, outcrop.JobUsage{Input: 10, Output: 20, CacheRead: 3, CacheWrite: 4}))
	if want := `{"totalRecordCount":9,"processedRecordCount":7,"successRecordCount":5,"errorRecordCount":2,"inputTokenCount":17,"outputTokenCount":20}` + "\n"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

// TestChunksHoldEachRecordOnce for every file and every bound, and reading a
// chunk's range gives its records.
func TestChunksHoldEachRecordOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"{}", "", "\r", "{1234567}", "   ", "\xef\xbb\xbf{}"})).Draw(t, "lines"), "\n")
		p := records.Planner{Records: rapid.Int64Range(1, 5).Draw(t, "records"), Bytes: rapid.Int64Range(1, 30).Draw(t, "bytes"), First: 7}
		var want []string
		for l := records.NewLines(strings.NewReader(file), 0, maxLine); ; {
			line, ok := l.Next()
			if !ok {
				break
			}
			want = append(want, string(line.Text))
			p.Add(line)
		}
		var got []string
		next := int64(7)
		for _, c := range p.Done() {
			if c.First != next || c.Records < 1 || c.Records > p.Records || c.To-c.From > p.Bytes && c.Records > 1 {
				t.Fatalf("chunk %+v", c)
			}
			next += c.Records
			for l := records.NewLines(strings.NewReader(file[c.From:c.To]), c.From, maxLine); ; {
				line, ok := l.Next()
				if !ok {
					break
				}
				got = append(got, string(line.Text))
			}
		}
		if !slices.Equal(got, want) || next != 7+int64(len(want)) {
			t.Fatalf("got %q want %q", got, want)
		}
	})
}

func TestTheOrderKeepsLikeTogetherAndMixesTheRest(t *testing.T) {
	long := strings.Repeat("x", 8000)
	inputs := []outcrop.JSON{
		outcrop.JSON(`{"p":"b","max_tokens":100}`), outcrop.JSON(`{"p":"z` + long + `","max_tokens":10}`),
		outcrop.JSON(`{"p":"a","max_tokens":100}`), outcrop.JSON(`{"p":"y` + long + `","max_tokens":10}`),
	}
	if got := records.Order(inputs); !slices.Equal(got, []int{3, 2, 1, 0}) {
		t.Errorf("got %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		var all []outcrop.JSON
		for _, s := range rapid.SliceOf(rapid.StringMatching(`[ab]{0,3}`)).Draw(t, "inputs") {
			all = append(all, outcrop.JSON(s))
		}
		order := records.Order(all)
		slices.Sort(order)
		for i, n := range order {
			if i != n || len(order) != len(all) {
				t.Fatalf("no permutation: %v", order)
			}
		}
	})
}

func TestWhatBoundsAnAnswer(t *testing.T) {
	for in, want := range map[string]int{
		`{"max_tokens":17}`: 17, `{"inferenceConfig":{"maxTokens": 5}}`: 5, `{"max_gen_len":9}`: 9, `{}`: 512, `{"max_tokens":null}`: 512,
	} {
		if got := records.Longest(outcrop.JSON(in)); got != want {
			t.Errorf("%s: %d, want %d", in, got, want)
		}
	}
}

func TestWhereThingsLie(t *testing.T) {
	l, ok := records.ParseURI("s3://bucket/in/a.jsonl")
	if !ok || l != (records.Location{Bucket: "bucket", Key: "in/a.jsonl"}) || !l.IsFile() || l.String() != "s3://bucket/in/a.jsonl" {
		t.Errorf("%+v %v", l, ok)
	}
	for _, wrong := range []string{"", "s3://", "s3:///x", "http://b/k"} {
		if _, ok := records.ParseURI(wrong); ok {
			t.Errorf("%q is taken", wrong)
		}
	}
	for uri, want := range map[string]string{"s3://b": "id/", "s3://b/": "id/", "s3://b/out": "out/id/", "s3://b/out/": "out/id/"} {
		l, _ := records.ParseURI(uri)
		if got := l.Folder("id"); got != want {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
	if got := records.OutputName(l, "in/a.jsonl"); got != "a.jsonl.out" {
		t.Errorf("got %s", got)
	}
	if got := records.OutputName(records.Location{Bucket: "b", Key: "in"}, "in/x/a.jsonl"); got != "x/a.jsonl.out" {
		t.Errorf("got %s", got)
	}
}

// FuzzParse takes any line. What it takes is what encoding/json takes, and
// what is written of it is one line of JSON that says the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"recordId":"a","modelInput":{"x":1}}`, `{"modelInput":{}}`, `{"modelInput":`, `{"recordId":1,"modelInput":{}}`, `{"a":"\ud800"}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := records.Parse(line)
		if err != nil {
			return
		}
		var want struct {
			RecordID   *string         `json:"recordId"`
			ModelInput json.RawMessage `json:"modelInput"`
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatalf("%q is taken, and is no record: %v", line, err)
		}
		if bytes.ContainsAny(line, "\n\r") {
			return // no line
		}
		out := records.AppendAnswer(nil, r, []byte("{}"))
		if bytes.IndexByte(out, '\n') != len(out)-1 {
			t.Fatalf("%q is more than a line", out)
		}
		var got struct {
			RecordID    *string         `json:"recordId"`
			ModelInput  json.RawMessage `json:"modelInput"`
			ModelOutput json.RawMessage `json:"modelOutput"`
		}
		if err := json.Unmarshal(out, &got); err != nil || !bytes.Equal(got.ModelInput, r.Input) {
			t.Fatalf("%q: %v", out, err)
		}
	})
}

// TestALongLineTakesItsLengthAndLittleMore however it is read.
func TestALongLineTakesItsLengthAndLittleMore(t *testing.T) {
	const longest = 32 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l := records.NewLines(io.LimitReader(zeros{}, 100<<20), 0, longest)
	if _, ok := l.Next(); ok || !errors.Is(l.Err(), records.ErrLongLine) {
		t.Fatalf("%v", l.Err())
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > longest+longest/4 {
		t.Errorf("%d MB were allocated for a line of %d", took>>20, longest>>20)
	}
}

// TestLongLinesAreAskedForOnce before they take memory, and others never.
func TestLongLinesAreAskedForOnce(t *testing.T) {
	short, long := strings.Repeat("x", records.LongLine/2)+"\n", strings.Repeat("y", 2*records.LongLine)+"\n"
	asked := 0
	l := records.NewLines(strings.NewReader(short+short+long+long+short), 0, 4*records.LongLine)
	l.Long = func() error { asked++; return nil }
	for n, want := range []int{0, 0, 1, 1, 1} {
		if _, ok := l.Next(); !ok || asked != want {
			t.Errorf("line %d: %v, asked %d times", n+1, ok, asked)
		}
	}
	refused := errors.New("no room")
	l = records.NewLines(strings.NewReader(short+long+short), 0, 4*records.LongLine)
	l.Long = func() error { return refused }
	if _, ok := l.Next(); !ok {
		t.Errorf("a short line is refused: %v", l.Err())
	}
	if _, ok := l.Next(); ok || l.Err() != refused || l.Number() != 2 {
		t.Errorf("%v, %v at line %d", ok, l.Err(), l.Number())
	}
	if _, ok := l.Next(); ok {
		t.Error("there is a line after that")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
