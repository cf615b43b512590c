package isolation

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/outcrop/outcrop/fair"
)

// A Case is a policy under a load.
type Case struct {
	Name  string
	Apply func(*Setup)
}

// Loads are what provisioned traffic is put beside: one aggressor that brings
// on-demand traffic to ten times its normal rate, which is far above what the
// engines can do; a backlog of batch rows; both; and batch beside normal
// on-demand traffic.
func Loads() []Case {
	return []Case{
		{"overload", overload},
		{"batch", func(s *Setup) { s.Batch = true }},
		{"overload + batch", func(s *Setup) { overload(s); s.Batch = true }},
		{"normal + batch", func(s *Setup) { s.OnDemand, s.Tenants, s.Batch = normalRate, 10, true }},
	}
}

// normalRate is on-demand traffic that all tenants together send normally, in
// requests a second on each engine: with provisioned traffic about half of
// what an engine can do.
const normalRate = 4

func overload(s *Setup) {
	s.OnDemand, s.Tenants = normalRate*.9, 9
	s.Aggressor = 10*normalRate - s.OnDemand
}

// Policies are the baselines and package fair with its two configurations.
func Policies() []Case {
	return []Case{
		{"fifo", func(s *Setup) { s.Policy = FIFO }},
		{"engine priority", func(s *Setup) { s.Policy = EnginePriority }},
		{"static cap", func(s *Setup) { s.Policy = StaticCap }},
		{"outcrop harvest", func(s *Setup) { s.Config = fair.Harvest() }},
		{"outcrop", func(s *Setup) { s.Config = fair.Default() }},
	}
}

// A Row compares provisioned traffic under a load with the same traffic alone.
type Row struct {
	P50, P99           float64 // seconds
	Ratio50, Ratio99   float64
	Added50, Added99   float64 // seconds
	Throughput         float64 // tokens a second on each engine
	Harvest            float64 // share of the idle capacity that batch got
	Refused            float64 // share of the provisioned requests
	RefusedOnDemand    float64 // share of the requests of well-behaved tenants
	RefusedAggressor   float64 // share of the aggressor's requests
	OnDemand99         float64 // seconds, of the well-behaved tenants
	Resumed            float64 // aborts a second on each engine
	Samples            int
	ProvisionedRefused int
}

// A Bench runs setups that have a seed, an arrival process and a number of
// engines in common, and keeps what they are compared with.
type Bench struct {
	base      Setup
	alone     *Result
	saturated float64
}

// NewBench measures the provisioned traffic of the setup alone, and what the
// engines can do with the same lengths when only throughput matters.
func NewBench(s Setup) *Bench {
	b := &Bench{base: s, alone: Run(s)}
	s.Policy, s.Provisioned, s.Batch = FIFO, 0, true
	b.saturated = Run(s).Total()
	return b
}

// Alone returns the provisioned traffic alone.
func (b *Bench) Alone() *Result { return b.alone }

// Saturated returns tokens a second of all engines.
func (b *Bench) Saturated() float64 { return b.saturated }

// Row runs the policy under the load.
func (b *Bench) Row(policy, load Case) Row {
	s := b.base
	policy.Apply(&s)
	load.Apply(&s)
	return b.compare(Run(s))
}

func (b *Bench) compare(r *Result) Row {
	row := Row{
		P50: r.Percentile(50, Provisioned), P99: r.Percentile(99, Provisioned),
		Throughput: r.Total() / float64(b.base.Engines), Samples: len(r.First[Provisioned]),
		OnDemand99: r.Percentile(99, OnDemand), ProvisionedRefused: r.Refused[Provisioned],
		Resumed: float64(r.Resumed) / r.Seconds / float64(b.base.Engines),
	}
	p50, p99 := b.alone.Percentile(50, Provisioned), b.alone.Percentile(99, Provisioned)
	row.Ratio50, row.Ratio99 = row.P50/p50, row.P99/p99
	row.Added50, row.Added99 = row.P50-p50, row.P99-p99
	online := r.Tokens[Provisioned] + r.Tokens[OnDemand] + r.Tokens[Aggressor]
	if b.saturated > online {
		row.Harvest = r.Tokens[Batch] / (b.saturated - online)
	}
	row.Refused = share(r.Refused[Provisioned], r.Sent[Provisioned])
	row.RefusedOnDemand = share(r.Refused[OnDemand], r.Sent[OnDemand])
	row.RefusedAggressor = share(r.Refused[Aggressor], r.Sent[Aggressor])
	return row
}

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// Median returns the row with the median of each figure, and the range of the
// p99 ratio.
func Median(rows []Row) (m Row, least, most float64) {
	of := func(f func(*Row) *float64) {
		var v []float64
		for i := range rows {
			v = append(v, *f(&rows[i]))
		}
		slices.Sort(v)
		*f(&m) = v[len(v)/2]
	}
	for _, f := range []func(*Row) *float64{
		func(r *Row) *float64 { return &r.P50 }, func(r *Row) *float64 { return &r.P99 },
		func(r *Row) *float64 { return &r.Ratio50 }, func(r *Row) *float64 { return &r.Ratio99 },
		func(r *Row) *float64 { return &r.Added50 }, func(r *Row) *float64 { return &r.Added99 },
		func(r *Row) *float64 { return &r.Throughput }, func(r *Row) *float64 { return &r.Harvest },
		func(r *Row) *float64 { return &r.Refused }, func(r *Row) *float64 { return &r.RefusedOnDemand },
		func(r *Row) *float64 { return &r.RefusedAggressor },
		func(r *Row) *float64 { return &r.OnDemand99 }, func(r *Row) *float64 { return &r.Resumed },
	} {
		of(f)
	}
	least, most = rows[0].Ratio99, rows[0].Ratio99
	for _, r := range rows {
		least, most = min(least, r.Ratio99), max(most, r.Ratio99)
		m.Samples += r.Samples
		m.ProvisionedRefused += r.ProvisionedRefused
	}
	return m, least, most
}

// Report runs all policies under all loads, for the seeds given, and writes a
// Markdown table of medians.
func Report(w io.Writer, base Setup, seeds []uint64) error {
	var benches []*Bench
	var alone50, alone99, saturated []float64
	for _, seed := range seeds {
		base.Seed = seed
		b := NewBench(base)
		benches = append(benches, b)
		alone50 = append(alone50, b.alone.Percentile(50, Provisioned)*1e3)
		alone99 = append(alone99, b.alone.Percentile(99, Provisioned)*1e3)
		saturated = append(saturated, b.saturated/float64(base.Engines))
	}
	for _, v := range [][]float64{alone50, alone99, saturated} {
		slices.Sort(v)
	}
	mid := len(seeds) / 2
	_, err := fmt.Fprintf(w, `
N = %d, %s, seeds %v, %v after %v of warm-up. Simulated.
Alone: p50 %.0f ms, p99 %.0f ms. Saturated: %.0f tokens/s on each engine.

| load | policy | p50 | p99 | p50 ratio | p99 ratio (range) | added p99 | tokens/s | idle harvested | refused: provisioned | well-behaved | aggressor | well-behaved p99 | aborts/s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`, base.Engines, arrivals(base.CV), seeds, base.Duration-base.Warmup, base.Warmup, alone50[mid], alone99[mid], saturated[mid])
	for _, load := range Loads() {
		for _, policy := range Policies() {
			var rows []Row
			for _, b := range benches {
				rows = append(rows, b.Row(policy, load))
			}
			if _, err := io.WriteString(w, line(load, policy, rows)); err != nil {
				return err
			}
		}
	}
	return err
}

func arrivals(cv float64) string {
	if cv == 1 {
		return "Poisson"
	}
	return fmt.Sprintf("Gamma CV=%g", cv)
}

func line(load, policy Case, rows []Row) string {
	m, least, most := Median(rows)
	harvest := "-"
	if m.Harvest > 0 && !overloaded(load) {
		harvest = fmt.Sprintf("%.0f %%", m.Harvest*100)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | x%.2f | x%.2f (%.2f-%.2f) | %s | %.0f | %s | %d | %.1f %% | %.0f %% | %s | %.2f |\n",
		load.Name, policy.Name, figure(m.P50), figure(m.P99), m.Ratio50, m.Ratio99, least, most, figure(m.Added99),
		m.Throughput, harvest, m.ProvisionedRefused, m.RefusedOnDemand*100, m.RefusedAggressor*100, figure(m.OnDemand99), m.Resumed)
}

// overloaded tells that on-demand traffic wants more than there is, so that
// nothing is idle.
func overloaded(load Case) bool {
	var s Setup
	load.Apply(&s)
	return s.Aggressor > 0
}

// figure writes seconds as a reader would.
func figure(s float64) string {
	switch {
	case s != s:
		return "-"
	case s > 1e6:
		return "never"
	case s >= 10:
		return fmt.Sprintf("%.0f s", s)
	}
	return fmt.Sprintf("%.0f ms", s*1e3)
}

// Neighbours is the fairness between tenants: the light one beside one that
// sends ten times as much, and alone on an engine that is half as fast.
type Neighbours struct {
	Light, Alone float64 // p99 of first-token times, seconds
}

// Ratio is how much longer the light tenant waits than on its half.
func (n Neighbours) Ratio() float64 { return n.Light / n.Alone }

// LightTenant measures Neighbours on one engine at the rate of the light
// tenant: at 2 a second the two want about 1.4 times what the engine can do.
func LightTenant(seed uint64, cv, rate float64, c fair.Config) Neighbours {
	s := Base(1)
	s.Config = c
	s.Seed, s.CV, s.Provisioned = seed, cv, 0
	s.OnDemand, s.Tenants = rate, 1
	beside := s
	beside.Aggressor = 10 * rate
	alone := s
	alone.Constants = alone.Constants.Scaled(.5)
	alone.Constants.Entry = time.Millisecond
	return Neighbours{
		Light: Run(beside).Percentile(99, OnDemand), Alone: Run(alone).Percentile(99, OnDemand),
	}
}
