package shape

import (
	"net/url"
	"strconv"
	"time"
)

// CheckValues checks query parameters, or the labels of a path, against the
// structure s: each parameter is a member of the same name. A list takes all
// values of its parameter, everything else the first one. Unknown parameters
// are ignored, empty ones count as given. It returns nil, Violations or
// *Malformed.
func (s *Shape) CheckValues(values url.Values) error {
	var w walker
	for _, m := range s.members {
		if err := w.parameter(m, values[m.name]); err != nil {
			return err
		}
	}
	if len(w.found) > 0 {
		return w.found
	}
	return nil
}

func (w *walker) parameter(m Member, given []string) error {
	w.push(step{name: m.name})
	defer w.pop()
	if len(given) == 0 {
		if m.required {
			w.report("null", mustNotBeNull())
		}
		return nil
	}
	if m.shape.kind != list {
		return w.scalar(m.shape, given[0])
	}
	for i, v := range given {
		w.push(step{index: i})
		err := w.scalar(m.shape.element, v)
		w.pop()
		if err != nil {
			return err
		}
	}
	w.report("'["+ellipsis(len(given))+"]'", m.shape.size.check(float64(len(given)), minLength, maxLength))
	return nil
}

// scalar checks a value that came as plain text.
func (w *walker) scalar(s *Shape, v string) error {
	switch s.kind {
	case integer, long, float:
		n, ok := s.parse(v)
		if !ok {
			return w.malformed("expected type: Number, found: String")
		}
		w.report(s.echo(v), s.value.check(n, minValue, maxValue))
	case boolean:
		if _, err := strconv.ParseBool(v); err != nil {
			return w.malformed("expected type: Boolean, found: String")
		}
	case timestamp:
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			return w.malformed("expected type: Timestamp, found: String")
		}
	default:
		w.report(s.echo(v), s.breaks(v))
	}
	return nil
}
