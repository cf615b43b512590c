package controlapi_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/controlapi"
)

// spills checks where requests over the unit go, in memory and on the disk.
func (f *office) spills(t testing.TB, arn string, want outcrop.Spill) {
	t.Helper()
	f.checkMemory(t)
	if p, ok := f.Unit(arn); !ok || p.Spill != want {
		t.Errorf("spills to %q, want %q", p.Spill, want)
	}
}

func spillTags(value string) []object { return []object{{"key": "outcrop:spillover", "value": value}} }

func TestTheTagSaysWhereRequestsOverAUnitGo(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		slow := controlapi.Options{Provision: func(context.Context, outcrop.Provisioned) error { time.Sleep(time.Second); return nil }}
		f := openOffice(t, dir, slow)
		arn := f.buy(t, ana, "pt", object{"tags": spillTags("default")})
		f.spills(t, arn, outcrop.SpillDefault)
		f.retag(t, arn, "/tagResource", object{"tags": spillTags("none")}) // while Creating
		f.spills(t, arn, outcrop.SpillNone)
		afterSteps()
		f.spills(t, arn, outcrop.SpillNone)
		plain := f.buy(t, ana, "plain", object{"tags": []object{{"key": "Outcrop:Spillover", "value": "anything"}}})
		f.spills(t, plain, "")
		afterSteps()
		for _, to := range []outcrop.Spill{outcrop.SpillDefault, outcrop.SpillPriority, outcrop.SpillFlex} {
			f.retag(t, arn, "/tagResource", object{"tags": spillTags(string(to))})
			f.spills(t, arn, to)
		}
		f.retag(t, arn, "/tagResource", object{"tags": []object{{"key": "team", "value": "search"}}})
		f.spills(t, arn, outcrop.SpillFlex)
		f.shut()
		f = openOffice(t, dir, slow)
		defer f.shut()
		f.spills(t, arn, outcrop.SpillFlex)
		if a := f.ask(t, ana, "PATCH", onePT+"pt", object{"desiredModelUnits": 2, "desiredProvisionedModelName": "renamed"}); a.status != 200 {
			t.Fatal(a)
		}
		afterSteps()
		f.spills(t, arn, outcrop.SpillFlex)
		f.retag(t, arn, "/untagResource", object{"tagKeys": []string{"team"}})
		f.spills(t, arn, outcrop.SpillFlex)
		f.retag(t, arn, "/untagResource", object{"tagKeys": []string{"outcrop:spillover"}})
		f.spills(t, arn, "")
	})
}

// afterSteps returns when all steps of at most a second have ended.
func afterSteps() {
	time.Sleep(2 * time.Second)
	synctest.Wait()
}

// inService buys a unit with the tags and waits until it serves.
func (f *office) inService(t testing.TB, tags []object) (arn string) {
	t.Helper()
	arn = f.buy(t, ana, "pt", object{"tags": tags})
	if _, ok, err := f.Serving(t.Context(), ana, arn); !ok || err != nil {
		t.Fatal(err)
	}
	return arn
}

func (f *office) retag(t testing.TB, arn, target string, body object) {
	t.Helper()
	body["resourceARN"] = arn
	if a := f.ask(t, ana, "POST", target, body); a.status != 200 {
		t.Fatalf("%s: %v", target, a)
	}
}

func TestATagThatIsNoWayToSpillIsRefused(t *testing.T) {
	f := newOffice(t, controlapi.Options{})
	arn := f.inService(t, spillTags("flex"))
	for _, value := range []string{"", "Default", "reserved", "flex ", "on"} {
		for target, body := range map[string]object{
			creating:       purchase("other", object{"tags": spillTags(value)}),
			"/tagResource": {"resourceARN": arn, "tags": spillTags(value)},
		} {
			a := f.ask(t, ana, "POST", target, body)
			wantCode(t, a, outcrop.CodeValidation)
			for _, part := range []string{"outcrop:spillover", "none, default, priority, flex", "'" + value + "'"} {
				if !strings.Contains(a.message(), part) {
					t.Errorf("%s %q: no %q in %q", target, value, part, a.message())
				}
			}
		}
	}
	f.spills(t, arn, outcrop.SpillFlex)
	if len(f.stored(t)) != 1 {
		t.Error("a refused creation created")
	}
}

func TestTagsThatCannotBePutLeaveTheSpillAsItIs(t *testing.T) {
	f := newOffice(t, controlapi.Options{})
	arn := f.inService(t, spillTags("flex"))
	var many []object
	for i := range 200 {
		many = append(many, object{"key": strings.Repeat("k", 1+i%100) + strings.Repeat("l", i/100), "value": ""})
	}
	many[0] = spillTags("default")[0]
	f.retag(t, arn, "/tagResource", object{"tags": many[1:]}) // 200 with the one
	wantCode(t, f.ask(t, ana, "POST", "/tagResource", object{"resourceARN": arn, "tags": []object{many[0], {"key": "one-more", "value": ""}}}), outcrop.CodeTooManyTags)
	f.spills(t, arn, outcrop.SpillFlex)
	wantCode(t, f.ask(t, ana, "POST", "/tagResource", object{"resourceARN": arn[:len(arn)-3] + "zzz", "tags": spillTags("none")}), outcrop.CodeNotFound)
	f.spills(t, arn, outcrop.SpillFlex)
}

func TestChangesOfTheSpillAreTold(t *testing.T) {
	var told []outcrop.Spill
	o := controlapi.Options{Changed: func(all []outcrop.Provisioned) {
		for _, p := range all {
			told = append(told, p.Spill)
		}
	}}
	inBubble(t, o, func(t *testing.T, f *office) {
		arn := f.buy(t, ana, "pt", nil)
		synctest.Wait()
		told = nil
		f.retag(t, arn, "/tagResource", object{"tags": spillTags("default")})
		f.retag(t, arn, "/tagResource", object{"tags": spillTags("default")}) // changes nothing
	})
	if len(told) != 1 || told[0] != outcrop.SpillDefault {
		t.Errorf("told %q", told)
	}
}

func TestLookingAUnitUpAllocatesNothing(t *testing.T) {
	f := newOffice(t, controlapi.Options{})
	arn := f.buy(t, ana, "pt", nil)
	if n := testing.AllocsPerRun(100, func() {
		if p, ok := f.Unit(arn); !ok || p.Name != "pt" {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, ok := f.Unit("arn:aws:bedrock:us-east-1:111111111111:provisioned-model/aaaaaaaaaaaa"); ok {
		t.Error("there is what was never bought")
	}
	if a := f.ask(t, ana, "DELETE", onePT+"pt", nil); a.status != 200 {
		t.Fatal(a)
	}
	if _, ok := f.Unit(arn); ok {
		t.Error("what was deleted is there")
	}
}
