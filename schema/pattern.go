package schema

import (
	"math/rand/v2"
	"regexp/syntax"
	"unicode/utf8"
)

// maxPattern is the longest text made from one regular expression, in bytes.
const maxPattern = 8 << 10

// A generator writes a string that a regular expression matches. What an
// anchor or a word boundary asks of its neighbours is not looked at.
type generator struct {
	rng     *rand.Rand
	repeats int // at most, where the expression sets no bound
	out     []byte
}

func (g *generator) write(re *syntax.Regexp, depth int) {
	if len(g.out) > maxPattern || depth > maxNest {
		return
	}
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			g.out = utf8.AppendRune(g.out, r)
		}
	case syntax.OpCharClass:
		g.class(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		g.out = append(g.out, "abcdefghijklmnopqrstuvwxyz"[g.rng.IntN(26)])
	case syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			g.write(sub, depth+1)
		}
	case syntax.OpAlternate:
		g.write(re.Sub[g.rng.IntN(len(re.Sub))], depth+1)
	case syntax.OpStar:
		g.repeat(re.Sub[0], g.rng.IntN(g.repeats+1), depth)
	case syntax.OpPlus:
		g.repeat(re.Sub[0], 1+g.rng.IntN(g.repeats), depth)
	case syntax.OpQuest:
		g.repeat(re.Sub[0], g.rng.IntN(2), depth)
	}
}

func (g *generator) repeat(re *syntax.Regexp, n, depth int) {
	for range n {
		g.write(re, depth+1)
	}
}

// class writes one character of the ranges, if it can one that is printable
// in ASCII, and a letter or a digit rather than another.
func (g *generator) class(ranges []rune) {
	if len(ranges) == 0 {
		return
	}
	var best, good []rune
	for i := 0; i < len(ranges); i += 2 {
		for r := max(ranges[i], ' '); r <= min(ranges[i+1], '~'); r++ {
			good = append(good, r)
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
				best = append(best, r)
			}
		}
	}
	switch {
	case len(best) > 0:
		good = best
	case len(good) == 0:
		good = ranges[:1]
	}
	g.out = utf8.AppendRune(g.out, good[g.rng.IntN(len(good))])
}
