package sse_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/outcrop/outcrop/sse"
)

// readAll returns the events as "name=data", and the error that ended them.
func readAll(r *sse.Reader, src io.Reader) (all []string, err error) {
	for {
		for e, ok := r.Next(); ok; e, ok = r.Next() {
			all = append(all, string(e.Name)+"="+string(e.Data))
		}
		if err := r.Fill(src); err != nil {
			return all, err
		}
	}
}

var streams = map[string][]string{
	"data: {\"a\":1}\n\ndata: [DONE]\n\n":                       {`={"a":1}`, "=[DONE]"},
	"event: ping\ndata: {}\n\n":                                 {"ping={}"},
	"event:a\r\ndata:b\r\n\r\n":                                 {"a=b"},
	"data: a\ndata: b\ndata:\ndata: c\n\n":                      {"=a\nb\n\nc"},
	"data: a\r\nevent: x\r\n: hm\r\ndata: b\r\n\r\ndata: z\n\n": {"x=a\nb", "=z"},
	"\ufeffdata: a\n\n":                                         {"=a"},
	"data: a\n\n\ufeffdata: b\n\n":                              {"=a"},
	": comment\n\n:\n\ndata: a\n\n":                             {"=a"},
	"data\n\n":                                                  {"="},
	"data:\n\n":                                                 {"="},
	"event: lost\n\ndata: a\n\n":                                {"=a"},
	"event: one\nevent: two\ndata: a\n\n":                       {"two=a"},
	"id: 7\nretry: 5\ndata: a\nmore: b\n\n":                     {"=a"},
	"data:  two spaces\n\n":                                     {"= two spaces"},
	"data: a: b\n\n":                                            {"=a: b"},
	"data : a\n\n":                                              nil,
	" data: a\n\n":                                              nil,
	"\n\n\n\r\n":                                                nil,
	"":                                                          nil,
	"data: never ended\n":                                       nil,
	"data: never ended":                                         nil,
	"data: a\rb\n\n":                                            {"=a\rb"},
	"data: a\n\nevent: e\ndata: b\n\nevent: f\ndata: c\n\ndata:d\n\n": {"=a", "e=b", "f=c", "=d"},
}

func TestEventsAreThoseOfTheStandard(t *testing.T) {
	for stream, want := range streams {
		for name, src := range map[string]io.Reader{
			"at once": strings.NewReader(stream), "byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
			"end with data": iotest.DataErrReader(strings.NewReader(stream)),
		} {
			var r sse.Reader
			got, err := readAll(&r, src)
			if err != io.EOF || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q %s: %q, %v, want %q", stream, name, got, err, want)
			}
		}
	}
}

func TestRestIsTheEventThatLacksItsBlankLine(t *testing.T) {
	for stream, want := range map[string]string{
		"data: a\n\ndata: [DONE]\n": "=[DONE]", "data: [DONE]": "=[DONE]", "data: a\r": "=a", "event: x\ndata: a\r\n\r": "x=a", "data: a\ndata: b": "=a\nb",
	} {
		var r sse.Reader
		if _, err := readAll(&r, strings.NewReader(stream)); err != io.EOF {
			t.Fatal(err)
		}
		if e, ok := r.Rest(); !ok || string(e.Name)+"="+string(e.Data) != want {
			t.Errorf("%q: %q %q %v", stream, e.Name, e.Data, ok)
		}
		if e, ok := r.Rest(); ok {
			t.Errorf("%q: a second rest %q", stream, e.Data)
		}
	}
	for _, stream := range []string{"", "data: a\n\n", "event: a\n", ": b", "\r"} {
		var r sse.Reader
		readAll(&r, strings.NewReader(stream))
		if e, ok := r.Rest(); ok {
			t.Errorf("%q: rest %q", stream, e.Data)
		}
	}
}

func TestEventsUpToTheLimitPass(t *testing.T) {
	for _, over := range []int{0, 1} {
		stream := "data: a\n\ndata: " + strings.Repeat("x", sse.MaxEvent-8+over) + "\n\ndata: b\n\n"
		for name, src := range map[string]io.Reader{
			"at once": strings.NewReader(stream), "in pieces": bufio.NewReaderSize(strings.NewReader(stream), 1000),
		} {
			var r sse.Reader
			got, err := readAll(&r, src)
			if over == 0 && (err != io.EOF || len(got) != 3) || over == 1 && (err != sse.ErrTooLong || len(got) != 1) {
				t.Errorf("%s, %d over the limit: %d events, %v", name, over, len(got), err)
			}
		}
	}
}

// endless is a line that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return copy(p, bytes.Repeat([]byte{'x'}, len(p))), nil
}

func TestALineWithoutEndIsRefused(t *testing.T) {
	var r sse.Reader
	src := &endless{}
	if _, err := readAll(&r, src); err != sse.ErrTooLong || src.read > sse.MaxEvent {
		t.Errorf("%v after %d bytes", err, src.read)
	}
	if err := r.Fill(strings.NewReader("data: a\n\n")); err != sse.ErrTooLong {
		t.Errorf("and then %v", err)
	}
	r.Reset()
	if got, err := readAll(&r, strings.NewReader("data: a\n\n")); len(got) != 1 || err != io.EOF {
		t.Errorf("after Reset: %q, %v", got, err)
	}
}

func TestCommentsMayGoOnForever(t *testing.T) {
	stream := strings.Repeat(": still here\n", 200_000) + "data: a\n\n"
	var r sse.Reader
	if got, err := readAll(&r, strings.NewReader(stream)); len(got) != 1 || err != io.EOF {
		t.Errorf("%q, %v", got, err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestASourceThatReturnsNothingEnds(t *testing.T) {
	var r sse.Reader
	if _, err := readAll(&r, silent{}); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
}

func TestFillReadsOnce(t *testing.T) {
	var r sse.Reader
	src := &counting{src: strings.NewReader(strings.Repeat("data: a\n\n", 5000))}
	for fills := 1; r.Fill(src) == nil; fills++ {
		if src.reads != fills {
			t.Fatalf("%d reads in %d fills", src.reads, fills)
		}
		for _, ok := r.Next(); ok; _, ok = r.Next() {
		}
	}
}

type counting struct {
	src   io.Reader
	reads int
}

func (c *counting) Read(p []byte) (int, error) { c.reads++; return c.src.Read(p) }

func TestReadingAllocatesNothing(t *testing.T) {
	var r sse.Reader
	stream := []byte(strings.Repeat("data: {\"choices\":[]}\n\n", 50))
	src := bytes.NewReader(stream)
	if n := testing.AllocsPerRun(100, func() {
		r.Reset()
		src.Reset(stream)
		for r.Fill(src) == nil {
			for _, ok := r.Next(); ok; _, ok = r.Next() {
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// reference is a reader by the letter, over the whole stream.
func reference(stream string) (all []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	name, data := "", ""
	lines := strings.Split(stream, "\n")
	for _, line := range lines[:len(lines)-1] {
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			if data != "" {
				all = append(all, name+"="+strings.TrimSuffix(data, "\n"))
			}
			name, data = "", ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data += value + "\n"
		case "event":
			name = value
		}
	}
	return all
}

// pieces returns as many bytes per read as the next byte of cuts says.
type pieces struct {
	src  io.Reader
	cuts []byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.cuts) > 0 {
		b = b[:min(len(b), 1+int(p.cuts[0]))]
		p.cuts = p.cuts[1:]
	}
	return p.src.Read(b)
}

func FuzzAnySplitGivesTheSameEvents(f *testing.F) {
	for stream := range streams {
		f.Add(stream, []byte{0, 3, 1, 7})
	}
	f.Fuzz(func(t *testing.T, stream string, cuts []byte) {
		if len(stream) > sse.MaxEvent {
			return
		}
		want := reference(stream)
		for _, src := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream)), &pieces{strings.NewReader(stream), cuts}} {
			var r sse.Reader
			got, err := readAll(&r, src)
			if err != io.EOF || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
				t.Fatalf("%q: %q, %v, want %q", stream, got, err, want)
			}
			r.Rest()
		}
	})
}

func BenchmarkNext(b *testing.B) {
	var r sse.Reader
	stream := []byte(strings.Repeat("data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}\n\n", 30))
	src := bytes.NewReader(stream)
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		r.Reset()
		src.Reset(stream)
		for r.Fill(src) == nil {
			for _, ok := r.Next(); ok; _, ok = r.Next() {
				events++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}
