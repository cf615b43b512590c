package main

import (
	"fmt"
	"strings"
)

const corpus = `the gateway sends each request to one of the engines and the engine answers with a stream of tokens
when the queue of an engine is full the gateway waits or tries another one so that no client is left alone
a model reads the words of the prompt and writes the next word again and again until it is done
time to first token grows with the length of the queue and with the length of the prompt
there are people who think that this could be made better and others who would rather leave it as it was
some days are long and some nights are short but the work goes on in every place where there is light
hello world how are you today what is the name of the river that runs through this old city
please write a short story about a small boat on a great sea and the two friends who sail it
all systems were normal and nothing unusual had been seen before the load began to rise
count from one to ten then tell me what comes after and why that is not the end of the list`

const chatTemplate = `{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`

// The token types of GGUF.
const (
	typeNormal  int32 = 1
	typeControl int32 = 3
)

// The control tokens that have a job.
const (
	beginToken uint32 = 0
	endToken   uint32 = 1
)

// A vocabulary is a byte-level BPE vocabulary.
type vocabulary struct {
	tokens, merges []string
	types          []int32
	text           []bool // may be generated
}

func (v *vocabulary) add(token string, kind int32, text bool) {
	v.tokens = append(v.tokens, token)
	v.types = append(v.types, kind)
	v.text = append(v.text, text)
}

// train makes a vocabulary of size tokens from the corpus.
func train(size int) vocabulary {
	var v vocabulary
	for _, s := range []string{"<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"} {
		v.add(s, typeControl, false)
	}
	printable := byteRunes()
	for b, r := range printable {
		v.add(string(r), typeNormal, b >= 'a' && b <= 'z' || b == ' ')
	}
	words, count := map[string][]string{}, map[string]int{}
	for _, w := range strings.Fields(corpus) {
		w = string(printable[' ']) + w
		count[w]++
		words[w] = strings.Split(w, "")
	}
	for len(v.tokens) < size {
		left, right, found := commonest(words, count)
		if !found {
			break
		}
		v.add(left+right, typeNormal, true)
		v.merges = append(v.merges, left+" "+right)
		for w, pieces := range words {
			words[w] = merge(pieces, left, right)
		}
	}
	for i := 0; len(v.tokens) < size; i++ { // unused rows, up to the wanted size
		v.add(fmt.Sprintf("<|pad%d|>", i), typeControl, false)
	}
	return v
}

// byteRunes is GPT-2's printable stand-in for each byte.
func byteRunes() (r [256]rune) {
	n := rune(0)
	for b := range r {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			r[b] = rune(b)
			continue
		}
		r[b] = 256 + n
		n++
	}
	return r
}

// commonest is the pair of neighbours that occurs most often; of equals, the
// first in the alphabet.
func commonest(words map[string][]string, count map[string]int) (left, right string, found bool) {
	pairs := map[[2]string]int{}
	for w, p := range words {
		for i := 0; i+1 < len(p); i++ {
			pairs[[2]string{p[i], p[i+1]}] += count[w]
		}
	}
	var best [2]string
	for p, n := range pairs {
		if n > pairs[best] || n == pairs[best] && p[0]+" "+p[1] < best[0]+" "+best[1] {
			best = p
		}
	}
	return best[0], best[1], pairs[best] > 0
}

func merge(pieces []string, left, right string) []string {
	merged := pieces[:0:0]
	for i := 0; i < len(pieces); i++ {
		if i+1 < len(pieces) && pieces[i] == left && pieces[i+1] == right {
			merged = append(merged, left+right)
			i++
			continue
		}
		merged = append(merged, pieces[i])
	}
	return merged
}
