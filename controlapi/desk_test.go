package controlapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/controlapi"
	"github.com/outcrop/outcrop/lifecycle"
	"github.com/outcrop/outcrop/store"
)

// inBubble runs f on an office in virtual time.
func inBubble(t *testing.T, o controlapi.Options, f func(t *testing.T, f *office)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, dir, o)
		defer o.shut()
		f(t, o)
	})
}

// status is what Get says of it.
func (f *office) status(t testing.TB, name string) string {
	t.Helper()
	s, _ := f.ask(t, ana, "GET", onePT+url.PathEscape(name), nil).body["status"].(string)
	return s
}

func TestPurchasesAtOnceNeverSellMoreThanThereIs(t *testing.T) {
	f := newOffice(t, controlapi.Options{})
	var sold, refused atomic.Int64
	var buyers sync.WaitGroup
	for i := range 24 {
		buyers.Go(func() {
			who := []*outcrop.Principal{ana, bob}[i%2]
			a := f.ask(t, who, "POST", creating, purchase(fmt.Sprintf("pt-%d", i), nil))
			switch a.status {
			case 201:
				sold.Add(1)
			default:
				wantCode(t, a, outcrop.CodeQuota)
				if !strings.HasSuffix(a.message(), "is 0.") {
					t.Errorf("refused with %s", a.message())
				}
				refused.Add(1)
			}
		})
	}
	buyers.Wait()
	if sold.Load() != 10 || refused.Load() != 14 || len(f.stored(t)) != 10 {
		t.Errorf("%d sold, %d refused, %d stored", sold.Load(), refused.Load(), len(f.stored(t)))
	}
	f.buy(t, ana, "another-model", object{"modelId": haikuShort, "modelUnits": 10})
}

func TestOneTokenAtOnceCreatesOnce(t *testing.T) {
	f := newOffice(t, controlapi.Options{})
	arns := make([]string, 12)
	var callers sync.WaitGroup
	for i := range arns {
		callers.Go(func() { arns[i] = f.buy(t, ana, "pt", object{"clientRequestToken": "same"}) })
	}
	callers.Wait()
	if len(slices.Compact(arns)) != 1 || len(f.stored(t)) != 1 {
		t.Errorf("%v, %d stored", arns, len(f.stored(t)))
	}
}

func TestSellDecidesOnWhatIsSold(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	sell := func(card *outcrop.Card, sold map[string]int, delta int) (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %v %d", card.ID, sold, delta))
		return 6, delta <= 6
	}
	inBubble(t, controlapi.Options{Sell: sell}, func(t *testing.T, f *office) {
		f.buy(t, ana, "a", object{"modelUnits": 2})
		synctest.Wait()
		if a := f.ask(t, ana, "PATCH", onePT+"a", object{"desiredModelUnits": 4}); a.status != 200 {
			t.Errorf("resize: %v", a)
		}
		synctest.Wait()
		a := f.ask(t, ana, "PATCH", onePT+"a", object{"desiredModelUnits": 9})
		wantCode(t, a, outcrop.CodeQuota)
		if !strings.HasSuffix(a.message(), "is 6.") {
			t.Errorf("refused with %s", a.message())
		}
		if a := f.ask(t, ana, "PATCH", onePT+"a", object{"desiredModelUnits": 1}); a.status != 200 { // nobody is asked
			t.Errorf("shrink: %v", a)
		}
	})
	want := []string{sonnet + " map[] 2", sonnet + " map[] 4", sonnet + " map[] 9"}
	if !slices.Equal(seen, want) {
		t.Errorf("asked %q", seen)
	}
}

func TestStepsTakeAsLongAsTheyTake(t *testing.T) {
	var steps chan outcrop.Provisioned
	hold := func(ctx context.Context, p outcrop.Provisioned) error {
		time.Sleep(time.Minute)
		steps <- p
		return nil
	}
	inBubble(t, controlapi.Options{Provision: hold, Patience: 10 * time.Second}, func(t *testing.T, f *office) {
		steps = make(chan outcrop.Provisioned) // of the bubble
		arn := f.buy(t, ana, "pt", object{"modelUnits": 2})
		wantCode(t, f.ask(t, ana, "PATCH", onePT+"pt", object{"desiredModelUnits": 3}), outcrop.CodeValidation)
		wantCode(t, f.ask(t, ana, "DELETE", onePT+"pt", nil), outcrop.CodeConflict)
		_, ok, err := f.Serving(t.Context(), ana, arn)
		if ok || !errors.Is(err, outcrop.CodeModelNotReady) {
			t.Errorf("serving while creating: %v %v", ok, err)
		}
		if s := f.status(t, "pt"); s != "Creating" {
			t.Errorf("status %s", s)
		}
		if p := <-steps; p.Units != 2 || p.Status != outcrop.ProvisionedCreating || p.ARN.String() != arn {
			t.Errorf("provisioned %+v", p)
		}
		synctest.Wait()
		if a := f.ask(t, ana, "PATCH", onePT+"pt", object{"desiredModelUnits": 3}); a.status != 200 {
			t.Errorf("resize: %v", a)
		}
		g := f.ask(t, ana, "GET", onePT+"pt", nil)
		if g.body["status"] != "Updating" || g.body["modelUnits"] != 2.0 || g.body["desiredModelUnits"] != 3.0 {
			t.Errorf("while updating: %v", g)
		}
		if p, ok, err := f.Serving(t.Context(), ana, arn); !ok || err != nil || p.Units != 2 {
			t.Errorf("serving while updating: %+v %v %v", p, ok, err)
		}
		wantCode(t, f.ask(t, ana, "PATCH", onePT+"pt", object{"desiredModelUnits": 4}), outcrop.CodeValidation)
		wantCode(t, f.ask(t, ana, "DELETE", onePT+"pt", nil), outcrop.CodeConflict)
		<-steps
		synctest.Wait()
		if g := f.ask(t, ana, "GET", onePT+"pt", nil); g.body["status"] != "InService" || g.body["modelUnits"] != 3.0 {
			t.Errorf("after: %v", g)
		}
	})
}

func TestACallThatFollowsAtOnceWaitsForTheStep(t *testing.T) {
	slow := func(context.Context, outcrop.Provisioned) error { time.Sleep(2 * time.Second); return nil }
	inBubble(t, controlapi.Options{Provision: slow}, func(t *testing.T, f *office) {
		arn := f.buy(t, ana, "pt", nil)
		if p, ok, err := f.Serving(t.Context(), ana, arn); !ok || err != nil || p.Status != outcrop.ProvisionedInService {
			t.Errorf("%+v %v %v", p, ok, err)
		}
		for _, c := range []struct {
			method string
			body   any
		}{{"PATCH", object{"desiredModelUnits": 2}}, {"PATCH", object{"desiredModelUnits": 3}}, {"DELETE", nil}} {
			if a := f.ask(t, ana, c.method, onePT+url.PathEscape(arn), c.body); a.status != 200 {
				t.Errorf("%s: %v", c.method, a)
			}
		}
		if len(f.stored(t)) != 0 {
			t.Error("it is still there")
		}
	})
}

func TestWhatTheRuntimeMayCallItBy(t *testing.T) {
	f := newOffice(t, controlapi.Options{})
	arn := f.buy(t, ana, "my-pt", nil)
	id := arn[strings.LastIndexByte(arn, '/')+1:]
	for _, name := range []string{arn, "my-pt", id} {
		if p, ok, err := f.Serving(t.Context(), ana, name); !ok || err != nil || p.ARN.String() != arn {
			t.Errorf("%s: %v %v %v", name, p, ok, err)
		}
	}
	for _, name := range []string{"my-pt", id, "other", "", "amazon.nova-lite-v1:0", "arn:aws:bedrock:us-east-1:222222222222:provisioned-model/aaaaaaaaaaaa",
		"arn:aws:bedrock:us-east-1::foundation-model/" + sonnet, strings.Replace(arn, "us-east-1", "eu-west-1", 1)} {
		if p, ok, err := f.Serving(t.Context(), bob, name); ok || err != nil {
			t.Errorf("bob, %q: %v %v %v", name, p, ok, err)
		}
	}
	if _, ok, err := f.Serving(t.Context(), bob, arn); ok || !errors.Is(err, outcrop.CodeAccessDenied) {
		t.Errorf("another account's ARN: %v %v", ok, err)
	}
	if a := f.ask(t, ana, "PATCH", onePT+"my-pt", object{"desiredProvisionedModelName": "renamed"}); a.status != 200 {
		t.Fatal(a)
	}
	if _, ok, _ := f.Serving(t.Context(), ana, "my-pt"); ok {
		t.Error("the old name still serves")
	}
	if _, ok, _ := f.Serving(t.Context(), ana, "renamed"); !ok {
		t.Error("the new name does not serve")
	}
	_, err := f.Wait(t.Context(), outcrop.ARN{})
	if !errors.Is(err, outcrop.CodeNotFound) {
		t.Errorf("wait for nothing: %v", err)
	}
}

func TestServingEndsWithItsContext(t *testing.T) {
	never := func(ctx context.Context, _ outcrop.Provisioned) error { <-ctx.Done(); return ctx.Err() }
	inBubble(t, controlapi.Options{Provision: never}, func(t *testing.T, f *office) {
		arn := f.buy(t, ana, "pt", nil)
		gone := errors.New("the caller hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		began := time.Now()
		if _, _, err := f.Serving(ctx, ana, arn); err != gone || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestAFailedCreationSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		provision func(context.Context, outcrop.Provisioned) error
		want      string
	}{
		"told":   {func(context.Context, outcrop.Provisioned) error { return outcrop.Invalid("No engine has room.") }, "No engine has room."},
		"secret": {func(context.Context, outcrop.Provisioned) error { return errors.New("secret") }, "The capacity could not be provided because of an internal error."},
		"panic":  {func(context.Context, outcrop.Provisioned) error { panic("secret") }, "The capacity could not be provided because of an internal error."},
		"late":   {func(ctx context.Context, _ outcrop.Provisioned) error { <-ctx.Done(); return ctx.Err() }, "The capacity was not ready in time."},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, controlapi.Options{Provision: c.provision}, func(t *testing.T, f *office) {
				arn := f.buy(t, ana, "pt", object{"commitmentDuration": "OneMonth", "modelUnits": 10})
				time.Sleep(time.Hour)
				synctest.Wait()
				g := f.ask(t, ana, "GET", onePT+"pt", nil)
				if g.body["status"] != "Failed" || g.body["failureMessage"] != c.want || g.body["commitmentExpirationTime"] != nil {
					t.Errorf("%v", g)
				}
				if l := f.ask(t, ana, "GET", allPT+"?statusEquals=Failed", nil); !strings.Contains(l.text, arn) || strings.Contains(l.text, "failureMessage") {
					t.Errorf("list: %v", l)
				}
				if _, ok, err := f.Serving(t.Context(), ana, "pt"); ok || !errors.Is(err, outcrop.CodeValidation) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("serving: %v %v", ok, err)
				}
				f.buy(t, ana, "second", object{"modelUnits": 10}) // the failed one holds nothing
				if a := f.ask(t, ana, "DELETE", onePT+"pt", nil); a.status != 200 {
					t.Errorf("delete: %v", a)
				}
			})
		})
	}
}

func TestAnUndoneStepGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int64
		never := func(ctx context.Context, _ outcrop.Provisioned) error { begun.Add(1); <-ctx.Done(); return ctx.Err() }
		f := openOffice(t, dir, controlapi.Options{Provision: never})
		f.buy(t, ana, "pt", nil)
		synctest.Wait()
		f.shut()
		f = openOffice(t, dir, controlapi.Options{Provision: never})
		synctest.Wait()
		if s := f.status(t, "pt"); s != "Creating" || begun.Load() != 2 {
			t.Errorf("status %s after %d steps", s, begun.Load())
		}
		f.shut()
		f = openOffice(t, dir, controlapi.Options{})
		synctest.Wait()
		if s := f.status(t, "pt"); s != "InService" {
			t.Errorf("status %s", s)
		}
		f.shut()
	})
}

func TestChangesAreToldInOrder(t *testing.T) {
	var told [][]outcrop.Provisioned
	o := controlapi.Options{Changed: func(all []outcrop.Provisioned) { told = append(told, all) }}
	inBubble(t, o, func(t *testing.T, f *office) {
		f.buy(t, ana, "a", nil)
		synctest.Wait()
		f.buy(t, bob, "b", nil)
		synctest.Wait()
		f.ask(t, ana, "DELETE", onePT+"a", nil)
	})
	var story []string
	for _, all := range told {
		var line []string
		for _, p := range all {
			line = append(line, p.Name+" "+string(p.Status))
		}
		slices.Sort(line)
		story = append(story, strings.Join(line, ", "))
	}
	want := []string{"", "a Creating", "a InService", "a InService, b Creating", "a InService, b InService", "b InService"}
	if !slices.Equal(story, want) {
		t.Errorf("told %q", story)
	}
}

func TestAShortMonthShowsTheLock(t *testing.T) {
	inBubble(t, controlapi.Options{Terms: lifecycle.Terms{Month: 3 * time.Second}}, func(t *testing.T, f *office) {
		f.buy(t, ana, "pt", object{"commitmentDuration": "OneMonth"})
		wantCode(t, f.ask(t, ana, "DELETE", onePT+"pt", nil), outcrop.CodeConflict)
		time.Sleep(3 * time.Second)
		if a := f.ask(t, ana, "DELETE", onePT+"pt", nil); a.status != 200 {
			t.Errorf("delete: %v", a)
		}
	})
}

// failing makes the k-th transaction fail: before it begins, at its commit, or
// after it.
type failing struct {
	controlapi.Resources
	left  atomic.Int64
	calls atomic.Int64
	how   string
}

var errDisk = errors.New("injected: input/output error")

func (r *failing) Look(ctx context.Context, f func(*store.Tx) error) error {
	r.calls.Add(1)
	if r.left.Add(-1) == 0 {
		return errDisk
	}
	return r.Resources.Look(ctx, f)
}

func (r *failing) Change(ctx context.Context, f func(*store.Tx) error) error {
	r.calls.Add(1)
	if r.left.Add(-1) != 0 {
		return r.Resources.Change(ctx, f)
	}
	switch r.how {
	case "before":
		return errDisk
	case "commit":
		return r.Resources.Change(ctx, func(tx *store.Tx) error { return errors.Join(f(tx), errDisk) })
	}
	return errors.Join(r.Resources.Change(ctx, f), errDisk)
}

// TestAnyTransactionMayFail lets each transaction of a life fail in turn. The
// caller tries again as SDKs do; in the end all is as it should be.
func TestAnyTransactionMayFail(t *testing.T) {
	for _, how := range []string{"before", "commit", "after"} {
		calls, told := lifeWithAFault(t, how, 0) // none fails
		for k := range calls {
			_, failures := lifeWithAFault(t, how, k+1)
			told += failures
		}
		if calls < 8 || told < 5 || int64(told) >= calls { // steps behind the scenes fail unseen
			t.Errorf("%s: %d transactions, %d failures told: the test has lost its grip", how, calls, told)
		}
	}
}

func lifeWithAFault(t *testing.T, how string, k int64) (calls int64, failures int) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		r := &failing{Resources: s, how: how}
		f := openOffice(t, dir, controlapi.Options{Resources: r})
		defer func() { f.shut(); _ = s.Close() }()
		r.calls.Store(0)
		r.left.Store(k)
		insist := func(method, target string, body any) answer {
			for range 3 {
				a := f.ask(t, ana, method, target, body)
				if a.status != 500 {
					return a
				}
				if strings.Contains(a.text, "injected") {
					t.Errorf("the caller learned %s", a.text)
				}
				failures++
			}
			t.Fatalf("%s %s fails on", method, target)
			return answer{}
		}
		created := insist("POST", creating, purchase("pt", object{"clientRequestToken": "one", "tags": []object{{"key": "a", "value": "1"}}}))
		if created.status != 201 {
			t.Fatalf("%s %d: create: %v", how, k, created)
		}
		time.Sleep(time.Minute) // what failed behind the scenes is tried again
		synctest.Wait()
		f.checkMemory(t)
		if g := insist("GET", onePT+url.PathEscape(created.arn()), nil); g.body["status"] != "InService" {
			t.Errorf("%s %d: %v", how, k, g)
		}
		if p, ok, err := f.Serving(t.Context(), ana, "pt"); !ok || err != nil || p.ARN.String() != created.arn() {
			t.Errorf("%s %d: serving %v %v", how, k, ok, err)
		}
		if a := insist("PATCH", onePT+"pt", object{"desiredModelUnits": 5}); a.status != 200 {
			t.Errorf("%s %d: update: %v", how, k, a)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		f.checkMemory(t)
		if all := f.stored(t); len(all) != 1 || all[0].Units != 5 || all[0].Status != outcrop.ProvisionedInService {
			t.Errorf("%s %d: stored %+v", how, k, all)
		}
		tag := object{"resourceARN": created.arn(), "tags": []object{{"key": "b", "value": "2"}, {"key": "outcrop:spillover", "value": "flex"}}}
		if a := insist("POST", "/tagResource", tag); a.status != 200 {
			t.Errorf("%s %d: tag: %v", how, k, a)
		}
		f.spills(t, created.arn(), outcrop.SpillFlex)
		if a := insist("POST", "/untagResource", object{"resourceARN": created.arn(), "tagKeys": []string{"outcrop:spillover"}}); a.status != 200 {
			t.Errorf("%s %d: untag: %v", how, k, a)
		}
		f.spills(t, created.arn(), "")
		if a := insist("POST", "/listTagsForResource", object{"resourceARN": created.arn()}); len(a.body["tags"].([]any)) != 2 {
			t.Errorf("%s %d: tags: %v", how, k, a)
		}
		if a := insist("DELETE", onePT+"pt", nil); a.status != 200 && a.status != 404 {
			t.Errorf("%s %d: delete: %v", how, k, a)
		}
		time.Sleep(time.Minute)
		f.checkMemory(t)
		if left := f.stored(t); len(left) != 0 {
			t.Errorf("%s %d: left over %+v", how, k, left)
		}
		calls = r.calls.Load()
	})
	return calls, failures
}

// TestAWalkThroughPagesSeesWhatStaysExactlyOnce walks with every page size
// while others create and delete.
func TestAWalkThroughPagesSeesWhatStaysExactlyOnce(t *testing.T) {
	f := newOffice(t, controlapi.Options{Sell: func(*outcrop.Card, map[string]int, int) (int, bool) { return 1, true }})
	var stays []string
	for i := range 7 {
		stays = append(stays, f.buy(t, ana, fmt.Sprintf("stays-%d", i), nil))
	}
	stop := make(chan struct{})
	var churn sync.WaitGroup
	var churned atomic.Int64
	churn.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			f.buy(t, ana, fmt.Sprintf("goes-%d", i), nil)
			if a := f.ask(t, ana, "DELETE", onePT+fmt.Sprintf("goes-%d", i), nil); a.status != 200 {
				t.Errorf("delete: %v", a)
			}
			churned.Add(1)
		}
	})
	for walk := 0; walk < 16 || churned.Load() < 10; walk++ {
		seen := map[string]int{}
		query := fmt.Sprintf("?nameContains=s&maxResults=%d&sortOrder=%s", walk%4+1, []string{"Ascending", "Descending"}[walk%2])
		for token := ""; ; {
			next := ""
			if token != "" {
				next = "&nextToken=" + url.QueryEscape(token)
			}
			page := f.ask(t, ana, "GET", allPT+query+next, nil)
			for _, s := range page.body["provisionedModelSummaries"].([]any) {
				seen[s.(map[string]any)["provisionedModelArn"].(string)]++
			}
			again, more := page.body["nextToken"].(string)
			if !more {
				break
			}
			if again == token {
				t.Fatal("the same token came twice")
			}
			token = again
		}
		for _, arn := range stays {
			if seen[arn] != 1 {
				t.Errorf("%s stands %d times in walk %d", arn, seen[arn], walk)
			}
		}
	}
	close(stop)
	churn.Wait()
}
