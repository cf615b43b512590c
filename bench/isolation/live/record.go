package live

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/outcrop/outcrop/bench/isolation"
)

// An Outcome is how a request ended.
type Outcome string

// The outcomes.
const (
	Whole   Outcome = "whole"
	Refused Outcome = "refused" // throttled or unavailable, with a status that says so
	Late    Outcome = "late"    // no first token within the caller's patience
	Failed  Outcome = "failed"  // anything else
	Cut     Outcome = "cut"     // by the end of the run
)

// A Record is what became of one request. Times are simulated, from the
// beginning of the run.
type Record struct {
	Seed    uint64 // of the segment in which it was to be sent; 0 if it does not count
	Kind    isolation.Kind
	Tenant  string
	At      time.Duration // when it was to be sent
	Sent    time.Duration // when it was
	First   time.Duration // first token; 0 if there was none
	End     time.Duration
	Prompt  int
	Output  int // tokens that it was to have
	Tokens  int // and had
	Outcome Outcome
}

// wait is the first-token time that counts.
func (r *Record) wait() float64 {
	if r.First == 0 {
		return math.Inf(1)
	}
	return (r.First - r.At).Seconds()
}

// within returns how many tokens of prompt and output came in a window: the
// prompt with the first token, the others evenly until the end.
func (r *Record) within(from, to time.Duration) float64 {
	if r.First == 0 || r.Tokens == 0 {
		return 0
	}
	sum := 0.
	if r.First >= from && r.First < to {
		sum += float64(r.Prompt)
	}
	if r.End <= r.First {
		if r.First >= from && r.First < to {
			sum += float64(r.Tokens)
		}
		return sum
	}
	overlap := min(r.End, to) - max(r.First, from)
	return sum + float64(r.Tokens)*max(0, overlap.Seconds())/(r.End-r.First).Seconds()
}

// Results sums up the records of a run: a Result for each seed, in the order
// of the plan's. A provisioned request that was refused counts as one without
// a first token.
func (p *Plan) Results(records []Record) []*isolation.Result {
	all := make([]*isolation.Result, len(p.Seeds))
	for i, seed := range p.Seeds {
		from := p.Setup.Warmup + time.Duration(i)*p.Segment
		all[i] = result(seed, records, from, from+p.Segment)
	}
	return all
}

func result(seed uint64, records []Record, from, to time.Duration) *isolation.Result {
	r := &isolation.Result{Seconds: (to - from).Seconds()}
	for i := range records {
		c := &records[i]
		r.Tokens[c.Kind] += c.within(from, to) / r.Seconds
		if c.Seed != seed {
			continue
		}
		r.Sent[c.Kind]++
		switch c.Outcome {
		case Refused:
			r.Refused[c.Kind]++
		case Whole:
			r.Finished[c.Kind]++
		}
		if c.Outcome != Refused || c.Kind == isolation.Provisioned {
			r.First[c.Kind] = append(r.First[c.Kind], c.wait())
		}
	}
	return r
}

// Merge puts the results of several seeds together, as one longer run.
func Merge(all []*isolation.Result) *isolation.Result {
	m := &isolation.Result{}
	for _, r := range all {
		m.Seconds += r.Seconds
		m.Resumed += r.Resumed
		for k := range r.First {
			m.First[k] = append(m.First[k], r.First[k]...)
			m.Sent[k] += r.Sent[k]
			m.Refused[k] += r.Refused[k]
			m.Finished[k] += r.Finished[k]
			m.Tokens[k] += r.Tokens[k] * r.Seconds
		}
	}
	for k := range m.Tokens {
		m.Tokens[k] /= m.Seconds
	}
	return m
}

// WriteRecords writes one JSON object for each record.
func WriteRecords(w io.Writer, records []Record) error {
	out := json.NewEncoder(w)
	for i := range records {
		if err := out.Encode(&records[i]); err != nil {
			return err
		}
	}
	return nil
}

// ReadRecords reads what WriteRecords wrote.
func ReadRecords(r io.Reader) (all []Record, err error) {
	in := json.NewDecoder(r)
	for {
		var c Record
		if err := in.Decode(&c); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("record %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
}

// Columns are the names of the columns of Row.
var Columns = []string{"seed", "kind", "tenant", "at_s", "sent_s", "first_s", "end_s", "prompt", "output", "tokens", "outcome"}

// WriteCSV writes the record's columns, after those given.
func (r *Record) WriteCSV(w *csv.Writer, before ...string) error {
	s := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 4, 64) }
	return w.Write(append(before, strconv.FormatUint(r.Seed, 10), r.Kind.String(), r.Tenant, s(r.At), s(r.Sent), s(r.First), s(r.End),
		strconv.Itoa(r.Prompt), strconv.Itoa(r.Output), strconv.Itoa(r.Tokens), string(r.Outcome)))
}
