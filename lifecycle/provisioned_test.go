package lifecycle_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/lifecycle"
)

const sonnet = "anthropic.claude-3-sonnet-20240229-v1:0"

var (
	arn   = outcrop.ARN{Partition: "aws", Service: "bedrock", Region: "us-east-1", Account: "111122223333", Type: "provisioned-model", ID: "abcdefghij12"}
	start = time.Date(2026, 1, 31, 10, 0, 0, 123456789, time.UTC)
	terms = lifecycle.Terms{}
)

func created(c outcrop.Commitment) outcrop.Provisioned {
	return lifecycle.Create(arn, "pt", sonnet, 2, c, start)
}

func inService(t *testing.T, c outcrop.Commitment) outcrop.Provisioned {
	t.Helper()
	p, err := lifecycle.Ready(created(c), terms, start.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantCode(t *testing.T, err error, want outcrop.Code) {
	t.Helper()
	var e *outcrop.Error
	if !errors.As(err, &e) || e.Code != want || e.Message == "" {
		t.Errorf("got %v, want a %s", err, want)
	}
}

func TestALifeFromCreationToResize(t *testing.T) {
	p := created("")
	if p.Status != outcrop.ProvisionedCreating || p.Serves() || p.Units != 2 || p.DesiredUnits != 2 || p.DesiredModel != sonnet || !p.Expires.IsZero() {
		t.Errorf("created %+v", p)
	}
	if !p.Created.Equal(start.Truncate(time.Microsecond)) || !p.Modified.Equal(p.Created) {
		t.Errorf("times %v %v", p.Created, p.Modified)
	}
	p = inService(t, "")
	if p.Status != outcrop.ProvisionedInService || !p.Serves() || !p.Expires.IsZero() || !p.Modified.After(p.Created) {
		t.Errorf("ready %+v", p)
	}
	p, err := lifecycle.Update(p, lifecycle.Change{Units: 5, Name: "bigger", Model: sonnet + ":28k"}, terms, start.Add(time.Minute))
	if err != nil || p.Status != outcrop.ProvisionedUpdating || p.Units != 2 || p.DesiredUnits != 5 || p.Name != "bigger" || p.Model != sonnet || p.DesiredModel != sonnet+":28k" || !p.Serves() {
		t.Errorf("updating %+v %v", p, err)
	}
	p, err = lifecycle.Updated(p, start.Add(2*time.Minute))
	if err != nil || p.Status != outcrop.ProvisionedInService || p.Units != 5 || p.DesiredUnits != 5 || p.Model != sonnet+":28k" || p.DesiredModel != p.Model {
		t.Errorf("updated %+v %v", p, err)
	}
	if err := lifecycle.Delete(p, terms, start.Add(3*time.Minute)); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestWhatIsRefusedInWhichState(t *testing.T) {
	updating, err := lifecycle.Update(inService(t, ""), lifecycle.Change{Units: 3}, terms, start)
	if err != nil {
		t.Fatal(err)
	}
	failed, err := lifecycle.Fail(created(""), "no engine", start)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []outcrop.Provisioned{created(""), updating} {
		_, err := lifecycle.Update(p, lifecycle.Change{Name: "other"}, terms, start)
		wantCode(t, err, outcrop.CodeValidation)
		wantCode(t, lifecycle.Delete(p, terms, start), outcrop.CodeConflict)
	}
	_, err = lifecycle.Update(failed, lifecycle.Change{Units: 3}, terms, start)
	wantCode(t, err, outcrop.CodeValidation)
	_, err = lifecycle.Update(inService(t, ""), lifecycle.Change{}, terms, start)
	wantCode(t, err, outcrop.CodeValidation)
	_, err = lifecycle.Update(inService(t, ""), lifecycle.Change{Model: "amazon.nova-lite-v1:0"}, terms, start)
	wantCode(t, err, outcrop.CodeValidation)
	if err := lifecycle.Delete(failed, terms, start); err != nil {
		t.Errorf("a failed creation cannot be deleted: %v", err)
	}
	for _, wrong := range []func() (outcrop.Provisioned, error){
		func() (outcrop.Provisioned, error) { return lifecycle.Ready(inService(t, ""), terms, start) },
		func() (outcrop.Provisioned, error) { return lifecycle.Updated(created(""), start) },
		func() (outcrop.Provisioned, error) { return lifecycle.Fail(inService(t, ""), "x", start) },
	} {
		_, err := wrong()
		wantCode(t, err, outcrop.CodeInternal)
	}
}

func TestARenameTakesEffectAtOnceAndAnUpdateToTheSameChangesNothing(t *testing.T) {
	p := inService(t, "")
	renamed, err := lifecycle.Update(p, lifecycle.Change{Name: "other"}, terms, start.Add(time.Hour))
	if err != nil || renamed.Name != "other" || renamed.Status != outcrop.ProvisionedInService || !renamed.Modified.After(p.Modified) {
		t.Errorf("%+v %v", renamed, err)
	}
	same, err := lifecycle.Update(p, lifecycle.Change{Name: "pt", Units: 2, Model: sonnet}, terms, start.Add(time.Hour))
	if err != nil || same != p {
		t.Errorf("%+v %v", same, err)
	}
}

func TestAFailedUpdateServesAsBefore(t *testing.T) {
	p, err := lifecycle.Update(inService(t, ""), lifecycle.Change{Units: 9}, terms, start)
	if err != nil {
		t.Fatal(err)
	}
	p, err = lifecycle.Fail(p, strings.Repeat("ü", 5000), start)
	if err != nil || p.Status != outcrop.ProvisionedFailed || !p.Serves() || p.Units != 2 || p.DesiredUnits != 9 || p.Held(sonnet) != 2 {
		t.Errorf("%+v %v", p, err)
	}
	if n := utf8.RuneCountInString(p.Failure); n != 2048 || !utf8.ValidString(p.Failure) {
		t.Errorf("a failure of %d characters", n)
	}
	p, err = lifecycle.Update(p, lifecycle.Change{Units: 3}, terms, start)
	if err != nil || p.Status != outcrop.ProvisionedUpdating || p.Failure != "" || p.Held(sonnet) != 3 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestAFailedUpdateDoesNotComeBackWithTheNextOne(t *testing.T) {
	p, _ := lifecycle.Update(inService(t, ""), lifecycle.Change{Units: 9}, terms, start)
	p, _ = lifecycle.Fail(p, "no engine", start)
	p, err := lifecycle.Update(p, lifecycle.Change{Model: sonnet + ":28k"}, terms, start)
	if err != nil || p.DesiredUnits != 2 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestACommitmentLocksUntilItsTermEnds(t *testing.T) {
	p := inService(t, outcrop.CommitmentOneMonth)
	end := p.Served.Add(lifecycle.Month)
	if !p.Expires.Equal(end) {
		t.Fatalf("expires %v, want %v", p.Expires, end)
	}
	wantCode(t, lifecycle.Delete(p, terms, end.Add(-time.Nanosecond)), outcrop.CodeConflict)
	if err := lifecycle.Delete(p, terms, end); err != nil {
		t.Errorf("at the end: %v", err)
	}
	_, err := lifecycle.Update(p, lifecycle.Change{Units: 1}, terms, end.Add(-1))
	wantCode(t, err, outcrop.CodeValidation)
	for _, at := range []time.Time{end, end.Add(-time.Hour)} {
		if _, err := lifecycle.Update(p, lifecycle.Change{Units: 3}, terms, at); err != nil {
			t.Errorf("growing: %v", err)
		}
	}
	if _, err := lifecycle.Update(p, lifecycle.Change{Units: 1}, terms, end); err != nil {
		t.Errorf("shrinking after the end: %v", err)
	}
}

func TestTermsRenewADayAfterTheirEnd(t *testing.T) {
	p := inService(t, outcrop.CommitmentSixMonths)
	first, term, day := p.Expires, 6*lifecycle.Month, 24*time.Hour
	for n := range time.Duration(4) {
		end := first.Add(n * term)
		for at, want := range map[time.Time]time.Time{
			end.Add(-1): end, end: end, end.Add(day - 1): end, end.Add(day): end.Add(term), end.Add(term / 2): end.Add(term),
		} {
			if got := terms.End(p, at); !got.Equal(want) {
				t.Errorf("at %v: ends %v, want %v", at, got, want)
			}
		}
	}
	if far := terms.End(p, first.AddDate(250, 0, 0)); far.Before(first.AddDate(249, 0, 0)) {
		t.Errorf("after 250 years: %v", far)
	}
}

func TestAShortMonthBindsOnce(t *testing.T) {
	short := lifecycle.Terms{Month: 2 * time.Second}
	p, _ := lifecycle.Ready(created(outcrop.CommitmentOneMonth), short, start)
	wantCode(t, lifecycle.Delete(p, short, start.Add(time.Second)), outcrop.CodeConflict)
	for _, later := range []time.Duration{2 * time.Second, 24 * time.Hour, 1000 * time.Hour} {
		if err := lifecycle.Delete(p, short, start.Add(later)); err != nil {
			t.Errorf("after %v: %v", later, err)
		}
	}
}

func TestAClockThatStepsBackMovesNothingBack(t *testing.T) {
	p, err := lifecycle.Ready(created(outcrop.CommitmentOneMonth), terms, start.Add(-time.Hour))
	if err != nil || p.Modified.Before(p.Created) || p.Expires.Before(p.Created.Add(lifecycle.Month)) {
		t.Errorf("%+v %v", p, err)
	}
}

func TestBasesOfContextualVariants(t *testing.T) {
	for model, want := range map[string]string{
		"anthropic.claude-3-haiku-20240307-v1:0:48k": "anthropic.claude-3-haiku-20240307-v1:0", sonnet: sonnet,
		"anthropic.claude-v2:1:18k": "anthropic.claude-v2:1", "cohere.embed-english-v3:0:512": "cohere.embed-english-v3:0",
		"anthropic.claude-opus-4-6-v1": "anthropic.claude-opus-4-6-v1", "a.b:0:": "a.b:0:", "a.b:0:k": "a.b:0:k", "a.b:0:mm": "a.b:0:mm", "": "",
	} {
		if got := lifecycle.Base(model); got != want {
			t.Errorf("%q: %q, want %q", model, got, want)
		}
	}
	if names := lifecycle.Names("amazon.titan-text-lite-v1:0:4k"); names[2] != "amazon.titan-text-lite-v1" {
		t.Errorf("names %v", names)
	}
}

// TestWhateverHappensTheRulesHold drives the machine through random events at
// random times and checks the rules after each.
func TestWhateverHappensTheRulesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]outcrop.Commitment{"", outcrop.CommitmentOneMonth, outcrop.CommitmentSixMonths}).Draw(t, "commitment")
		terms := lifecycle.Terms{Month: rapid.SampledFrom([]time.Duration{0, time.Second, 26 * time.Hour}).Draw(t, "month")}
		now := start
		p := lifecycle.Create(arn, "pt", sonnet, rapid.IntRange(1, 9).Draw(t, "units"), c, now)
		events := map[string]func(*rapid.T){}
		step := func(name string, allowed func() bool, do func(*rapid.T) (outcrop.Provisioned, error)) {
			events[name] = func(t *rapid.T) {
				was, may := p, allowed()
				next, err := do(t)
				if (err == nil) != may {
					t.Fatalf("%s of %+v at %v: %v", name, was, now, err)
				}
				if err != nil && next != was {
					t.Fatalf("%s was refused and changed %+v to %+v", name, was, next)
				}
				p = next
			}
		}
		step("ready", func() bool { return p.Status == "Creating" }, func(*rapid.T) (outcrop.Provisioned, error) { return lifecycle.Ready(p, terms, now) })
		step("updated", func() bool { return p.Status == "Updating" }, func(*rapid.T) (outcrop.Provisioned, error) { return lifecycle.Updated(p, now) })
		step("fail", func() bool { return lifecycle.Pending(p) }, func(*rapid.T) (outcrop.Provisioned, error) { return lifecycle.Fail(p, "why", now) })
		var change lifecycle.Change
		step("update", func() bool {
			return !lifecycle.Pending(p) && change != lifecycle.Change{} && (change.Units == 0 && change.Model == "" || p.Serves()) &&
				!(change.Units != 0 && change.Units < p.Units && terms.Binding(p, now))
		}, func(t *rapid.T) (outcrop.Provisioned, error) { return lifecycle.Update(p, change, terms, now) })
		update := events["update"]
		events["update"] = func(t *rapid.T) {
			change = lifecycle.Change{Name: rapid.SampledFrom([]string{"", "pt", "other"}).Draw(t, "name"),
				Model: rapid.SampledFrom([]string{"", sonnet, sonnet + ":28k"}).Draw(t, "model"), Units: rapid.IntRange(0, 9).Draw(t, "units")}
			update(t)
		}
		events["time"] = func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Minute), int64(100*time.Hour)).Draw(t, "step")))
		}
		events[""] = func(t *rapid.T) { checkRules(t, p, terms, c, now) }
		t.Repeat(events)
	})
}

func checkRules(t *rapid.T, p outcrop.Provisioned, terms lifecycle.Terms, c outcrop.Commitment, now time.Time) {
	switch p.Status {
	case outcrop.ProvisionedCreating, outcrop.ProvisionedInService, outcrop.ProvisionedUpdating, outcrop.ProvisionedFailed:
	default:
		t.Fatalf("status %q", p.Status)
	}
	settled := p.Status == outcrop.ProvisionedInService || p.Status == outcrop.ProvisionedCreating
	switch {
	case settled && (p.Units != p.DesiredUnits || p.Model != p.DesiredModel):
		t.Fatalf("nothing changes and yet %+v", p)
	case p.Units < 1 || p.DesiredUnits < 1:
		t.Fatalf("no units: %+v", p)
	case p.Serves() != (p.Status != outcrop.ProvisionedCreating) && p.Status != outcrop.ProvisionedFailed:
		t.Fatalf("serves: %+v", p)
	case (p.Status == outcrop.ProvisionedFailed) != (p.Failure != ""):
		t.Fatalf("failure: %+v", p)
	case p.Modified.Before(p.Created) || p.Commitment != c || p.ARN != arn:
		t.Fatalf("times, commitment or ARN: %+v", p)
	case (c != "" && p.Serves()) == p.Expires.IsZero():
		t.Fatalf("expires: %+v", p)
	case p.Serves() && p.Held(p.Model) < p.Units:
		t.Fatalf("serves more than it holds: %+v", p)
	}
	if end := terms.End(p, now); end.Before(p.Expires) || end.Sub(p.Expires)%max(terms.Length(c), 1) != 0 {
		t.Fatalf("term of %+v ends at %v", p, end)
	}
	refused := lifecycle.Delete(p, terms, now) != nil
	if refused != (lifecycle.Pending(p) || terms.Binding(p, now)) {
		t.Fatalf("delete of %+v at %v: refused %v", p, now, refused)
	}
}
