package live

import (
	"slices"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
)

// A Cell is what was measured for a number of engines and an arrival process.
// Its percentiles are of the requests of all seeds together, since those of
// one seed are few.
type Cell struct {
	isolation.Figures
	Samples   int    `json:"samples"` // provisioned requests, alone
	AloneRun  Line   `json:"alone_run"`
	Saturated Line   `json:"saturated_run"`
	Runs      []Line `json:"runs"` // as Figures.Lines
}

// A Line is what a run showed beside its row.
type Line struct {
	Load     string                     `json:"load"`
	Policy   string                     `json:"policy"`
	Shares   Shares                     `json:"cores"`
	Late99   isolation.Figure           `json:"sent_late_p99_s"` // real time
	Outcomes map[string]map[Outcome]int `json:"outcomes"`        // of what counts, by kind
	Seeds    []Seed                     `json:"seeds"`
}

// A Seed is one seed of a run. What is by kind is in the order of
// isolation.Kind.
type Seed struct {
	Seed    uint64           `json:"seed"`
	P50     isolation.Figure `json:"p50_s"` // provisioned
	P99     isolation.Figure `json:"p99_s"`
	Samples int              `json:"samples"`
	Tokens  [4]float64       `json:"tokens_per_s"`
	Sent    [4]int           `json:"sent"`
	Refused [4]int           `json:"refused"`
}

// Summarize sums up reports that have engines and arrivals in common: first the
// provisioned traffic alone, then the backlog alone, then the others.
func Summarize(reports []*Report) *Cell {
	alone, full := reports[0], reports[1]
	p := alone.Plan
	n := float64(p.Setup.Engines)
	merged := Merge(p.Results(alone.Records))
	c := &Cell{AloneRun: alone.line(), Saturated: full.line(), Samples: len(merged.First[isolation.Provisioned])}
	saturated := Merge(full.Plan.Results(full.Records)).Total()
	c.Figures = isolation.Figures{
		Engines: p.Setup.Engines, CV: p.Setup.CV, Seeds: p.Seeds, Measured: p.Segment, Warmup: p.Setup.Warmup,
		Alone50:   figure(merged, 50),
		Alone99:   figure(merged, 99),
		Saturated: isolation.Figure(saturated / n),
	}
	for _, r := range reports[2:] {
		c.Runs = append(c.Runs, r.line())
		c.Lines = append(c.Lines, r.compare(alone, merged, saturated))
	}
	return c
}

// compare compares the run with the provisioned traffic alone.
func (r *Report) compare(alone *Report, merged *isolation.Result, saturated float64) isolation.Line {
	l := isolation.Line{Load: r.Run.Load, Policy: r.Run.Policy.Name, Idle: r.Run.Setup.Aggressor == 0}
	mine := r.Plan.Results(r.Records)
	l.Row = isolation.Compare(Merge(mine), merged, saturated, r.Run.Setup.Engines)
	var ratios []isolation.Figure
	for i, a := range alone.Plan.Results(alone.Records) {
		ratios = append(ratios, figure(mine[i], 99)/figure(a, 99))
	}
	l.Least, l.Most = slices.Min(ratios), slices.Max(ratios)
	return l
}

func (r *Report) line() Line {
	l := Line{Load: r.Run.Load, Policy: r.Run.Policy.Name, Shares: r.Shares, Outcomes: map[string]map[Outcome]int{}}
	var late []time.Duration
	for i := range r.Records {
		c := &r.Records[i]
		if c.Seed == 0 {
			continue
		}
		kind := c.Kind.String()
		if l.Outcomes[kind] == nil {
			l.Outcomes[kind] = map[Outcome]int{}
		}
		l.Outcomes[kind][c.Outcome]++
		late = append(late, c.Sent-c.At)
	}
	if len(late) > 0 {
		slices.Sort(late)
		l.Late99 = isolation.Figure(late[len(late)*99/100].Seconds() / r.Plan.Speed)
	}
	for i, v := range r.Plan.Results(r.Records) {
		l.Seeds = append(l.Seeds, Seed{
			Seed: r.Plan.Seeds[i], P50: figure(v, 50), P99: figure(v, 99),
			Samples: len(v.First[isolation.Provisioned]), Tokens: v.Tokens, Refused: v.Refused, Sent: v.Sent,
		})
	}
	return l
}

// figure is a percentile of the provisioned first-token times.
func figure(r *isolation.Result, percent float64) isolation.Figure {
	return isolation.Figure(r.Percentile(percent, isolation.Provisioned))
}
