package isolation

import (
	"runtime"
	"slices"
	"sync"
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
	P50              Figure `json:"p50_s"`
	P99              Figure `json:"p99_s"`
	Ratio50          Figure `json:"p50_ratio"`
	Ratio99          Figure `json:"p99_ratio"`
	Added50          Figure `json:"p50_added_s"`
	Added99          Figure `json:"p99_added_s"`
	Throughput       Figure `json:"tokens_per_s"`        // on each engine
	Harvest          Figure `json:"harvest"`             // share of the idle capacity that the backlog got
	Refused          Figure `json:"refused_provisioned"` // share of the requests
	RefusedOnDemand  Figure `json:"refused_well_behaved"`
	RefusedAggressor Figure `json:"refused_aggressor"`
	OnDemand99       Figure `json:"well_behaved_p99_s"`
	Resumed          Figure `json:"aborts_per_s"` // on each engine; unknown over HTTP
	// Samples and ProvisionedRefused count provisioned requests.
	Samples            int `json:"samples"`
	ProvisionedRefused int `json:"provisioned_refused"`
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
	return Compare(Run(s), b.alone, b.saturated, b.base.Engines)
}

// Compare compares r with the same provisioned traffic alone, on engines that
// do so many tokens a second together when only throughput matters.
func Compare(r, alone *Result, saturated float64, engines int) Row {
	row := Row{
		P50: Figure(r.Percentile(50, Provisioned)), P99: Figure(r.Percentile(99, Provisioned)),
		Throughput: Figure(r.Total() / float64(engines)), Samples: len(r.First[Provisioned]),
		OnDemand99: Figure(r.Percentile(99, OnDemand)), ProvisionedRefused: r.Refused[Provisioned],
		Resumed: Figure(float64(r.Resumed) / r.Seconds / float64(engines)),
	}
	p50, p99 := Figure(alone.Percentile(50, Provisioned)), Figure(alone.Percentile(99, Provisioned))
	row.Ratio50, row.Ratio99 = row.P50/p50, row.P99/p99
	row.Added50, row.Added99 = row.P50-p50, row.P99-p99
	online := r.Tokens[Provisioned] + r.Tokens[OnDemand] + r.Tokens[Aggressor]
	if saturated > online {
		row.Harvest = Figure(r.Tokens[Batch] / (saturated - online))
	}
	row.Refused = share(r.Refused[Provisioned], r.Sent[Provisioned])
	row.RefusedOnDemand = share(r.Refused[OnDemand], r.Sent[OnDemand])
	row.RefusedAggressor = share(r.Refused[Aggressor], r.Sent[Aggressor])
	return row
}

func share(n, of int) Figure {
	if of == 0 {
		return 0
	}
	return Figure(float64(n) / float64(of))
}

// Median returns the row with the median of each figure, and the range of the
// p99 ratio.
func Median(rows []Row) (m Row, least, most Figure) {
	of := func(f func(*Row) *Figure) {
		var v []Figure
		for i := range rows {
			v = append(v, *f(&rows[i]))
		}
		*f(&m) = median(v)
	}
	for _, f := range []func(*Row) *Figure{
		func(r *Row) *Figure { return &r.P50 }, func(r *Row) *Figure { return &r.P99 },
		func(r *Row) *Figure { return &r.Ratio50 }, func(r *Row) *Figure { return &r.Ratio99 },
		func(r *Row) *Figure { return &r.Added50 }, func(r *Row) *Figure { return &r.Added99 },
		func(r *Row) *Figure { return &r.Throughput }, func(r *Row) *Figure { return &r.Harvest },
		func(r *Row) *Figure { return &r.Refused }, func(r *Row) *Figure { return &r.RefusedOnDemand },
		func(r *Row) *Figure { return &r.RefusedAggressor },
		func(r *Row) *Figure { return &r.OnDemand99 }, func(r *Row) *Figure { return &r.Resumed },
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

// A Line is a policy under a load, in figures for several seeds.
type Line struct {
	Load   string `json:"load"`
	Policy string `json:"policy"`
	Row
	// Least and Most are the range of the p99 ratio over the seeds.
	Least Figure `json:"p99_ratio_least"`
	Most  Figure `json:"p99_ratio_most"`
	// Idle tells that the traffic beside the backlog leaves something idle.
	Idle bool `json:"leaves_idle"`
}

// Figures are what was measured for a number of engines and an arrival process.
type Figures struct {
	Engines   int           `json:"engines"`
	CV        float64       `json:"cv"`
	Seeds     []uint64      `json:"seeds"`
	Measured  time.Duration `json:"measured_ns"` // of each seed
	Warmup    time.Duration `json:"warmup_ns"`
	Alone50   Figure        `json:"alone_p50_s"`
	Alone99   Figure        `json:"alone_p99_s"`
	Saturated Figure        `json:"saturated_tokens_per_s"` // on each engine
	Lines     []Line        `json:"lines"`
}

// Measure runs the policies under the loads for each of the seeds, as many
// seeds at a time as there are processors. Figures are medians of the seeds.
func Measure(base Setup, seeds []uint64, loads, policies []Case) *Figures {
	t := &Figures{Engines: base.Engines, CV: base.CV, Seeds: seeds, Measured: base.Duration - base.Warmup, Warmup: base.Warmup}
	rows := make([][]Row, len(seeds)) // by seed, then load, then policy
	alone50, alone99, saturated := make([]Figure, len(seeds)), make([]Figure, len(seeds)), make([]Figure, len(seeds))
	each(len(seeds), func(i int) {
		s := base
		s.Seed = seeds[i]
		b := NewBench(s)
		alone50[i], alone99[i] = Figure(b.alone.Percentile(50, Provisioned)), Figure(b.alone.Percentile(99, Provisioned))
		saturated[i] = Figure(b.saturated / float64(base.Engines))
		for _, load := range loads {
			for _, policy := range policies {
				rows[i] = append(rows[i], b.Row(policy, load))
			}
		}
	})
	t.Alone50, t.Alone99, t.Saturated = median(alone50), median(alone99), median(saturated)
	for i, load := range loads {
		for j, policy := range policies {
			var of []Row
			for _, r := range rows {
				of = append(of, r[i*len(policies)+j])
			}
			l := Line{Load: load.Name, Policy: policy.Name, Idle: !load.Overloads()}
			l.Row, l.Least, l.Most = Median(of)
			t.Lines = append(t.Lines, l)
		}
	}
	return t
}

// each calls f for 0 to n-1, on all processors.
func each(n int, f func(int)) {
	var w sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range n {
		free <- struct{}{}
		w.Go(func() {
			f(i)
			<-free
		})
	}
	w.Wait()
}

func median(v []Figure) Figure {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// Overloads tells that on-demand traffic wants more than there is, so that
// nothing is idle.
func (c Case) Overloads() bool {
	var s Setup
	c.Apply(&s)
	return s.Aggressor > 0
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
