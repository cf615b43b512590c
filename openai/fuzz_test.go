package openai_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/openai"
)

// seed adds the files of the name in testdata/folder.
func seed(f *testing.F, folder, name string) {
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds in %s: %v", folder, err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if file.Name == name {
				f.Add(bytes.TrimSuffix(file.Data, []byte("\n")))
			}
		}
	}
}

// modelled fails unless err is nil or an error of one of the codes.
func modelled(t *testing.T, err error, codes ...outcrop.Code) {
	if err == nil {
		return
	}
	var e *outcrop.Error
	if !errors.As(err, &e) {
		t.Fatalf("not for callers: %v", err)
	}
	for _, code := range codes {
		if e.Code == code {
			return
		}
	}
	t.Fatalf("unexpected code: %v", err)
}

func FuzzDecoder(f *testing.F) {
	seed(f, "stream", "stream")
	f.Fuzz(func(t *testing.T, stream []byte) {
		req := request()
		req.Conversation.ResponseFields = []string{"/x"}
		var d openai.Decoder
		d.Reset(req)
		r := &record{}
		err := play(&d, string(stream), r)
		modelled(t, err, outcrop.CodeModelStream)
		if len(r.broken) > 0 {
			t.Fatal(r.broken)
		}
		if d.Done() != r.stopped {
			t.Fatalf("done %v, stopped %v", d.Done(), r.stopped)
		}
		u := d.Usage()
		if u.Input < 0 || u.Output < 0 || u.CacheRead < 0 {
			t.Fatal(usageLine(u))
		}
		for chunk := range strings.Lines(string(stream)) {
			_, err := openai.NativeChunk([]byte(strings.TrimPrefix(chunk, "data: ")))
			modelled(t, err, outcrop.CodeModelStream)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	seed(f, "answer", "answer")
	f.Fuzz(func(t *testing.T, body []byte) {
		req := request()
		req.Conversation.ResponseFields = []string{"/x"}
		var d openai.Decoder
		d.Reset(req)
		r := &record{}
		err := d.Answer(body, r)
		modelled(t, err, outcrop.CodeModelError)
		if len(r.broken) > 0 || (err == nil) != d.Done() {
			t.Fatal(r.broken, err, d.Done())
		}
		if err != nil {
			return
		}
		answer := openai.AppendAnswer(nil, req, &r.answer, outcrop.Receipt{Usage: d.Usage()})
		if !jsonscan.Valid(answer) {
			t.Fatalf("not JSON: %s", answer)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	seed(f, "exchange", "body")
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, err := openai.DecodeRequest(body, true)
		modelled(t, err, outcrop.CodeValidation)
		c, _, lenient := openai.DecodeRequest(body, false)
		modelled(t, lenient, outcrop.CodeValidation)
		if err == nil && lenient != nil {
			t.Fatalf("strict takes it, and lenient says %v", lenient)
		}
		if lenient != nil {
			return
		}
		out, err := openai.AppendRequest(nil, c, openai.Options{Model: "m", KeepReasoning: true})
		modelled(t, err, outcrop.CodeValidation)
		if err == nil && !wellFormed(out) {
			t.Fatalf("%s\nbecame %s", body, out)
		}
	})
}

func FuzzAppendNative(f *testing.F) {
	seed(f, "exchange", "body")
	f.Add([]byte(`{"stream":true , "a":[1], "model":"x","stream_options":{}}`))
	f.Add([]byte(`{"a":1,"Priorit\u0079":-9 , "b":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		out, err := openai.AppendNative(nil, body, openai.Options{Model: "m", Stream: true})
		modelled(t, err, outcrop.CodeValidation)
		if err == nil {
			sameButForOurs(t, body, out)
			if ranked, err := openai.AppendNative(nil, body, openai.Options{Priorities: true}); err == nil {
				sameButForOurs(t, body, ranked, "priority")
			}
		} else if jsonscan.Valid(body) && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) && !strings.Contains(err.Error(), "duplicate") {
			t.Fatalf("%s: %v", body, err)
		}
	})
}

func FuzzErrorMessage(f *testing.F) {
	f.Add([]byte(`{"detail":[{"loc":["a"],"msg":"b"}]}`))
	f.Add([]byte(`<html><title>x</title>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := openai.ErrorMessage(body)
		if len(got) > 1024 || strings.ContainsAny(got, "\n\r\t\x00\x1b") {
			t.Fatalf("%q", got)
		}
	})
}
