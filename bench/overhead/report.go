package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/outcrop/outcrop/bench/child"
	"github.com/outcrop/outcrop/bench/load"
)

// A report is all that was measured.
type report struct {
	When      string        `json:"when"`
	Machine   child.Machine `json:"machine"`
	Rounds    int           `json:"rounds"`
	Summary   []line        `json:"summary"`
	Growth    *growth       `json:"growth,omitempty"`
	Profiles  []profile     `json:"profiles,omitempty"`
	Scenarios []*scenario   `json:"scenarios"`
}

// A line sums up one subject of one scenario over the rounds. Costs are CPU
// µs, latencies µs.
type line struct {
	Scenario string  `json:"scenario"`
	Subject  string  `json:"subject"`
	Per      string  `json:"per"`
	Cost     spread  `json:"cpu_us"`
	Ratio    spread  `json:"ratio_to_revproxy"`
	P50      spread  `json:"added_p50_us"`
	P99      spread  `json:"added_p99_us"`
	PeakMB   spread  `json:"peak_mb"`
	Failed   int     `json:"failed"`
	Target   float64 `json:"target_ratio,omitempty"`
	MaxMB    float64 `json:"target_peak_mb,omitempty"`
	Verdict  string  `json:"verdict,omitempty"`
}

func (c *scenario) line(s *subject) line {
	l := line{Scenario: c.Name, Subject: s.Name, Per: "request"}
	if c.PerEvent {
		l.Per = "event"
	}
	l.Cost = c.each(s, func(round int) float64 { return s.cost(c, round) })
	l.Ratio = c.ratios(s)
	l.P50 = c.added(s, func(q load.Quantiles) float64 { return q.P50 })
	l.P99 = c.added(s, func(q load.Quantiles) float64 { return q.P99 })
	l.PeakMB = c.each(s, func(round int) float64 { return s.Runs[round].CPU[s.process].PeakMB })
	for _, r := range s.Runs {
		l.Failed += r.Failed()
	}
	if s.isGateway() {
		l.Target, l.MaxMB = c.Target, c.MaxMB
		l.Verdict = l.judge()
	}
	return l
}

// judge compares medians with the targets.
func (l line) judge() string {
	switch {
	case l.Target == 0 && l.MaxMB == 0:
		return ""
	case l.Failed > 0:
		return fmt.Sprintf("miss: %d failed", l.Failed)
	case l.Target > 0 && l.Ratio.Median > l.Target:
		return fmt.Sprintf("miss: at most %.1fx", l.Target)
	case l.MaxMB > 0 && l.PeakMB.Max > l.MaxMB:
		return fmt.Sprintf("miss: at most %.0f MB", l.MaxMB)
	case l.MaxMB > 0:
		return fmt.Sprintf("pass: at most %.0f MB", l.MaxMB)
	}
	return fmt.Sprintf("pass: at most %.1fx", l.Target)
}

// otherWork is how many cores were busy with what is no part of the
// measurement; much of it makes the figures worthless.
func (c *scenario) otherWork() spread {
	var cores []float64
	for _, s := range c.Subjects {
		for _, r := range s.Runs {
			cores = append(cores, max(r.Others, 0))
		}
	}
	return spreadOf(cores)
}

func (r *report) summarize() {
	r.Summary = nil
	for _, c := range r.Scenarios {
		for _, s := range c.Subjects {
			r.Summary = append(r.Summary, c.line(s))
		}
	}
}

// table is the results in Markdown, one table for each scenario.
func (r *report) table() string {
	r.summarize()
	var b strings.Builder
	rest := r.Summary
	for _, c := range r.Scenarios {
		fmt.Fprintf(&b, "\n### %s: %s\n\nOther work on the machine meanwhile: %s cores.\n\n", c.Name, c.Title, c.otherWork().text(2))
		fmt.Fprintf(&b, "| | CPU µs per %s | against revproxy | added p50 µs | added p99 µs | peak MB | target |\n|---|---|---|---|---|---|---|\n", rest[0].Per)
		for _, l := range rest[:len(c.Subjects)] {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.0f | %s |\n", l.Subject, l.Cost.text(1), l.ratio(),
				l.latency(l.P50), l.latency(l.P99), l.PeakMB.Max, l.Verdict)
		}
		rest = rest[len(c.Subjects):]
	}
	return b.String()
}

func (s spread) text(digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

func (l line) ratio() string {
	if l.Subject == "direct" {
		return "–"
	}
	return l.Ratio.text(2)
}

func (l line) latency(s spread) string {
	if l.Subject == "direct" {
		return "–"
	}
	return s.text(0)
}

const introduction = `# What the gateway costs

Written by ` + "`make bench-overhead`" + `. All rows of one table were measured in the same run, interleaved, on one machine, with the
load generator and the mock engine on the same cores; figures are the median of the rounds, with the least and the greatest in brackets.

- *direct* is the mock engine itself: its row tells what the engine costs.
- *revproxy* is the standard library's reverse proxy: it copies bytes, checks nothing and keeps no books.
- *outcrop* checks the key or the signature, translates, keeps account of limits, meters, counts metrics and writes one log line for each request.

CPU is user and system time of that process alone. Added latency is the latency of the row minus that of *direct* at the same
quantile; where the mock spaces events, it is the delay of each event from the engine's write to the client's read. With closed-loop
load both cores are busy, so that latencies tell of queueing for the processor; the rows at 300 requests a second do not.
`

// markdown is the whole page.
func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString(introduction)
	m := r.Machine
	fmt.Fprintf(&b, "\nMeasured %s, %d rounds: %d cores of %s, %s, %s, %s.\n", r.When, r.Rounds, m.Cores, m.CPU, m.Memory, m.Kernel, m.Go)
	b.WriteString("\n## Scenarios\n")
	b.WriteString(r.table())
	if g := r.Growth; g != nil {
		fmt.Fprintf(&b, "\n## Memory over time\n\n%.0f minutes of unary requests and bunched streams over 64 connections, %d answers, %d failed: "+
			"%.1f MB resident in the second tenth of the time, %.1f MB in the last.\n", g.Minutes, g.Requests, g.Failed, g.EarlyMB, g.LateMB)
	}
	if len(r.Profiles) > 0 {
		b.WriteString("\n## Where the time goes\n")
	}
	for _, p := range r.Profiles {
		fmt.Fprintf(&b, "\n%s:\n\n```\n%s\n```\n", p.Scenario, p.Top)
	}
	return b.String()
}

// write writes overhead.md and overhead.json into the folder.
func (r *report) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	r.summarize()
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "overhead.json"), append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "overhead.md"), []byte(r.markdown()), 0o644)
}
