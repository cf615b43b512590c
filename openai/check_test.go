package openai_test

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// check notes where an event breaks the promises of the dictionary.
func (r *record) check(e outcrop.Event) {
	if r.stopped {
		r.complain("event after the stop: %s", line(e))
	}
	if !r.started && e.Kind != outcrop.EventStart {
		r.complain("event before the start: %s", line(e))
	}
	for _, text := range []outcrop.Text{e.Text, e.More().ID, e.More().Name, e.More().StopSequence} {
		if !jsonscan.Clean(text) {
			r.complain("not the inside of a JSON string: %q", text)
		}
	}
	switch e.Kind {
	case outcrop.EventStart:
		if r.started {
			r.complain("a second start")
		}
		r.started = true
	case outcrop.EventBlockStart:
		if r.open != 0 || e.Index != r.next || e.Block == 0 {
			r.complain("block %d was opened out of order", e.Index)
		}
		if (e.Block == outcrop.BlockToolUse) != (len(e.More().ID) > 0) {
			r.complain("block %d has the id %q", e.Index, e.More().ID)
		}
		r.open, r.next = e.Block, r.next+1
	case outcrop.EventDelta:
		if r.open != e.Block || e.Index != r.next-1 || len(e.Text) == 0 {
			r.complain("a delta that does not fit: %s", line(e))
		}
	case outcrop.EventBlockStop:
		if r.open == 0 || e.Index != r.next-1 {
			r.complain("block %d was closed out of order", e.Index)
		}
		r.open = 0
	case outcrop.EventStop:
		if r.open != 0 || e.More().Stop == "" {
			r.complain("a stop that does not fit: %s", line(e))
		}
		if e.More().Extra != nil && !jsonscan.Valid(e.More().Extra) {
			r.complain("extra is no JSON: %s", e.More().Extra)
		}
		r.stopped = true
	}
}
