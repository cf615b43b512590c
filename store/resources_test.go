package store_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/store"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 123456000, time.UTC)

// kind is that of the resources of these tests.
func kind(account string) outcrop.ARN {
	return outcrop.ARN{Partition: "aws", Service: "bedrock", Region: "us-east-1", Account: account, Type: "provisioned-model"}
}

const mine, yours = "111122223333", "444455556666"

func resource(account, name string) store.Resource {
	r := store.Resource{ARN: kind(account), Name: name, Status: "InService", Model: "a.b-v1:0", Created: noon, Modified: noon, Body: []byte(`{"units":1}`)}
	r.ARN.ID = fmt.Sprintf("%012x", hash(account+name))
	return r
}

// hash is FNV-1a, cut to 48 bits.
func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64() >> 16
}

func change(t testing.TB, s *store.Store, f func(*store.Tx) error) {
	t.Helper()
	if err := s.Change(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func insert(t testing.TB, s *store.Store, all ...store.Resource) {
	t.Helper()
	change(t, s, func(tx *store.Tx) error {
		for _, r := range all {
			if err := tx.Insert(r); err != nil {
				return err
			}
		}
		return nil
	})
}

func find(t testing.TB, s *store.Store, arn outcrop.ARN) (r store.Resource, err error) {
	t.Helper()
	_ = s.Look(context.Background(), func(tx *store.Tx) error {
		r, err = tx.Find(arn)
		return err
	})
	return r, err
}

func TestAResourceComesBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	want := resource(mine, "one")
	insert(t, s, want)
	s = open(t, store.Options{Dir: dir}) // a second process
	got, err := find(t, s, want.ARN)
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }), cmp.FilterPath(unexported, cmp.Ignore())); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	var named store.Resource
	err = s.Look(t.Context(), func(tx *store.Tx) (err error) { named, err = tx.FindName(kind(mine), "one"); return err })
	if err != nil || named.ARN != want.ARN {
		t.Errorf("by name: %v %v", named.ARN, err)
	}
	for _, k := range []outcrop.ARN{kind(yours), {Type: "other", Region: "us-east-1", Account: mine}, {Type: "provisioned-model", Region: "eu-west-1", Account: mine}} {
		if err := s.Look(t.Context(), func(tx *store.Tx) error { _, err := tx.FindName(k, "one"); return err }); !errors.Is(err, store.ErrNoResource) {
			t.Errorf("%v: %v", k, err)
		}
	}
}

func unexported(p cmp.Path) bool {
	f, ok := p.Last().(cmp.StructField)
	return ok && f.Name()[0] >= 'a' && f.Name()[0] <= 'z'
}

func TestNamesAreUniqueInTheirKindRegionAndAccount(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	other, elsewhere := resource(mine, "one"), resource(mine, "one")
	other.ARN.Type, elsewhere.ARN.Region = "model-invocation-job", "eu-west-1"
	insert(t, s, resource(mine, "one"), resource(mine, "two"), resource(yours, "one"), other, elsewhere)
	again := resource(mine, "one")
	again.ARN.ID = "zzzzzzzzzzzz"
	if err := s.Change(t.Context(), func(tx *store.Tx) error { return tx.Insert(again) }); !errors.Is(err, store.ErrNameTaken) {
		t.Errorf("insert: %v", err)
	}
	sameARN := resource(mine, "one")
	sameARN.Name = "three"
	if err := s.Change(t.Context(), func(tx *store.Tx) error { return tx.Insert(sameARN) }); !errors.Is(err, store.ErrARNTaken) {
		t.Errorf("the same ARN: %v", err)
	}
	two, _ := find(t, s, resource(mine, "two").ARN)
	two.Name = "one"
	if err := s.Change(t.Context(), func(tx *store.Tx) error { return tx.Put(two) }); !errors.Is(err, store.ErrNameTaken) {
		t.Errorf("rename: %v", err)
	}
	two.Name = "two"
	change(t, s, func(tx *store.Tx) error { return tx.Put(two) }) // its own name is free to it
}

func TestAChangeOfWhatHasChangedIsRefused(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	insert(t, s, resource(mine, "one"))
	first, _ := find(t, s, resource(mine, "one").ARN)
	second := first
	first.Status = "Updating"
	change(t, s, func(tx *store.Tx) error { return tx.Put(first) })
	if err := s.Change(t.Context(), func(tx *store.Tx) error { return tx.Put(second) }); !errors.Is(err, store.ErrStale) {
		t.Errorf("put: %v", err)
	}
	if err := s.Change(t.Context(), func(tx *store.Tx) error { return tx.Remove(second) }); !errors.Is(err, store.ErrStale) {
		t.Errorf("remove: %v", err)
	}
	now, _ := find(t, s, first.ARN)
	if now.Status != "Updating" {
		t.Errorf("status %s", now.Status)
	}
	change(t, s, func(tx *store.Tx) error { return tx.Remove(now) })
	if err := s.Change(t.Context(), func(tx *store.Tx) error { return tx.Put(now) }); !errors.Is(err, store.ErrStale) {
		t.Errorf("put of what is gone: %v", err)
	}
}

func TestARefusedChangeDoesNothing(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	no := errors.New("no")
	err := s.Change(t.Context(), func(tx *store.Tx) error {
		if err := tx.Insert(resource(mine, "one")); err != nil {
			return err
		}
		return no
	})
	if err != no {
		t.Errorf("got %v", err)
	}
	if _, err := find(t, s, resource(mine, "one").ARN); !errors.Is(err, store.ErrNoResource) {
		t.Errorf("it is there: %v", err)
	}
}

func TestALookWritesNothing(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	_ = s.Look(t.Context(), func(tx *store.Tx) error { return tx.Insert(resource(mine, "one")) })
	if _, err := find(t, s, resource(mine, "one").ARN); !errors.Is(err, store.ErrNoResource) {
		t.Errorf("it is there: %v", err)
	}
}

func TestTagsGoWithTheirResource(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	one := resource(mine, "one")
	insert(t, s, one, resource(mine, "two"))
	set := func(arn outcrop.ARN, tags ...outcrop.Tag) error {
		return s.Change(t.Context(), func(tx *store.Tx) error { return tx.SetTags(arn, tags) })
	}
	tags := func(arn outcrop.ARN) (tags []outcrop.Tag) {
		_ = s.Look(t.Context(), func(tx *store.Tx) (err error) { tags, err = tx.Tags(arn); return err })
		return tags
	}
	if err := errors.Join(set(one.ARN, outcrop.Tag{Key: "b", Value: "1"}, outcrop.Tag{Key: "a"}), set(one.ARN, outcrop.Tag{Key: "b", Value: "2"})); err != nil {
		t.Fatal(err)
	}
	if got := tags(one.ARN); !slices.Equal(got, []outcrop.Tag{{Key: "a"}, {Key: "b", Value: "2"}}) {
		t.Errorf("tags %v", got)
	}
	many := make([]outcrop.Tag, store.MaxTags)
	for i := range many {
		many[i].Key = fmt.Sprint(i)
	}
	if err := set(one.ARN, many...); !errors.Is(err, store.ErrTooManyTags) {
		t.Errorf("too many: %v", err)
	}
	if err := set(resource(mine, "two").ARN, many...); err != nil {
		t.Errorf("just enough: %v", err)
	}
	change(t, s, func(tx *store.Tx) error { return tx.RemoveTags(one.ARN, []string{"b", "none"}) })
	if got := tags(one.ARN); !slices.Equal(got, []outcrop.Tag{{Key: "a"}}) {
		t.Errorf("tags %v", got)
	}
	for name, f := range map[string]func(tx *store.Tx) error{
		"set":    func(tx *store.Tx) error { return tx.SetTags(kind(mine), many) },
		"remove": func(tx *store.Tx) error { return tx.RemoveTags(kind(mine), nil) },
		"list":   func(tx *store.Tx) error { _, err := tx.Tags(kind(mine)); return err },
	} {
		if err := s.Change(t.Context(), f); !errors.Is(err, store.ErrNoResource) {
			t.Errorf("%s on what is not there: %v", name, err)
		}
	}
	found, _ := find(t, s, one.ARN)
	change(t, s, func(tx *store.Tx) error { return tx.Remove(found) })
	insert(t, s, one)
	if got := tags(one.ARN); len(got) != 0 {
		t.Errorf("tags outlived their resource: %v", got)
	}
}

func TestATokenIsRememberedForADay(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	token := store.Token{Operation: "Create", Region: "us-east-1", Account: mine, Value: "abc", Parameters: [32]byte{1}}
	arn := resource(mine, "one").ARN
	replay := func(k store.Token, now time.Time) (arn outcrop.ARN, ok bool, err error) {
		_ = s.Look(t.Context(), func(tx *store.Tx) error { arn, ok, err = tx.Replay(k, now); return err })
		return arn, ok, err
	}
	if _, ok, err := replay(token, noon); ok || err != nil {
		t.Errorf("a new token: %v %v", ok, err)
	}
	change(t, s, func(tx *store.Tx) error { return tx.Remember(token, arn, noon) })
	if got, ok, err := replay(token, noon.Add(store.TokenLife-time.Second)); !ok || err != nil || got != arn {
		t.Errorf("%v %v %v", got, ok, err)
	}
	reused := token
	reused.Parameters[0] = 2
	if _, _, err := replay(reused, noon); !errors.Is(err, store.ErrTokenReused) {
		t.Errorf("other parameters: %v", err)
	}
	for _, other := range []store.Token{{"Other", "us-east-1", mine, "abc", [32]byte{}}, {"Create", "eu-west-1", mine, "abc", [32]byte{}}, {"Create", "us-east-1", yours, "abc", [32]byte{}}} {
		if _, ok, err := replay(other, noon); ok || err != nil {
			t.Errorf("%v: %v %v", other, ok, err)
		}
	}
	late := noon.Add(store.TokenLife)
	if _, ok, err := replay(reused, late); ok || err != nil {
		t.Errorf("after a day: %v %v", ok, err)
	}
	change(t, s, func(tx *store.Tx) error { return tx.Remember(reused, arn, late) })
	if n := store.Count(t, s, "tokens"); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

func TestProvisionedComesBackAsItWas(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	p := outcrop.Provisioned{ARN: resource(mine, "one").ARN, Name: "one", Model: "a.b-v1:0", DesiredModel: "a.b-v1:0:48k", Units: 1, DesiredUnits: 2,
		Status: outcrop.ProvisionedUpdating, Commitment: outcrop.CommitmentOneMonth, Created: noon, Modified: noon.Add(1000), Served: noon.Add(2000), Expires: noon.Add(3000), Failure: "grün\n"}
	var r store.Resource
	if err := r.SetProvisioned(p); err != nil {
		t.Fatal(err)
	}
	insert(t, s, r)
	r, err := find(t, s, p.ARN)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Provisioned()
	if err != nil || got != p {
		t.Errorf("%v\nwant %+v\n got %+v", err, p, got)
	}
	r.ARN.Type = "model-invocation-job"
	if _, err := r.Provisioned(); err == nil {
		t.Error("a job was read as a provisioned model")
	}
}

// TestPagesAgreeWithALinearList compares pages with filters to a plain list.
func TestPagesAgreeWithALinearList(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	var accounts int // each case has two of its own
	rapid.Check(t, func(rt *rapid.T) {
		accounts += 2
		mine, yours := fmt.Sprintf("%012d", accounts), fmt.Sprintf("%012d", accounts+1)
		var all []store.Resource
		for i := range rapid.IntRange(0, 12).Draw(rt, "resources") {
			r := resource(rapid.SampledFrom([]string{mine, mine, yours}).Draw(rt, "account"), fmt.Sprintf("%s-%d", rapid.SampledFrom([]string{"abc", "ABC", "b%c"}).Draw(rt, "name"), i))
			r.Status = rapid.SampledFrom([]string{"InService", "Failed"}).Draw(rt, "status")
			r.Model = rapid.SampledFrom([]string{"a.b-v1:0", "c.d-v1:0"}).Draw(rt, "model")
			r.Created = noon.Add(time.Duration(rapid.IntRange(-2, 2).Draw(rt, "created")) * time.Microsecond)
			all = append(all, r)
		}
		insert(t, s, all...)
		f := store.Filter{Kind: kind(mine), Ascending: rapid.Bool().Draw(rt, "ascending"), Status: rapid.SampledFrom([]string{"", "Failed"}).Draw(rt, "by status"),
			Model: rapid.SampledFrom([]string{"", "c.d-v1:0"}).Draw(rt, "by model"), NameContains: rapid.SampledFrom([]string{"", "b", "B", "%", "1"}).Draw(rt, "by name")}
		if rapid.Bool().Draw(rt, "after") {
			f.CreatedAfter = noon.Add(time.Duration(rapid.IntRange(-2500, 1000).Draw(rt, "t")))
		}
		if rapid.Bool().Draw(rt, "before") {
			f.CreatedBefore = noon.Add(time.Duration(rapid.IntRange(-1000, 2500).Draw(rt, "t")))
		}
		want := linear(all, f)
		var got []string
		for after, size := (store.Cursor{}), rapid.IntRange(1, 5).Draw(rt, "size"); ; {
			page, next := onePage(rt, s, f, after, size)
			got = append(got, page...)
			if next == (store.Cursor{}) {
				break
			}
			if len(page) != size {
				rt.Fatalf("a page of %d in the middle", len(page))
			}
			after = next
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("%+v\n got %v\nwant %v", f, got, want)
		}
	})
}

func onePage(t rapid.TB, s *store.Store, f store.Filter, after store.Cursor, size int) (names []string, next store.Cursor) {
	t.Helper()
	err := s.Look(context.Background(), func(tx *store.Tx) error {
		page, n, err := tx.Page(f, after, size)
		for _, r := range page {
			names = append(names, r.Name)
		}
		next = n
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names, next
}

// linear is what a list should hold, the slow way.
func linear(all []store.Resource, f store.Filter) []string {
	var names []string
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b store.Resource) int { return a.Created.Compare(b.Created) })
	if !f.Ascending {
		slices.Reverse(sorted)
	}
	for _, r := range sorted {
		if r.ARN.Account == f.Kind.Account && (f.Status == "" || r.Status == f.Status) && (f.Model == "" || r.Model == f.Model) &&
			contains(r.Name, f.NameContains) && (f.CreatedAfter.IsZero() || r.Created.After(f.CreatedAfter.Truncate(time.Microsecond))) &&
			(f.CreatedBefore.IsZero() || r.Created.Before(f.CreatedBefore)) {
			names = append(names, r.Name)
		}
	}
	return names
}

func contains(s, part string) bool {
	for i := range len(s) - len(part) + 1 {
		if s[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

// TestAWalkSeesWhatStaysExactlyOnce walks through the pages while others
// create and delete.
func TestAWalkSeesWhatStaysExactlyOnce(t *testing.T) {
	s := open(t, store.Options{Dir: t.TempDir()})
	var stays []string
	for i := range 20 {
		r := resource(mine, fmt.Sprintf("stays-%02d", i))
		r.Created = time.Now()
		insert(t, s, r)
		stays = append(stays, r.Name)
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	var churned atomic.Int64
	for w := range 2 {
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r := resource(mine, fmt.Sprintf("goes-%d-%d", w, i))
				r.Created = time.Now().Add(time.Duration(i%7-3) * time.Minute) // between those that stay
				if err := s.Change(context.Background(), func(tx *store.Tx) error { return tx.Insert(r) }); err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					found, _ := find(t, s, r.ARN)
					if err := s.Change(context.Background(), func(tx *store.Tx) error { return tx.Remove(found) }); err != nil {
						t.Error(err)
						return
					}
				}
				churned.Add(1)
			}
		})
	}
	for walk := 0; walk < 10 || churned.Load() < 20; walk++ {
		f := store.Filter{Kind: kind(mine), Ascending: walk%2 == 0}
		seen := map[string]int{}
		for after := (store.Cursor{}); ; {
			page, next := onePage(t, s, f, after, 3)
			for _, name := range page {
				seen[name]++
			}
			if next == (store.Cursor{}) {
				break
			}
			after = next
		}
		for name, n := range seen {
			if n != 1 {
				t.Errorf("%s stands %d times in walk %d", name, n, walk)
			}
		}
		for _, name := range stays {
			if seen[name] != 1 {
				t.Errorf("%s is not in walk %d", name, walk)
			}
		}
	}
	close(stop)
	others.Wait()
}

// TestAnyCallMayFailInAChange makes every call to the database fail in turn,
// before and after its work, while a resource with tags and a token is
// created, changed and deleted. Each of these is then done, or not at all.
func TestAnyCallMayFailInAChange(t *testing.T) {
	healthy := &faults{}
	if err := resourceLife(t, healthy, filepath.Join(t.TempDir(), "data")); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	calls := healthy.calls.Load()
	var failed, states [5]atomic.Int64
	t.Run("call", func(t *testing.T) {
		for k := range calls {
			for i, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d/%v", k+1, after), func(t *testing.T) {
					t.Parallel()
					dir := filepath.Join(t.TempDir(), "data")
					f := &faults{after: after}
					f.left.Store(k + 1)
					if err := resourceLife(t, f, dir); err != nil {
						failed[i].Add(1)
					}
					states[wholeResource(t, dir)].Add(1)
				})
			}
		}
	})
	if calls < 15 || failed[0].Load() < 15 || states[0].Load() == 0 || states[1].Load() == 0 || states[2].Load() == 0 || states[3].Load() == 0 {
		t.Errorf("%d calls, %d and %d failures, states %d %d %d %d: the test has lost its grip", calls, failed[0].Load(), failed[1].Load(),
			states[0].Load(), states[1].Load(), states[2].Load(), states[3].Load())
	}
}

var lifeToken = store.Token{Operation: "Create", Region: "us-east-1", Account: mine, Value: "abc"}

// resourceLife opens a folder while all is well, and then creates, changes and
// deletes a resource while a call may fail.
func resourceLife(t *testing.T, f *faults, dir string) error {
	left := f.left.Swap(0)
	s, err := store.Open(context.Background(), f.options(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f.calls.Store(0)
	f.left.Store(left)
	one := resource(mine, "one")
	for _, step := range []func(tx *store.Tx) error{
		func(tx *store.Tx) error {
			_, again, err := tx.Replay(lifeToken, noon)
			if err == nil && again {
				err = errors.New("the token is known")
			}
			if err == nil {
				err = tx.Insert(one)
			}
			if err == nil {
				err = tx.SetTags(one.ARN, []outcrop.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}})
			}
			if err == nil {
				err = tx.Remember(lifeToken, one.ARN, noon)
			}
			return err
		},
		func(tx *store.Tx) error {
			r, err := tx.Find(one.ARN)
			if err != nil {
				return err
			}
			r.Status, r.Name = "Updating", "renamed"
			if err = tx.Put(r); err == nil {
				err = tx.RemoveTags(one.ARN, []string{"a"})
			}
			return err
		},
		func(tx *store.Tx) error {
			r, err := tx.Find(one.ARN)
			if err != nil {
				return err
			}
			return tx.Remove(r)
		},
	} {
		if err := s.Change(context.Background(), step); err != nil {
			return err
		}
	}
	return nil
}

// wholeResource returns how far the life got: 0 not begun, 1 created, 2
// changed, 3 deleted. It fails the test if anything stands in between.
func wholeResource(t *testing.T, dir string) (state int) {
	t.Helper()
	s := open(t, store.Options{Dir: dir})
	defer s.Close()
	one := resource(mine, "one")
	r, missing := find(t, s, one.ARN)
	var tags []outcrop.Tag
	var known bool
	if err := s.Look(t.Context(), func(tx *store.Tx) (err error) {
		if _, known, err = tx.Replay(lifeToken, noon); err != nil || missing != nil {
			return err
		}
		tags, err = tx.Tags(one.ARN)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	switch {
	case missing != nil && !known:
		state = 0
	case missing != nil:
		state = 3
	case r.Name == "one" && r.Status == "InService" && len(tags) == 2 && known:
		state = 1
	case r.Name == "renamed" && r.Status == "Updating" && len(tags) == 1 && known:
		state = 2
	default:
		t.Errorf("half done: %+v %v %v", r, tags, known)
	}
	if missing != nil && store.Count(t, s, "tags") != 0 {
		t.Error("tags are left over")
	}
	return state
}
