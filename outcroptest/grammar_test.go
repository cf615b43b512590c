package outcroptest_test

import (
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/outcroptest"
)

func TestGrammarTakesWholeAnswersAlone(t *testing.T) {
	ev := func(kind outcrop.EventKind, block outcrop.BlockKind, index int) outcrop.Event {
		return outcrop.Event{Kind: kind, Block: block, Index: index}
	}
	start := ev(outcrop.EventStart, 0, 0)
	open := ev(outcrop.EventBlockStart, outcrop.BlockText, 0)
	delta := outcrop.Event{Kind: outcrop.EventDelta, Block: outcrop.BlockText, Text: outcrop.Text("x")}
	shut := ev(outcrop.EventBlockStop, outcrop.BlockText, 0)
	stop := outcrop.Event{Kind: outcrop.EventStop, Detail: &outcrop.Detail{Stop: outcrop.StopEndTurn}}
	flush := ev(outcrop.EventFlush, 0, 0)
	native := outcrop.Event{Kind: outcrop.EventNative, Text: outcrop.Text("{}")}
	last := outcrop.Event{Kind: outcrop.EventNative, Text: outcrop.Text("{}"), Final: true}
	raw := delta
	raw.Text = outcrop.Text("a\"b")
	for name, c := range map[string]struct {
		events []outcrop.Event
		ok     bool
	}{
		"whole":             {[]outcrop.Event{start, open, delta, shut, flush, stop, flush}, true},
		"no content":        {[]outcrop.Event{start, stop}, true},
		"native":            {[]outcrop.Event{native, flush, last, flush}, true},
		"nothing":           {nil, false},
		"no stop":           {[]outcrop.Event{start, open, delta, shut}, false},
		"no start":          {[]outcrop.Event{open, delta, shut, stop}, false},
		"two starts":        {[]outcrop.Event{start, start, stop}, false},
		"flush first":       {[]outcrop.Event{flush, start, stop}, false},
		"block left open":   {[]outcrop.Event{start, open, delta, stop}, false},
		"delta outside":     {[]outcrop.Event{start, delta, stop}, false},
		"block 0 twice":     {[]outcrop.Event{start, open, shut, open, shut, stop}, false},
		"other kind":        {[]outcrop.Event{start, open, ev(outcrop.EventDelta, outcrop.BlockToolUse, 0), shut, stop}, false},
		"tool without id":   {[]outcrop.Event{start, ev(outcrop.EventBlockStart, outcrop.BlockToolUse, 0), ev(outcrop.EventBlockStop, outcrop.BlockToolUse, 0), stop}, false},
		"after stop":        {[]outcrop.Event{start, stop, open}, false},
		"stop with nothing": {[]outcrop.Event{start, ev(outcrop.EventStop, 0, 0)}, false},
		"not escaped":       {[]outcrop.Event{start, open, raw, shut, stop}, false},
		"native unfinished": {[]outcrop.Event{native}, false},
		"native after last": {[]outcrop.Event{last, native}, false},
		"mixed":             {[]outcrop.Event{native, start, stop}, false},
		"mixed late":        {[]outcrop.Event{start, native, stop}, false},
	} {
		var g outcroptest.Grammar
		for _, e := range c.events {
			if g.Send(e) != nil {
				break
			}
		}
		if err := g.Ended(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
