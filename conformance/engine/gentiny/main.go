// Command gentiny writes a random-initialised Llama-architecture model as a
// GGUF v3 file: weights from a seeded generator and a byte-level BPE
// vocabulary trained on a few lines of text. What such a model says is noise
// made of readable pieces; the forward pass is real.
//
// Dimension 0 of the residual stream is held constant (every embedding has
// it, no layer writes it), so column 0 of the output matrix acts as a logit
// bias: it bars control tokens and bytes that are no text, and sets how
// likely the end token is.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
)

// A spec is the shape of the model.
type spec struct {
	name                   string
	dim, layers, heads, kv int
	ff, vocab, context     int
	weights                ggmlType
	end                    float64 // logit bias of the end token
	seed                   uint64
}

func main() {
	log.SetFlags(0)
	s, out := parseFlags()
	f, err := os.Create(out)
	if err != nil {
		log.Fatal(err)
	}
	words := train(s.vocab)
	parameters, bytes, err := write(f, s, words)
	if err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.1fM parameters, %d tokens (%d merges), %.1f MB\n",
		out, float64(parameters)/1e6, len(words.tokens), len(words.merges), float64(bytes)/1e6)
}

func parseFlags() (s spec, out string) {
	flag.StringVar(&out, "o", "tiny.gguf", "file to write")
	flag.StringVar(&s.name, "name", "tiny", "the model's name")
	flag.IntVar(&s.dim, "dim", 128, "embedding length")
	flag.IntVar(&s.layers, "layers", 2, "blocks")
	flag.IntVar(&s.heads, "heads", 4, "attention heads")
	flag.IntVar(&s.kv, "kv", 2, "key and value heads")
	flag.IntVar(&s.ff, "ff", 384, "feed-forward length")
	flag.IntVar(&s.vocab, "vocab", 768, "vocabulary size")
	flag.IntVar(&s.context, "ctx", 8192, "context length")
	weights := flag.String("type", "f16", "weights: f32, f16 or q8_0")
	flag.Float64Var(&s.end, "eos", -1e9, "logit bias of the end token (-1e9: never; about 2 ends after some hundred tokens)")
	flag.Uint64Var(&s.seed, "seed", 1, "seed of the weights")
	flag.Parse()
	var known bool
	if s.weights, known = map[string]ggmlType{"f32": f32, "f16": f16, "q8_0": q8}[*weights]; !known {
		log.Fatalf("unknown -type %q", *weights)
	}
	if s.dim%32 != 0 || s.ff%32 != 0 || s.dim%s.heads != 0 || s.heads%s.kv != 0 {
		log.Fatal("dim and ff must be multiples of 32, dim of heads, heads of kv")
	}
	return s, out
}
