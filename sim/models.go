package sim

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/step"
)

// A pace says how fast a model plays. The first-token times of Claude 3 Haiku,
// Sonnet and Opus are those of the table "Model Selection for Latency" that
// the project began with; the others are invented to fit between them, in the
// order of the models' sizes. None is a measurement.
type pace struct {
	match string // part of the model's id

	firstToken time.Duration // short prompt, idle machine
	gap        time.Duration // between two tokens, idle machine
	token      time.Duration // to compute 1,000 tokens of a prompt on one machine
	context    time.Duration // to read 1,000 tokens of context on one machine
	kv         int           // tokens of context that fit one machine
}

const ms = time.Millisecond

// paces are searched from the top.
var paces = []pace{
	{"haiku", 500 * ms, 8 * ms, 25 * ms, 30 * time.Microsecond, 1_000_000},
	{"sonnet", 1000 * ms, 15 * ms, 50 * ms, 60 * time.Microsecond, 800_000},
	{"opus", 2000 * ms, 30 * ms, 120 * ms, 120 * time.Microsecond, 600_000},
	{"claude", 1000 * ms, 15 * ms, 50 * ms, 60 * time.Microsecond, 800_000},

	{"nova-micro", 250 * ms, 5 * ms, 15 * ms, 20 * time.Microsecond, 1_000_000},
	{"nova-premier", 1000 * ms, 16 * ms, 60 * ms, 60 * time.Microsecond, 800_000},
	{"nova-pro", 600 * ms, 10 * ms, 35 * ms, 40 * time.Microsecond, 800_000},
	{"nova", 350 * ms, 6 * ms, 20 * ms, 25 * time.Microsecond, 1_000_000},

	{"titan-text-lite", 350 * ms, 8 * ms, 20 * ms, 30 * time.Microsecond, 400_000},
	{"titan-text-premier", 800 * ms, 15 * ms, 50 * ms, 60 * time.Microsecond, 400_000},
	{"titan", 600 * ms, 12 * ms, 40 * ms, 50 * time.Microsecond, 400_000},

	{"llama4-maverick", 600 * ms, 9 * ms, 30 * ms, 40 * time.Microsecond, 1_000_000},
	{"llama4-scout", 450 * ms, 7 * ms, 25 * ms, 35 * time.Microsecond, 1_000_000},

	{"mixtral", 400 * ms, 9 * ms, 30 * ms, 35 * time.Microsecond, 460_000},
	{"mistral-small", 400 * ms, 9 * ms, 30 * ms, 35 * time.Microsecond, 460_000},
	{"mistral-large", 800 * ms, 16 * ms, 60 * ms, 60 * time.Microsecond, 460_000},

	{"deepseek.r1", 1200 * ms, 18 * ms, 60 * ms, 50 * time.Microsecond, 800_000},
	{"deepseek", 900 * ms, 15 * ms, 50 * ms, 50 * time.Microsecond, 800_000},
}

// bySize are for the models whose id tells their size in billions of weights.
var bySize = []struct {
	upTo int
	pace
}{
	{4, pace{"", 200 * ms, 4 * ms, 10 * ms, 20 * time.Microsecond, 800_000}},
	{15, pace{"", 300 * ms, 6800 * time.Microsecond, 35 * ms, 50 * time.Microsecond, 460_000}},
	{40, pace{"", 400 * ms, 9 * ms, 45 * ms, 60 * time.Microsecond, 460_000}},
	{130, pace{"", 600 * ms, 14 * ms, 60 * ms, 80 * time.Microsecond, 400_000}},
	{1 << 30, pace{"", 1200 * ms, 25 * ms, 110 * ms, 120 * time.Microsecond, 400_000}},
}

// otherwise is for the models of which nothing is known.
var otherwise = pace{"", 500 * ms, 10 * ms, 35 * ms, 50 * time.Microsecond, 460_000}

var sizeInID = regexp.MustCompile(`(?:^|[^0-9a-z])([0-9]{1,4})b(?:[^a-z0-9]|$)`)

func paceOf(id string) pace {
	for _, p := range paces {
		if strings.Contains(id, p.match) {
			return p
		}
	}
	m := sizeInID.FindStringSubmatch(id)
	if m == nil {
		return otherwise
	}
	billions, _ := strconv.Atoi(m[1])
	for _, s := range bySize {
		if billions <= s.upTo {
			return s.pace
		}
	}
	return otherwise
}

const (
	overhead = 1200 * time.Microsecond // of a step
	budget   = 2048                    // tokens of a step, of one machine
	maxSeqs  = 256
)

// group is how many machines answer together for a model, each step on all of
// them: so that ten model units of Claude 3 Haiku, the largest there are, and
// a headroom of 30 % fit, while a single request sees the times of its pace.
const group = 4

// ConstantsFor returns the default constants of the engine that plays card,
// which may be nil. The memory always fits one request of the card's full
// context.
func ConstantsFor(card *outcrop.Card) step.Constants {
	id, context := "", 0
	if card != nil {
		id, context = card.ID, card.Context
	}
	p := paceOf(id)
	k := step.Constants{
		Overhead: overhead, Weights: p.gap - overhead, Token: p.token / group, Context: p.context / group,
		Budget: group * budget, MaxSeqs: group * maxSeqs, KVTokens: max(group*p.kv, context+step.BlockTokens),
	}
	k.Entry = entry(k, p.firstToken)
	return k
}

// FirstTokenFor returns the default time to the first token for a short prompt
// on the idle engine that plays card, which may be nil.
func FirstTokenFor(card *outcrop.Card) time.Duration {
	if card == nil {
		return otherwise.firstToken
	}
	return paceOf(card.ID).firstToken
}

// entry is what remains of firstToken beside the one step that a short prompt
// takes.
func entry(k step.Constants, firstToken time.Duration) time.Duration {
	return max(0, firstToken-k.Overhead-k.Weights)
}

// override returns the constants for card with those of c in their place where
// c has any.
func override(c step.Constants, card *outcrop.Card, firstToken time.Duration) step.Constants {
	k := ConstantsFor(card)
	for _, d := range []struct{ to, from *time.Duration }{
		{&k.Overhead, &c.Overhead}, {&k.Weights, &c.Weights}, {&k.Token, &c.Token}, {&k.Context, &c.Context},
	} {
		if *d.from > 0 {
			*d.to = *d.from
		}
	}
	for _, n := range []struct{ to, from *int }{
		{&k.Budget, &c.Budget}, {&k.MaxSeqs, &c.MaxSeqs}, {&k.KVTokens, &c.KVTokens},
	} {
		if *n.from > 0 {
			*n.to = *n.from
		}
	}
	k.Noise, k.Seed = c.Noise, c.Seed
	if firstToken == 0 {
		firstToken = FirstTokenFor(card)
	}
	k.Entry = entry(k, firstToken)
	return k
}
