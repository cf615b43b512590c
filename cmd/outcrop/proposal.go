package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outcrop/outcrop/calibration"
	"github.com/outcrop/outcrop/gateway"
	"github.com/outcrop/outcrop/measure"
)

// A proposal is what came of a calibration.
type proposal struct {
	engine *gateway.Engine
	result *measure.Result
	fit    *calibration.Fit
	maxGap time.Duration
}

// print writes the figures: JSON, or the lines to paste, below a table if
// somebody looks on.
func (k *calibrate) print(p *proposal) error {
	warnings := p.warnings()
	if k.json {
		return printJSON(k.out, p.view(warnings))
	}
	if isTerminal(k.out) {
		if err := p.table(k.out); err != nil {
			return failed(err)
		}
	}
	for _, w := range warnings {
		fmt.Fprintln(k.talk, "warning:", w)
	}
	if _, err := io.WriteString(k.out, p.yaml()); err != nil {
		return failed(err)
	}
	return nil
}

// warnings are those of the measurement and those of the fit.
func (p *proposal) warnings() []string {
	all := append([]string{}, p.result.Warnings...)
	for _, f := range []struct {
		of string
		calibration.Residual
	}{{"times to first tokens", p.fit.Reading}, {"gaps between tokens", p.fit.Decoding}} {
		if f.Typical > calibration.Bad {
			all = append(all, fmt.Sprintf("the %s are off the formula by %s, more than %s: do not rely on these figures; was the engine idle?",
				f.of, percent(f.Typical), percent(calibration.Bad)))
		}
	}
	if n := p.fit.Decoding.Left; n > 0 {
		all = append(all, fmt.Sprintf("%d of %d gaps between tokens were far off all others and were left out", n, n+p.fit.Decoding.Samples))
	}
	if out := p.fit.Output(p.maxGap); out.Slow {
		all = append(all, fmt.Sprintf("a single sequence takes %s from token to token, more than the %s of --max-gap: its rate is what the unit is made of",
			rounded(out.Gap), p.maxGap))
	}
	return all
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }

// rounded leaves a duration three figures or so.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}

// table writes what was measured beside what the fit says.
func (p *proposal) table(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\n\nprompt\tfirst token\tfit\terror\t\n", p.title())
	for _, r := range p.result.Reads {
		fit := p.fit.FirstToken(r.Tokens)
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t\n", r.Tokens, rounded(r.Took), rounded(fit), miss(fit, r.Took))
	}
	fmt.Fprint(w, "\nsequences\tcontext\tgap\tfit\terror\t\n")
	for _, d := range p.result.Decodes {
		fit := p.fit.Gap(d.Sequences, d.Context)
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t\n", d.Sequences, d.Context, rounded(d.Gap), rounded(fit), miss(fit, d.Gap))
	}
	if s := p.result.Stall; s.Prompt > 0 {
		fmt.Fprintf(w, "\na prompt of %d tokens among %d sequences: gaps of %s instead of %s\n", s.Prompt, s.Sequences, rounded(s.Worst), rounded(s.Usual))
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func miss(fit, measured time.Duration) string {
	return fmt.Sprintf("%+.1f %%", 100*(float64(fit)/float64(measured)-1))
}

// title says what was measured, and that it is simulated if it is.
func (p *proposal) title() string {
	t := "engine " + p.engine.Config.Name + " of " + p.engine.Card.ID
	if p.result.Simulated {
		t += ", SIMULATED"
	}
	return t
}

// yaml is the part of a configuration that the figures belong into.
func (p *proposal) yaml() string {
	c, unit, out := p.fit.Capacity(), p.fit.Unit(p.maxGap), p.fit.Output(p.maxGap)
	keys := []string{
		fmt.Sprintf("prefill: %.0f", c.PrefillRate), fmt.Sprintf("decode: %.0f", c.DecodeRate), fmt.Sprintf("output: %d", int(max(out.Rate, 1))),
		fmt.Sprintf("sequences: %d", c.MaxSeqs),
	}
	if c.KVTokens > 0 {
		keys = append(keys, fmt.Sprintf("cache: %d", c.KVTokens))
	}
	if c.StepBudget > 0 {
		keys = append(keys, fmt.Sprintf("budget: %d", c.StepBudget))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, measured by outcrop %s in %s; error of the fit: prompts %s, gaps %s\n", p.title(), version,
		p.result.Took.Round(time.Second), percent(p.fit.Reading.Typical), percent(p.fit.Decoding.Typical))
	fmt.Fprintf(&b, "# output: %d sequences of %d tokens, a token each %s, are %.0f tokens/s\n", out.Sequences, out.Context, rounded(out.Gap), out.Rate)
	for _, bound := range []struct {
		key string
		calibration.Bound
	}{{"sequences", p.fit.Sequences}, {"cache", p.fit.Cache}, {"budget", p.fit.Budget}} {
		if !bound.Limit && bound.N > 0 {
			fmt.Fprintf(&b, "# %s: at least %d; the limit was not reached\n", bound.key, bound.N)
		}
	}
	fmt.Fprintf(&b, "models:\n  - id: %s\n    unit: { input_tokens_per_minute: %d, output_tokens_per_minute: %d }\n", p.engine.Card.ID, unit.Input, unit.Output)
	fmt.Fprintf(&b, "    engines:\n      - name: %s   # and what stands there already\n        capacity: { %s }\n", p.engine.Config.Name, strings.Join(keys, ", "))
	return b.String()
}
