package backlog_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop/backlog"
)

var (
	start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	end   = start.Add(24 * time.Hour)
)

func TestAJobHurriesWhenIdleCapacityWillNotDo(t *testing.T) {
	for _, c := range []struct {
		name    string
		records int64
		rate    float64
		after   time.Duration
		want    bool
	}{
		{"nothing left", 0, 1, 23 * time.Hour, false},
		{"plenty of time", 1000_000, 1000, time.Hour, false},
		{"too slow", 100_000_000, 1000, time.Hour, true},
		{"no time left", 1, 1e9, 24*time.Hour - 57*time.Minute, true},
		{"after the deadline", 1, 1e9, 25 * time.Hour, true},
		{"rate unknown, early", 1000, 0, 57 * time.Minute, false},
		{"rate unknown, late", 1000, 0, 58 * time.Minute, true},
	} {
		now := start.Add(c.after)
		p := backlog.Ramp(backlog.Remaining{Records: c.records, Submitted: start, Expiry: end, Rate: c.rate, Rated: now}, now)
		if p.Hurry != c.want {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
	p := backlog.Ramp(backlog.Remaining{Records: 3600_000, Submitted: start, Expiry: end, Rate: 1000, Rated: start}, start)
	if math.Abs(p.Need-3600_000/(24*.96*3600)) > 1e-9 {
		t.Errorf("%+v", p)
	}
}

// TestHurryDoesNotComeBackToRest as long as nothing is done.
func TestHurryDoesNotComeBackToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := backlog.Remaining{Records: rapid.Int64Range(1, 1e12).Draw(t, "records"), Submitted: start,
			Expiry: start.Add(time.Duration(rapid.Int64Range(1, 168*3600).Draw(t, "window")) * time.Second), Rate: rapid.Float64Range(0, 1e6).Draw(t, "rate"), Rated: start}
		a := rapid.Int64Range(0, 200*3600).Draw(t, "a")
		b := rapid.Int64Range(a, 200*3600).Draw(t, "b")
		early, late := backlog.Ramp(r, start.Add(time.Duration(a)*time.Second)), backlog.Ramp(r, start.Add(time.Duration(b)*time.Second))
		if early.Hurry && !late.Hurry || early.Need > late.Need {
			t.Fatalf("%+v, later %+v", early, late)
		}
	})
}

// A job that stands still is told to hurry as its rate of late wanes.
func TestAJobThatStandsStillHurries(t *testing.T) {
	r := backlog.Remaining{Records: 36_000, Submitted: start, Expiry: end, Rate: 1, Rated: start.Add(time.Hour)}
	if p := backlog.Ramp(r, start.Add(time.Hour)); p.Hurry {
		t.Errorf("%+v while it goes on", p)
	}
	if p := backlog.Ramp(r, start.Add(2*time.Hour)); !p.Hurry {
		t.Errorf("%+v after an hour without an answer", p)
	}
}

func TestWhenAJobWillBeDone(t *testing.T) {
	now := start.Add(time.Hour)
	r := backlog.Remaining{Records: 3600, Submitted: start, Expiry: end, Rate: 2, Rated: now}
	if o := backlog.Ahead(r, now); o.Rate != 2 || !o.Ends.Equal(now.Add(30*time.Minute)) {
		t.Errorf("%+v", o)
	}
	if o := backlog.Ahead(r, now.Add(20*time.Minute)); o.Rate != 1 || !o.Ends.Equal(now.Add(80*time.Minute)) {
		t.Errorf("after twenty minutes without an answer: %+v", o)
	}
	for name, r := range map[string]backlog.Remaining{
		"unknown rate": {Records: 10, Rated: now}, "nothing left": {Rate: 2, Rated: now}, "ages": {Records: 1e15, Rate: 1e-6, Rated: now},
	} {
		if o := backlog.Ahead(r, now); !o.Ends.IsZero() {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestTheRateFollowsWhatIsDone(t *testing.T) {
	if r := backlog.Rate(0, 600, time.Minute); r != 10 {
		t.Errorf("the first report: %v", r)
	}
	if r := backlog.Rate(10, 600, 0); r != 10 {
		t.Errorf("no time passed: %v", r)
	}
	r := 10.0
	for range 100 {
		r = backlog.Rate(r, 1200, time.Minute)
	}
	if r < 19 || r > 20 {
		t.Errorf("after 100 minutes at 20 a second: %v", r)
	}
}

func TestWhoseTurnItIs(t *testing.T) {
	big := backlog.Waiting{Account: "a", Records: 50_000, Expiry: end}
	small := backlog.Waiting{Account: "a", Records: 10, Expiry: end.Add(time.Hour), Order: 1}
	soon := backlog.Waiting{Account: "a", Records: 50_000, Expiry: end.Add(-time.Hour), Order: 2}
	urgent := backlog.Waiting{Account: "a", Records: 50_000, Expiry: end, Hurry: true, Order: 3}
	other := backlog.Waiting{Account: "b", Records: 50_000, Expiry: end, Order: 4}
	for _, c := range []struct {
		name   string
		jobs   []backlog.Waiting
		served map[string]float64
		want   int
	}{
		{"nobody", nil, nil, -1},
		{"the small one", []backlog.Waiting{big, small, soon}, nil, 1},
		{"the one that ends first", []backlog.Waiting{big, soon}, nil, 1},
		{"the urgent one", []backlog.Waiting{big, small, soon, urgent}, nil, 3},
		{"the account served least", []backlog.Waiting{urgent, other}, map[string]float64{"a": 2, "b": 1}, 1},
		{"the first of two alike", []backlog.Waiting{big, big}, nil, 0},
	} {
		if got := backlog.Next(c.jobs, c.served); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestAccountsGetTheSame whatever jobs they have: as long as all wait, what
// they were served differs by one chunk at most.
func TestAccountsGetTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var jobs []backlog.Waiting
		for i, n := range rapid.SliceOfN(rapid.IntRange(1, 6), 2, 5).Draw(t, "jobs") {
			for range n {
				jobs = append(jobs, backlog.Waiting{Account: string(rune('a' + i)), Records: rapid.Int64Range(1, 5000).Draw(t, "records"), Expiry: end})
			}
		}
		served, accounts := map[string]float64{}, map[string]bool{}
		for _, j := range jobs {
			accounts[j.Account] = true
		}
		for range 100 {
			served[jobs[backlog.Next(jobs, served)].Account] += rapid.Float64Range(1, 100).Draw(t, "chunk")
		}
		least, most := math.Inf(1), 0.
		for a := range accounts {
			least, most = min(least, served[a]), max(most, served[a])
		}
		if most-least > 100 {
			t.Fatalf("served %v", served)
		}
	})
}

func TestWhoComesLateHasNoCredit(t *testing.T) {
	if got := backlog.Join(5, nil); got != 5 {
		t.Errorf("alone: %v", got)
	}
	if got := backlog.Join(5, []float64{70, 50}); got != 50 {
		t.Errorf("late: %v", got)
	}
	if got := backlog.Join(80, []float64{70, 50}); got != 80 {
		t.Errorf("ahead: %v", got)
	}
}
