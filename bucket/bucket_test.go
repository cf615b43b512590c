package bucket_test

import (
	"encoding/binary"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop/bucket"
)

// A leak is the naive model of bucket.Leak: rational numbers, no cleverness.
type leak struct {
	rate, burst int64
	level       *big.Rat
	at          time.Duration
}

func newLeak(rate, burst int64) *leak { return &leak{rate: rate, burst: burst, level: new(big.Rat)} }

func (l *leak) drain(now time.Duration) {
	if now <= l.at {
		return
	}
	l.level.Sub(l.level, new(big.Rat).SetFrac(
		new(big.Int).Mul(big.NewInt(l.rate), big.NewInt(int64(now-l.at))), big.NewInt(int64(time.Minute))))
	if l.level.Sign() < 0 {
		l.level.SetInt64(0)
	}
	l.at = now
}

func (l *leak) fits(now time.Duration, cost int64) bool {
	l.drain(now)
	if cost <= 0 {
		return true
	}
	sum := new(big.Rat).Add(l.level, new(big.Rat).SetInt64(min(cost, l.burst)))
	return l.burst > 0 && sum.Cmp(new(big.Rat).SetInt64(l.burst)) <= 0
}

func (l *leak) below(now time.Duration) bool {
	l.drain(now)
	return l.level.Cmp(new(big.Rat).SetInt64(l.burst)) < 0
}

func (l *leak) move(now time.Duration, cost int64) {
	l.drain(now)
	l.level.Add(l.level, new(big.Rat).SetInt64(cost))
	if l.level.Sign() < 0 {
		l.level.SetInt64(0)
	}
}

func (l *leak) copy() *leak {
	c := *l
	c.level = new(big.Rat).Set(l.level)
	return &c
}

func (l *leak) ceil() int64 {
	n := new(big.Int).Add(l.level.Num(), l.level.Denom())
	n.Sub(n, big.NewInt(1))
	return n.Div(n, l.level.Denom()).Int64()
}

func (l *leak) percent() int64 {
	n := new(big.Int).Mul(l.level.Num(), big.NewInt(100))
	return n.Div(n, new(big.Int).Mul(l.level.Denom(), big.NewInt(l.burst))).Int64()
}

// check compares b with the model, and each wait with what the model says at
// its end and a nanosecond before.
func (l *leak) check(t rapid.TB, b *bucket.Leak, now time.Duration, cost int64) {
	t.Helper()
	now = max(now, l.at)
	l.drain(now)
	if got, want := b.Level(now), l.ceil(); got != want {
		t.Fatalf("level %d, want %d", got, want)
	}
	if l.burst > 0 {
		if got, want := b.Percent(now), l.percent(); got != want {
			t.Fatalf("percent %d, want %d", got, want)
		}
	}
	l.checkWait(t, "Would", now, b.Would(now, cost), func(m *leak, at time.Duration) bool { return m.fits(at, cost) })
	l.checkWait(t, "Below", now, b.Below(now), (*leak).below)
}

func (l *leak) checkWait(t rapid.TB, name string, now, wait time.Duration, open func(*leak, time.Duration) bool) {
	t.Helper()
	switch {
	case wait < 0:
		t.Fatalf("%s: negative wait %v", name, wait)
	case wait == 0:
		if !open(l.copy(), now) {
			t.Fatalf("%s opens too early", name)
		}
	case wait == bucket.Never:
		if now < math.MaxInt64/2 && open(l.copy(), math.MaxInt64-1) {
			t.Fatalf("%s: never is wrong", name)
		}
	case now <= math.MaxInt64-wait:
		if !open(l.copy(), now+wait) {
			t.Fatalf("%s: not open after %v", name, wait)
		}
		if open(l.copy(), now+wait-1) {
			t.Fatalf("%s: open before %v", name, wait)
		}
	}
}

// times draws steps of a clock that mostly goes forward.
func times(t *rapid.T, now time.Duration) time.Duration {
	step := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, int64(time.Second)), rapid.Int64Range(-int64(time.Hour), int64(time.Hour)),
		rapid.SampledFrom([]int64{0, 1, int64(time.Minute), int64(48 * time.Hour), -int64(48 * time.Hour)})).Draw(t, "step")
	return now + time.Duration(step)
}

func amounts() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, 100_000), rapid.Int64Range(0, 1<<40))
}

func TestLeakAgreesWithRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate, burst := amounts().Draw(t, "rate"), amounts().Draw(t, "burst")
		b, m := bucket.NewLeak(rate, burst), newLeak(rate, burst)
		now := time.Duration(rapid.Int64Range(0, int64(400*24*time.Hour)).Draw(t, "start"))
		for range rapid.IntRange(1, 40).Draw(t, "calls") {
			now = times(t, now)
			cost := amounts().Draw(t, "cost")
			switch rapid.IntRange(0, 4).Draw(t, "call") {
			case 0, 1:
				fits := m.fits(now, cost)
				if wait := b.Take(now, cost); (wait == 0) != fits {
					t.Fatalf("Take waits %v, the model says %v", wait, fits)
				}
				if fits {
					m.move(now, cost)
				}
			case 2:
				b.Add(now, cost)
				m.move(now, cost)
			case 3:
				b.Return(now, cost)
				m.move(now, -cost)
			case 4:
				m.drain(now)
				m.rate, m.burst = amounts().Draw(t, "rate"), amounts().Draw(t, "burst")
				b.Resize(now, m.rate, m.burst)
			}
			m.check(t, &b, now, cost)
		}
	})
}

func FuzzLeakOverTime(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07 and some more bytes to read numbers from, for a few calls"))
	f.Add(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64([]byte{100, 0, 0, 0, 100, 0, 0, 0, 3}, math.MaxInt64), 1<<63))
	f.Fuzz(func(t *testing.T, in []byte) {
		number := func(size int) int64 {
			var b [8]byte
			n := copy(b[:size], in)
			in = in[n:]
			return int64(binary.LittleEndian.Uint64(b[:]))
		}
		rate, burst := number(4), number(4)
		b, m := bucket.NewLeak(rate, burst), newLeak(rate, burst)
		for range 50 {
			if len(in) == 0 {
				return
			}
			call, now, cost := number(1), time.Duration(number(8)), number(5)
			switch call & 3 {
			case 0:
				if fits := m.fits(now, cost); (b.Take(now, cost) == 0) != fits {
					t.Fatalf("Take disagrees at %v", now)
				} else if fits {
					m.move(now, cost)
				}
			case 1:
				b.Add(now, cost)
				m.move(now, cost)
			case 2:
				b.Return(now, cost)
				m.move(now, -cost)
			}
			m.check(t, &b, now, cost)
		}
	})
}

func TestReplyIsNeverCut(t *testing.T) {
	b := bucket.NewLeak(600, 100)
	b.Add(0, 1000)
	if got := b.Percent(0); got != 1000 {
		t.Errorf("%d %%, want 1000", got)
	}
	if got := b.Would(0, 1); got != 90*time.Second+100*time.Millisecond {
		t.Errorf("wait %v", got)
	}
}

func TestCostAboveTheBurstIsAdmittedWhenEmpty(t *testing.T) {
	b := bucket.NewLeak(600, 100)
	if b.Take(0, 500) != 0 || b.Level(0) != 500 {
		t.Errorf("level %d", b.Level(0))
	}
	if got := b.Would(0, 500); got != 50*time.Second {
		t.Errorf("wait %v", got)
	}
}

func TestLevelsSaturate(t *testing.T) {
	b := bucket.NewLeak(math.MaxInt64, math.MaxInt64)
	for range 10 {
		b.Add(0, math.MaxInt64)
	}
	if b.Level(0) <= 0 || b.Percent(0) != 100 || b.Would(0, math.MaxInt64) < 0 {
		t.Errorf("level %d, %d %%", b.Level(0), b.Percent(0))
	}
	if b.Level(math.MaxInt64) != 0 {
		t.Errorf("level %d at the end of time", b.Level(math.MaxInt64))
	}
	one := bucket.NewLeak(1, 1)
	one.Add(0, math.MaxInt64)
	if one.Would(0, 1) != bucket.Never || one.Percent(0) != math.MaxInt64 {
		t.Errorf("wait %v, %d %%", one.Would(0, 1), one.Percent(0))
	}
}

func TestZeroValuesAdmitNothing(t *testing.T) {
	var l bucket.Leak
	var d bucket.Day
	u := bucket.NewDual(bucket.Rates{}, 0)
	if l.Take(0, 1) != bucket.Never || d.Take(0, 1) != bucket.Never || u.Take(0, 1, 1) != bucket.Never {
		t.Error("something was admitted")
	}
	if l.Take(0, 0) != 0 || d.Take(0, 0) != 0 || l.Percent(0) != 100 || d.Percent(0) != 100 {
		t.Error("nothing was refused")
	}
}

func TestStateIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := bucket.NewLeak(amounts().Draw(t, "rate"), amounts().Draw(t, "burst"))
		now := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "now"))
		a.Add(0, amounts().Draw(t, "cost"))
		b := bucket.NewLeak(a.Rate(), a.Burst())
		b.Restore(now, a.State(now))
		later := now + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "later"))
		if a.State(later) != b.State(later) {
			t.Fatalf("%+v, want %+v", b.State(later), a.State(later))
		}
	})
}

const date = 24 * time.Hour

func TestDayAgreesWithACountPerDate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := amounts().Draw(t, "limit")
		d, used, latest := bucket.NewDay(limit), map[int64]int64{}, int64(0)
		now := time.Duration(rapid.Int64Range(0, int64(10*date)).Draw(t, "start"))
		for range rapid.IntRange(1, 40).Draw(t, "calls") {
			now = max(times(t, now), 0)
			latest = max(latest, int64(now/date))
			cost := amounts().Draw(t, "cost")
			switch rapid.IntRange(0, 2).Draw(t, "call") {
			case 0:
				fits := cost == 0 || limit > 0 && used[latest]+min(cost, limit) <= limit
				wait := d.Take(now, cost)
				if (wait == 0) != fits {
					t.Fatalf("Take waits %v", wait)
				}
				if fits {
					used[latest] += cost
				} else if limit > 0 && now+wait != time.Duration(latest+1)*date {
					t.Fatalf("wait %v from %v does not end at midnight", wait, now)
				}
			case 1:
				d.Add(now, cost)
				used[latest] += cost
			case 2:
				taken := latest - rapid.Int64Range(0, 1).Draw(t, "days ago")
				d.Return(now, cost, taken)
				used[taken] = max(used[taken]-cost, 0)
			}
			if d.Used(now) != used[latest] || d.Number(now) != latest {
				t.Fatalf("used %d on day %d, want %d on day %d", d.Used(now), d.Number(now), used[latest], latest)
			}
		}
	})
}

func TestClockThatStepsBackOverMidnightOpensNothing(t *testing.T) {
	d := bucket.NewDay(10)
	d.Take(date-1, 10)
	if d.Take(date, 10) != 0 {
		t.Error("a new day is closed")
	}
	if got := d.Would(date-1, 1); got != date+1 {
		t.Errorf("wait %v", got)
	}
}

func TestDualAgreesWithAzuresRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rates(t)
		window := time.Duration(rapid.Int64Range(int64(bucket.MinWindow), int64(bucket.MaxWindow)).Draw(t, "window"))
		d := bucket.NewDual(r, window)
		in, out := models(r, window)
		now := time.Duration(0)
		for range rapid.IntRange(1, 30).Draw(t, "calls") {
			now = times(t, now)
			input, output := rapid.Int64Range(0, 1e6).Draw(t, "input"), rapid.Int64Range(0, 1e6).Draw(t, "output")
			open := in.below(now) && (out == nil || out.below(now))
			wait, _ := d.Wait(now)
			if (wait == 0) != open {
				t.Fatalf("wait %v, the model says %v", wait, open)
			}
			checkEnd(t, in, out, max(now, in.at), wait)
			switch rapid.IntRange(0, 3).Draw(t, "call") {
			case 0, 1:
				d.Take(now, input, output)
				if open {
					add(in, out, now, input, output)
				}
			case 2:
				d.Return(now, input, output)
				add(in, out, now, -input, -output)
			case 3:
				n := rapid.Int64Range(1, 10).Draw(t, "units")
				d.Resize(now, r.Times(n), window)
				newIn, newOut := models(r.Times(n), window)
				in.drain(now)
				in.rate, in.burst = newIn.rate, newIn.burst
				if out != nil {
					out.drain(now)
					out.rate, out.burst = newOut.rate, newOut.burst
				}
			}
			compare(t, &d, in, out, now)
		}
	})
}

func rates(t *rapid.T) bucket.Rates {
	if rapid.Bool().Draw(t, "together") {
		return bucket.Rates{Together: rapid.Int64Range(1, 1e6).Draw(t, "rate")}
	}
	return bucket.Rates{Input: rapid.Int64Range(1, 1e6).Draw(t, "in"), Output: rapid.Int64Range(1, 1e6).Draw(t, "out")}
}

func models(r bucket.Rates, window time.Duration) (in, out *leak) {
	capacity := func(rate int64) int64 { return max(rate*int64(window)/int64(time.Minute), 1) }
	if r.Together > 0 {
		return newLeak(r.Together, capacity(r.Together)), nil
	}
	return newLeak(r.Input, capacity(r.Input)), newLeak(r.Output, capacity(r.Output))
}

func add(in, out *leak, now time.Duration, input, output int64) {
	if out == nil {
		in.move(now, input+output)
		return
	}
	in.move(now, input)
	out.move(now, output)
}

func compare(t *rapid.T, d *bucket.Dual, in, out *leak, now time.Duration) {
	now = max(now, in.at)
	in.drain(now)
	gotIn, gotOut := d.Percent(now)
	wantOut := int64(0)
	if out != nil {
		out.drain(now)
		wantOut = out.percent()
	}
	if gotIn != in.percent() || gotOut != wantOut {
		t.Fatalf("%d %% and %d %%, want %d and %d", gotIn, gotOut, in.percent(), wantOut)
	}
}

// checkEnd checks that wait is the first moment at which both are open.
func checkEnd(t *rapid.T, in, out *leak, now, wait time.Duration) {
	open := func(at time.Duration) bool {
		return in.copy().below(at) && (out == nil || out.copy().below(at))
	}
	if !open(now + wait) {
		t.Fatalf("closed after %v", wait)
	}
	if wait > 0 && open(now+wait-1) {
		t.Fatalf("open before %v", wait)
	}
}

func TestResizeKeepsWhatIsOwed(t *testing.T) {
	one := bucket.Rates{Input: 180_000, Output: 36_000}
	d := bucket.NewDual(one, 20*time.Second)
	d.Add(0, 60_000, 12_000)
	if in, out := d.Percent(0); in != 100 || out != 100 {
		t.Fatalf("%d %%, %d %%", in, out)
	}
	d.Resize(0, one.Times(2), 20*time.Second)
	if in, out := d.Percent(0); in != 50 || out != 50 {
		t.Errorf("twice the units: %d %%, %d %%", in, out)
	}
	if wait, _ := d.Wait(0); wait != 0 {
		t.Errorf("twice the units: wait %v", wait)
	}
	d.Resize(0, one, 20*time.Second)
	if wait, _ := d.Wait(0); wait != 1 {
		t.Errorf("back again: wait %v, want the first nanosecond below 100 %%", wait)
	}
	d.Resize(0, bucket.Rates{Together: 180_000}, 20*time.Second)
	if in, out := d.Percent(0); in != 120 || out != 0 {
		t.Errorf("together: %d %%, %d %%", in, out)
	}
	d.Resize(0, bucket.Rates{Output: 36_000}, 20*time.Second)
	if in, out := d.Percent(0); in != 0 || out != 0 || !d.Idle(0) {
		t.Errorf("output only: %d %%, %d %%", in, out)
	}
}

func TestLevelOfOneSideNamesIt(t *testing.T) {
	d := bucket.NewDual(bucket.Rates{Input: 60, Output: 6000}, 10*time.Second)
	d.Add(0, 1, 6000)
	wait, output := d.Wait(0)
	if !output || wait != 50*time.Second+1 {
		t.Errorf("wait %v, output %v", wait, output)
	}
	d.Add(0, 1000, 0)
	if _, output := d.Wait(0); output {
		t.Error("the input takes longer now")
	}
}

// In any stretch of time a unit carries what its rate gives, one window, and
// the one request that went over 100 %.
func TestUnitCarriesNoMoreThanItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := bucket.Rates{Together: rapid.Int64Range(1, 1e6).Draw(t, "rate")}
		d := bucket.NewDual(r, bucket.MinWindow)
		var now time.Duration
		var admitted, largest int64
		for range 100 {
			now += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "gap"))
			cost := rapid.Int64Range(0, 1e5).Draw(t, "cost")
			if d.Take(now, cost, 0) == 0 {
				admitted += cost
				largest = max(largest, cost)
			}
		}
		drained := new(big.Rat).SetFrac64(r.Together, int64(time.Minute))
		drained.Mul(drained, new(big.Rat).SetInt64(int64(now)))
		drained.Add(drained, new(big.Rat).SetInt64(max(r.Together/6, 1)+largest))
		if new(big.Rat).SetInt64(admitted).Cmp(drained) > 0 {
			t.Fatalf("%d tokens in %v", admitted, now)
		}
	})
}

func BenchmarkTakeAndReturn(b *testing.B) {
	l := bucket.NewLeak(1<<40, 1<<30)
	var now time.Duration
	for b.Loop() {
		now += 1000
		l.Take(now, 1500)
		l.Return(now, 700)
	}
}
