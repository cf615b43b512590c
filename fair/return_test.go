package fair_test

import (
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/fair"
)

// A tenant whose only request is on an engine does not wait. What others are
// served in that time is not owed to it when the engine is lost and the
// request comes back: it is next, but it does not hold up the others until it
// has caught up.
func TestATenantThatComesBackFromAnEngineSavedUpNothing(t *testing.T) {
	p := fair.New(fair.Default())
	p.Up(0, 0, one, nil)
	submit := func(id fair.ID, tenant string) {
		t.Helper()
		if _, err := p.Submit(0, fair.Request{ID: id, Tenant: tenant, Class: outcrop.ClassDefault, Prompt: 100}, nil); err != nil {
			t.Fatal(err)
		}
	}
	submit(1, "away")
	p.Up(0, 1, one, nil)
	for id := fair.ID(2); id < 32; id++ {
		submit(id, "busy")
	}
	for id := fair.ID(2); id < 22; id++ {
		p.FirstToken(0, id, nil)
		p.Finished(0, id, outcrop.Usage{Input: 100, Output: 1}, nil)
	}
	p.Down(0, 0, nil)
	away, _ := p.Served(outcrop.ClassDefault, "away")
	busy, _ := p.Served(outcrop.ClassDefault, "busy")
	if x, _ := p.Explain(1); !x.Next || x.Started || busy-away > 200 {
		t.Errorf("%v behind, %+v", busy-away, x)
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}
