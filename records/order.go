package records

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/outcrop/outcrop"
)

// An Answer is guessed to take as many tokens if the record does not say.
const unsaidTokens = 512

// bytesPerToken is what is assumed of prompts that nobody has counted.
const bytesPerToken = 4

// Order returns the order in which the records of a chunk run best, as indices.
// Records that begin alike follow each other, so that an engine finds the
// beginning in its cache; and those that are long to read alternate with those
// that are long to write, so that the engine always has both kinds of work.
func Order(inputs []outcrop.JSON) []int {
	var reads, writes []int
	for i, in := range inputs {
		if len(in)/bytesPerToken > Longest(in) {
			reads = append(reads, i)
			continue
		}
		writes = append(writes, i)
	}
	byPrefix := func(a, b int) int { return cmp.Or(bytes.Compare(inputs[a], inputs[b]), a-b) }
	slices.SortFunc(reads, byPrefix)
	slices.SortFunc(writes, byPrefix)
	return mix(reads, writes)
}

// mix merges the two evenly, each in its order.
func mix(a, b []int) []int {
	all := make([]int, 0, len(a)+len(b))
	for i, j := 0, 0; i < len(a) || j < len(b); {
		if j == len(b) || i < len(a) && i*len(b) <= j*len(a) {
			all = append(all, a[i])
			i++
			continue
		}
		all = append(all, b[j])
		j++
	}
	return all
}

// limits are the members that bound an answer in the dialects of InvokeModel
// and in Converse.
var limits = [][]byte{
	[]byte(`"max_tokens"`), []byte(`"maxTokens"`), []byte(`"max_gen_len"`), []byte(`"maxTokenCount"`), []byte(`"max_new_tokens"`), []byte(`"max_completion_tokens"`),
}

// Longest guesses how many tokens the answer to a record can take, by what
// bounds it. It reads no further than it must, and may be wrong where a prompt
// holds such a member as text.
func Longest(input outcrop.JSON) int {
	for _, name := range limits {
		if i := bytes.Index(input, name); i >= 0 {
			if n, ok := number(input[i+len(name):]); ok {
				return n
			}
		}
	}
	return unsaidTokens
}

// number reads a small number behind a colon.
func number(b []byte) (n int, ok bool) {
	b = bytes.TrimLeft(b, ": \t")
	for i := 0; i < len(b) && i < 9 && b[i]-'0' <= 9; i++ {
		n, ok = n*10+int(b[i]-'0'), true
	}
	return n, ok
}

// Tokens guesses what a record takes, to read and to write.
func Tokens(input outcrop.JSON) int64 { return int64(len(input)/bytesPerToken + Longest(input)) }
