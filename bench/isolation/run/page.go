package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/bench/isolation/live"
	"github.com/outcrop/outcrop/bench/isolation/picture"
)

const introduction = `# How well provisioned requests are isolated

Written by ` + "`make bench-isolation`" + `. **All figures are simulated**: no GPU took part. The engines are those of ` + "`outcrop sim`" + ` with
the constants of an 8B model on one H100 ([simulator.md](../simulator.md)); only what stands in front of them is real. How the
scheduler decides is told in [scheduler.md](../scheduler.md).

The question: requests for which somebody bought provisioned throughput share the engines with everybody else. How much longer do they
wait for their first token when others send far more than the engines can do, and how much is left for the others?

- *alone*: provisioned traffic of two tenants only, 4 requests/s on each engine, about a quarter of what it can do.
- *overload*: ten tenants who normally send 4 requests/s on each engine, and one of them brings that to 40, which is 2.5 times what the
  engine can do at all.
- *batch*: a backlog that never ends. *normal + batch*: that, and on-demand traffic at 4 requests/s on each engine.
- *fifo*: each request goes to an engine at once. *engine priority*: likewise, and the engine is told the class. *static cap*: at most
  16 requests of lower classes are on each engine. *outcrop*: the scheduler. *outcrop harvest*: its configuration for throughput.

p50 and p99 are provisioned first-token times, counted from the time at which a request was to be sent, whatever held it up; a request that got
no first token counts as infinite (*never*). The ratio and the added time compare with *alone*. *idle harvested* is the backlog's throughput over what the
traffic beside it leaves of the saturated engine. *well-behaved* are the nine on-demand tenants who do not overdo it.
`

// page is the whole of isolation.md.
func (d *document) page() string {
	var b strings.Builder
	b.WriteString(introduction)
	b.WriteString("\n![p99 of provisioned first-token times, alone and under load](isolation.svg)\n")
	if len(d.Live) > 0 {
		d.realTime(&b)
	} else {
		b.WriteString("\n## Real time, over HTTP\n\nNot measured yet. `make bench-isolation ARGS=-virtual=false` does, in some 40 minutes on a machine that does nothing else.\n")
	}
	if d.Virtual != nil {
		d.Virtual.page(&b)
	}
	return b.String()
}

// realTime is the part of the page on what was measured over HTTP.
func (d *document) realTime(b *strings.Builder) {
	r := d.Live[0]
	b.WriteString("\n## Real time, over HTTP\n\n")
	fmt.Fprintf(b, "Each engine is a process of its own, and so are the gateway and the open-loop generator, **all on one machine**. For each run the gateway is started\n"+
		"afresh, and CreateProvisionedModelThroughput is called for each provisioned tenant; each tenant has an account and a key of its own. Requests are\n"+
		"ConverseStream, with prompts of as many tokens as drawn and `maxTokens` of 1,024; how long its answer will be, only the engine knows.\n"+
		"*batch* is here a backlog of **service tier flex**, whose first tokens the generator sees, as it does not see those of a batch job.\n\n")
	fmt.Fprintf(b, "Simulated time, which is what the tables count, passes more slowly than real time, so that the cores carry it; the gateway is told the speed of\n"+
		"the engines, and its bounds on waiting are scaled too. The same processes go through the seeds one after the other, after %v of warm-up.\n"+
		"Percentiles are of the requests of all seeds together; in brackets the range of the p99 ratio of each seed against the same seed alone.\n"+
		"A caller waits %v for the first token. A provisioned request that is refused counts as never. *in virtual time* is the p99 ratio of\n"+
		"the same row below. Lengths are drawn from %s.\n\n", r.Cells[0].Warmup, r.Patience, r.Lengths)
	for _, r := range d.Live {
		r.page(b, d.Virtual)
	}
	d.shares(b)
}

// page has the tables of one run.
func (r *realTime) page(b *strings.Builder, v *virtualTime) {
	m := r.Machine
	fmt.Fprintf(b, "Measured %s in %v, %g simulated seconds in a real one, up to %d engines at a time: %d cores of %s, %s, %s, %s.\n", r.When, r.Took, r.Speed, r.AtOnce, m.Cores, m.CPU, m.Memory, m.Kernel, m.Go)
	if late, busy := r.disturbance(); late > mostLate || busy > mostBusy {
		fmt.Fprintf(b, "\n**Disturbed.** Up to %.1f of %d cores were busy, and the generator sent up to %s late (p99, real time): what follows tells of the\n"+
			"machine as much as of the gateway. On a quiet machine it is to be run again.\n", busy*float64(m.Cores), m.Cores, picture.Duration(late))
	}
	for _, c := range r.Cells {
		heading(b, &c.Figures, fmt.Sprintf("%d provisioned requests of %d seeds", c.Samples, len(c.Seeds)))
		b.WriteString("| load | policy | p50 | p99 (range) | added p50 | added p99 | in virtual time | tokens/s on each engine | idle harvested | refused: provisioned | well-behaved | aggressor | well-behaved p99 |\n" +
			"|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
		for i := range c.Lines {
			l := &c.Lines[i]
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %.0f | %s | %d | %s | %s | %s |\n", l.Load, l.Policy, ratio(l.Ratio50), ranged(l),
				added(l.Added50), added(l.Added99), v.ratio(&c.Figures, l), float64(l.Throughput), harvest(l), l.ProvisionedRefused,
				percent(l.RefusedOnDemand), percent(l.RefusedAggressor), figure(l.OnDemand99))
		}
	}
	b.WriteString("\n")
}

// What a measurement can bear: seconds that requests are sent late, and the
// share of the cores that is busy.
const (
	mostLate = .01
	mostBusy = .8
)

// disturbance is how late the generator was at worst, seconds of real time,
// and which share of the cores was busy.
func (r *realTime) disturbance() (late, busy float64) {
	for _, c := range r.Cells {
		for _, l := range append([]live.Line{c.AloneRun, c.Saturated}, c.Runs...) {
			late, busy = max(late, float64(l.Late99)), max(busy, l.Shares.Machine/float64(max(1, r.Machine.Cores)))
		}
	}
	return late, busy
}

// shares tells how busy the processors were.
func (d *document) shares(b *strings.Builder) {
	fmt.Fprintf(b, "### Processors\n\nBusy cores, of %d, by process, while each run was measured; *machine* is everything on it, other runs and whatever else too.\n"+
		"*sent late* is by how much the generator missed the time of a request (p99, real time); it counts as waiting.\n\n"+
		"| engines | arrivals | load | policy | gateway | engines together | generator | machine | sent late |\n|---|---|---|---|---|---|---|---|---|\n", d.Live[0].Machine.Cores)
	for _, c := range d.cells() {
		for _, l := range append([]live.Line{c.AloneRun, c.Saturated}, c.Runs...) {
			s := l.Shares
			fmt.Fprintf(b, "| %d | %s | %s | %s | %.2f | %.2f | %.2f | %.2f | %.1f ms |\n", c.Engines, arrivals(c.CV), l.Load, l.Policy,
				s.Gateway, s.Engines, s.Generator, s.Machine, float64(l.Late99)*1e3)
		}
	}
}

func (v *virtualTime) page(b *strings.Builder) {
	c := v.Cells[0]
	fmt.Fprintf(b, "\n## Virtual time\n\nThe scheduler's own code (package `fair`) and the step engines in one process without a clock: step times with 5 %% noise, 1 ms of network,\n"+
		"%s engine-seconds for each seed after %v of warm-up. Figures are medians of %d seeds, in brackets the range of the p99 ratio. Here *batch* is of class batch.\n"+
		"Lengths are drawn from %s. The same run has the same figures on every machine. Written %s.\n",
		number(c.Measured.Seconds()*float64(c.Engines)), c.Warmup, len(c.Seeds), v.Lengths, v.When)
	for _, c := range v.Cells {
		heading(b, c, fmt.Sprintf("seeds %v", c.Seeds))
		b.WriteString("| load | policy | p50 | p99 (range) | added p50 | added p99 | tokens/s on each engine | idle harvested | refused: provisioned | well-behaved | aggressor | well-behaved p99 | aborts/s |\n" +
			"|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
		for i := range c.Lines {
			l := &c.Lines[i]
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %.0f | %s | %d | %s | %s | %s | %.2f |\n", l.Load, l.Policy, ratio(l.Ratio50), ranged(l),
				added(l.Added50), added(l.Added99), float64(l.Throughput), harvest(l), l.ProvisionedRefused,
				percent(l.RefusedOnDemand), percent(l.RefusedAggressor), figure(l.OnDemand99), float64(l.Resumed))
		}
	}
	if l := v.Long; l != nil {
		fmt.Fprintf(b, "\n### Never refused\n\n%s provisioned requests under overload and batch on four engines: **%d refused**, %d without a first token, p99 %s.\n"+
			"That is what the scheduler does; what the limit of a unit refuses shows in real time only.\n",
			number(float64(l.Requests)), l.Refused, l.Waiting, figure(l.P99))
	}
	b.WriteString("\n### A light tenant beside a heavy one\n\nA tenant with 2 requests/s beside one with 20 on one engine, and alone on an engine of half the speed: p99 of its first-token times.\n\n" +
		"| arrivals | seed | beside | alone on half | ratio |\n|---|---|---|---|---|\n")
	for _, n := range v.Neighbours {
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s |\n", arrivals(n.CV), n.Seed, figure(n.Light), figure(n.Alone), ratio(n.Ratio))
	}
}

func heading(b *strings.Builder, f *isolation.Figures, of string) {
	engines := fmt.Sprintf("%d engines", f.Engines)
	if f.Engines == 1 {
		engines = "One engine"
	}
	fmt.Fprintf(b, "\n### %s, %s arrivals\n\nAlone: p50 %s, p99 %s (%s). Saturated: %s tokens/s on each engine.\n\n", engines, arrivals(f.CV),
		figure(f.Alone50), figure(f.Alone99), of, number(float64(f.Saturated)))
}

// ratio is the p99 ratio of the same row, where there is one.
func (v *virtualTime) ratio(f *isolation.Figures, of *isolation.Line) string {
	if v == nil {
		return "-"
	}
	for _, c := range v.Cells {
		for i := range c.Lines {
			if l := &c.Lines[i]; c.Engines == f.Engines && c.CV == f.CV && l.Load == of.Load && l.Policy == of.Policy {
				return ratio(l.Ratio99)
			}
		}
	}
	return "-"
}

func arrivals(cv float64) string {
	if cv == 1 {
		return "Poisson"
	}
	return fmt.Sprintf("bursty (Gamma, CV %g)", cv)
}

func ratio(f isolation.Figure) string {
	if math.IsInf(float64(f), 0) {
		return "never"
	}
	if math.IsNaN(float64(f)) {
		return "-"
	}
	return fmt.Sprintf("x%.2f", float64(f))
}

func ranged(l *isolation.Line) string {
	if l.Least == l.Most {
		return ratio(l.Ratio99)
	}
	return fmt.Sprintf("%s (%s-%s)", ratio(l.Ratio99), strings.TrimPrefix(ratio(l.Least), "x"), strings.TrimPrefix(ratio(l.Most), "x"))
}

func figure(f isolation.Figure) string { return picture.Duration(float64(f)) }

func added(f isolation.Figure) string {
	if !(f <= 0) {
		return figure(f)
	}
	return fmt.Sprintf("%.0f ms", float64(f)*1e3)
}

func percent(f isolation.Figure) string { return fmt.Sprintf("%.1f %%", float64(f)*100) }

func harvest(l *isolation.Line) string {
	if !l.Idle || l.Harvest == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", float64(l.Harvest)*100)
}

// number writes a whole number with commas.
func number(f float64) string {
	s := strconv.FormatFloat(math.Round(f), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// cells are what was measured in real time.
func (d *document) cells() (all []*live.Cell) {
	for _, r := range d.Live {
		all = append(all, r.Cells...)
	}
	slices.SortStableFunc(all, func(a, b *live.Cell) int {
		return cmp.Or(cmp.Compare(a.CV, b.CV), cmp.Compare(a.Engines, b.Engines))
	})
	return all
}

// quiet reports whether nothing disturbed what was measured in real time.
func (d *document) quiet() bool {
	return !slices.ContainsFunc(d.Live, func(r *realTime) bool {
		late, busy := r.disturbance()
		return late > mostLate || busy > mostBusy
	})
}

// seeds is isolation.csv: one line for each seed of each real-time run.
func (d *document) seeds() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	head := []string{"engines", "cv", "load", "policy", "seed", "provisioned_p50_s", "provisioned_p99_s", "provisioned_samples"}
	kinds := []isolation.Kind{isolation.Provisioned, isolation.OnDemand, isolation.Aggressor, isolation.Batch}
	for _, k := range kinds {
		head = append(head, k.String()+"_tokens_per_s", k.String()+"_sent", k.String()+"_refused")
	}
	_ = w.Write(head)
	for _, c := range d.cells() {
		for _, l := range slices.Concat([]live.Line{c.AloneRun, c.Saturated}, c.Runs) {
			for _, s := range l.Seeds {
				line := []string{strconv.Itoa(c.Engines), fmt.Sprint(c.CV), l.Load, l.Policy, strconv.FormatUint(s.Seed, 10),
					fmt.Sprintf("%.4f", float64(s.P50)), fmt.Sprintf("%.4f", float64(s.P99)), strconv.Itoa(s.Samples)}
				for _, k := range kinds {
					line = append(line, fmt.Sprintf("%.1f", s.Tokens[k]), strconv.Itoa(s.Sent[k]), strconv.Itoa(s.Refused[k]))
				}
				_ = w.Write(line)
			}
		}
	}
	w.Flush()
	return b.Bytes()
}

// picture shows the cells with Poisson arrivals, in real time if they were
// measured there and are worth showing.
func (d *document) picture() *picture.Picture {
	p := &picture.Picture{
		Title:    "Provisioned requests: p99 of the time to the first token",
		Subtitle: "Simulated engines (8B on H100), the scheduler in virtual time. The green line is the same traffic alone.",
		Axis:     "simulated time, logarithmic", Note: "tokens/s on each engine",
	}
	var cells []*isolation.Figures
	if d.Virtual != nil {
		cells = d.Virtual.Cells
	}
	if len(d.Live) > 0 && (cells == nil || d.quiet()) {
		p.Subtitle = "Simulated engines (8B on H100), the real gateway over HTTP. The green line is the same traffic alone."
		cells = nil
		for _, c := range d.cells() {
			cells = append(cells, &c.Figures)
		}
	}
	for _, c := range cells {
		if c.CV == 1 {
			p.Panels = append(p.Panels, panel(c))
		}
	}
	return p
}

// shown are the policies in the picture.
var shown = map[string]picture.Style{"fifo": picture.Bad, "static cap": picture.Fair, "outcrop": picture.Good}

func panel(c *isolation.Figures) picture.Panel {
	p := picture.Panel{Title: fmt.Sprintf("%d engines: alone %s", c.Engines, figure(c.Alone99)), Alone: float64(c.Alone99)}
	if c.Engines == 1 {
		p.Title = "One engine: alone " + figure(c.Alone99)
	}
	for i := range c.Lines {
		l := &c.Lines[i]
		style, ok := shown[l.Policy]
		if !ok {
			continue
		}
		if n := len(p.Groups); n == 0 || p.Groups[n-1].Label != l.Load {
			p.Groups = append(p.Groups, picture.Group{Label: l.Load})
		}
		g := &p.Groups[len(p.Groups)-1]
		g.Bars = append(g.Bars, picture.Bar{Label: l.Policy, Style: style, Value: float64(l.P99), Ratio: float64(l.Ratio99), Note: number(float64(l.Throughput))})
	}
	return p
}
