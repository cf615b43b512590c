package schema

import (
	"regexp"
	"regexp/syntax"
)

// A budget is the work that is left for one Example or Valid, however many
// values are tried. A unit is about what it takes to look at one member of a
// schema: a fraction of a microsecond.
type budget struct{ left int }

// spend takes n from the budget and reports whether it lasts.
func (b *budget) spend(n int) bool {
	b.left -= n
	return b.left >= 0
}

// spent reports whether the work was too much. Nothing found then counts.
func (b *budget) spent() bool { return b.left < 0 }

// An expression is a pattern of a schema.
type expression struct {
	re   *regexp.Regexp // nil if Go cannot read it
	cost int            // instructions, and what it takes to read it
}

// expression returns the pattern compiled. Compiling is paid for by the size
// of the program, which repeats in repeats multiply.
func (c *checker) expression(pattern string) expression {
	if e, ok := c.regexps[pattern]; ok {
		return e
	}
	if !c.spend(20 + len(pattern)) {
		return expression{}
	}
	e := expression{cost: 20 + len(pattern)}
	if parsed, err := syntax.Parse(pattern, syntax.Perl); err == nil {
		size := programSize(parsed)
		if e.cost += size; !c.spend(size) {
			return e
		}
		e.re, _ = regexp.Compile(pattern) // it parses
	}
	c.regexps[pattern] = e
	return e
}

// programSize is about how many instructions the compiled expression has; at
// most maxWork+1 or a little more.
func programSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		size += programSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, maxWork+1)
}

// matches reports whether the pattern matches s. A pattern that Go cannot
// read matches everything.
func (c *checker) matches(pattern, s string) bool {
	e := c.expression(pattern)
	return c.spend(3+len(s)*e.cost/32) && (e.re == nil || e.re.MatchString(s))
}
