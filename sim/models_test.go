package sim_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"testing"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
	"github.com/outcrop/outcrop/sim"
)

func TestEveryBuiltinModelHasASensibleMachine(t *testing.T) {
	for _, c := range catalog.Builtin().Cards() {
		k, first := sim.ConstantsFor(c), sim.FirstTokenFor(c)
		if got := k.Entry + k.Time(1, 0, 0); got != first {
			t.Errorf("%s: a short prompt takes %v, want %v", c.ID, got, first)
		}
		if first < 200*time.Millisecond || first > 2*time.Second {
			t.Errorf("%s: first token after %v", c.ID, first)
		}
		if k.Weights <= 0 || k.KVTokens < c.Context {
			t.Errorf("%s: %+v does not fit its context of %d", c.ID, k, c.Context)
		}
	}
}

func TestSizesInIDsDecideWhereNoNameDoes(t *testing.T) {
	for id, want := range map[string]time.Duration{
		"meta.llama3-2-1b-instruct-v1:0":   200,
		"meta.llama3-1-8b-instruct-v1:0":   300,
		"meta.llama3-3-70b-instruct-v1:0":  600,
		"meta.llama3-1-405b-instruct-v1:0": 1200,
		"acme.unknown":                     500,
	} {
		if got := sim.FirstTokenFor(&outcrop.Card{ID: id}); got != want*time.Millisecond {
			t.Errorf("%s: %v, want %d ms", id, got, want)
		}
	}
}

func TestGivenConstantsReplaceTheDefaults(t *testing.T) {
	k := sim.ConstantsFor(card(t, haiku))
	k.MaxSeqs = 3
	e := sim.New(sim.Config{Card: card(t, haiku), Constants: k, Speed: 1})
	k.KVTokens = 160
	if got := e.Stats().KVTokens; got < 200_000 {
		t.Errorf("memory for %d tokens", got)
	}
	if got := sim.New(sim.Config{Constants: k, Speed: 1}).Stats().KVTokens; got != 160 {
		t.Errorf("memory for %d tokens, want 160", got)
	}
}

func TestImagesCostByTheirSize(t *testing.T) {
	cost := func(b64 string) int {
		n, err := quick(t).CountTokens(t.Context(), ask(t, "", func(r *outcrop.Request) {
			r.Conversation.Messages[0].Content = []outcrop.Block{{Kind: outcrop.BlockImage,
				Media: &outcrop.Media{Format: "png", Base64: outcrop.Text(b64)}}}
		}))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 750, 200))); err != nil {
		t.Fatal(err)
	}
	small, unknown := cost(base64.StdEncoding.EncodeToString(b.Bytes())), cost("AQI=")
	if small < 200 || small > 210 || unknown < 1600 || unknown > 1610 {
		t.Errorf("%d tokens for 750x200 pixels, %d for an unknown size", small, unknown)
	}
}

func BenchmarkInvokeAtOnce(b *testing.B) {
	e := quick(b)
	req := ask(b, "Explain machine learning")
	for b.Loop() {
		var a outcrop.Answer
		if _, err := e.Invoke(b.Context(), req, &a); err != nil {
			b.Fatal(err)
		}
	}
}
