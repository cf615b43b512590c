package isolation

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A Lengths draws the sizes of requests.
type Lengths interface {
	// Draw returns tokens of prompt and of output, each at least 1.
	Draw(r *rand.Rand) (prompt, output int)
}

// Means returns the mean lengths, from a sample that is always the same.
func Means(l Lengths) (prompt, output float64) {
	const sample = 100_000
	r := rand.New(rand.NewPCG(1, 2))
	for range sample {
		a, b := l.Draw(r)
		prompt, output = prompt+float64(a)/sample, output+float64(b)/sample
	}
	return prompt, output
}

// A Quantile says that Percent of all prompts have at most Prompt tokens, and
// of all outputs at most Output.
type Quantile struct {
	Percent        float64
	Prompt, Output int
}

// A Table draws prompt and output independently of each other, with straight
// lines between its quantiles; these begin at 0 percent and end at 100.
type Table []Quantile

// Conversation are the quantiles of the 19,366 requests of the public trace
// AzureLLMInferenceTrace_conv of 2023 (CC-BY, Microsoft). Outputs have two
// humps there, which no lognormal would show; the correlation of prompts and
// outputs, -0.11, is left out.
var Conversation = Table{
	{0, 2, 7}, {2, 91, 24}, {4, 181, 38},
	{6, 191, 44}, {8, 201, 49}, {10, 207, 54},
	{12, 222, 59}, {14, 317, 64}, {16, 375, 69},
	{18, 381, 73}, {20, 387, 77}, {22, 392, 81},
	{24, 395, 84}, {26, 398, 86}, {28, 400, 89},
	{30, 403, 91}, {32, 406, 93}, {34, 411, 95},
	{36, 419, 97}, {38, 433, 100}, {40, 703, 103},
	{42, 903, 107}, {44, 972, 110}, {46, 994, 116},
	{48, 1009, 122}, {50, 1020, 129}, {52, 1031, 137},
	{54, 1041, 145}, {56, 1050, 156}, {58, 1060, 163},
	{60, 1071, 177}, {62, 1081, 190}, {64, 1092, 216},
	{66, 1102, 237}, {68, 1116, 375}, {70, 1130, 384},
	{72, 1147, 390}, {74, 1171, 394}, {76, 1214, 396},
	{78, 1311, 397}, {80, 1315, 400}, {82, 1368, 404},
	{84, 1689, 410}, {86, 2032, 414}, {88, 2401, 417},
	{90, 2734, 424}, {92, 4073, 429}, {94, 4079, 442},
	{96, 4086, 468}, {98, 4098, 540}, {99, 4142, 601},
	{99.5, 4831, 643}, {99.9, 6179, 954}, {100, 14050, 1000},
}

// Draw implements Lengths.
func (t Table) Draw(r *rand.Rand) (prompt, output int) {
	a, _ := t.at(r.Float64() * 100)
	_, b := t.at(r.Float64() * 100)
	return a, b
}

// at returns the quantiles of a percentage.
func (t Table) at(percent float64) (prompt, output int) {
	for i := 1; i < len(t); i++ {
		if percent > t[i].Percent && i < len(t)-1 {
			continue
		}
		a, b := t[i-1], t[i]
		f := (percent - a.Percent) / (b.Percent - a.Percent)
		line := func(a, b int) int { return max(1, int(float64(a)+f*float64(b-a)+.5)) }
		return line(a.Prompt, b.Prompt), line(a.Output, b.Output)
	}
	return 1, 1
}

// A Pairs draws from the requests of a trace, with replacement.
type Pairs [][2]int

// Draw implements Lengths.
func (p Pairs) Draw(r *rand.Rand) (prompt, output int) {
	v := p[r.IntN(len(p))]
	return v[0], v[1]
}

const (
	maxRows   = 50_000_000
	maxTokens = 1 << 20
)

// ReadTrace reads a trace in the format of the public Azure ones: a line with
// the names of the columns, among them ContextTokens and GeneratedTokens, and
// a line for each request. Requests without a prompt or an output are left
// out.
func ReadTrace(r io.Reader) (Pairs, error) {
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("the trace is empty"), lines.Err())
	}
	in, out := -1, -1
	for i, name := range strings.Split(strings.TrimPrefix(lines.Text(), "\ufeff"), ",") {
		switch strings.TrimSpace(name) {
		case "ContextTokens":
			in = i
		case "GeneratedTokens":
			out = i
		}
	}
	if in < 0 || out < 0 {
		return nil, errors.New("line 1: no columns ContextTokens and GeneratedTokens")
	}
	var pairs Pairs
	for n := 2; lines.Scan() && len(pairs) < maxRows; n++ {
		fields := strings.Split(lines.Text(), ",")
		if len(fields) <= max(in, out) {
			return nil, fmt.Errorf("line %d: %d columns", n, len(fields))
		}
		a, err1 := strconv.Atoi(strings.TrimSpace(fields[in]))
		b, err2 := strconv.Atoi(strings.TrimSpace(fields[out]))
		if err1 != nil || err2 != nil || max(a, b) > maxTokens {
			return nil, fmt.Errorf("line %d: no token counts", n)
		}
		if a > 0 && b > 0 {
			pairs = append(pairs, [2]int{a, b})
		}
	}
	if len(pairs) == 0 {
		return nil, errors.Join(errors.New("the trace has no requests"), lines.Err())
	}
	return pairs, lines.Err()
}
