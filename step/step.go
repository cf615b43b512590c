// Package step is the model of an inference engine with continuous batching,
// as a pure state machine in virtual time: the caller says what time it is
// and learns what happened until then. It has no clock, no goroutines and no
// randomness of its own, so that the same calls always have the same outcome.
//
// The engine works in steps. In one step every sequence that already answers
// (decodes) yields one token, and sequences whose prompt is not yet read
// (prefill) read a chunk of it, all within a budget of tokens. A step with P
// tokens of prompts, D decoding sequences, and C tokens of context that these
// sequences had before it takes
//
//	T = Overhead + max(Weights, Token*(P+D)) + Context*C
//
// so that up to Weights/Token tokens ride free, and a long prompt holds up all
// who take part. Scheduling follows vLLM's V1 engine: running sequences first,
// in the order of their admission; then the waiting ones by priority and
// arrival. Memory is held in blocks of tokens, grows with each sequence, and
// when it is short the running sequence of the least priority and the latest
// arrival gives way, to be computed again later. Blocks with a known content
// are shared and kept, least recently used first to go (prefix cache).
package step

import (
	"math"
	"time"
)

// BlockTokens is how many tokens a block of memory holds.
const BlockTokens = 16

// Constants describe an engine: a model on a machine.
type Constants struct {
	// Entry is the time from Submit until a sequence can be scheduled: what
	// lies before the engine, such as network and tokenizer.
	Entry time.Duration
	// Overhead is the fixed time of a step (tau0).
	Overhead time.Duration
	// Weights is the time to read the weights once (W/BW).
	Weights time.Duration
	// Token is the time to compute 1,000 tokens (1,000 c_tok).
	Token time.Duration
	// Context is the time to read the memory of 1,000 tokens of context
	// (1,000 kappa).
	Context time.Duration
	// Noise is the standard deviation of the logarithm of a step's time; 0
	// makes all steps exact.
	Noise float64
	// Seed chooses the noise.
	Seed uint64

	Budget   int // tokens that a step may compute, prompts and answers together
	MaxSeqs  int // sequences that run at the same time
	KVTokens int // tokens of context that fit the memory
}

// H100Llama8B are the constants of an 8B model in bf16 on one H100 SXM, from
// the roofline: 16 GB of weights at 85 % of 3.35 TB/s, 16 GFLOP a token at
// 450 TFLOP/s, 128 KB of context a token at 80 % of the bandwidth.
func H100Llama8B() Constants {
	return Constants{
		Overhead: 1200 * time.Microsecond,
		Weights:  5600 * time.Microsecond,
		Token:    35 * time.Millisecond,
		Context:  50 * time.Microsecond,
		Budget:   2048,
		MaxSeqs:  256,
		KVTokens: 460_000,
	}
}

// Scaled returns the constants of an engine that is speed times as fast.
// Speed must be positive.
func (c Constants) Scaled(speed float64) Constants {
	for _, d := range []*time.Duration{&c.Entry, &c.Overhead, &c.Weights, &c.Token, &c.Context} {
		*d = time.Duration(math.Round(float64(*d) / speed))
	}
	return c
}

// Time returns how long a step takes without noise; it is at least 1 ns.
func (c Constants) Time(prefill, decode, context int) time.Duration {
	work := max(c.Weights, thousandths(c.Token, prefill+decode))
	return max(1, c.Overhead+work+thousandths(c.Context, context))
}

// thousandths returns n thousandths of d, rounded down. It does not overflow
// while d is below an hour and n below two million.
func thousandths(d time.Duration, n int) time.Duration { return d * time.Duration(n) / 1000 }

// normal returns the constants with sensible values in place of those with
// which an engine could not work.
func (c Constants) normal() Constants {
	c.Budget = max(c.Budget, 1)
	c.MaxSeqs = max(c.MaxSeqs, 1)
	c.KVTokens = max(c.KVTokens, BlockTokens)
	return c
}

// An ID names a sequence; the caller chooses it. It must not be in use.
type ID uint64

// A Sequence is one request to the engine.
type Sequence struct {
	ID     ID
	Prompt int // tokens, at least 1
	Output int // tokens to answer with, at least 1
	// Priority orders: the lower is served first.
	Priority int
	// Blocks identify the content of the whole blocks of the prompt: one
	// hash of everything up to and including each. They may be fewer than
	// the prompt has, or none. The engine keeps the slice until the sequence
	// ends.
	Blocks []uint64
}

// An EventKind says what happened to a sequence.
type EventKind uint8

// The events of a sequence are Started, then Token for each token of its
// output, then Finished. Between Started and Finished it may be Preempted,
// and is then Started again; it loses no token.
const (
	Started EventKind = iota + 1
	Token
	Finished
	Preempted
)

// An Event is something that happened to a sequence.
type Event struct {
	Kind EventKind
	ID   ID
	At   time.Duration
	// N counts the tokens so far: 1 with the first Token event. With Started
	// it is the number of prompt tokens found in the prefix cache.
	N int
}

// A State counts what an engine holds and did.
type State struct {
	Running, Waiting  int
	BlocksUsed        int // held by running sequences
	Blocks            int // that there are
	Steps             int
	Preemptions       int
	PromptTokens      int // computed or found in the prefix cache, once for each sequence
	OutputTokens      int
	PrefixQueried     int // tokens of prompts that were looked up
	PrefixHit         int // tokens of prompts that were found
	PrefillComputed   int // tokens of prompts computed, again after preemption too
	FinishedSequences int
	AbortedSequences  int
}

// UsedShare returns the share of the memory that running sequences hold.
func (s State) UsedShare() float64 {
	if s.Blocks == 0 {
		return 0
	}
	return float64(s.BlocksUsed) / float64(s.Blocks)
}
