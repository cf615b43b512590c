package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
	"github.com/outcrop/outcrop/bench/load"
)

// A Policy is how the gateway is configured.
type Policy struct {
	Name   string
	policy string // scheduler.policy
}

// Policies are those that are compared. Without a gate the gateway hands each
// request to the engine with the fewest at once.
func Policies() []Policy {
	return []Policy{
		{"fifo", "none"},
		{"static cap", "static"},
		{"outcrop", "fair"},
	}
}

// A Run is a policy under a load: one run of all processes.
type Run struct {
	Load   string
	Policy Policy
	Setup  isolation.Setup
	// Rows is how many requests of the backlog are under way or wait.
	Rows int
	// Segment is how long each seed is measured, simulated.
	Segment time.Duration
	// Beside has Options.Beside go on.
	Beside bool
}

// Options are what the runs of a benchmark have in common. Times but for the
// speed are simulated.
type Options struct {
	Outcrop   string   // the command to run
	Generator []string // the command that reads a Plan and writes Records
	Scratch   string   // folder for the files of the processes
	Speed     float64
	Trace     string
	Seeds     []uint64
	Tail      time.Duration
	Patience  time.Duration
	Keys      map[string]string // see Keys
	Data      string            // folder that they are in
	// Beside, if not nil, is what goes on at the gateway at addr, beside the
	// traffic of runs that have it. Its context ends with the traffic.
	Beside func(ctx context.Context, addr string) error
}

// Shares are the cores that were busy while it was measured.
type Shares struct {
	Gateway   float64 `json:"gateway"`
	Engines   float64 `json:"engines"` // together
	Generator float64 `json:"generator"`
	Machine   float64 `json:"machine"` // everything on it
}

// A Report is what a run showed.
type Report struct {
	Run     Run
	Plan    *Plan
	Records []Record
	Shares  Shares
}

// settle is real time for the generator to start.
const settle = time.Second

// Measure starts the processes, has the traffic sent, and stops them again. It
// blocks until then.
func Measure(ctx context.Context, o Options, r Run) (*Report, error) {
	folder, err := os.MkdirTemp(o.Scratch, "run-")
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, o.Outcrop, folder, o.Data, r, o.Speed, o.Keys)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	p := &Plan{Addr: s.gateway.Addr, Model: Model, Setup: r.Setup, Trace: o.Trace, Seeds: o.Seeds, Keys: o.Keys, Models: s.models,
		Speed: o.Speed, Rows: r.Rows, Segment: r.Segment, Tail: o.Tail, Patience: o.Patience, Start: time.Now().Add(settle)}
	g, err := generate(ctx, o.Generator, p)
	if err != nil {
		return nil, err
	}
	end := beside(ctx, o, r, s.gateway.Addr)
	shares := s.watch(ctx, p, g.command.Process.Pid)
	records, err := g.wait()
	if failed := end(); err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return &Report{Run: r, Plan: p, Records: records, Shares: shares}, nil
}

// beside starts what goes on beside the traffic, and returns what ends it.
func beside(ctx context.Context, o Options, r Run, addr string) (end func() error) {
	if o.Beside == nil || !r.Beside {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- o.Beside(ctx, addr) }()
	return func() error { cancel(); return <-ended }
}

// watch accounts for the processes in the time that is measured.
func (s *site) watch(ctx context.Context, p *Plan, generator int) (v Shares) {
	from, to := p.Measured()
	used := func() Shares {
		u := Shares{Gateway: load.CPUSeconds(s.gateway.Pid()), Generator: load.CPUSeconds(generator), Machine: load.MachineSeconds()}
		for _, e := range s.engines {
			u.Engines += load.CPUSeconds(e.Pid())
		}
		return u
	}
	sleepUntil(ctx, from)
	a := used()
	sleepUntil(ctx, to)
	b, seconds := used(), time.Since(from).Seconds()
	return Shares{
		Gateway: (b.Gateway - a.Gateway) / seconds, Engines: (b.Engines - a.Engines) / seconds,
		Generator: (b.Generator - a.Generator) / seconds, Machine: (b.Machine - a.Machine) / seconds,
	}
}

// A generation is the generator at work, in a process of its own.
type generation struct {
	command  *exec.Cmd
	out, err bytes.Buffer
}

func generate(ctx context.Context, command []string, p *Plan) (*generation, error) {
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	g := &generation{command: exec.CommandContext(ctx, command[0], command[1:]...)}
	g.command.Stdin, g.command.Stdout, g.command.Stderr = bytes.NewReader(plan), &g.out, &g.err
	return g, g.command.Start()
}

func (g *generation) wait() ([]Record, error) {
	if err := g.command.Wait(); err != nil {
		return nil, fmt.Errorf("the generator: %w\n%s", err, &g.err)
	}
	return ReadRecords(&g.out)
}
