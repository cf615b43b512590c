package runtimeapi_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
)

// FuzzServe sends any body to any operation of a model of any dialect. It is
// answered, or refused as the caller's mistake; it is never a fault of the
// server.
func FuzzServe(f *testing.F) {
	for op, body := range bodies {
		for i := range operations {
			if operations[i] == op {
				f.Add(byte(i), byte(outcrop.DialectNova), []byte(body))
			}
		}
	}
	files, err := filepath.Glob("testdata/front/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for d := outcrop.DialectAnthropic; d <= outcrop.DialectMistral; d++ {
			f.Add(byte(2), byte(d), a.Files[0].Data)
			f.Add(byte(3), byte(d), a.Files[0].Data)
		}
	}
	f.Fuzz(func(t *testing.T, op, dialect byte, body []byte) {
		d := outcrop.DialectAnthropic + outcrop.Dialect(dialect)%(outcrop.DialectMistral-outcrop.DialectAnthropic+1)
		h := serving(d, says(nil, weighs()...))
		before := string(body)
		w, line := h.serve(t, newCall(operations[int(op)%len(operations)], before))
		if w.status != 200 && w.status != 400 {
			t.Fatalf("%d %s, recorded %v", w.status, w.body, line)
		}
		if !w.begun && !json.Valid(w.body) {
			t.Fatalf("the answer is no JSON: %s", w.body)
		}
		if len(w.body) > 16<<10 {
			t.Fatalf("an answer of %d bytes to %q", len(w.body), body)
		}
		if w.begun {
			w.frames(t)
		}
	})
}
