// Package load drives a gateway or an engine and says what that cost.
//
// It sends one request over and over, closed-loop over a number of
// connections or open-loop at a rate, checks every answer, and measures rates,
// latencies, stream timings, and the CPU seconds and peak memory of given
// processes over the measured window.
package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Protocol is what requests and answers look like.
type Protocol string

// The protocols.
const (
	OpenAI          Protocol = "openai"           // chat completions
	Anthropic       Protocol = "anthropic"        // messages
	Converse        Protocol = "converse"         // Converse and ConverseStream
	InvokeOpenAI    Protocol = "invoke-openai"    // InvokeModel with a chat completion as body
	InvokeAnthropic Protocol = "invoke-anthropic" // InvokeModel with a messages body
)

// Options say what to send and how.
type Options struct {
	Addr     string // host:port
	Protocol Protocol
	Model    string
	Stream   bool // ask for a stream
	Prompt   int  // bytes of prompt
	Auth     Auth
	Conns    int     // connections: closed-loop workers, or the open loop's limit
	Rate     float64 // open loop: requests a second; 0 for a closed loop
	Duration time.Duration
	Warm     time.Duration // before measuring
	Ramp     time.Duration // spread of the workers' start
	Timeout  time.Duration // limit for one request
	// WantBytes and WantEvents are the content bytes and content events of a
	// right answer; below 0 for any.
	WantBytes, WantEvents int
	// Processes are accounted over the measured window, by name.
	Processes map[string]int
}

// A Result is what was measured.
type Result struct {
	Seconds   float64            `json:"seconds"`
	Requests  int64              `json:"requests"`
	PerSecond float64            `json:"per_second"`
	Events    int64              `json:"events,omitempty"`
	Errors    map[string]int     `json:"errors,omitempty"`
	Backlog   int                `json:"backlog,omitempty"`   // open loop: requests that were due and not sent
	Latency   Quantiles          `json:"latency_us"`          // whole answer
	First     Quantiles          `json:"first_us,omitzero"`   // first event of a stream
	Relay     Quantiles          `json:"relay_us,omitzero"`   // per event, from the mock's stamp to here
	CPU       map[string]Process `json:"cpu"`                 // by the names of Options.Processes
	Self      float64            `json:"self_cores"`          // busy cores of the load generator
	Others    float64            `json:"other_work_in_cores"` // busy cores of everything not accounted
}

// A Process is what one process consumed in the measured window.
type Process struct {
	Seconds    float64 `json:"cpu_s"` // user and system
	PerRequest float64 `json:"us_per_request"`
	PerEvent   float64 `json:"us_per_event,omitempty"`
	PeakMB     float64 `json:"peak_mb"` // resident, at most, in the window
}

// Failed is the number of requests that got no right answer.
func (r Result) Failed() (n int) {
	for _, count := range r.Errors {
		n += count
	}
	return n
}

// Run sends requests until the window is over or ctx ends. It returns an
// error if the options make no sense; failed requests are counted.
func Run(ctx context.Context, o Options) (Result, error) {
	d := driver{options: o, begin: time.Now()}
	d.from = d.begin.Add(o.Warm)
	d.to = d.from.Add(o.Duration)
	if err := d.prepare(); err != nil {
		return Result{}, err
	}
	d.start(ctx)
	sleep(ctx, d.from)
	r := d.measure(ctx)
	d.running.Wait()
	d.summarize(&r)
	return r, ctx.Err()
}

// A driver is one run.
type driver struct {
	options         Options
	begin, from, to time.Time
	request         atomic.Pointer[[]byte]
	workers         []*worker
	ticks           chan time.Time
	running         sync.WaitGroup
}

// resignAfter is how long a signed request is sent again before it is signed
// anew: verifiers accept a signature for five minutes.
const resignAfter = time.Minute

func (d *driver) prepare() error {
	b, err := build(&d.options, time.Now())
	if err != nil {
		return err
	}
	d.request.Store(&b)
	return nil
}

// start starts the workers, the clock of the open loop, and the signer.
func (d *driver) start(ctx context.Context) {
	if d.options.Rate > 0 {
		d.ticks = make(chan time.Time, 1<<16)
		d.running.Go(func() { d.tick(ctx) })
	}
	if d.options.Auth.signs() {
		d.running.Go(func() { d.resign(ctx) })
	}
	for i := range d.options.Conns {
		w := &worker{errors: map[string]int{}, options: &d.options}
		d.workers = append(d.workers, w)
		d.running.Go(func() {
			if d.ticks == nil {
				sleep(ctx, d.begin.Add(d.options.Ramp*time.Duration(i)/time.Duration(d.options.Conns)))
			}
			w.run(ctx, d)
		})
	}
}

func (d *driver) tick(ctx context.Context) {
	defer close(d.ticks)
	for i := 0; ctx.Err() == nil; i++ {
		at := d.begin.Add(time.Duration(float64(i) / d.options.Rate * float64(time.Second)))
		if at.After(d.to) {
			return
		}
		sleep(ctx, at)
		select {
		case d.ticks <- at:
		default: // a hopeless backlog: stop adding to it
		}
	}
}

func (d *driver) resign(ctx context.Context) {
	for at := d.begin.Add(resignAfter); at.Before(d.to) && ctx.Err() == nil; at = at.Add(resignAfter) {
		sleep(ctx, at)
		if b, err := build(&d.options, time.Now()); err == nil {
			d.request.Store(&b)
		}
	}
}

// measure accounts for what happens from now to the end of the window.
func (d *driver) measure(ctx context.Context) (r Result) {
	accounts := map[string]*account{}
	for name, pid := range d.options.Processes {
		accounts[name] = open(pid)
	}
	self, all := selfCPU(), MachineSeconds()
	start := time.Now()
	requests, events := d.count()
	sleep(ctx, d.to)
	done, seen := d.count()
	r.Seconds = time.Since(start).Seconds()
	self, all = selfCPU()-self, MachineSeconds()-all
	r.Requests, r.Events, r.Backlog = done-requests, seen-events, len(d.ticks)
	r.PerSecond = float64(r.Requests) / r.Seconds
	r.CPU = map[string]Process{}
	known := self
	for name, a := range accounts {
		p := a.close()
		known += p.Seconds
		if r.Requests > 0 {
			p.PerRequest = p.Seconds / float64(r.Requests) * 1e6
		}
		if r.Events > 0 && d.options.Stream {
			p.PerEvent = p.Seconds / float64(r.Events) * 1e6
		}
		r.CPU[name] = p
	}
	r.Self, r.Others = self/r.Seconds, (all-known)/r.Seconds
	return r
}

func (d *driver) count() (done, events int64) {
	for _, w := range d.workers {
		done += w.done.Load()
		events += w.events.Load()
	}
	return done, events
}

func (d *driver) summarize(r *Result) {
	var latency, first, relay []time.Duration
	r.Errors = map[string]int{}
	for _, w := range d.workers {
		latency = append(latency, w.latency...)
		first = append(first, w.first...)
		relay = append(relay, w.relay...)
		for k, n := range w.errors {
			r.Errors[k] += n
		}
	}
	r.Latency, r.First, r.Relay = quantiles(latency), quantiles(first), quantiles(relay)
}

// Quantiles are microseconds.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

func quantiles(d []time.Duration) (q Quantiles) {
	if len(d) == 0 {
		return q
	}
	slices.Sort(d)
	at := func(f float64) float64 { return micro(d[min(len(d)-1, int(f*float64(len(d))))]) }
	var sum time.Duration
	for _, v := range d {
		sum += v
	}
	return Quantiles{P50: at(.5), P90: at(.9), P99: at(.99), Max: at(1), Mean: micro(sum / time.Duration(len(d)))}
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// sleep sleeps until at, or until ctx ends.
func sleep(ctx context.Context, at time.Time) {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// String names the run.
func (o Options) String() string {
	return fmt.Sprintf("%s to %s, %d bytes of prompt, %d connections", o.Protocol, o.Model, o.Prompt, o.Conns)
}
