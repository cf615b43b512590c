package explain

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/outcrop/outcrop"
)

// Sentence says in one sentence what became of the request and why.
func (r *Record) Sentence() string {
	switch {
	case r.Refused() && len(r.Limits) > 0:
		return r.refusedSentence()
	case r.Code == codeLeft:
		return "Begun" + r.byEngine() + "; the caller hung up before the end."
	case r.Code != "":
		return strings.TrimRight("Failed with "+string(r.Code)+r.byEngine()+": "+r.Message, ".: ") + "."
	case r.Status >= 400:
		return "Failed with status " + strconv.Itoa(r.Status) + "."
	}
	return r.servedSentence()
}

func (r *Record) refusedSentence() string {
	l := &r.Limits[len(r.Limits)-1]
	var b strings.Builder
	fmt.Fprintf(&b, "Refused, because %s was at %d %% (%s of %s)", l.whose(), l.Percent, grouped(l.Level), grouped(l.Max))
	if l.Need > 0 {
		b.WriteString(" and the request needed " + grouped(l.Need))
	}
	if l.Never {
		b.WriteString("; no waiting would have helped")
	} else {
		fmt.Fprintf(&b, "; it would have passed after %s", short(l.Wait))
	}
	switch {
	case len(r.Limits) > 1:
		fmt.Fprintf(&b, "; before that, %s was over", r.Limits[0].whose())
	case l.Unit != "" && r.Asked.Unit != "" && !l.ofScheduler():
		b.WriteString(", and it did not spill")
	}
	return b.String() + "."
}

func (r *Record) servedSentence() string {
	var b strings.Builder
	b.WriteString("Served")
	if r.Served.Class != "" {
		b.WriteString(" as " + r.Served.Class)
	}
	b.WriteString(r.byEngine())
	switch {
	case r.Served.Spilled && len(r.Limits) > 0:
		b.WriteString(", because " + r.Limits[0].whose() + " was over and the request spilled")
	case r.Asked.Tier == outcrop.TierReserved && r.Served.Tier != outcrop.TierReserved:
		b.WriteString(", because the reserved capacity was over or not there")
	case r.Waited > 0 && len(r.Limits) > 0:
		b.WriteString(", after " + short(r.Waited) + " of waiting because " + r.Limits[0].whose() + " was over")
	case r.Served.Unit != "":
		b.WriteString(", because the request was within its unit")
	}
	if r.Queued >= time.Millisecond {
		b.WriteString("; it queued " + short(r.Queued) + " for an engine")
	}
	return b.String() + "."
}

func (r *Record) byEngine() string {
	if r.Served.Engine == "" {
		return ""
	}
	by := " by engine " + r.Served.Engine
	if r.Served.Simulated {
		by += " (simulated)"
	}
	return by
}

// whose says which limit it is, and whose.
func (l *Limit) whose() string {
	name := strings.ReplaceAll(l.Name, "-", " ")
	switch {
	case l.ofScheduler():
		return "the scheduler's limit of " + strings.TrimPrefix(name, "scheduler ")
	case l.Unit != "" && strings.HasPrefix(l.Unit, "arn:"):
		_, id, _ := strings.Cut(l.Unit, "/")
		return "the " + strings.TrimPrefix(name, "unit ") + " level of unit " + id
	case l.Unit != "":
		return "the " + strings.TrimPrefix(name, "unit ") + " level of the reserved capacity"
	case l.Account != "":
		return "the limit of " + name + " of account " + l.Account
	}
	return "the limit " + name
}

// Write writes the record for people: what happened in one sentence, the
// decisions in their order, and where the time went.
func (r *Record) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "EXPLAIN %s  %s  %s %s -> %d", clean(r.ID), r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), r.Operation, clean(r.Asked.Model), r.Status)
	if r.Code != "" {
		fmt.Fprintf(b, " %s", r.Code)
	}
	fmt.Fprintf(b, "\n In one sentence: %s\n", clean(r.Sentence()))
	for i, s := range r.ladder() {
		fmt.Fprintf(b, "  %d %-8s %s\n", i+1, s.name, clean(s.text))
	}
	fmt.Fprintf(b, "  time     %s\n", r.times())
	if help := r.help(); help != "" {
		fmt.Fprintf(b, "  What would have helped: %s.\n", help)
	}
	return b.Flush()
}

// A rung is one decision.
type rung struct{ name, text string }

// ladder returns the decisions in the order in which they were made.
func (r *Record) ladder() []rung {
	var all []rung
	add := func(name, format string, args ...any) { all = append(all, rung{name, fmt.Sprintf(format, args...)}) }
	who := "account " + r.Account
	if r.Key != "" {
		who += ", key " + r.Key
	}
	add("auth", "ok     %s", who)
	add("asked", "%s", r.asked())
	for i := range r.Limits {
		l := &r.Limits[i]
		name, outcome := "quota", "over"
		switch {
		case l.ofScheduler():
			name = "queue"
		case l.Unit != "":
			name = "unit"
		}
		if l.Waited > 0 && !r.Refused() && !r.Served.Spilled {
			outcome = "waited"
		}
		add(name, "%-6s %s", outcome, l.text())
	}
	switch {
	case r.Asked.Unit != "" && r.Served.Unit != "" && len(r.Limits) == 0:
		add("unit", "ok     within %s", tail(r.Served.Unit))
	case r.Asked.Unit == "" && len(r.Limits) == 0 && r.ran():
		add("quota", "ok     within the limits of the account")
	}
	switch {
	case r.Served.Spilled:
		add("spill", "yes    to %s", r.Served.Class)
	case r.Asked.Unit != "" && len(r.Limits) > 1:
		add("spill", "yes    and refused there")
	case r.Asked.Unit != "" && len(r.Limits) == 1 && r.Refused() && !r.Limits[0].ofScheduler():
		add("spill", "off")
	}
	if r.ran() {
		add("queue", "%-6s as %s", short(r.Queued), r.Served.Class)
		all = append(all, r.tries()...)
		engine := strings.TrimPrefix(r.byEngine(), " by ")
		if engine == "" {
			engine = "no engine answered"
		}
		add("route", "%s, engines tried: %d", engine, r.Attempts)
	} else if len(r.Tries) > 0 {
		all = append(all, r.tries()...)
	} else if n := len(r.Limits); n == 0 || !r.Limits[n-1].ofScheduler() {
		add("queue", "not entered")
	}
	add("answer", "%s", r.answer())
	return all
}

// tries are the tries in the scheduler, and before each what held it.
func (r *Record) tries() (all []rung) {
	for i := range r.Tries {
		t := &r.Tries[i]
		if t.Held != nil {
			all = append(all, rung{"held", fmt.Sprintf("%-6s %s", short(t.Queued), t.Held.text(r.Served.Class))})
		}
		if t.Engine != "" {
			all = append(all, rung{"try", t.text()})
		}
	}
	return all
}

func (t *Try) text() string {
	switch {
	case t.TakenBack:
		return fmt.Sprintf("lost   %s after %s: it was needed for a higher class, or left", t.Engine, short(t.Ran))
	case t.Code == codeLeft:
		return fmt.Sprintf("left   %s after %s: the caller hung up", t.Engine, short(t.Ran))
	case t.Code != "":
		return fmt.Sprintf("failed on %s after %s: %s", t.Engine, short(t.Ran), t.Code)
	}
	return fmt.Sprintf("ok     on %s in %s", t.Engine, short(t.Ran))
}

// text says what held a request of the class.
func (h *Held) text(class string) string {
	s := grouped(h.Ahead) + " service tokens ahead at most"
	if h.Class != class {
		s += ", " + h.Class + " goes first"
	}
	for i, g := range h.Gates {
		s += [...]string{"; ", ", "}[min(i, 1)] + g.Engine + " " + g.Gate
	}
	if more := h.Engines - len(h.Gates); more > 0 {
		s += fmt.Sprintf(", and %d more", more)
	}
	return s
}

func (r *Record) ran() bool { return r.Attempts > 0 || r.Served.Engine != "" }

func (r *Record) asked() string {
	if r.Asked.Unit != "" {
		s := "unit " + tail(r.Asked.Unit)
		if r.Asked.Spill != "" {
			s += ", spill " + string(r.Asked.Spill)
		}
		return s
	}
	tier := string(r.Asked.Tier)
	if tier == "" {
		tier = string(outcrop.TierDefault)
	}
	if r.Asked.Latency == outcrop.LatencyOptimized {
		tier += ", latency optimized"
	}
	return "on demand, tier " + tier
}

func (l *Limit) text() string {
	s := fmt.Sprintf("%s at %d %% (%s of %s)", l.whose(), l.Percent, grouped(l.Level), grouped(l.Max))
	if l.Need > 0 {
		s += ", needed " + grouped(l.Need)
	}
	if l.Never {
		s += ", never free"
	} else {
		s += ", free in " + short(l.Wait)
	}
	if l.Waited >= time.Millisecond {
		s += ", waited " + short(l.Waited)
	}
	return s
}

func (r *Record) answer() string {
	s := strconv.Itoa(r.Status)
	if r.Code != "" {
		s += " " + string(r.Code)
		if r.RetryAfter > 0 {
			s += ", retry after " + short(r.RetryAfter)
		}
		return s
	}
	u := r.Usage
	s += fmt.Sprintf(", %s tokens in, %s out", grouped(int64(u.Input)), grouped(int64(u.Output)))
	if u.CacheRead+u.CacheWrite > 0 {
		s += fmt.Sprintf(", %s read from the cache, %s written to it", grouped(int64(u.CacheRead)), grouped(int64(u.CacheWrite)))
	}
	if r.Estimated {
		s += " (estimated)"
	}
	if r.Stop != "" {
		s += ", " + string(r.Stop)
	}
	return s
}

// times says where the time went.
func (r *Record) times() string {
	var parts []string
	add := func(name string, d time.Duration) {
		if d >= time.Millisecond {
			parts = append(parts, name+" "+short(d))
		}
	}
	add("limits", r.Waited)
	add("queue", r.Queued)
	if r.FirstToken > 0 {
		add("first token", max(r.FirstToken-r.Waited-r.Queued, 0))
		if rest := r.Duration - r.FirstToken; rest > 0 {
			rate := ""
			if n := r.Usage.Output; n > 1 {
				rate = fmt.Sprintf(" (%d tokens at %.0f/s)", n, float64(n-1)/rest.Seconds())
			}
			parts = append(parts, "decode "+short(rest)+rate)
		}
	}
	return "| " + strings.Join(append(parts, "all "+short(r.Duration)), " | ") + " |"
}

// help says what would have let a refused request pass.
func (r *Record) help() string {
	if !r.Refused() || len(r.Limits) == 0 {
		return ""
	}
	l := &r.Limits[0]
	if l.ofScheduler() {
		return "a higher tier, a model unit, or more engines"
	}
	if l.Unit == "" {
		return "fewer or smaller requests, or a higher limit of " + strings.ReplaceAll(l.Name, "-", " ")
	}
	if !strings.HasPrefix(l.Unit, "arn:") {
		return "more reserved capacity"
	}
	var ways []string
	if !l.Never {
		ways = append(ways, "a longest wait of at least "+short(l.Wait+l.Waited))
	}
	if len(r.Limits) == 1 {
		ways = append(ways, "spill to default")
	}
	return strings.Join(append(ways, "one more model unit"), ", or ")
}

// tail is the id of an ARN.
func tail(arn string) string {
	if _, id, ok := strings.Cut(arn, "/"); ok {
		return id
	}
	return arn
}

// short is d with two or three digits.
func short(d time.Duration) string {
	unit := 10 * time.Microsecond
	switch {
	case d >= 10*time.Second:
		unit = 100 * time.Millisecond
	case d >= time.Second:
		unit = 10 * time.Millisecond
	case d >= 10*time.Millisecond:
		unit = time.Millisecond
	}
	return d.Round(unit).String()
}

// clean is s without what could forge lines or speak to a terminal.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '?'
	}, s)
}

// grouped is n with commas between the thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
