package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/outcrop/outcrop/quota"
	"github.com/outcrop/outcrop/watchapi"
)

// A cell is one value of a table, and its colour if it has one.
type cell struct{ text, colour string }

// ANSI colours.
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	bold   = "\x1b[1m"
	plain  = "\x1b[0m"
)

func cells(values ...string) []cell {
	row := make([]cell, len(values))
	for i, v := range values {
		row[i].text = v
	}
	return row
}

// printTable writes rows of equal length in columns.
func printTable(w io.Writer, rows [][]cell, colour bool) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			if colour && c.colour != "" {
				line.WriteString(c.colour + c.text + plain)
			} else {
				line.WriteString(c.text)
			}
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// tables writes the view for people.
func tables(w io.Writer, v *watchapi.View, colour bool) {
	for i := range v.Pools {
		if i > 0 {
			fmt.Fprintln(w)
		}
		poolTable(w, &v.Pools[i], colour)
	}
	if len(v.Units) > 0 {
		fmt.Fprintln(w)
		unitTable(w, v.Units, colour)
	}
	if len(v.OnDemand) > 0 {
		fmt.Fprintln(w)
		useTable(w, v.OnDemand, colour)
	}
	if len(v.Pools)+len(v.Units)+len(v.OnDemand) == 0 {
		fmt.Fprintln(w, "Nothing is in use.")
	}
}

func poolTable(w io.Writer, p *watchapi.Pool, colour bool) {
	name := printable(p.Model)
	if colour {
		name = bold + name + plain
	}
	if p.Simulated {
		name += " (simulated)"
	}
	u := &p.Units
	fmt.Fprintf(w, "%s  units: %d sold, %s used, %s idle, %d free  service: %s tokens/s", name, u.Sold, number(u.Used), number(u.Idle), u.Free, grouped(p.Pace))
	if p.Guarded {
		fmt.Fprint(w, "  low classes held back")
	}
	fmt.Fprintln(w)
	rows := [][]cell{cells("CLASS", "WAITING", "RUNNING", "OLDEST", "EXPECTED", "TOKENS/S", "FINISHED", "REFUSED", "FAILED")}
	for i := range p.Classes {
		c := &p.Classes[i]
		if !touched(c) {
			continue
		}
		expected := "no engine"
		if c.Expected != nil {
			expected = brief(c.Expected.Duration())
		}
		rows = append(rows, cells(c.Class, strconv.Itoa(c.Waiting), strconv.Itoa(c.Running), brief(c.Oldest), expected, grouped(c.Pace),
			grouped(float64(c.Finished)), grouped(float64(c.Refused)), grouped(float64(c.Failed))))
	}
	if len(rows) > 1 {
		printTable(w, rows, colour)
		fmt.Fprintln(w)
	}
	rows = [][]cell{cells("ENGINE", "STATE", "KV", "RUNNING", "WAITING", "BACKLOG", "FACTOR", "READS", "SEEN", "GATE")}
	for i := range p.Engines {
		rows = append(rows, engineRow(&p.Engines[i]))
	}
	if len(rows) > 1 {
		printTable(w, rows, colour)
	}
}

func engineRow(e *watchapi.Engine) []cell {
	state := cell{text: e.State, colour: yellow}
	switch {
	case e.State == watchapi.Serving:
		state.colour = ""
	case e.RestsFor > 0:
		state = cell{"resting " + brief(e.RestsFor), red}
	}
	running := strconv.Itoa(e.Running)
	if e.Most > 0 {
		running += "/" + strconv.Itoa(e.Most)
	}
	seen := "-"
	if e.Scraped != nil {
		seen = brief(e.Scraped.Duration())
	}
	row := cells(printable(e.Name), "", known(e.KVUsed, "%"), running, known(e.Waiting, ""), grouped(float64(e.Backlog)), number(e.Factor), grouped(e.Prefill)+"/s", seen, gateText(e))
	row[1] = state
	return row
}

// gateText says what keeps waiting classes from the engine, those with the
// same reason together.
func gateText(e *watchapi.Engine) string {
	if e.RestsFor > 0 || e.State == "draining" {
		return "closed"
	}
	var parts []string
	for i := 0; i < len(e.Gates); {
		classes, why := []string{}, e.Gates[i].Why
		for ; i < len(e.Gates) && e.Gates[i].Why == why; i++ {
			classes = append(classes, e.Gates[i].Class)
		}
		parts = append(parts, strings.Join(classes, ", ")+": "+printable(why))
	}
	if len(parts) == 0 {
		return "open"
	}
	return strings.Join(parts, "; ")
}

func unitTable(w io.Writer, units []watchapi.Unit, colour bool) {
	rows := [][]cell{cells("UNIT", "ACCOUNT", "MODEL", "UNITS", "INPUT/MIN (5m)", "OUTPUT/MIN (5m)", "NOW", "IN FLIGHT", "WAITED", "REFUSED", "SPILLED", "STATUS")}
	for i := range units {
		u := &units[i]
		now := cell{text: "-"}
		if l := fullest(u.Levels); l != nil {
			now.text = fmt.Sprintf("%d%% %s", l.Percent, strings.TrimPrefix(l.Limit, "unit-"))
			if l.Percent >= 100 {
				now.colour = red
			}
		}
		row := cells(printable(u.Name), u.Account, printable(u.Model), strconv.FormatInt(u.Units, 10), rate(u.UsedInput, u.Input), rate(u.UsedOutput, u.Output), "",
			strconv.FormatInt(u.InFlight, 10), grouped(float64(u.Waited)), counts(u.Refused), counts(u.Spilled), firstOf(string(u.Status), "-"))
		row[6] = now
		rows = append(rows, row)
	}
	printTable(w, rows, colour)
}

func useTable(w io.Writer, uses []quota.UseStatus, colour bool) {
	rows := [][]cell{cells("ON DEMAND", "MODEL", "NOW", "IN FLIGHT", "ADMITTED", "REFUSED")}
	for i := range uses {
		u := &uses[i]
		now := cell{text: "no limit"}
		if l := fullest(u.Levels); l != nil {
			now.text = fmt.Sprintf("%d%% %s", l.Percent, l.Limit)
			if l.Percent >= 100 {
				now.colour = red
			}
		}
		row := cells(u.Account, firstOf(printable(u.Model), "-"), "", strconv.FormatInt(u.InFlight, 10), grouped(float64(u.Admitted)), counts(u.Refused))
		row[2] = now
		rows = append(rows, row)
	}
	printTable(w, rows, colour)
}

// fullest returns the limit that is the fullest, or nil.
func fullest(levels []quota.Level) *quota.Level {
	var most *quota.Level
	for i := range levels {
		if most == nil || levels[i].Percent > most.Percent {
			most = &levels[i]
		}
	}
	return most
}

// rate is what of a rate was used.
func rate(used, of int64) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%d%% of %s", used, grouped(float64(of)))
}

// counts are counters in one cell, as in "4 tokens-per-minute".
func counts(all []quota.Count) string {
	parts := make([]string, len(all))
	for i, c := range all {
		parts[i] = strconv.FormatUint(c.Count, 10) + " " + c.Name
	}
	return firstOf(strings.Join(parts, ", "), "0")
}

// lines writes the view for programs: a kind and values on each line, with
// tabs between them; what is not known is empty.
func lines(w io.Writer, v *watchapi.View) {
	for i := range v.Pools {
		p := &v.Pools[i]
		u := &p.Units
		fmt.Fprintln(w, row("pool", p.Model, strconv.Itoa(u.Sold), number(u.Used), number(u.Idle), strconv.Itoa(u.Free), number(p.Pace), strconv.FormatBool(p.Guarded), strconv.FormatBool(p.Simulated)))
		for j := range p.Classes {
			c := &p.Classes[j]
			fmt.Fprintln(w, row("class", p.Model, c.Class, strconv.Itoa(c.Waiting), strconv.Itoa(c.Running), strconv.FormatInt(c.Oldest.Milliseconds(), 10), wait(c.Expected),
				number(c.Pace), strconv.FormatInt(c.Served, 10), strconv.Itoa(c.Finished), strconv.Itoa(c.Refused), strconv.Itoa(c.Failed)))
		}
		for j := range p.Engines {
			e := &p.Engines[j]
			gates := make([]string, len(e.Gates))
			for k, g := range e.Gates {
				gates[k] = g.Class + "=" + g.Gate
			}
			fmt.Fprintln(w, row("engine", p.Model, e.Name, e.State, raw(e.KVUsed), strconv.Itoa(e.Running), raw(e.Waiting), strconv.Itoa(e.Backlog), number(e.Factor),
				number(e.Prefill), number(e.Steps), wait(e.Scraped), strings.Join(gates, ",")))
		}
	}
	for i := range v.Units {
		u := &v.Units[i]
		fmt.Fprintln(w, row("unit", u.Name, u.ARN, u.Account, u.Model, strconv.FormatInt(u.Units, 10), strconv.FormatInt(u.UsedInput, 10), strconv.FormatInt(u.Input, 10),
			strconv.FormatInt(u.UsedOutput, 10), strconv.FormatInt(u.Output, 10), levels(u.Levels), strconv.FormatInt(u.InFlight, 10), strconv.FormatUint(u.Waited, 10),
			sums(u.Refused), sums(u.Spilled), string(u.Status)))
	}
	for i := range v.OnDemand {
		u := &v.OnDemand[i]
		fmt.Fprintln(w, row("use", u.Account, u.Model, levels(u.Levels), strconv.FormatInt(u.InFlight, 10), strconv.FormatUint(u.Admitted, 10), sums(u.Refused)))
	}
}

// levels are limits in one value: NAME=LEVEL/MAX,...
func levels(all []quota.Level) string {
	parts := make([]string, len(all))
	for i, l := range all {
		parts[i] = fmt.Sprintf("%s=%d/%d", l.Limit, l.Level, l.Max)
	}
	return strings.Join(parts, ",")
}

// sums are counters in one value: NAME=COUNT,...
func sums(all []quota.Count) string {
	parts := make([]string, len(all))
	for i, c := range all {
		parts[i] = c.Name + "=" + strconv.FormatUint(c.Count, 10)
	}
	return strings.Join(parts, ",")
}

func wait(w *watchapi.Wait) string {
	if w == nil {
		return ""
	}
	return strconv.FormatInt(int64(*w), 10)
}

func raw(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func known(n *int, unit string) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n) + unit
}

// number is v with the decimals that it has.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// brief is a time for people, of two or three digits; a dash for none.
func brief(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute:
		return strconv.FormatFloat(math.Round(d.Seconds()*10)/10, 'f', -1, 64) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
}

// grouped is v as a whole number with commas between the thousands.
func grouped(v float64) string {
	s := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// printable is s without what a terminal might not simply show.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if strconv.IsPrint(c) {
			return c
		}
		return '?'
	}, s)
}
