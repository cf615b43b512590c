package measure

import (
	"math/rand/v2"

	"github.com/outcrop/outcrop"
)

// words are short and common, so that tokenizers have one token for most of
// them, and far from each other in sense, so that no model takes the prompt for
// a text that it must refuse.
var words = [...]string{
	"apple", "bridge", "cloud", "desk", "engine", "field", "garden", "house", "island", "jacket", "kitchen", "lake", "market", "north",
	"ocean", "paper", "queen", "river", "stone", "table", "under", "valley", "water", "yellow", "animal", "bottle", "castle", "dinner",
	"earth", "flower", "green", "hand", "iron", "journey", "king", "letter", "mountain", "number", "open", "picture", "quiet", "road",
	"summer", "train", "uncle", "village", "winter", "young", "autumn", "butter", "corner", "doctor", "east", "forest", "gold", "horse",
	"inside", "land", "morning", "night", "orange", "people", "red", "school",
}

// prompts makes prompts of random words. The first ten alone differ in one
// of 2^60 ways, so that no prompt cache has seen a beginning before.
type prompts struct {
	rng  *rand.Rand
	sent int
	// A prompt of w words has about base + perWord·w tokens.
	base, perWord float64
}

func newPrompts(seed uint64) *prompts {
	return &prompts{rng: rand.New(rand.NewPCG(seed, 0x6f757463726f70)), perWord: 1}
}

// learn takes how many tokens prompts of two lengths had.
func (p *prompts) learn(words1, tokens1, words2, tokens2 int) {
	slope := float64(tokens2-tokens1) / float64(words2-words1)
	if slope <= 0 {
		return
	}
	p.perWord = slope
	p.base = max(0, float64(tokens1)-slope*float64(words1))
}

// words is how many words make so many tokens.
func (p *prompts) words(tokens int) int {
	return max(1, int((float64(tokens)-p.base)/p.perWord))
}

// text returns a prompt of n words. What it ends with asks for an answer that
// does not end soon.
func (p *prompts) text(n int) outcrop.Text {
	b := make([]byte, 0, 8*n+64)
	for range n {
		b = append(b, words[p.rng.IntN(len(words))]...)
		b = append(b, ' ')
	}
	return append(b, `\n\nTell a very long story with these words.`...)
}
